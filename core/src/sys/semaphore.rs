//! System V semaphores.

use core::ffi::c_int;
use core::ptr;

use super::clock::timespec;
use crate::error::{Call, Error};

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

pub fn semget(key: libc::key_t, count: c_int, flags: c_int) -> Result<c_int, Error> {
    // SAFETY: takes no pointer.
    Call::Semget.not_negative(unsafe { libc::semget(key, count, flags) })
}

/// Does all of the operations or none, within this number of nanoseconds.
pub fn semtimedop(
    id: c_int,
    operations: &mut [libc::sembuf],
    timeout_ns: Option<i64>,
) -> Result<(), Error> {
    unsafe extern "C" {
        fn semtimedop(
            id: c_int,
            operations: *mut libc::sembuf,
            count: usize,
            timeout: *const libc::timespec,
        ) -> c_int;
    }
    let timeout = timeout_ns.map(timespec);
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let (start, count) = (operations.as_mut_ptr(), operations.len());
    // SAFETY: the count is the slice's, and the time is valid or NULL.
    Call::Semtimedop.checked(unsafe { semtimedop(id, start, count, timeout) })
}

/// The value of one semaphore of the set.
pub fn semctl_getval(id: c_int, which: u16) -> Result<c_int, Error> {
    // SAFETY: GETVAL takes no further argument.
    Call::Semctl.not_negative(unsafe { libc::semctl(id, c_int::from(which), GETVAL) })
}

/// The process that changed one semaphore of the set last; 0 if none did, or if it belongs to another
/// pid namespace.
pub fn semctl_getpid(id: c_int, which: u16) -> Result<c_int, Error> {
    // SAFETY: GETPID takes no further argument.
    Call::Semctl.not_negative(unsafe { libc::semctl(id, c_int::from(which), GETPID) })
}

pub fn semctl_stat(id: c_int) -> Result<SemidDs, Error> {
    // SAFETY: the buffer has the type that IPC_STAT fills.
    unsafe { Call::Semctl.filled(|ds: *mut SemidDs| libc::semctl(id, 0, libc::IPC_STAT, ds)) }
}

/// The highest slot in use.
pub fn semctl_info() -> Result<c_int, Error> {
    const SEM_INFO: c_int = 19;

    let mut highest = -1;
    let call = |info: *mut [c_int; 10]| {
        // SAFETY: the buffer has the type that SEM_INFO fills.
        highest = unsafe { libc::semctl(0, 0, SEM_INFO, info) };
        highest
    };
    // SAFETY: as above.
    unsafe { Call::Semctl.filled(call) }?;
    Ok(highest)
}

/// The id and the state of the set in a slot. Without read permission too, where the kernel allows that.
pub fn semctl_stat_slot(slot: c_int) -> Result<(c_int, SemidDs), Error> {
    const SEM_STAT: c_int = 18;
    const SEM_STAT_ANY: c_int = 20;

    let stat = |command| {
        let mut id = -1;
        let call = |ds: *mut SemidDs| {
            // SAFETY: the buffer has the type that both commands fill.
            id = unsafe { libc::semctl(slot, 0, command, ds) };
            id
        };
        // SAFETY: as above.
        let ds = unsafe { Call::Semctl.filled(call) }?;
        Ok((id, ds))
    };
    stat(SEM_STAT_ANY).or_else(|_: Error| stat(SEM_STAT))
}

/// Number of processes that wait until one semaphore of the set can be taken.
pub fn semctl_getncnt(id: c_int, which: u16) -> Result<c_int, Error> {
    const GETNCNT: c_int = 14;

    // SAFETY: GETNCNT takes no further argument.
    Call::Semctl.not_negative(unsafe { libc::semctl(id, c_int::from(which), GETNCNT) })
}

pub fn semctl_rmid(id: c_int) -> Result<(), Error> {
    // SAFETY: IPC_RMID takes no further argument.
    Call::Semctl.checked(unsafe { libc::semctl(id, 0, libc::IPC_RMID) })
}
