//! Text: from the environment, to stderr.

use core::ffi::{CStr, c_char};

use crate::error::Error;

/// Prints the call and the error. `errno` is the error's before and after.
pub fn perror(error: Error) {
    error.errno.set();
    // SAFETY: the name ends with NUL.
    unsafe { libc::perror(error.call.name().as_ptr()) };
    error.errno.set();
}

/// Writes to the C library's `stderr`, in order with what the program writes there.
pub fn fwrite_stderr(text: &[u8]) {
    unsafe extern "C" {
        static stderr: *mut libc::FILE;
    }
    // SAFETY: the length is the text's, and the C library has set `stderr` up.
    unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stderr) };
}

/// Passes the value of an environment variable to `read`; `None` if it is not set, or in a setuid program.
pub fn secure_getenv<T>(name: &CStr, read: impl FnOnce(&CStr) -> T) -> Option<T> {
    unsafe extern "C" {
        fn secure_getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: the name ends with NUL.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment, which nobody may change meanwhile (getenv(3)).
    Some(read(unsafe { CStr::from_ptr(value) }))
}
