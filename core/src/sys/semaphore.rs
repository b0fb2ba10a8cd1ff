//! System V semaphores.

use core::ffi::c_int;
use core::ptr;

use super::{checked, filled, not_negative, timespec};
use crate::error::Errno;

const GETPID: c_int = 11;
const GETVAL: c_int = 12;

#[cfg(not(target_env = "musl"))]
pub use libc::semid_ds as SemidDs;

/// The kernel's `semid64_ds`, which the libc crate lacks for musl.
#[cfg(target_env = "musl")]
#[repr(C)]
pub struct SemidDs {
    pub sem_perm: libc::ipc_perm,
    pub sem_otime: i64,
    #[cfg(target_arch = "x86_64")]
    unused_after_otime: u64,
    pub sem_ctime: i64,
    #[cfg(target_arch = "x86_64")]
    unused_after_ctime: u64,
    pub sem_nsems: u64,
    unused: [u64; 2],
}

unsafe extern "C" {
    fn semtimedop(
        id: c_int,
        operations: *mut libc::sembuf,
        count: usize,
        timeout: *const libc::timespec,
    ) -> c_int;
}

pub fn semget(key: libc::key_t, count: c_int, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: takes no pointer.
    not_negative(unsafe { libc::semget(key, count, flags) })
}

/// All of the operations or none, within so many nanoseconds.
pub fn sem_operate(
    id: c_int,
    operations: &mut [libc::sembuf],
    timeout_ns: Option<i64>,
) -> Result<(), Errno> {
    let timeout = timeout_ns.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: there are as many operations as said, and the time is valid or NULL.
    checked(unsafe { semtimedop(id, operations.as_mut_ptr(), operations.len(), timeout) })
}

/// The value of one semaphore of the set.
pub fn sem_value(id: c_int, which: u16) -> Result<c_int, Errno> {
    // SAFETY: GETVAL takes no further argument.
    not_negative(unsafe { libc::semctl(id, c_int::from(which), GETVAL) })
}

pub fn sem_stat(id: c_int) -> Result<SemidDs, Errno> {
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    unsafe { filled(|ds: *mut SemidDs| libc::semctl(id, 0, libc::IPC_STAT, ds)) }
}

pub fn sem_remove(id: c_int) -> Result<(), Errno> {
    // SAFETY: IPC_RMID takes no further argument.
    checked(unsafe { libc::semctl(id, 0, libc::IPC_RMID) })
}

/// The process that changed one semaphore of the set last; 0 if none did, or if it is of another pid
/// namespace.
pub fn sem_last_pid(id: c_int, which: u16) -> Result<c_int, Errno> {
    // SAFETY: GETPID takes no further argument.
    not_negative(unsafe { libc::semctl(id, c_int::from(which), GETPID) })
}
