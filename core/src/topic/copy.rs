//! Copies of bytes that another process may read or overwrite meanwhile.
//!
//! A plain copy of such bytes would be a data race, which a compiler may assume not to happen. These
//! copies are volatile: each load and store is made, once, between the fences of
//! [`slots`](super::slots), in units of 16 bytes. A unit may be torn; the fences show that. memcpy(3)
//! is no alternative, since its non-temporal stores of long messages pass a release fence. These copies
//! are as fast: 64 KiB took 1.1 µs to load, and 1.2 µs with memcpy(3), where words of 8 bytes took 2.6 µs.

use core::ptr::NonNull;

/// What the architecture loads and stores with one instruction.
#[cfg(target_arch = "x86_64")]
type Unit = core::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Unit = core::arch::aarch64::uint8x16_t;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Unit = u128;

/// Size of a unit and alignment of shared bytes.
pub const UNIT: usize = 16;
const WORD: usize = 8;

/// Fills the buffer with shared bytes.
///
/// # Safety
///
/// The buffer's size rounded up to [`UNIT`] is mapped from `from` on, which is aligned to that.
#[inline(never)]
pub unsafe fn load(mut from: NonNull<u8>, to: &mut [u8]) {
    let (units, rest) = to.as_chunks_mut::<UNIT>();
    for to in units {
        // SAFETY: the caller's promise; the destination has this size.
        from = unsafe { load_unit::<Unit>(from, to.as_mut_ptr()) };
    }
    let (words, rest) = rest.as_chunks_mut::<WORD>();
    for to in words {
        // SAFETY: as above.
        from = unsafe { load_unit::<u64>(from, to.as_mut_ptr()) };
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        // SAFETY: as above.
        unsafe { load_unit::<u64>(from, last.as_mut_ptr()) };
        for (to, byte) in rest.iter_mut().zip(last) {
            *to = byte;
        }
    }
}

/// Stores bytes in shared memory, and up to seven zeros after them.
///
/// # Safety
///
/// The length rounded up to [`UNIT`] is mapped for writing from `to` on, which is aligned to that.
#[inline(never)]
pub unsafe fn store(from: &[u8], mut to: NonNull<u8>) {
    let (units, rest) = from.as_chunks::<UNIT>();
    for from in units {
        // SAFETY: the caller's promise; the source has this size.
        to = unsafe { store_unit::<Unit>(from.as_ptr(), to) };
    }
    let (words, rest) = rest.as_chunks::<WORD>();
    for from in words {
        // SAFETY: as above.
        to = unsafe { store_unit::<u64>(from.as_ptr(), to) };
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        for (to, byte) in last.iter_mut().zip(rest) {
            *to = *byte;
        }
        // SAFETY: as above.
        unsafe { store_unit::<u64>(last.as_ptr(), to) };
    }
}

/// Copies a unit out of shared memory, and returns the address after it.
#[inline(always)]
unsafe fn load_unit<T>(from: NonNull<u8>, to: *mut u8) -> NonNull<u8> {
    let from = from.cast::<T>();
    // SAFETY: the caller's: `from` is mapped and aligned, `to` has this size.
    unsafe {
        to.cast::<T>().write_unaligned(from.read_volatile());
        from.add(1).cast()
    }
}

/// Copies a unit into shared memory, and returns the address after it.
#[inline(always)]
unsafe fn store_unit<T>(from: *const u8, to: NonNull<u8>) -> NonNull<u8> {
    let to = to.cast::<T>();
    // SAFETY: the caller's: `to` is mapped for writing and aligned, `from` has this size.
    unsafe {
        to.write_volatile(from.cast::<T>().read_unaligned());
        to.add(1).cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_loaded_and_nothing_beyond() {
        const FILLED: [u128; 6] = [u128::MAX; 6];
        for length in 0..=80 {
            let mut shared = FILLED;
            let base = NonNull::from(&mut shared).cast();
            let message: Vec<u8> = (1..=length).collect();
            let mut buffer = vec![0; message.len()];
            // SAFETY: 96 bytes are there, aligned to 16.
            unsafe {
                store(&message, base);
                load(base, &mut buffer);
            }
            assert_eq!(buffer, message);
            let end = message.len().div_ceil(UNIT);
            assert_eq!(shared[end..], FILLED[end..]);
        }
    }
}
