//! A word of a mutex, and what it takes to wait for it: the system's, or a model checker's.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::deadline::Deadline;
use crate::error::Errno;
use crate::futex;
use crate::namespace::Namespace;
use crate::stale;
use crate::sys;

/// How long a waiter sleeps before it looks whether the holder is alive.
const CHECK_MS: c_int = 50;

/// A word of shared memory, and the world of the thread that uses it.
pub trait Word {
    /// Until when a call may wait.
    type Deadline: Copy;

    /// Same as `AtomicU64::load`.
    fn load(&self, order: Ordering) -> u64;
    /// Same as `AtomicU64::compare_exchange`.
    fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    /// Sleeps while the low half is as expected, until somebody wakes; ETIMEDOUT when it is time to
    /// see whether the holder lives, or when the time is over.
    fn sleep(&self, expected: u64, deadline: Self::Deadline) -> Result<(), Errno>;
    /// Wakes one that sleeps.
    fn wake(&self);

    /// The calling thread.
    fn thread_id() -> u32;
    /// Where thread ids and times mean the same, in the low 40 bits; `None` where that cannot be
    /// determined.
    fn place() -> Option<u64>;
    /// Milliseconds after boot.
    fn now_ms() -> i64;
    /// Whether the thread that had this id at this time has exited. When in doubt, it lives.
    fn has_died(tid: u32, at_ms: i64, thoroughly: bool) -> bool;
    /// So many milliseconds from now, as `poll(2)` takes them.
    fn deadline(timeout_ms: c_int) -> Self::Deadline;
    /// Whether its time has come.
    fn has_passed(deadline: Self::Deadline) -> bool;
}

impl Word for AtomicU64 {
    type Deadline = Deadline;

    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(from, to, success, failure)
    }

    fn sleep(&self, expected: u64, deadline: Deadline) -> Result<(), Errno> {
        let look_again = deadline.or_earlier(Deadline::after_ms(CHECK_MS));
        let result = futex::wait_until(low_half(self), expected as u32, look_again);
        result.map_err(|error| error.errno())
    }

    fn wake(&self) {
        let _ = sys::futex_wake(low_half(self), 1);
    }

    #[inline(always)]
    fn thread_id() -> u32 {
        sys::gettid() as u32
    }

    #[inline(always)]
    fn place() -> Option<u64> {
        Namespace::current().map(Namespace::raw)
    }

    fn now_ms() -> i64 {
        sys::boot_clock_ms()
    }

    fn has_died(tid: u32, at_ms: i64, thoroughly: bool) -> bool {
        let tid = tid as i32;
        !sys::process_exists(tid) || (thoroughly && stale::thread_has_exited(tid, at_ms))
    }

    fn deadline(timeout_ms: c_int) -> Deadline {
        Deadline::after_ms(timeout_ms)
    }

    fn has_passed(deadline: Deadline) -> bool {
        deadline.has_passed()
    }
}

fn low_half(word: &AtomicU64) -> *const u32 {
    let halves = ptr::from_ref(word).cast::<u32>();
    halves.wrapping_add(usize::from(cfg!(target_endian = "big")))
}
