//! Text: from the environment, to stderr.

use core::ffi::{CStr, c_char};

use crate::error::{Call, Errno};

unsafe extern "C" {
    static stderr: *mut libc::FILE;
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// As `perror(3)`, but `errno` is the failure's before and after.
pub fn perror(call: Call, errno: Errno) {
    // SAFETY: points at this thread's errno, and the name ends with NUL.
    unsafe {
        let place = libc::__errno_location();
        *place = errno.raw();
        libc::perror(call.name().as_ptr());
        *place = errno.raw();
    }
}

/// The system's description of an error, in `text`.
pub fn strerror(errno: Errno, text: &mut [u8]) -> Option<&str> {
    // SAFETY: the buffer is as long as said.
    match unsafe { libc::strerror_r(errno.raw(), text.as_mut_ptr().cast(), text.len()) } {
        0 => CStr::from_bytes_until_nul(text).ok()?.to_str().ok(),
        _ => None,
    }
}

/// Writes to the C library's `stderr`, in order with what the program writes there.
pub fn print_error(text: &[u8]) {
    // SAFETY: the text is as long as said, and the C library set `stderr` up.
    unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stderr) };
}

/// Passes on the value of an environment variable, unless this is a setuid program or the like.
pub fn with_variable<T>(name: &CStr, read: impl FnOnce(&CStr) -> T) -> Option<T> {
    // SAFETY: the name ends with NUL.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment, which nobody may change meanwhile (getenv(3)).
    Some(read(unsafe { CStr::from_ptr(value) }))
}
