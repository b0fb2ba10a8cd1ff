//! Going to sleep without missing a wake-up: the pure algorithm, without a system call.
//!
//! A side that goes to sleep sets [`SLEEPING`] in its sleep word, then looks at the ring; the other
//! side changes the ring, then looks for [`SLEEPING`]. With a full barrier between the two steps of
//! both, at least one sees the other.
//!
//! That barrier after each message would cost more than all else. So the sleeper makes it, in all
//! processes at once, and asks the other side by [`FENCED`] to make its own from then on, until
//! nobody has slept for a while.
//!
//! Several processes that share an end sleep on the same word, and hold nothing while they do. A
//! message wakes one of them, and clears [`SLEEPING`]; the woken one sets it again before it looks,
//! for the others, and never clears it. If there is more to do when it unlocks the end, it wakes the
//! next one. So no message wakes two, and if the woken one dies or is stopped, the others go on when
//! they look by themselves.

use core::sync::atomic::{
    Ordering,
    Ordering::{Acquire, Relaxed, SeqCst},
    compiler_fence,
};

use crate::ring::Stop;

/// In a sleep word: its side sleeps, or is about to.
pub const SLEEPING: u32 = 1;
/// In a sleep word: the other side makes a barrier before it looks here.
pub const FENCED: u32 = 2;
/// After so many messages in a row that nobody slept for, the barrier is left out again.
pub const CALM: u32 = 256;

/// Why a sleep has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// There was no need to sleep, or somebody woke the sleeper.
    Called,
    /// The time is over.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// A word of 32 bits in shared memory: of core's atomics, or of a model checker's.
pub trait Word {
    /// Same as `AtomicU32::load`.
    fn load(&self, order: Ordering) -> u32;
    /// Same as `AtomicU32::swap`.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Same as `AtomicU32::fetch_and`.
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32;
    /// Same as `AtomicU32::compare_exchange`; whether the word was changed.
    fn exchange(&self, from: u32, to: u32, order: Ordering) -> bool;
}

/// A sleep word, and what it takes to sleep on it.
pub trait SleepWord: Word {
    /// A full memory barrier.
    fn fence(&self);
    /// A full memory barrier in all processes that let others make it; whether that was possible.
    fn fence_everywhere(&self) -> bool;
    /// Sleeps while the word is `expected`, for at most this number of nanoseconds.
    fn wait(&self, expected: u32, nanoseconds: i64) -> Wake;
    /// Wakes one sleeper.
    fn wake(&self);
}

/// Whether a sleeper on this word may have to be woken, after what was just stored; then [`wake`]
/// does it.
#[inline(always)]
pub fn is_called(word: &impl SleepWord) -> bool {
    // The look must not be made before the store that it follows.
    compiler_fence(SeqCst);
    word.load(Relaxed) != 0
}

/// Wakes a sleeper of this word. `calm` counts consecutive messages that found none; after [`CALM`] of
/// them the fence is switched off, provided the owner's membarrier `reaches` this process. A process
/// that cannot use membarrier announces it before it sets [`FENCED`]. A third process that is not
/// reached may see the bit missing for a moment; then the owner sleeps until it looks by itself.
pub fn wake(word: &impl SleepWord, calm: &mut u32, reaches: impl Fn() -> bool) {
    word.fence();
    if word.load(Relaxed) & SLEEPING != 0 {
        word.fetch_and(!SLEEPING, Relaxed);
        word.wake();
        *calm = 0;
        return;
    }
    if *calm >= CALM && reaches() {
        // A process that came just before and does not reach this one is seen after this.
        word.exchange(FENCED, 0, Acquire);
        if !reaches() {
            word.exchange(0, FENCED, Relaxed);
        }
        *calm = 0;
    }
    *calm = calm.wrapping_add(1);
}

/// Wakes another sleeper at the own end, which was just unlocked, if there is `more` to do: it may have
/// found the end locked.
pub fn pass_on(word: &impl SleepWord, more: impl FnOnce() -> bool) {
    // Sequentially consistent, as is the unlocking before it: a sleeper that found the end locked has
    // set the bit before it looked.
    if word.load(SeqCst) & SLEEPING == 0 {
        return;
    }
    word.fence();
    if more() {
        word.fetch_and(!SLEEPING, Relaxed);
        word.wake();
    }
}

/// Sleeps once on the own word of `context`, unless `attempt` says that there is no need any more; what
/// it said last, and why the sleep has ended. `shared`: others may sleep on the same word.
/// `unreachable` is for where there is no barrier for all.
pub fn sleep<C, W: SleepWord, T>(
    context: &mut C,
    word: impl Fn(&C) -> &W,
    nanoseconds: i64,
    shared: bool,
    attempt: &mut impl FnMut(&mut C) -> Result<T, Stop>,
    unreachable: impl FnOnce(&mut C),
) -> (Result<T, Stop>, Wake) {
    let before = word(context).swap(SLEEPING | FENCED, SeqCst);
    if before & FENCED == 0 && !word(context).fence_everywhere() {
        unreachable(context);
    }
    word(context).fence();
    let mut result = attempt(context);
    let mut end = Wake::Called;
    if matches!(result, Err(Stop::Wait)) && nanoseconds > 0 {
        end = word(context).wait(SLEEPING | FENCED, nanoseconds);
        if end == Wake::Called && !shared {
            result = attempt(context);
        }
    }
    if !shared {
        word(context).fetch_and(!SLEEPING, Relaxed);
    }
    (result, end)
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// A word whose barrier for all may be missing; how often it was asked for.
    struct Fake {
        word: Cell<u32>,
        has_barrier: bool,
        barriers: Cell<u32>,
    }

    impl Word for Fake {
        fn load(&self, _: Ordering) -> u32 {
            self.word.get()
        }
        fn swap(&self, value: u32, _: Ordering) -> u32 {
            self.word.replace(value)
        }
        fn fetch_and(&self, bits: u32, _: Ordering) -> u32 {
            self.word.replace(self.word.get() & bits)
        }
        fn exchange(&self, from: u32, to: u32, _: Ordering) -> bool {
            self.word.get() == from && self.word.replace(to) == from
        }
    }

    impl SleepWord for Fake {
        fn fence(&self) {}
        fn fence_everywhere(&self) -> bool {
            self.barriers.set(self.barriers.get() + 1);
            self.has_barrier
        }
        fn wait(&self, expected: u32, _: i64) -> Wake {
            assert_eq!((self.word.get(), expected), (3, 3));
            Wake::TimedOut
        }
        fn wake(&self) {}
    }

    #[test]
    fn a_missing_barrier_is_told_where_one_is_needed() {
        for (before, has_barrier, barriers, is_told) in [
            (0, true, 1, false),
            (0, false, 1, true),
            (FENCED, true, 0, false),
            (FENCED, false, 0, false),
        ] {
            let mut context = Fake {
                word: before.into(),
                has_barrier,
                barriers: 0.into(),
            };
            let mut told = false;
            let (result, end) = sleep(
                &mut context,
                |context| context,
                1,
                false,
                &mut |_| Err::<(), _>(Stop::Wait),
                |_| told = true,
            );
            assert_eq!((result, end), (Err(Stop::Wait), Wake::TimedOut));
            assert_eq!((context.barriers.get(), told), (barriers, is_told));
            assert_eq!(context.word.get(), FENCED);
        }
    }
}
