//! Sleeping until another process wakes, and memory barriers of other processes.

use core::ffi::{c_int, c_long};
use core::sync::atomic::AtomicU32;

use super::checked;
use crate::error::Errno;

const GLOBAL_EXPEDITED: c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: c_int = 1 << 2;

/// Sleeps while the word is `expected`, until it is woken, a signal comes, or so many nanoseconds
/// are over.
pub fn futex_wait(word: &AtomicU32, expected: u32, nanoseconds: i64) -> Result<(), Errno> {
    let time = libc::timespec {
        tv_sec: nanoseconds / 1_000_000_000,
        tv_nsec: nanoseconds % 1_000_000_000,
    };
    // SAFETY: both pointers are valid. FUTEX_WAIT without PRIVATE is for several processes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            &raw const time,
        )
    };
    checked(result as c_int)
}

/// Wakes so many that sleep on the word.
pub fn futex_wake(word: &AtomicU32, how_many: c_int) {
    // SAFETY: the pointer is valid.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, how_many) };
}

/// Lets [`barrier_everywhere`] reach this process; whether it does.
pub fn register_for_barriers() -> bool {
    membarrier(REGISTER_GLOBAL_EXPEDITED)
}

/// A full memory barrier on every thread of every process that is registered; false if there was
/// none.
pub fn barrier_everywhere() -> bool {
    membarrier(GLOBAL_EXPEDITED)
}

fn membarrier(command: c_int) -> bool {
    // SAFETY: takes no pointer.
    let result: c_long = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    result == 0
}
