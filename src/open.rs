//! Flags and names, shared by the functions that open an object.

use core::ffi::{CStr, c_char, c_int};

use shmcomm_core::{Error, Name};

/// Create the object if there is none.
pub const SHMC_CREATE: c_int = 0x1;
/// With SHMC_CREATE: fail with EEXIST if there is one.
pub const SHMC_EXCL: c_int = 0x2;
/// Semaphores, channels, topics: a signal handler that runs in the waiting
/// thread ends the wait with EINTR, with or without SA_RESTART.
///
/// A handler that runs before the wait begins does not end it. Neither does one
/// that runs in the moment, every 80 ms, in which a waiter of a posix: or file:
/// name looks around. If the signal comes only once, use a timeout, or let the
/// handler repeat the signal, for example with alarm(2).
pub const SHMC_INTR: c_int = 0x800;

/// Reads a name, which is NULL or a string that outlives the result.
pub unsafe fn parse<'a>(name: *const c_char) -> Result<Name<'a>, Error> {
    if name.is_null() {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    Ok(Name::parse(name.to_bytes())?)
}
