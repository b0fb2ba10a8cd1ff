//! The memory of a channel: a header of words, then the ring, mapped twice in a row so that no message
//! is split at its end.
//!
//! The ring starts at a multiple of the page size, which [`at::RING_START`] records. The header is the
//! 4096 bytes before it. If the creator's pages are larger, the file begins with a hole.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::endpoint::Side;
use super::ring::{self, WORD, Words};
use crate::error::{Call, Errno, Error};
use crate::fork::Mapping;
use crate::sys::{self, Descriptor};

/// Size of the header, in bytes. The words that a side stores for each message have a cache line of
/// their own.
const HEADER: usize = 4096;
/// The first word of a channel, with the version of the format.
pub(super) const MAGIC: u64 = 0x0003_6c65_6e6e_6163;

/// Offsets of the words in the header, in bytes.
pub(super) mod at {
    pub const MAGIC: usize = 0;
    pub const RING_START: usize = 8;
    pub const IDENTITY: usize = 16;
    pub const TAIL: usize = 64;
    pub const SENT: usize = 72;
    pub const HEAD: usize = 128;
    pub const RECEIVED: usize = 136;
    pub const SENDER_SLEEPS: usize = 192;
    pub const RECEIVER_SLEEPS: usize = 256;
    pub const SENDER_LOCK: usize = 320;
    pub const RECEIVER_LOCK: usize = 384;
    pub const SENDER_OPENS: usize = 448;
    pub const RECEIVER_OPENS: usize = 452;
    pub const ALWAYS_FENCED: usize = 456;
    pub const LAST_SENDER: usize = 460;
    pub const LAST_RECEIVER: usize = 464;
    pub const ORIGIN: usize = 472;
    pub const ORIGIN_BASE: usize = 480;
}

/// The words of a mapped channel:
///
/// | word | written by | read by | order | a death in between leaves |
/// |---|---|---|---|---|
/// | magic, ring start, identity | the creator, before publication | every process, at open | – | no channel |
/// | a word of the ring | the sender, see [`ring`]; the receiver exchanges it for itself, see [`head_start`](super::head_start) | the receiver | – | the same word |
/// | tail | the sender, after it publishes | the next sender, every process that asks | release, acquire | one record uncounted: [`Producer::resume`](ring::Producer::resume) counts it |
/// | sent | the sender, after tail | every process | release, acquire | one behind; the low bits of tail correct it |
/// | head | the receiver, at release | the sender, when the ring looks full | release, acquire | the message, for the next receiver |
/// | received | the receiver, after head | every process | release, acquire | one behind; the low bits of head correct it |
/// | a sleep word | its side; the other side when it wakes a sleeper | both sides | see [`wakeup`](super::wakeup) | one wake-up without a sleeper |
/// | a lock | the processes that share that end | the same processes | see [`lock`](super::lock) | a dead holder's slot |
/// | number of opens of a side | that side, at open, after it locked its end | the other side, at open and when it waits, before it looks for the lock | release, acquire | an opener that no peer met |
/// | last holder of a side | that side, at open: its pid | that side, if the end is busy | relaxed | a pid of an exited process |
/// | origin, its base | the holder of the sending end | the next holder | see [`origin`](super::origin) | an origin, or none |
/// | always fenced | a process that cannot use membarrier(2), at open or before it sleeps | both sides | relaxed | one fence too many |
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The first word of the header; the ring starts [`HEADER`] bytes after it.
    base: NonNull<u8>,
    /// Reduces a position to an offset in the ring, aligned to a word.
    mask: u64,
    max_message: u64,
    mapped: PhantomData<&'a AtomicU64>,
}

/// The mapping of a channel's memory.
pub struct Memory {
    view: View<'static>,
    layout: Layout,
    _mapping: Mapping,
}

/// Where the ring lies in a channel's file, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// A power of two, at least [`HEADER`] and a page.
    pub(super) ring_start: usize,
    /// A power of two, at least `ring_start`.
    pub capacity: usize,
}

impl Layout {
    /// The layout of a new channel on a system with pages of this size. Rounds the capacity up.
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

