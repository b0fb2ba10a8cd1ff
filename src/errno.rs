//! Results as C sees them: a value, and `errno` after a failure.

use core::ffi::c_int;
use core::ptr;

use shmcomm_core::{Call, Errno, Error};

use crate::heap;

#[cold]
#[inline(never)]
pub fn set(error: Error) {
    error.errno().set();
}

/// Sets `errno`; -1.
#[cold]
#[inline(never)]
pub fn failed(error: Error) -> c_int {
    set(error);
    -1
}

/// Sets `errno`; NULL.
#[cold]
#[inline(never)]
pub fn null<T>(error: Error) -> *mut T {
    set(error);
    ptr::null_mut()
}

/// The number, or -1 and `errno`.
pub fn result(result: Result<c_int, Error>) -> c_int {
    result.unwrap_or_else(failed)
}

/// 0, or -1 and `errno`.
pub fn done(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => failed(error),
    }
}

/// A handle on the C heap that the caller closes, or NULL and `errno`. Its memory is allocated before
/// anything is opened, because a created object cannot be given up without a trace.
pub fn handle<T>(open: impl FnOnce() -> Result<T, Error>) -> *mut T {
    const NO_MEMORY: Error = Call::Mmap.failed(Errno::ENOMEM);

    let room = heap::Room::new().ok_or(NO_MEMORY);
    match room.and_then(|room| Ok(room.fill(open()?))) {
        Ok(handle) => handle.as_ptr(),
        Err(error) => null(error),
    }
}
