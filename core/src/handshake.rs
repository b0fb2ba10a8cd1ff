//! Going to sleep without missing a wake-up: the pure algorithm, without a system call.
//!
//! Who goes to sleep sets [`SLEEPING`] in its sleep word, then looks at the ring; the other side
//! changes the ring, then looks for [`SLEEPING`]. With a full barrier between the two steps of both,
//! at least one sees the other.
//!
//! That barrier after each message would cost more than all else. So the sleeper makes it, in all
//! processes at once, and asks the other side by [`FENCED`] to make its own from then on, until
//! nobody has slept for a while.

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

/// A sleep word, and what it takes to sleep on it: the system's, or a model checker's.
pub trait SleepWord {
    /// As of an atomic.
    fn load(&self, order: Ordering) -> u32;
    /// As of an atomic.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// As of an atomic.
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32;
    /// As of an atomic; whether it was changed.
    fn exchange(&self, from: u32, to: u32, order: Ordering) -> bool;
    /// A full memory barrier.
    fn fence(&self);
    /// A full memory barrier in all processes that let others make it; whether that was possible.
    fn fence_everywhere(&self) -> bool;
    /// Sleeps while the word is `expected`, so many nanoseconds at most; whether they are not over.
    fn wait(&self, expected: u32, nanoseconds: i64) -> bool;
    /// Wakes who sleeps.
    fn wake(&self);
}

/// Whether the owner of this word may have to be woken, after what was just stored; then
/// [`wake`] does it.
#[inline(always)]
pub fn is_called(word: &impl SleepWord) -> bool {
    // The look must not be made before the store that it follows.
    compiler_fence(SeqCst);
    word.load(Relaxed) != 0
}

/// Wakes the owner of this word if it sleeps. `calm` is after how many messages in a row it did not;
/// the barrier is left out after many, if the owner `reaches` this process by its own. Who does not
/// says so before it sets [`FENCED`]. A third process that is not reached may see it missing for a
/// moment; then the owner sleeps until it looks again by itself.
pub fn wake(word: &impl SleepWord, calm: &mut u32, reaches: impl Fn() -> bool) {
    word.fence();
    if word.load(Relaxed) & SLEEPING != 0 {
        word.fetch_and(!SLEEPING, Relaxed);
        word.wake();
        *calm = 0;
        return;
    }
    if *calm >= CALM && reaches() {
        // Who came just before and does not reach this process is seen after this.
        word.exchange(FENCED, 0, Acquire);
        if !reaches() {
            word.exchange(0, FENCED, Relaxed);
        }
        *calm = 0;
    }
    *calm = calm.wrapping_add(1);
}

/// Sleeps once on the own word of `context`, unless `attempt` says that there is no need any more;
/// what it said last. `unreachable` is for where there is no barrier for all.
pub fn sleep<C, W: SleepWord, T>(
    context: &mut C,
    word: impl Fn(&C) -> &W,
    nanoseconds: i64,
    attempt: &mut impl FnMut(&mut C) -> Result<T, Stop>,
    unreachable: impl FnOnce(&mut C),
) -> Result<T, Stop> {
    let before = word(context).swap(SLEEPING | FENCED, SeqCst);
    if before & FENCED == 0 && !word(context).fence_everywhere() {
        unreachable(context);
    }
    word(context).fence();
    let mut result = attempt(context);
    if matches!(result, Err(Stop::Wait)) && nanoseconds > 0 {
        let over = !word(context).wait(SLEEPING | FENCED, nanoseconds);
        if !over {
            result = attempt(context);
        }
    }
    word(context).fetch_and(!SLEEPING, Relaxed);
    result
}
