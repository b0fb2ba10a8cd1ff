//! The memory of a topic: a header of words, then the slots. A reader maps the slots for reading only,
//! and the header for writing only if its permission allows that.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU32, AtomicU64, Ordering,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::TOPIC;
use super::copy::UNIT;
use super::slots::{MIN_DEPTH, Words};
use crate::channel::wakeup::FENCED;
use crate::error::{Errno, Error};
use crate::fork::Mapping;
use crate::sys::{self, Access, Descriptor};

/// Size of the header's words and least size of the header, in bytes.
pub(super) const HEADER: usize = 4096;
/// The first word of a topic, with the version of the format.
pub(super) const MAGIC: u64 = 0x0001_0063_6970_6f74;
/// Slots begin at multiples of this size, so that no two share a cache line.
const LINE: usize = 64;
/// Bytes of a slot before those of its message: the length word, and as many unused ones.
const SLOT_HEAD: usize = UNIT;

/// Offsets of the words in the header, in bytes.
pub(super) mod at {
    pub const MAGIC: usize = 0;
    pub const SLOTS_START: usize = 8;
    pub const MAX_MESSAGE: usize = 16;
    pub const DEPTH: usize = 24;
    pub const WRITER_OPENS: usize = 32;
    pub const LAST_WRITER: usize = 36;
    pub const ALWAYS_FENCED: usize = 40;
    pub const INTENT: usize = 64;
    pub const LAST: usize = 128;
    pub const SLEEPS: usize = 192;
}

/// Where the low half of a 64-bit word lies in it.
const LOW_HALF: usize = if cfg!(target_endian = "big") { 4 } else { 0 };

/// The words of a mapped topic:
///
/// | word | written by | read by | order | a death in between leaves |
/// |---|---|---|---|---|
/// | magic, slots start, longest message, depth | the creator, before publication | every process, at open | – | no topic |
/// | intent, last | the writer | readers; the next writer | see [`slots`](super::slots) | see there |
/// | sleeps | readers that may write, before they sleep; the writer when it wakes them | the same | see [`wakeup`](crate::channel::wakeup) | one wake-up without a sleeper |
/// | number of opens of the writer's end | the writer, at open, after it locked its end | readers, at open and when they wait, before they look for the lock | release, acquire | an opener that no reader met |
/// | last writer | the writer, at open: its pid | a writer that finds the end busy | relaxed | a pid of an exited process |
/// | always fenced | a process that cannot use membarrier(2) | the writer | relaxed | one fence too many |
#[derive(Clone, Copy)]
pub struct View<'a> {
    base: NonNull<u8>,
    slots: NonNull<u8>,
    stride: usize,
    /// The depth less one.
    mask: u64,
    max_message: usize,
    mapped: PhantomData<&'a AtomicU64>,
}

/// The mapping of a topic's memory.
pub struct Memory {
    view: View<'static>,
    /// Whether the header is mapped for writing.
    is_writable: bool,
    mapping: Mapping,
}

/// Where the slots lie in a topic's file, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// A power of two, at least [`HEADER`] and a page.
    slots_start: usize,
    stride: usize,
    /// A power of two.
    pub depth: usize,
    pub max_message: usize,
}

impl Layout {
    /// The layout of a new topic on a system with pages of this size. Rounds the depth up. EINVAL if
    /// no message has a byte.
    pub fn new(max_message: usize, depth: usize, page_size: usize) -> Result<Self, Error> {
        let slots_start = page_size.max(HEADER);
        let layout = || {
            let depth = depth.max(MIN_DEPTH as usize).checked_next_power_of_two()?;
            let slot = max_message.checked_add(SLOT_HEAD)?;
            let stride = slot.checked_next_multiple_of(LINE)?;
            let size = stride.checked_mul(depth)?.checked_add(slots_start)?;
            isize::try_from(size).ok()?;
            Some(Self {
                slots_start,
                stride,
                depth,
                max_message,
            })
        };
        match max_message {
            0 => Err(Error::INVALID),
            _ => layout().ok_or(Error::INVALID),
        }
    }

