//! The version in `shmcomm.h`; `shmcomm.h.in` has the macros.

use core::ffi::c_char;

/// Returns the version of the library that the program runs with, such as
/// "0.1.0". The string is constant.
#[unsafe(no_mangle)]
pub extern "C" fn shmc_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
