//! How a reader waits for a message, and how the writer wakes the readers that do.
//!
//! All readers sleep on the low half of `last`, which the kernel compares before it puts one to sleep.
//! A reader that may write to the header says so in `sleeps` first, as
//! [`wakeup`] describes; only the writer clears that bit, then wakes all. A
//! reader that may only read cannot say so. Where the mode lets a process read and not write, the
//! writer therefore wakes after each message.

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU32, Ordering,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::TOPIC;
use super::memory::{Memory, View};
use super::slots::Reader;
use crate::channel::endpoint::Endpoint;
use crate::channel::ring::Blocked;
use crate::channel::wait::spin;
use crate::channel::wakeup::{self, SLEEPING, SleepEnd, SleepWord};
use crate::channel::word::Word32;
use crate::deadline::{Deadline, SLICE_NS};
use crate::error::{Errno, Error};
use crate::futex;
use crate::sys::{self, Descriptor};
use crate::watch;

/// The word on which readers sleep and the one that says so, as one process sees them.
pub struct Readers<'a> {
    sleeps: &'a AtomicU32,
    last_low: &'a AtomicU32,
    /// The low half of the last message that this reader knows.
    known: u32,
}

impl<'a> Readers<'a> {
    /// `position` is that of a reader that will sleep.
    pub fn new(view: View<'a>, position: u64) -> Self {
        Self {
            sleeps: view.sleeps(),
            last_low: view.last_low(),
            known: position as u32,
        }
    }
}

impl Word32 for Readers<'_> {
    fn load(&self, order: Ordering) -> u32 {
        self.sleeps.load(order)
    }
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.sleeps.fetch_or(bits, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.sleeps.fetch_and(bits, order)
    }
    fn compare_exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        Word32::compare_exchange(self.sleeps, from, to, order)
    }
}

impl SleepWord for Readers<'_> {
    fn fence(&self) {
        fence(SeqCst);
    }
    fn fence_everywhere(&self) -> bool {
        self.sleeps.fence_everywhere()
    }
    fn wait(&self, _: u32, nanoseconds: i64) -> SleepEnd {
        self.last_low.wait(self.known, nanoseconds)
    }
    fn wake(&self) {
        let _ = futex::wake(self.last_low, c_int::MAX);
    }
}

/// What a writer knows about waking readers.
pub struct Waker {
    /// Consecutive messages that found no reader asleep.
    unslept: u32,
    /// The membarrier(2) of readers reaches this process.
    is_reached: bool,
    /// The mode lets a process read and not write.
    pub wakes_always: bool,
}

impl Waker {
    /// Registers this process for the fences of sleepers. `mode` is that of the topic.
    pub fn new(view: View<'_>, mode: u32) -> Self {
        let is_reached = sys::membarrier_register();
        if !is_reached {
            view.always_fence();
        }
        Self {
            unslept: 0,
            is_reached,
            // Each bit for reading stands above that for writing.
            wakes_always: mode & !(mode << 1) & 0o444 != 0,
        }
    }

    /// Wakes all readers that sleep, and pokes the descriptors of all that wait for theirs.
    #[cold]
    #[inline(never)]
    pub fn wake(&mut self, view: View<'_>, file: &Descriptor) {
        let readers = Readers::new(view, 0);
        if self.wakes_always {
            readers.wake();
            // Those that sleep are awake by now.
            view.sleeps().fetch_and(!SLEEPING, Relaxed);
        }
        let reaches = || self.is_reached && view.always_fenced().load(Relaxed) == 0;
        wakeup::wake(&readers, &mut self.unslept, reaches, || watch::poke(file));
    }
}

/// Waits until there is a message that the reader has not read: until the deadline, ETIMEDOUT; a
/// signal handler runs, EINTR if `interruptible`; or no writer is left to wait for, see
/// [`Endpoint::peer_gone`].
#[inline(never)]
pub fn wait(
    memory: &Memory,
    reader: &mut Reader,
    endpoint: &mut Endpoint,
    interruptible: bool,
    deadline: Deadline,
) -> Result<(), Error> {
    let view = memory.view();
    match spin(sys::monotonic_clock_ns(), || look(reader, view)) {
        Err(Blocked::Wait) => {}
        found => return found.map_err(super::blocked),
    }
    let mut slice = Deadline::after_ns(SLICE_NS);
    loop {
        let remaining = deadline.or_earlier(slice).remaining_at_most(SLICE_NS);
        let end = sleep(memory, reader, remaining);
        match look(reader, view) {
            Err(Blocked::Wait) => {}
            found => return found.map_err(super::blocked),
        }
        if end == SleepEnd::Interrupted && interruptible {
            return Err(TOPIC.failed(Errno::EINTR));
        }
        if remaining > 0 {
            continue;
        }
        if let Some(errno) = endpoint.peer_gone(view.writer_opens()) {
            // What the writer did before it exited counts.
            return match look(reader, view) {
                Err(Blocked::Wait) => Err(TOPIC.failed(errno)),
                found => found.map_err(super::blocked),
            };
        }
        if deadline.has_passed() {
            return Err(TOPIC.failed(Errno::ETIMEDOUT));
        }
        slice = Deadline::after_ns(SLICE_NS);
    }
}

/// Whether there is a message that the reader has not read.
#[inline(never)]
pub fn look(reader: &mut Reader, view: View<'_>) -> Result<(), Blocked> {
    reader.next(&view).map(drop)
}

/// Sleeps once, unless there is a message.
fn sleep(memory: &Memory, reader: &mut Reader, nanoseconds: i64) -> SleepEnd {
    let view = memory.view();
    let readers = Readers::new(view, reader.position());
    if !memory.is_writable() {
        return match look(reader, view) {
            Err(Blocked::Wait) if nanoseconds > 0 => readers.wait(0, nanoseconds),
            _ => SleepEnd::Woken,
        };
    }
    let (_, end) = wakeup::sleep(
        &mut (readers, reader),
        |(readers, _)| readers,
        nanoseconds,
        // Only the writer clears the bit.
        true,
        |(_, reader)| look(reader, view),
        |_| view.always_fence(),
    );
    end
}
