//! The lock of a shared end: the algorithm alone, without a system call, so that loom can check it.
//!
//! A process holds the lock from a successful reserve to commit or from peek to release, and never
//! while it waits. Its word:
//!
//! ```text
//! | acquisitions: 24 | slot of the holder, 0 if none: 8 |
//! ```
//!
//! | from | to | by | ordering | a death right after it leaves |
//! |---|---|---|---|---|
//! | free | held | the process that locks | acquire | a dead holder |
//! | held | free | its holder | sequentially consistent | sleepers that look again on their own |
//! | held by a dead process | free | a waiter that asked the kernel about it, or the next process of that slot | release | – |

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::word::Word32;

/// The slot of the holder; 0 if none.
const HOLDER: u32 = 0xff;
/// Acquisition counter, against ABA: a waiter that saw a dead holder must not free the lock of a live
/// process that reuses the slot.
const COUNT: u32 = !HOLDER;

/// The slot of the holder in this word.
pub fn holder(word: u32) -> u32 {
    word & HOLDER
}

/// Locks for the process of this slot. If another process holds the lock, returns the word that
/// shows it.
pub fn try_lock(word: &impl Word32, slot: u32) -> Result<(), u32> {
    // Each failure means that another process locked or unlocked meanwhile.
    const MAX_RETRIES: u32 = 8;

    let mut found = 0;
    for _ in 0..MAX_RETRIES {
        found = word.load(Relaxed);
        // A holder with the own slot is dead: it had the slot before.
        if holder(found) != 0 && holder(found) != slot {
            break;
        }
        let count = (found & COUNT).wrapping_add(HOLDER).wrapping_add(1) & COUNT;
        if word.compare_exchange(found, count | slot, Acquire) {
            return Ok(());
        }
    }
    Err(found)
}

/// Unlocks. Sequentially consistent: a sleeper that finds the end locked set its sleep bit before
/// that, so the process that unlocks and then loads the sleep word sees the bit.
pub fn unlock(word: &impl Word32) {
    word.fetch_and(COUNT, SeqCst);
}

/// Frees a lock whose holder is dead, unless the word has changed since it was found. Release: the
/// caller learned of the death from the kernel, and hands on what the dead process stored.
pub fn unlock_for_dead(word: &impl Word32, found: u32) {
    word.compare_exchange(found, found & COUNT, Release);
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn each_acquisition_gives_another_word() {
        let word = AtomicU32::new(0);
        let mut before = 0;
        for _ in 0..1000 {
            try_lock(&word, 7).unwrap();
            let now = word.load(Relaxed);
            assert!(holder(now) == 7 && now > before);
            unlock(&word);
            before = now;
        }
        word.store(!0, Relaxed);
        unlock(&word);
        assert_eq!(try_lock(&word, 7), Ok(()));
    }

    #[test]
    fn a_dead_holders_lock_is_freed_only_as_it_was_found() {
        let word = AtomicU32::new(0);
        try_lock(&word, 1).unwrap();
        let found = try_lock(&word, 2).unwrap_err();
        unlock(&word);
        try_lock(&word, 1).unwrap();
        unlock_for_dead(&word, found);
        let found = try_lock(&word, 2).unwrap_err();
        unlock_for_dead(&word, found);
        assert_eq!(try_lock(&word, 2), Ok(()));
        // A dead holder of the own slot does not block.
        assert_eq!(try_lock(&word, 2), Ok(()));
        assert!(try_lock(&word, 1).is_err());
    }
}
