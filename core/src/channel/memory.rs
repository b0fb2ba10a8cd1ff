//! The memory of a channel: a page of words, then the ring, mapped twice so that no
//! message ever has a seam.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::endpoint::Process;
use crate::error::{Call, Error};
use crate::ring::{self, WORD, Words};
use crate::sys::{self, Advice, Descriptor};

/// Before the ring, in bytes: the words that are not part of it. What is written for each message is
/// on a cache line of its own side.
pub const HEADER: usize = 4096;
/// The first word of a channel: what it is, and in which version.
pub const MAGIC: u64 = 0x0001_6c65_6e6e_6163;

/// Where the words of the header are, in bytes.
pub mod at {
    pub const MAGIC: usize = 0;
    pub const TAIL: usize = 64;
    pub const SENT: usize = 72;
    pub const HEAD: usize = 128;
    pub const RECEIVED: usize = 136;
    pub const SENDER_SLEEPS: usize = 192;
    pub const RECEIVER_SLEEPS: usize = 256;
    pub const SENDER_LOCK: usize = 320;
    pub const RECEIVER_LOCK: usize = 384;
    pub const SENDER_CAME: usize = 448;
    pub const RECEIVER_CAME: usize = 452;
    pub const ALWAYS_FENCED: usize = 456;
}

/// Where the memory of a channel is mapped. Each word, who writes it, and what a death in between
/// leaves:
///
/// | word | written by | read by | order | a death leaves |
/// |---|---|---|---|---|
/// | magic | its maker, before it has a name | all, at open | – | no channel |
/// | tail | the sender, after publishing | the next sender, who asks | release, acquire | one record behind: [`Producer::resume`](crate::ring::Producer::resume) counts it |
/// | sent | the sender, after tail | all | release, acquire | one behind, told by tail's low bits |
/// | head | the receiver, at release | the sender, when the ring looks full | release, acquire | the message, for the next receiver |
/// | received | the receiver, after head | all | release, acquire | one behind, told by head's low bits |
/// | a sleep word | its side, the other when it wakes it | both | see [the handshake](crate::handshake) | a wake-up for nobody |
/// | a lock | who shares that end | the same | acquire, release | its slot, whose owner is asked for |
/// | came | its side, at open | the other, when it waits | relaxed | – |
/// | always fenced | who cannot use membarrier(2), at open or when it sleeps | both | relaxed | a barrier too many |
#[derive(Clone, Copy)]
pub struct View<'a> {
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
    process: Process,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A child has never had it, and may have something else there.
        if self.process.is_this() {
            // SAFETY: mapped by map_twice, and who drops this uses the memory no more.
            let _ = unsafe { sys::unmap(self.view.base.cast(), self.mapped()) };
        }
    }
}

impl Memory {
    /// Maps the memory of this capacity, a power of two.
    pub fn new(file: &Descriptor, capacity: usize) -> Result<Self, Error> {
        let base = Call::Mmap.of(sys::map_twice(file, HEADER, capacity))?;
        let capacity = capacity as u64;
        let memory = Self {
            view: View {
                base,
                mask: capacity.wrapping_sub(WORD),
                longest: ring::longest(capacity),
                mapped: PhantomData,
            },
            process: Process::current(),
        };
        // A mapping holds the file open, and so its locks: a child must not have it.
        // SAFETY: mapped, of this size.
        let kept = unsafe { sys::advise(base.cast(), memory.mapped(), Advice::NotForChildren) };
        Call::Madvise.of(kept)?;
        Ok(memory)
    }

    fn mapped(&self) -> usize {
        (self.view.capacity() as usize)
            .wrapping_mul(2)
            .wrapping_add(HEADER)
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
    pub fn word(self, at: usize) -> &'a AtomicU32 {
        // SAFETY: `at` is one of the constants above, in the mapped header and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// A long word of the header, or of the ring.
    #[inline(always)]
    pub fn long(self, at: usize) -> &'a AtomicU64 {
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
