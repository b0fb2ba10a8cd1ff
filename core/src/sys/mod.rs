//! Every system and libc call, its C return value turned into a `Result`. Nothing else calls the
//! kernel.

mod barrier;
mod clock;
mod directory;
mod file;
mod futex;
mod ipc;
mod memory;
mod process;
mod semaphore;
mod stdio;
mod thread;

use core::ffi::c_int;
use core::mem::MaybeUninit;

pub use barrier::*;
pub use clock::*;
pub use directory::*;
pub use file::*;
pub use futex::*;
pub use ipc::*;
pub use memory::*;
pub use process::*;
pub use semaphore::*;
pub use stdio::*;
pub use thread::*;

use crate::error::Errno;

fn errno() -> Errno {
    // SAFETY: points at this thread's errno.
    Errno::from_raw(unsafe { *libc::__errno_location() })
}

pub fn set_errno(errno: Errno) {
    // SAFETY: points at this thread's errno.
    unsafe { *libc::__errno_location() = errno.raw() }
}

/// A return value that says nothing but whether the call failed.
#[inline]
fn checked(result: c_int) -> Result<(), Errno> {
    not_negative(result).map(drop)
}

/// A return value such as an id, a key or a descriptor.
#[inline]
fn not_negative(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// What a call fills in.
///
/// # Safety
///
/// Where the call does not fail, it has filled a value of this type.
unsafe fn filled<T>(call: impl FnOnce(*mut T) -> c_int) -> Result<T, Errno> {
    let mut value = MaybeUninit::uninit();
    checked(call(value.as_mut_ptr()))?;
    // SAFETY: the caller's promise.
    Ok(unsafe { value.assume_init() })
}
