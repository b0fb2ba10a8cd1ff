//! The words of shared memory that the channel's algorithms work on: core's atomics, or those of a
//! model checker.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, Ordering::Relaxed};

/// A word of 64 bits.
pub trait Word64 {
    /// Same as `AtomicU64::load`.
    fn load(&self, order: Ordering) -> u64;
    /// Same as `AtomicU64::store`.
    fn store(&self, value: u64, order: Ordering);
}

/// A word of 32 bits.
pub trait Word32 {
    /// Same as `AtomicU32::load`.
    fn load(&self, order: Ordering) -> u32;
    /// Same as `AtomicU32::fetch_or`.
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32;
    /// Same as `AtomicU32::fetch_and`.
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32;
    /// Same as `AtomicU32::compare_exchange`, relaxed on failure. Returns whether the word changed.
    fn compare_exchange(&self, from: u32, to: u32, order: Ordering) -> bool;
}

impl Word64 for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }
    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
}

impl Word32 for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_or(bits, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_and(bits, order)
    }
    fn compare_exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.compare_exchange(from, to, order, Relaxed).is_ok()
    }
}
