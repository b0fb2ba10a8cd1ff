//! A place on the C heap, for what a C program holds by a pointer.

use core::ptr::NonNull;

use crate::error::{Call, Error};
use crate::sys;

pub use crate::sys::from_heap;

/// Moves a value to the C heap.
pub fn to_heap<T>(value: T) -> Result<NonNull<T>, Error> {
    Call::Malloc.of(sys::to_heap(value))
}
