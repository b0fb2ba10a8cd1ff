//! Libraries that are loaded while the program runs, so that it builds without them.

use std::ffi::{CStr, CString, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

use shmcomm_bench::Result;

/// A library, which stays loaded.
pub struct Library(NonNull<c_void>);

impl Library {
    /// Loads it by its path or name.
    pub fn load(library: impl AsRef<OsStr>) -> Result<Self> {
        let name = CString::new(library.as_ref().as_bytes())?;
        // SAFETY: a string; the libraries loaded here run no code that anything depends on.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        NonNull::new(handle).map(Self).ok_or_else(error)
    }

    /// One of its functions.
    ///
    /// # Safety
    ///
    /// `F` is a pointer to a function of this name's type.
    pub unsafe fn function<F: Copy>(&self, name: &CStr) -> Result<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: a handle that is never closed, and a string.
        let address = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        if address.is_null() {
            return Err(error());
        }
        // SAFETY: of the same size, and the caller's promise.
        Ok(unsafe { (&raw const address).cast::<F>().read() })
    }
}

fn error() -> shmcomm_bench::Error {
    // SAFETY: it is NULL or a string that lives until the next call.
    let error = NonNull::new(unsafe { libc::dlerror() })
        .map(|error| unsafe { CStr::from_ptr(error.as_ptr()) });
    let error = error.map_or("no error".into(), CStr::to_string_lossy);
    error.into()
}
