//! The memory of a channel: words, then the ring, mapped twice so that no message ever has a seam.
//!
//! The ring starts at a multiple of the page size, which [`at::RING_START`] records, and the words are
//! the 4096 bytes before it. A file holds nothing else: what is before the words is a hole of the
//! larger pages of the system that created it.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::endpoint::Side;
use crate::error::{Call, Errno, Error};
use crate::fork::Process;
use crate::ring::{self, WORD, Words};
use crate::sys::{self, Advice, Descriptor};

/// Before the ring, in bytes: the words that are not part of it. What is written for each message is
/// on a cache line of its own side.
const HEADER: usize = 4096;
/// The first word of a channel: what it is, and in which version.
const MAGIC: u64 = 0x0002_6c65_6e6e_6163;

/// Where the words of the header are, in bytes.
mod at {
    pub const MAGIC: usize = 0;
    pub const RING_START: usize = 8;
    pub const TAIL: usize = 64;
    pub const SENT: usize = 72;
    pub const HEAD: usize = 128;
    pub const RECEIVED: usize = 136;
    pub const SENDER_SLEEPS: usize = 192;
    pub const RECEIVER_SLEEPS: usize = 256;
    pub const SENDER_LOCK: usize = 320;
    pub const RECEIVER_LOCK: usize = 384;
    pub const SENDERS_OPENED: usize = 448;
    pub const RECEIVERS_OPENED: usize = 452;
    pub const ALWAYS_FENCED: usize = 456;
    pub const LAST_SENDER: usize = 460;
    pub const LAST_RECEIVER: usize = 464;
}

/// Where the memory of a channel is mapped. Each word, who writes it, and what a death in between
/// leaves:
///
/// | word | written by | read by | order | a death leaves |
/// |---|---|---|---|---|
/// | magic, ring start | its creator, before it has a name | all, at open | – | no channel |
/// | tail | the sender, after publishing | the next sender, who asks | release, acquire | one record behind: [`Producer::resume`](crate::ring::Producer::resume) counts it |
/// | sent | the sender, after tail | all | release, acquire | one behind, told by tail's low bits |
/// | head | the receiver, at release | the sender, when the ring looks full | release, acquire | the message, for the next receiver |
/// | received | the receiver, after head | all | release, acquire | one behind, told by head's low bits |
/// | a sleep word | its side, the other when it wakes it | both | see [the handshake](crate::handshake) | a wake-up for nobody |
/// | a lock | the sharers of that end | the same | see [its file](super::lock) | its slot, whose holder is asked about |
/// | a side's opened | that side, at open | the other, at open and when it waits | relaxed | an opener that nobody has met |
/// | a side's last | that side, at open: its pid | the same side, where the end is busy | relaxed | a pid of a process that has ended |
/// | always fenced | a process that cannot use membarrier(2), at open or when it sleeps | both | relaxed | a barrier too many |
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The first of the header's words; the ring is [`HEADER`] bytes further.
    base: NonNull<u8>,
    /// The bits of a position that say where in the ring it is.
    mask: u64,
    /// The longest message.
    longest: u64,
    mapped: PhantomData<&'a AtomicU64>,
}

/// The mapping of a channel's memory.
pub struct Memory {
    view: View<'static>,
    layout: Layout,
    process: Process,
}

/// Where a channel's file has its ring, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// A power of two, at least [`HEADER`] and a page.
    ring_start: usize,
    /// A power of two, at least `ring_start`.
    pub capacity: usize,
}

impl Layout {
    /// For a new channel on this system, which has pages of this size: capacity is rounded up.
    pub fn new(capacity: usize, page_size: usize) -> Result<Self, Error> {
        let ring_start = page_size.max(HEADER);
        capacity
            .max(ring_start)
            .checked_next_power_of_two()
            .map(|capacity| Self {
                ring_start,
                capacity,
            })
            .filter(|layout| isize::try_from(layout.capacity.saturating_mul(4)).is_ok())
            .ok_or(Error::INVALID)
    }

    /// Of an existing channel, from the size of its file; EBADMSG where none has this size on a system
    /// with pages of this size.
    pub fn of(file_size: usize, page_size: usize) -> Result<Self, Error> {
        // Two powers of two, the larger one the capacity; or the same twice.
        let lowest = file_size & file_size.wrapping_neg();
        let ring_start = match lowest == file_size {
            true => file_size / 2,
            false => lowest,
        };
        match Self::new(
            file_size.saturating_sub(ring_start),
            page_size.max(ring_start),
        ) {
            Ok(layout) if layout.ring_start == ring_start && layout.file_size() == file_size => {
                Ok(layout)
            }
            _ => Err(Call::Channel.failed(Errno::EBADMSG)),
        }
    }

    /// The size of the channel's file.
    pub fn file_size(self) -> usize {
        self.ring_start.wrapping_add(self.capacity)
    }

    /// The ring is mapped twice.
    fn mapped_size(self) -> usize {
        self.file_size().wrapping_add(self.capacity)
    }

    /// The hole before the header.
    fn before_header(self) -> usize {
        self.ring_start.wrapping_sub(HEADER)
    }
}

impl Drop for Memory {
    #[inline(never)]
    fn drop(&mut self) {
        // A child has never had it, and may have something else there.
        if self.process.is_this() {
            let start = self.mapped();
            // SAFETY: mapped by map_twice, and its owner uses the memory no more.
            let _ = unsafe { sys::munmap(start, self.layout.mapped_size()) };
        }
    }
}

