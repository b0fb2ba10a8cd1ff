//! Errors as C sees them: a value that says so, and `errno`.

use core::ffi::c_int;
use core::ptr;

use shmcomm_core::{Call, Errno, Error};

use crate::heap;

#[cold]
#[inline(never)]
pub fn set(error: Error) {
    error.errno().set();
}

/// Sets `errno`, and is what a function returns then.
#[cold]
#[inline(never)]
pub fn failed(error: Error) -> c_int {
    set(error);
    -1
}

/// The same of a function that returns a pointer.
#[cold]
#[inline(never)]
pub fn null<T>(error: Error) -> *mut T {
    set(error);
    ptr::null_mut()
}

/// What a function returns that gives a number.
pub fn result(result: Result<c_int, Error>) -> c_int {
    result.unwrap_or_else(failed)
}

/// What a function returns that gives nothing but 0.
pub fn done(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(error) => failed(error),
    }
}

/// What a function returns that opens something: a handle on the C heap that the caller closes.
/// Memory for it comes first: what was opened or created could not be given up without a trace.
pub fn handle<T>(open: impl FnOnce() -> Result<T, Error>) -> *mut T {
    const NO_MEMORY: Error = Call::Mmap.failed(Errno::ENOMEM);

    let room = heap::Room::new().ok_or(NO_MEMORY);
    match room.and_then(|room| Ok(room.fill(open()?))) {
        Ok(handle) => handle.as_ptr(),
        Err(error) => null(error),
    }
}
