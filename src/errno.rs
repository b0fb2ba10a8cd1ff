//! Errors as C sees them: a value that says so, and `errno`.

use core::ffi::c_int;

use shmcomm_core::{Call, Errno, Error};

/// The error of an argument that is refused.
pub fn invalid() -> Error {
    Call::Arguments.failed(Errno::EINVAL)
}

#[cold]
pub fn set(error: Error) {
    error.errno().set();
}

/// Sets `errno`, and is what a function returns then.
#[cold]
pub fn failed(error: Error) -> c_int {
    set(error);
    -1
}
