//! Sleep without a lost wake-up: the algorithm alone, without a system call, so that loom can check
//! it.
//!
//! A side that goes to sleep sets [`SLEEPING`] in its sleep word, then looks at the ring. The other
//! side changes the ring, then looks for [`SLEEPING`]. With a full fence between the two steps of
//! both sides, at least one sees the other.
//!
//! A fence after each message would cost 65 ns, more than all else. So the sleeper fences in all
//! processes at once, which costs 2 µs, and sets [`FENCED`]: from then on the other side fences on
//! its own, until no one has slept for [`FENCE_FREE_AFTER`] messages.
//!
//! A process with a descriptor for poll(2) sets [`POLLED`] in the same way, and the other side then
//! pokes the descriptor. The two bits do not touch each other: a process may sleep while it is
//! [armed](arm), and the processes of a shared end may wait in either way.
//!
//! | bit of a sleep word | set by | cleared by |
//! |---|---|---|
//! | [`SLEEPING`] | its side, sequentially consistent, before the last look at the ring | the process that wakes a sleeper, relaxed; its side after the sleep, relaxed, unless it shares the end |
//! | [`POLLED`] | its side, sequentially consistent, before the last look at the ring and after it made its descriptor unreadable | the process that then pokes the descriptors, relaxed: the other side, or its side if the last look succeeds |
//! | [`FENCED`] | its side, together with either; a process that cannot use membarrier(2) | the other side, acquire, after [`FENCE_FREE_AFTER`] messages |
//!
//! A process that dies or is stopped between clearing [`POLLED`] and the poke leaves unreadable descriptors.
//! Its death is an event of its own, see `watch.rs`; while it is stopped, its call has not returned.
//!
//! Processes that share an end sleep on the same word and hold nothing while they sleep. A message
//! wakes one of them and clears [`SLEEPING`]. The woken process sets it again for the others before
//! it looks at the ring, and never clears it. After it unlocks the end, it wakes the next sleeper if
//! there is more to do. So one message wakes one process. If the woken process dies or is stopped,
//! the others look on their own when their sleep ends.

use core::sync::atomic::{
    Ordering::{Acquire, Relaxed, SeqCst},
    compiler_fence,
};

use super::ring::Blocked;
use super::word::Word32;

/// In a sleep word: a process of this side sleeps or is about to.
pub const SLEEPING: u32 = 1;
/// In a sleep word: the other side fences before it looks here.
pub const FENCED: u32 = 2;
/// In a sleep word: a process of this side waits for its descriptor.
pub const POLLED: u32 = 4;
/// In a sleep word: a process of this side waits.
const WAITING: u32 = SLEEPING | POLLED;
/// The other side stops to fence after this number of consecutive messages without a sleeper: their
/// fences have then cost 17 µs, more than the membarrier(2) of the next sleeper.
pub const FENCE_FREE_AFTER: u32 = 256;

/// Why a sleep ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SleepEnd {
    /// Another process woke the sleeper, or there was no need to sleep.
    Woken,
    /// The time is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// A sleep word, and what it takes to sleep on it.
pub trait SleepWord: Word32 {
    /// A full memory fence.
    fn fence(&self);
    /// A full memory fence in every process that is registered for it, by membarrier(2). Returns whether
    /// the kernel supports that.
    fn fence_everywhere(&self) -> bool;
    /// Sleeps while the word is `expected`, for at most this number of nanoseconds.
    fn wait(&self, expected: u32, nanoseconds: i64) -> SleepEnd;
    /// Wakes one sleeper.
    fn wake(&self);
}

/// Whether [`wake`] is needed after a change of the ring.
#[inline(always)]
pub fn needs_wake(word: &impl SleepWord) -> bool {
    // Keeps the compiler from loading the word before it stores the change, which the language allows.
    // No test can show that: without this, rustc 1.95 emits the same machine code.
    compiler_fence(SeqCst);
    word.load(Relaxed) != 0
}

/// Wakes one sleeper of this word, if there is any, and pokes the descriptors of its side. `unslept` counts
/// consecutive messages that found no process waiting; after [`FENCE_FREE_AFTER`] of them the fence is
/// switched off, provided the owner's membarrier `reaches` this process. A process that cannot use
/// membarrier(2) announces it before it sets [`FENCED`]. A third process that is not reached may see
/// the bit missing for a moment; then the owner waits until it looks on its own.
pub fn wake(
    word: &impl SleepWord,
    unslept: &mut u32,
    reaches: impl Fn() -> bool,
    poke: impl FnOnce(),
) {
    word.fence();
    if word.load(Relaxed) & WAITING != 0 {
        wake_waiting(word, poke);
        *unslept = 0;
        return;
    }
    if *unslept >= FENCE_FREE_AFTER && reaches() {
        // Acquire: if a process without membarrier(2) set the bit, its announcement is visible now.
        word.compare_exchange(FENCED, 0, Acquire);
        if !reaches() {
            word.compare_exchange(0, FENCED, Relaxed);
        }
        *unslept = 0;
    }
    *unslept = unslept.wrapping_add(1);
}

fn wake_waiting(word: &impl SleepWord, poke: impl FnOnce()) {
    let waiting = word.fetch_and(!WAITING, Relaxed);
    if waiting & SLEEPING != 0 {
        word.wake();
    }
    if waiting & POLLED != 0 {
        poke();
    }
}

