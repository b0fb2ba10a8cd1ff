//! Memory barriers of other processes, `membarrier(2)`.

use core::ffi::{c_int, c_long};

const GLOBAL_EXPEDITED: c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: c_int = 1 << 2;

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