    /// The layout of an existing channel, from the size of its file. EBADMSG if no channel has this size
    /// on a system with pages of this size.
    pub fn of(file_size: usize, page_size: usize) -> Result<Self, Error> {
        // The sum of two powers of two. The larger is the capacity; they may be equal.
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

    fn mapped_size(self) -> usize {
        self.file_size().wrapping_add(self.capacity)
    }

    /// The hole before the header.
    pub(super) fn before_header(self) -> usize {
        self.ring_start.wrapping_sub(HEADER)
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
        // SAFETY: mapped, of this size, for as long as self.
        let mapping = unsafe { Mapping::new(start.cast(), layout.mapped_size()) }?;
        Ok(Self {
            view: View {
                // SAFETY: the header is mapped, right before the ring.
                base: unsafe { start.byte_add(layout.before_header()) },
                mask: (capacity as u64).wrapping_sub(WORD),
                max_message: ring::max_message(capacity as u64),
                mapped: PhantomData,
            },
            layout,
            _mapping: mapping,
        })
    }

    /// Initialises memory that is all zeros.
    pub fn init(&self) {
        let view = self.view();
        let ring_start = self.layout.ring_start as u64;
        view.long(at::RING_START).store(ring_start, Relaxed);
        view.identity().store(sys::getrandom(), Relaxed);
        view.long(at::MAGIC).store(MAGIC, Relaxed);
    }

    /// EBADMSG if this is no channel of this version and layout.
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

    /// A copy of the addresses, which the compiler can keep in registers across stores to shared
    /// memory.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        self.view
    }
}

impl<'a> View<'a> {
    /// A 32-bit word of the header.
    #[inline(always)]
    fn word(self, at: usize) -> &'a AtomicU32 {
        // SAFETY: `at` is one of the constants above, in the mapped header and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// The lock of a shared end.
    pub fn lock(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDER_LOCK,
            Side::Receiver => at::RECEIVER_LOCK,
        })
    }

    /// The number of opens of this end.
    pub fn opens(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDER_OPENS,
            Side::Receiver => at::RECEIVER_OPENS,
        })
    }

    /// The pid of the process that claimed this end last.
    pub fn last_holder(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::LAST_SENDER,
            Side::Receiver => at::LAST_RECEIVER,
        })
    }

    /// A random number that distinguishes this channel from all others; 0 if the creator's kernel gave none.
    pub fn identity(self) -> &'a AtomicU64 {
        self.long(at::IDENTITY)
    }

    /// The identity of the channel whose messages continue in this one, or 0; and the difference of
    /// their numbers.
    pub fn origin(self) -> [&'a AtomicU64; 2] {
        [self.long(at::ORIGIN), self.long(at::ORIGIN_BASE)]
    }

    /// 1: both sides fence after every message.
    pub fn always_fenced(self) -> &'a AtomicU32 {
        self.word(at::ALWAYS_FENCED)
    }

    /// The sleep word of this side.
    #[inline(always)]
    pub fn sleep(self, side: Side) -> &'a AtomicU32 {
        self.word(match side {
            Side::Sender => at::SENDER_SLEEPS,
            Side::Receiver => at::RECEIVER_SLEEPS,
        })
    }

    /// A 64-bit word of the header or the ring.
    #[inline(always)]
    fn long(self, at: usize) -> &'a AtomicU64 {
        // SAFETY: `at` is one of the constants above, or below HEADER and the capacity; aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// The offset of a position from the base.
    #[inline(always)]
    fn offset(self, position: u64) -> usize {
        HEADER.wrapping_add((position & self.mask) as usize)
    }

    /// The byte at a position; from there on, at least the capacity is mapped.
    #[inline(always)]
    pub fn bytes(self, position: u64) -> NonNull<u8> {
        // SAFETY: below the capacity, and the ring is mapped twice.
        unsafe { self.base.byte_add(self.offset(position)) }
    }
}

impl Words for View<'_> {
    type Word = AtomicU64;

    #[inline(always)]
    fn capacity(&self) -> u64 {
        self.mask.wrapping_add(WORD)
    }
    #[inline(always)]
    fn max_message(&self) -> u64 {
        self.max_message
    }
    #[inline(always)]
    fn length(&self, position: u64) -> &AtomicU64 {
        self.long(self.offset(position))
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
    fn the_size_of_a_file_determines_its_layout() {
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
