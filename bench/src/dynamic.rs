//! Libraries that are loaded while the program runs, so that it builds without them.

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;

use crate::Result;

/// A library, which stays loaded.
pub struct Library(NonNull<c_void>);

impl Library {
    /// Loads it by its path or name.
    pub fn load(library: &str) -> Result<Self> {
        let name = CString::new(library)?;
        // SAFETY: a string; the libraries loaded here run no code that anything depends on.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        Ok(Self(NonNull::new(handle).ok_or_else(error)?))
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
        let address = NonNull::new(address).ok_or_else(error)?;
        // SAFETY: of the same size, and the caller's promise.
        Ok(unsafe { (&raw const address).cast::<F>().read() })
    }
}

fn error() -> crate::Error {
    // SAFETY: after a failure it is a string that lives until the next call.
    let error = unsafe { CStr::from_ptr(libc::dlerror()) };
    error.to_string_lossy().into()
}

/// Declares the functions of a library, as a struct of pointers that is loaded once.
#[macro_export]
macro_rules! library {
    ($(#[$doc:meta])* $api:ident { $($field:ident = $name:literal($($argument:ty),*) -> $result:ty;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $api { $($field: extern "C" fn($($argument),*) -> $result,)* }

        impl $api {
            fn load(library: &str) -> $crate::Result<&'static Self> {
                static LOADED: std::sync::OnceLock<$api> = std::sync::OnceLock::new();
                if let Some(loaded) = LOADED.get() {
                    return Ok(loaded);
                }
                let library = $crate::dynamic::Library::load(library)?;
                $(let $field = {
                    let name: &std::ffi::CStr = $name;
                    // SAFETY: the function has this type in the library's header.
                    unsafe { library.function(name)? }
                };)*
                let loaded = Self { $($field),* };
                Ok(LOADED.get_or_init(|| loaded))
            }
        }
    };
}
