//! Handles on the C heap: a value that a C program holds by a pointer.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// Memory for a value. It comes before the value is opened, so that nothing can fail once there is
/// something to leave behind.
pub struct Room<T>(NonNull<T>);

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: from malloc, and nobody else knows it.
        unsafe { libc::free(self.0.as_ptr().cast()) };
    }
}

impl<T> Room<T> {
    /// `None` if there is no memory.
    pub fn new() -> Option<Self> {
        const { assert!(align_of::<T>() <= align_of::<libc::max_align_t>()) };
        // SAFETY: takes no pointer.
        let memory = unsafe { libc::malloc(size_of::<T>()) };
        NonNull::new(memory.cast()).map(Self)
    }

    /// Puts the value there; [`from_heap`] moves it back.
    pub fn fill(self, value: T) -> NonNull<T> {
        let memory = ManuallyDrop::new(self).0;
        // SAFETY: new, large enough, and aligned for any type of C.
        unsafe { memory.write(value) };
        memory
    }
}

/// Moves a value back from the C heap.
///
/// # Safety
///
/// The memory is from [`Room::fill`], and nothing uses it any more.
pub unsafe fn from_heap<T>(memory: NonNull<T>) -> T {
    let room = Room(memory);
    // SAFETY: the caller's promise.
    unsafe { room.0.read() }
}
