//! A word of a mutex, and how a waiter waits for it: the system's, or a model checker's.

use core::ffi::c_int;
use core::hint::spin_loop;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use super::Caller;
use crate::deadline::Deadline;
use crate::error::Errno;
use crate::futex;
use crate::stale;
use crate::sys;

/// How long a waiter sleeps before it checks whether the holder is alive.
const CHECK_MS: c_int = 50;

/// Number of looks before a waiter sleeps, about 2 µs. Two processes that take turns then need 0.4 times
/// the time of a robust pthread mutex, without the looks 1.6 times (`shmcomm-bench locks`).
const SPINS: u32 = 100;

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
    /// Waits a moment, without a system call, while it is not 0.
    fn spin_while_held(&self) {}
    /// Sleeps while the low half is as expected, until a wake-up; ETIMEDOUT when it is time to check
    /// whether the holder is alive, and at the deadline.
    fn sleep(&self, expected: u64, deadline: Self::Deadline) -> Result<(), Errno>;
    /// Wakes one sleeper.
    fn wake(&self);

    /// The calling thread; `None` if the namespace of its id cannot be determined.
    fn caller() -> Option<Caller>;
    /// The same without a system call; `None` also at the thread's first call.
    fn remembered_caller() -> Option<Caller> {
        Self::caller()
    }
    /// Milliseconds after boot.
    fn now_ms() -> i64;
    /// Whether the thread that had this id at this time has exited. When in doubt, it lives.
    fn has_died(tid: u32, at_ms: i64, thoroughly: bool) -> bool;
    /// This number of milliseconds from now, -1 for never.
    fn deadline(timeout_ms: c_int) -> Self::Deadline;
    /// Whether it has passed.
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

    fn spin_while_held(&self) {
        for _ in 0..SPINS {
            if self.load(Ordering::Relaxed) == 0 {
                break;
            }
            spin_loop();
        }
    }

    fn sleep(&self, expected: u64, deadline: Deadline) -> Result<(), Errno> {
        let look_again = deadline.or_earlier(Deadline::after_ms(CHECK_MS));
        let result = futex::wait_until(low_half(self), expected as u32, look_again);
        result.map_err(|error| error.errno())
    }

    fn wake(&self) {
        let _ = sys::futex_wake(low_half(self), 1);
    }

    fn caller() -> Option<Caller> {
        Caller::current()
    }

    #[inline(always)]
    fn remembered_caller() -> Option<Caller> {
        Caller::remembered()
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
