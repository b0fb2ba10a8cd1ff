//! Errors as C sees them: a value that says so, and `errno`.

use core::ffi::c_int;
use core::ptr;

use shmcomm_core::{Call, Errno, Error};

/// The error of an argument that is refused.
pub fn invalid() -> Error {
    Call::Arguments.failed(Errno::EINVAL)
}

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