impl Memory {
    /// Maps the memory of a channel's file.
    pub fn map(file: &Descriptor, layout: Layout) -> Result<Self, Error> {
        let Layout {
            ring_start,
            capacity,
        } = layout;
        let start = sys::mmap_twice(file, ring_start, capacity)?;
        let memory = Self {
            view: View {
                // SAFETY: the header is mapped, right before the ring.
                base: unsafe { start.byte_add(layout.before_header()) },
                mask: (capacity as u64).wrapping_sub(WORD),
                longest: ring::longest(capacity as u64),
                mapped: PhantomData,
            },
            layout,
            process: Process::current(),
        };
        // A mapping holds the file open, and so its locks: a child must not have it.
        let (start, size) = (memory.mapped(), layout.mapped_size());
        // SAFETY: mapped, of this size.
        unsafe { sys::madvise(start, size, Advice::DontFork) }?;
        Ok(memory)
    }

    fn mapped(&self) -> NonNull<c_void> {
        // SAFETY: the mapping starts there.
        unsafe { self.view.base.byte_sub(self.layout.before_header()) }.cast()
    }

    /// Makes memory that is all zeros a channel.
    pub fn init(&self) {
        let view = self.view();
        let ring_start = self.layout.ring_start as u64;
        view.long(at::RING_START).store(ring_start, Relaxed);
        view.long(at::MAGIC).store(MAGIC, Relaxed);
    }

    /// EBADMSG where it is no channel of this version and layout.
    pub fn check(&self) -> Result<(), Error> {
        let view = self.view();
        let found = (
            view.long(at::MAGIC).load(Relaxed),
            view.long(at::RING_START).load(Relaxed),
        );
        match found == (MAGIC, self.layout.ring_start as u64) {
            true => Ok(()),
            false => Err(Call::Channel.failed(Errno::EBADMSG)),
        }
    }

    /// A copy of where things are, for the compiler to keep while it stores to shared memory.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        self.view
    }
}

impl<'a> View<'a> {
    /// A word of the header.
    #[inline(always)]
    fn word(self, at: usize) -> &'a AtomicU32 {
        // SAFETY: `at` is one of the constants above, in the mapped header and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// The words that each side has of its own.
    pub fn lock(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDER_LOCK,
            Side::Receiver => at::RECEIVER_LOCK,
        })
    }

    pub fn opened(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDERS_OPENED,
            Side::Receiver => at::RECEIVERS_OPENED,
        })
    }

    pub fn last_holder(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::LAST_SENDER,
            Side::Receiver => at::LAST_RECEIVER,
        })
    }

    pub fn always_fenced(self) -> &'a AtomicU32 {
        self.word(at::ALWAYS_FENCED)
    }

    #[inline(always)]
    pub fn sleep(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDER_SLEEPS,
            Side::Receiver => at::RECEIVER_SLEEPS,
        })
    }

    /// A long word of the header, or of the ring.
    #[inline(always)]
    fn long(self, at: usize) -> &'a AtomicU64 {
        // SAFETY: `at` is one of the constants above, or below HEADER and the capacity; aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// How far behind the base a position is.
    #[inline(always)]
    fn at(self, position: u64) -> usize {
        HEADER.wrapping_add((position & self.mask) as usize)
    }

    /// The first byte at a position, behind which at least the capacity is mapped.
    #[inline(always)]
    pub fn bytes(self, position: u64) -> NonNull<u8> {
        // SAFETY: below the capacity, and the ring is mapped twice.
        unsafe { self.base.byte_add(self.at(position)) }
    }
}

impl Words for View<'_> {
    type Word = AtomicU64;

    #[inline(always)]
    fn capacity(&self) -> u64 {
        self.mask.wrapping_add(WORD)
    }
    #[inline(always)]
    fn longest(&self) -> u64 {
        self.longest
    }
    #[inline(always)]
    fn length(&self, position: u64) -> &AtomicU64 {
        self.long(self.at(position))
    }
    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        self.long(at::HEAD)
    }
    #[inline(always)]
    fn received(&self) -> &AtomicU64 {
        self.long(at::RECEIVED)
    }
    #[inline(always)]
    fn tail(&self) -> &AtomicU64 {
        self.long(at::TAIL)
    }
    #[inline(always)]
    fn sent(&self) -> &AtomicU64 {
        self.long(at::SENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_size_says_where_its_ring_starts() {
        for page_size in [4096, 16384, 65536] {
            for asked in [0, 1, 4096, 4097, 65536, 1 << 20] {
                let layout = Layout::new(asked, page_size).unwrap();
                assert!(layout.capacity >= asked && layout.ring_start.is_multiple_of(page_size));
                assert_eq!(Layout::of(layout.file_size(), 4096), Ok(layout));
                let larger_pages = Layout::of(layout.file_size(), page_size * 2);
                assert!(larger_pages.is_err(), "{layout:?}");
            }
        }
        for size in [0, 1, 2, 4096, 12288 + 1, 4096 + 8192 + 1, 4096 + 2048] {
            assert!(Layout::of(size, 4096).is_err(), "{size}");
        }
        assert!(Layout::new(usize::MAX, 4096).is_err());
        assert!(Layout::new(usize::MAX / 4, 4096).is_err());
    }
}
