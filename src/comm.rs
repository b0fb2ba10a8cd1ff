//! The five functions of `comm.h`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use shmcomm_core::comm;
use shmcomm_core::explain::Attempt;
use shmcomm_core::{Call, Error};

/// Creates the segment of this program's key, for everybody to read and write
/// (mode 0666): shmget(2) with IPC_CREAT | IPC_EXCL.
///
/// size: bytes, from 1; the kernel rounds the memory up to whole pages and
/// fills it with zeros.
///
/// Returns the segment's id, >= 0. On failure errno is that of the call that
/// failed, and a line about it is on stderr:
///   -1  there is no key: errno of stat(2) for the path, such as ENOENT,
///       EACCES, ENOTDIR, ENAMETOOLONG, ELOOP
///   -2  EEXIST  there is a segment with this key already
///       EINVAL  size is less than 1 or more than the limit (SHMMAX)
///       ENOSPC  no more segments (SHMMNI) or pages (SHMALL) are allowed
///       ENOMEM  not enough memory
///
/// COMM_RECLAIM=1 in the environment: instead of EEXIST, replaces a segment
/// that is left over, which is one of the caller's own that nobody has attached
/// and whose creator has ended; when in doubt, it stays.
/// COMM_MODE=0600 in the environment, or another octal mode: the new segment's
/// permission bits instead of 0666.
///
/// Thread-safe. After fork(2) usable in parent and child. Not
/// async-signal-safe, since failures are printed through stdio.
#[unsafe(no_mangle)]
pub extern "C" fn create_shm(size: c_int) -> c_int {
    // As C converts it: a negative size becomes one that is too large.
    match comm::create(size as usize) {
        Ok(id) => id,
        Err(error) => no_id(error, Attempt::Create(size)),
    }
}

/// Finds the segment of this program's key, whatever its size: shmget(2) with
/// size 0 and IPC_CREAT, which creates nothing.
///
/// Returns the segment's id, >= 0. On failure errno is that of the call that
/// failed, and a line about it is on stderr:
///   -1  there is no key, as for create_shm
///   -2  EINVAL  there is no segment with this key
///
/// COMM_WAIT_MS=n in the environment: where there is no segment (or no path)
/// yet, waits up to n milliseconds for it, also through signals. A program that
/// looks for an old segment before it creates its own waits in vain, each time
/// that there is none: set it for the other programs alone.
///
/// Thread, fork and signal safety: as create_shm.
#[unsafe(no_mangle)]
pub extern "C" fn get_shm() -> c_int {
    match comm::get() {
        Ok(id) => id,
        Err(error) => no_id(error, Attempt::Get),
    }
}

/// Removes a segment (spelled as programs know it): shmctl(2) with IPC_RMID.
/// Its key is free at once; its memory is freed when the last process has
/// detached, and stays usable until then where it is attached.
///
/// shm_id: what create_shm or get_shm returned.
///
/// Returns 0; -1 on failure, with errno and a line on stderr:
///   EINVAL, EIDRM  there is no such segment
///   EPERM          neither its owner nor its creator nor privileged
///
/// Thread, fork and signal safety: as create_shm.
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

/// Attaches a segment for reading and writing, at an address of the kernel's
/// choice: shmat(2) with NULL and 0.
///
/// shm_id: what create_shm or get_shm returned.
///
/// Returns the address; (void *)-1 on failure, with errno, and no perror(3):
///   EINVAL, EIDRM  there is no such segment
///   EACCES         its mode does not let the caller read and write
///   ENOMEM         not enough memory or address space
///
/// Thread-safe. A child of fork(2) inherits what is attached; exec(2) and exit
/// detach. Async-signal-safe as long as it succeeds.
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

/// Detaches a segment from this process: shmdt(2).
///
/// shmaddr: what shm_at returned; the memory must not be used any more.
///
/// Returns 0; -1 on failure, with errno, and no perror(3):
///   EINVAL  nothing is attached at this address
///
/// Thread, fork and signal safety: as shm_at.
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

/// Takes the key that the program chose; `comm.h.in` declares it to C.
/// `path_name` is NULL or a string.
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

/// What `create_shm` and `get_shm` return when they fail.
fn no_id(error: Error, attempt: Attempt) -> c_int {
    comm::report(error, attempt);
    match error.call() {
        Call::Ftok => -1,
        _ => -2,
    }
}
