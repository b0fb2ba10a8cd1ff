//! Memory that a process shares with its children.

use std::ops::Deref;
use std::ptr::{self, NonNull};

use crate::{Result, failed};

/// A value in anonymous shared memory.
pub struct Shared<T>(NonNull<T>);

impl<T> Shared<T> {
    /// A value of zeros.
    ///
    /// # Safety
    ///
    /// Zeros are a `T`, and several processes may use it at once.
    pub unsafe fn zeroed() -> Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of nothing that exists.
        let memory = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), access, flags, -1, 0) };
        match NonNull::new(memory) {
            Some(memory) if memory.as_ptr() != libc::MAP_FAILED => Ok(Self(memory.cast())),
            _ => failed("mmap"),
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: mapped until this is dropped, and zeros are a T.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by zeroed, and not used any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}