    /// The layout whose words these are. `None` if no topic of this size on a system with pages of this
    /// size has it.
    #[inline(always)]
    pub fn of(
        [slots_start, max_message, depth]: [u64; 3],
        file_size: usize,
        page_size: usize,
    ) -> Option<Self> {
        let slots_start = usize::try_from(slots_start).ok()?;
        let depth = usize::try_from(depth).ok()?;
        let max_message = usize::try_from(max_message).ok()?;
        let layout = Self::new(max_message, depth, page_size.max(slots_start)).ok()?;
        let is_found = slots_start.is_power_of_two()
            && (layout.slots_start, layout.depth) == (slots_start, depth)
            && layout.file_size() == file_size;
        is_found.then_some(layout)
    }

    /// The offset of a message's slot in the file.
    pub fn slot(self, number: u64) -> usize {
        let index = number.wrapping_sub(1) as usize & self.depth.wrapping_sub(1);
        let slots = self.stride.wrapping_mul(index);
        self.slots_start.wrapping_add(slots)
    }

    /// The size of the topic's file.
    pub fn file_size(self) -> usize {
        // `new` has computed this without an overflow.
        let slots = self.stride.wrapping_mul(self.depth);
        self.slots_start.wrapping_add(slots)
    }
}

impl Memory {
    /// Maps a topic's file of this size. `layout` is that of a new topic; an existing one says its own:
    /// EBADMSG if it is no topic of this version and size. `slots` is the access to the slots, and
    /// `header` that to the header.
    pub fn map(
        file: &Descriptor,
        size: usize,
        layout: Option<Layout>,
        header: Access,
        slots: Access,
    ) -> Result<Self, Error> {
        const DAMAGED: Error = TOPIC.failed(Errno::EBADMSG);

        if size < HEADER {
            return Err(DAMAGED);
        }
        let start = sys::mmap(file, size, slots)?;
        // SAFETY: mapped, of this size, for as long as self.
        let mapping = unsafe { Mapping::new(start, size) }?;
        if header != slots {
            // SAFETY: mapped, and nothing refers to it yet.
            unsafe { sys::mprotect(start, HEADER, header) }?;
        }
        let base = start.cast();
        let mut memory = Self {
            view: View {
                base,
                slots: base,
                stride: 0,
                mask: 0,
                max_message: 0,
                mapped: PhantomData,
            },
            is_writable: header == Access::ReadWrite,
            mapping,
        };
        let found = match layout {
            Some(layout) => memory.init(layout),
            None => memory.layout().ok_or(DAMAGED)?,
        };
        let view = &mut memory.view;
        // SAFETY: mapped, since the layout's size is that of the mapping.
        view.slots = unsafe { base.byte_add(found.slots_start) };
        view.stride = found.stride;
        view.mask = (found.depth as u64).wrapping_sub(1);
        view.max_message = found.max_message;
        Ok(memory)
    }

    /// Initialises a header that is all zeros.
    fn init(&self, layout: Layout) -> Layout {
        let store = |at, value: usize| self.view.long(at).store(value as u64, Relaxed);
        store(at::SLOTS_START, layout.slots_start);
        store(at::MAX_MESSAGE, layout.max_message);
        store(at::DEPTH, layout.depth);
        self.view.long(at::MAGIC).store(MAGIC, Relaxed);
        layout
    }

    /// The layout that the header states. `None` if it is that of no topic of this version and size, or
    /// comes from a system with smaller pages.
    fn layout(&self) -> Option<Layout> {
        let load = |at| self.view.long(at).load(Relaxed);
        let words = [at::SLOTS_START, at::MAX_MESSAGE, at::DEPTH].map(load);
        let layout = Layout::of(words, self.mapping.size(), sys::page_size());
        layout.filter(|_| load(at::MAGIC) == MAGIC)
    }