/// Wakes one more sleeper of the end that was just unlocked, and pokes its descriptors, if there is
/// `more` to do: those processes may have found the end locked. `more` is asked about any message if one
/// waits for its descriptor, since nothing else would tell that process later.
pub fn wake_next(word: &impl SleepWord, more: impl FnOnce(bool) -> bool, poke: impl FnOnce()) {
    // Sequentially consistent, same as the unlock before it: a process that found the end locked set
    // its bit before it looked.
    let waiting = word.load(SeqCst) & WAITING;
    if waiting == 0 {
        return;
    }
    word.fence();
    if more(waiting & POLLED != 0) {
        wake_waiting(word, poke);
    }
}

/// Sleeps once on the own word, unless `attempt` finds that there is no need. Returns the result of
/// the last attempt and why the sleep ended. `shared`: other processes may sleep on the same word.
/// Calls `without_barrier` if the kernel cannot fence everywhere. `word` is that of the `context`.
pub fn sleep<C, W: SleepWord, T>(
    context: &mut C,
    word: impl Fn(&C) -> &W,
    nanoseconds: i64,
    shared: bool,
    attempt: impl Fn(&mut C) -> Result<T, Blocked>,
    without_barrier: impl FnOnce(&mut C),
) -> (Result<T, Blocked>, SleepEnd) {
    let before = announce(context, &word, SLEEPING, without_barrier);
    let mut result = attempt(context);
    let mut end = SleepEnd::Woken;
    if matches!(result, Err(Blocked::Wait)) && nanoseconds > 0 {
        end = word(context).wait(before | SLEEPING | FENCED, nanoseconds);
        if end == SleepEnd::Woken && !shared {
            result = attempt(context);
        }
    }
    if !shared {
        word(context).fetch_and(!SLEEPING, Relaxed);
    }
    (result, end)
}

/// Makes the own descriptor unreadable with `drain`, and makes the other side poke it when it does something
/// next. If `attempt` finds that there is no need, `poke` makes it readable again, for what else there may be.
/// Returns the result of the attempt, and whether the other side fenced already. Calls `without_barrier`
/// same as [`sleep`].
pub fn arm<C, W: SleepWord, T>(
    context: &mut C,
    word: impl Fn(&C) -> &W,
    drain: impl FnOnce(),
    attempt: impl FnOnce(&mut C) -> Result<T, Blocked>,
    poke: impl FnOnce(&C),
    without_barrier: impl FnOnce(&mut C),
) -> (Result<T, Blocked>, bool) {
    // Before the bit is set: the poke of a process that sees the bit must not be drained.
    drain();
    let before = announce(context, &word, POLLED, without_barrier);
    let result = attempt(context);
    if !matches!(result, Err(Blocked::Wait)) {
        word(context).fetch_and(!POLLED, Relaxed);
        // Wakes other processes of a shared end too, which may have set the bit.
        poke(context);
    }
    (result, before & FENCED != 0)
}

/// Sets a bit in the own word such that the other side sees it after its next change of the ring, or the
/// caller's next look at the ring sees the change. Returns the word before.
fn announce<C, W: SleepWord>(
    context: &mut C,
    word: impl Fn(&C) -> &W,
    bit: u32,
    without_barrier: impl FnOnce(&mut C),
) -> u32 {
    let before = word(context).fetch_or(bit | FENCED, SeqCst);
    if before & FENCED == 0 && !word(context).fence_everywhere() {
        without_barrier(context);
    }
    word(context).fence();
    before
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::sync::atomic::Ordering;

    use super::*;

    /// A word on a system whose membarrier(2) may be missing; counts the calls of it.
    struct Fake {
        word: Cell<u32>,
        has_barrier: bool,
        barriers: Cell<u32>,
    }

    impl Word32 for Fake {
        fn load(&self, _: Ordering) -> u32 {
            self.word.get()
        }
        fn fetch_or(&self, bits: u32, _: Ordering) -> u32 {
            self.word.replace(self.word.get() | bits)
        }
        fn fetch_and(&self, bits: u32, _: Ordering) -> u32 {
            self.word.replace(self.word.get() & bits)
        }
        fn compare_exchange(&self, from: u32, to: u32, _: Ordering) -> bool {
            self.word.get() == from && self.word.replace(to) == from
        }
    }

    impl SleepWord for Fake {
        fn fence(&self) {}
        fn fence_everywhere(&self) -> bool {
            self.barriers.set(self.barriers.get() + 1);
            self.has_barrier
        }
        fn wait(&self, expected: u32, _: i64) -> SleepEnd {
            assert_eq!((self.word.get(), expected), (3, 3));
            SleepEnd::TimedOut
        }
        fn wake(&self) {}
    }

    #[test]
    fn a_missing_barrier_is_reported_where_one_is_needed() {
        for (before, has_barrier, barriers, reports) in [
            (0, true, 1, false),
            (0, false, 1, true),
            (FENCED, true, 0, false),
            (FENCED, false, 0, false),
        ] {
            let mut word = Fake {
                word: before.into(),
                has_barrier,
                barriers: 0.into(),
            };
            let mut reported = false;
            let (result, end) = sleep(
                &mut word,
                |word| word,
                1,
                false,
                |_| Err::<(), _>(Blocked::Wait),
                |_| reported = true,
            );
            assert_eq!((result, end), (Err(Blocked::Wait), SleepEnd::TimedOut));
            assert_eq!((word.barriers.get(), reported), (barriers, reports));
            assert_eq!(word.word.get(), FENCED);
        }
    }
}
