//! Memory barriers in other processes, `membarrier(2)`.

use core::ffi::{c_int, c_long};

const GLOBAL_EXPEDITED: c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: c_int = 1 << 2;

/// Registers this process: [`membarrier_global`] reaches it from then on. False if that is impossible.
pub fn membarrier_register() -> bool {
    membarrier(REGISTER_GLOBAL_EXPEDITED)
}

/// A full memory barrier on every thread of every registered process; false if there was none.
pub fn membarrier_global() -> bool {
    membarrier(GLOBAL_EXPEDITED)
}

fn membarrier(command: c_int) -> bool {
    // SAFETY: takes no pointer.
    let result: c_long = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    result == 0
}
