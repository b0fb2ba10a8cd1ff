//! The word of an event semaphore: the algorithm alone, without a system call, so that loom can check
//! it.
//!
//! ```text
//! | removed: 1 | sleeping: 1 | number of events: 30 |
//! ```
//!
//! | change | by | ordering | a death right after it leaves |
//! |---|---|---|---|
//! | one event more, `SLEEPING` cleared | a post | release | sleepers that look again on their own |
//! | one event fewer | a wait | acquire | the event is taken |
//! | the same, `SLEEPING` set | a wait that has slept | acquire | one wake-up without a sleeper, or sleepers that look again on their own |
//! | `SLEEPING` set | a waiter that finds no event | relaxed | one wake-up without a sleeper |
//! | `REMOVED` set | the remover, after it has unlinked the name; a waiter that finds no name | relaxed | sleepers that look again on their own |
//!
//! A post wakes one sleeper and clears `SLEEPING` for all. So a process that has slept sets it again
//! for the others, whether it gets an event or leaves, and wakes the next one if there are more events.
//! If it dies or is stopped before that, the others look on their own when their sleep ends.
//!
//! Each change is one exchange. A failed exchange means that another process has changed the word since
//! it was loaded, so it is repeated without an end, same as a read-modify-write is in the machine code of
//! aarch64.

use core::ffi::c_int;
use core::sync::atomic::{
    Ordering,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::error::Errno;

/// The highest number of events, and the bits that hold it.
pub const MAX: u32 = (1 << 30) - 1;
/// A process sleeps or is about to.
const SLEEPING: u32 = 1 << 30;
/// The semaphore has no name any more.
const REMOVED: u32 = 1 << 31;

/// A word of shared memory, and what it takes to sleep on it.
pub trait Word {
    /// Until when a call may wait.
    type Deadline: Copy;

    /// Same as `AtomicU32::load`.
    fn load(&self, order: Ordering) -> u32;
    /// Same as `AtomicU32::compare_exchange`, relaxed on failure.
    fn compare_exchange(&self, from: u32, to: u32, success: Ordering) -> Result<u32, u32>;
    /// Sleeps while the word is `expected`, until a wake-up; EINTR if a signal handler ran, ETIMEDOUT at
    /// the deadline or when it is time to look again.
    fn sleep(&self, expected: u32, deadline: Self::Deadline) -> Result<(), Errno>;
    /// Wakes this number of sleepers.
    fn wake(&self, how_many: c_int);
    /// Whether it has passed.
    fn has_passed(deadline: Self::Deadline) -> bool;
}

/// Number of events; EIDRM if the semaphore is removed.
pub fn value(word: &impl Word) -> Result<u32, Errno> {
    let found = word.load(Acquire);
    match found & REMOVED {
        0 => Ok(found & MAX),
        _ => Err(Errno::EIDRM),
    }
}

/// Takes an event if there is one and no other process changes the word.
#[inline(always)]
pub fn try_take(word: &impl Word) -> bool {
    let found = word.load(Relaxed);
    found & REMOVED == 0
        && found & MAX != 0
        && word
            .compare_exchange(found, found.wrapping_sub(1), Acquire)
            .is_ok()
}

/// Posts an event if no process sleeps or changes the word.
#[inline(always)]
pub fn try_post(word: &impl Word) -> bool {
    let found = word.load(Relaxed);
    found < MAX
        && word
            .compare_exchange(found, found.wrapping_add(1), Release)
            .is_ok()
}

/// Posts an event. EOVERFLOW if there are [`MAX`]; EIDRM if the semaphore is removed.
pub fn post(word: &impl Word) -> Result<(), Errno> {
    let mut found = word.load(Relaxed);
    loop {
        if found & REMOVED != 0 {
            return Err(Errno::EIDRM);
        }
        if found & MAX == MAX {
            return Err(Errno::EOVERFLOW);
        }
        let next = (found & !SLEEPING).wrapping_add(1);
        match word.compare_exchange(found, next, Release) {
            Ok(_) => break,
            Err(now) => found = now,
        }
    }
    if found & SLEEPING != 0 {
        word.wake(1);
    }
    Ok(())
}

/// Takes an event and sleeps until there is one. ETIMEDOUT at the deadline; EIDRM if the semaphore is
/// removed, which `has_no_name` says each time a sleep was long; EINTR if a signal handler ran, unless
/// `restarts`.
pub fn wait<W: Word>(
    word: &W,
    deadline: W::Deadline,
    restarts: bool,
    has_no_name: impl Fn() -> bool,
) -> Result<(), Errno> {
    let mut has_slept = false;
    loop {
        let has_passed = W::has_passed(deadline);
        let found = word.load(Relaxed);
        if found & REMOVED != 0 {
            return Err(Errno::EIDRM);
        }
        let others = if has_slept { SLEEPING } else { 0 };
        if found & MAX != 0 {
            let next = found.wrapping_sub(1) | others;
            if word.compare_exchange(found, next, Acquire).is_err() {
                continue;
            }
            if has_slept && next & MAX != 0 {
                word.wake(1);
            }
            return Ok(());
        }
        if has_passed && !has_slept {
            return Err(Errno::ETIMEDOUT);
        }
        if word
            .compare_exchange(found, found | SLEEPING, Relaxed)
            .is_err()
        {
            continue;
        }
        if has_passed {
            return Err(Errno::ETIMEDOUT);
        }
        has_slept = true;
        match word.sleep(found | SLEEPING, deadline) {
            Ok(()) => {}
            Err(Errno::ETIMEDOUT) if has_no_name() => remove(word),
            Err(Errno::ETIMEDOUT) => {}
            Err(Errno::EINTR) if restarts => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Marks the semaphore as removed; its waiters get EIDRM.
pub fn remove(word: &impl Word) {
    let mut found = word.load(Relaxed);
    while let Err(now) = word.compare_exchange(found, found | REMOVED, Relaxed) {
        found = now;
    }
    word.wake(c_int::MAX);
}
