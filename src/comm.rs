//! The five functions of `comm.h`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use shmcomm_core::comm;
use shmcomm_core::explain::Attempt;
use shmcomm_core::{Call, Error};

/// Creates the segment of this program's key, which every user may read and
/// write (mode 0666).
///
/// size: bytes, at least 1. The kernel rounds the memory up to whole pages and
/// fills it with zeros.
///
/// Returns the segment's id, 0 or more. On failure it prints a line on stderr,
/// and returns with errno of the call that failed:
///   -1  there is no key: errno of stat(2) for the path, such as ENOENT,
///       EACCES, ENOTDIR, ENAMETOOLONG, ELOOP
///   -2  EEXIST  a segment with this key exists
///       EINVAL  size is less than 1 or beyond the limit (SHMMAX)
///       ENOSPC  no further segment (SHMMNI) or memory (SHMALL) is allowed
///       ENOMEM  not enough memory
///
/// COMM_RECLAIM=1 in the environment: instead of EEXIST, replaces a stale
/// segment: owned by the caller, attached by no process, its creator exited. If
/// any of this is uncertain, the segment is kept.
///
/// COMM_MODE=0600 in the environment, or another octal mode: the new segment's
/// permission bits instead of 0666.
///
/// Follows shmget(2) with IPC_CREAT | IPC_EXCL.
#[unsafe(no_mangle)]
pub extern "C" fn create_shm(size: c_int) -> c_int {
    // The conversion of C: a negative size becomes one that is too large.
    match comm::create(size as usize) {
        Ok(id) => id,
        Err(error) => no_id(error, Attempt::Create(size)),
    }
}

/// Finds the segment of this program's key, whatever its size. It creates
/// nothing.
///
/// Returns the segment's id, 0 or more. On failure it prints a line on stderr,
/// and returns with errno of the call that failed:
///   -1  there is no key, see create_shm
///   -2  EINVAL  there is no segment with this key
///
/// COMM_WAIT_MS=n in the environment: if there is no segment yet, or no path,
/// waits for it, n milliseconds at most; signals do not end the wait. Set it
/// for clients alone: a program that looks for an old segment before it creates
/// its own would wait in vain.
///
/// Follows shmget(2) with size 0 and IPC_CREAT.
#[unsafe(no_mangle)]
pub extern "C" fn get_shm() -> c_int {
    match comm::get() {
        Ok(id) => id,
        Err(error) => no_id(error, Attempt::Get),
    }
}

/// Removes a segment (programs know the function by this spelling). Its key is
/// free at once. Processes that have attached the segment may use its memory
/// until the last of them detaches.
///
/// shm_id: the result of create_shm or get_shm.
///
/// Returns 0; on failure -1 with errno and a line on stderr:
///   EINVAL, EIDRM  there is no such segment
///   EPERM          the caller is neither its owner nor its creator nor
///                  privileged
///
/// Follows shmctl(2) with IPC_RMID.
#[unsafe(no_mangle)]
pub extern "C" fn destory_shm(shm_id: c_int) -> c_int {
    match comm::destroy(shm_id) {
        Ok(()) => 0,
        Err(error) => {
            comm::report(error, Attempt::Destroy(shm_id));
            -1
        }
    }
}

/// Attaches a segment for reading and writing, at an address that the kernel
/// chooses. Children of fork(2) inherit it; exec(2) and exit detach it.
///
/// shm_id: the result of create_shm or get_shm.
///
/// Returns the address; on failure (void *)-1 with errno, and no perror(3):
///   EINVAL, EIDRM  there is no such segment
///   EACCES         its mode does not let the caller read and write
///   ENOMEM         not enough memory or address space
///
/// Follows shmat(2) with NULL and 0.
#[unsafe(no_mangle)]
pub extern "C" fn shm_at(shm_id: c_int) -> *mut c_void {
    match comm::attach(shm_id) {
        Ok(address) => address,
        Err(error) => {
            comm::report(error, Attempt::Attach(shm_id));
            ptr::without_provenance_mut(usize::MAX)
        }
    }
}

/// Detaches a segment from this process.
///
/// shmaddr: the result of shm_at. The memory must not be used afterwards.
///
/// Returns 0; on failure -1 with errno, and no perror(3):
///   EINVAL  nothing is attached at this address
///
/// Follows shmdt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shm_dt(shmaddr: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { comm::detach(shmaddr) } {
        Ok(()) => 0,
        Err(error) => {
            comm::report(error, Attempt::Detach(shmaddr));
            -1
        }
    }
}

/// Takes the path and project id that the program defined; `comm.h.in` declares it to C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_comm_key(path_name: *const c_char, proj_id: c_int) {
    let path = if path_name.is_null() {
        None
    } else {
        // SAFETY: a string, as the caller promises.
        Some(unsafe { CStr::from_ptr(path_name) })
    };
    comm::choose_key(path, proj_id);
}

/// Reports a failure of `create_shm` or `get_shm`; their result.
fn no_id(error: Error, attempt: Attempt) -> c_int {
    comm::report(error, attempt);
    match error.call() {
        Call::Ftok => -1,
        _ => -2,
    }
}
