//! Memory of the C heap, for what a C program holds by a pointer.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use crate::error::{Call, Error};
use crate::sys;

pub use crate::sys::from_heap;

/// Room on the C heap for a value. It is had before the value is opened, so that nothing can fail
/// once there is something to leave behind.
pub struct Room<T>(NonNull<T>);

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: from malloc, and nobody else knows it.
        unsafe { sys::free(self.0) };
    }
}

impl<T> Room<T> {
    /// ENOMEM where there is none.
    pub fn new() -> Result<Self, Error> {
        Ok(Self(Call::Malloc.of(sys::malloc())?))
    }

    /// Puts the value there; [`from_heap`] takes it back.
    pub fn fill(self, value: T) -> NonNull<T> {
        let room = ManuallyDrop::new(self).0;
        // SAFETY: new, large enough, and aligned for any type of C.
        unsafe { room.write(value) };
        room
    }
}
