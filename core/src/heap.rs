//! A place on the C heap, for what a C program holds by a pointer.

use core::ptr::NonNull;

use crate::error::{Call, Error};
use crate::sys;

/// Moves a value to the C heap.
pub fn to_heap<T>(value: T) -> Result<NonNull<T>, Error> {
    Call::Malloc.of(sys::to_heap(value))
}

/// Moves a value back, and frees its place.
///
/// # Safety
///
/// The place is from [`to_heap`], and is not used any more.
pub unsafe fn from_heap<T>(place: NonNull<T>) -> T {
    // SAFETY: the caller's promise.
    unsafe { sys::from_heap(place) }
}