    /// Whether this process may write to the header.
    pub fn is_writable(&self) -> bool {
        self.is_writable
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
        // SAFETY: `at` is below HEADER, mapped and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// A 64-bit word of the header.
    #[inline(always)]
    fn long(self, at: usize) -> &'a AtomicU64 {
        // SAFETY: `at` is one of the constants above: mapped and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// The longest message, in bytes.
    #[inline(always)]
    pub fn max_message(self) -> usize {
        self.max_message
    }

    /// The number of opens of the writer's end.
    pub fn writer_opens(self) -> &'a AtomicU32 {
        self.word(at::WRITER_OPENS)
    }

    /// The pid of the process that claimed the writer's end last.
    pub fn last_writer(self) -> &'a AtomicU32 {
        self.word(at::LAST_WRITER)
    }

    /// 1: the writer fences after every message.
    pub fn always_fenced(self) -> &'a AtomicU32 {
        self.word(at::ALWAYS_FENCED)
    }

    /// Makes the writer fence after every message, because membarrier(2) is unavailable.
    #[cold]
    pub fn always_fence(self) {
        self.always_fenced().store(1, Relaxed);
        self.sleeps().fetch_or(FENCED, SeqCst);
    }

    /// The sleep word of the readers.
    #[inline(always)]
    pub fn sleeps(self) -> &'a AtomicU32 {
        self.word(at::SLEEPS)
    }

    /// The low half of the last message's number, on which readers sleep.
    pub fn last_low(self) -> &'a AtomicU32 {
        self.word(at::LAST.wrapping_add(LOW_HALF))
    }

    #[inline(always)]
    fn slot(self, number: u64) -> NonNull<u8> {
        let index = number.wrapping_sub(1) & self.mask;
        // SAFETY: below the depth, and that many slots are mapped.
        unsafe {
            self.slots
                .byte_add(self.stride.wrapping_mul(index as usize))
        }
    }

    /// The length word of a message.
    #[inline(always)]
    pub fn length(self, number: u64) -> &'a AtomicU64 {
        // SAFETY: a slot begins with this word, mapped and aligned.
        unsafe { self.slot(number).cast().as_ref() }
    }

    /// The bytes of a message, aligned to [`UNIT`]: the longest message is mapped there, rounded up to
    /// that.
    #[inline(always)]
    pub fn bytes(self, number: u64) -> NonNull<u8> {
        // SAFETY: a slot is longer than its head.
        unsafe { self.slot(number).byte_add(SLOT_HEAD) }
    }
}

impl Words for View<'_> {
    type Word = AtomicU64;

    #[inline(always)]
    fn depth(&self) -> u64 {
        self.mask.wrapping_add(1)
    }
    #[inline(always)]
    fn intent(&self) -> &AtomicU64 {
        self.long(at::INTENT)
    }
    #[inline(always)]
    fn last(&self) -> &AtomicU64 {
        self.long(at::LAST)
    }
    #[inline(always)]
    fn fence(&self, order: Ordering) {
        fence(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_whole_cache_lines_and_a_power_of_two_many() {
        for page_size in [4096, 16384, 65536] {
            for (max_message, depth, stride, slots) in [
                (1, 0, 64, 4),
                (48, 4, 64, 4),
                (49, 5, 128, 8),
                (65536, 1000, 65600, 1024),
            ] {
                let layout = Layout::new(max_message, depth, page_size).unwrap();
                assert_eq!((layout.stride, layout.depth), (stride, slots));
                assert_eq!(layout.file_size(), page_size + stride * slots);
            }
        }
    }

    #[test]
    fn sizes_that_no_memory_has_are_refused() {
        for (max_message, depth) in [
            (0, 4),
            (usize::MAX, 4),
            (usize::MAX - 79, 4),
            (64, usize::MAX),
            (1 << 32, 1 << 32),
            (isize::MAX as usize, 4),
        ] {
            assert!(Layout::new(max_message, depth, 4096).is_err());
        }
    }
}
