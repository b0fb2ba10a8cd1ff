//! The lock that the processes have which share an end of a channel: the pure algorithm, without a
//! system call.
//!
//! It is held from a successful reserve to its commit, from a peek to its release, and never by a
//! process that waits. Its word:
//!
//! ```text
//! | acquisitions: 24 | slot of the holder, 0 for nobody: 8 |
//! ```
//!
//! | from | to | by | ordering | a death right after it leaves |
//! |---|---|---|---|---|
//! | free | held | whoever locks | acquire | a dead holder |
//! | held | free | its holder | sequentially consistent | sleepers that look again by themselves |
//! | held by the dead | free | whoever finds that out, and the next process of that slot | relaxed | – |

use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use crate::handshake::Word;

/// The slot of the holder; 0 for nobody.
const HOLDER: u32 = 0xff;
/// Acquisition counter, against ABA: a waiter that saw a dead holder must not free the lock of a live
/// process that reuses the slot.
const COUNT: u32 = !HOLDER;

/// The slot of the holder in this word.
pub fn holder(word: u32) -> u32 {
    word & HOLDER
}

/// Locks for the process of this slot, if nobody else holds the lock; else says in which word it was
/// found held.
pub fn try_lock(word: &impl Word, slot: u32) -> Result<(), u32> {
    // Each failure means that another process locked or unlocked meanwhile.
    const MAX_RETRIES: u32 = 8;

    let mut found = 0;
    for _ in 0..MAX_RETRIES {
        found = word.load(Relaxed);
        // A dead process has left a lock of the own slot.
        if holder(found) != 0 && holder(found) != slot {
            break;
        }
        let count = (found & COUNT).wrapping_add(HOLDER).wrapping_add(1) & COUNT;
        if word.exchange(found, count | slot, Acquire) {
            return Ok(());
        }
    }
    Err(found)
}

/// Unlocks. Sequentially consistent: a process that finds the end locked, having set its sleep bit
/// before, is seen by the one that unlocks, which looks at that bit after this.
pub fn unlock(word: &impl Word) {
    word.fetch_and(COUNT, SeqCst);
}

/// Frees a lock whose holder has died, as it was found; not if anything has changed since.
pub fn unlock_for_dead(word: &impl Word, found: u32) {
    word.exchange(found, found & COUNT, Relaxed);
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn no_word_comes_again_soon() {
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
    fn a_dead_ones_lock_is_freed_as_it_was_found_alone() {
        let word = AtomicU32::new(0);
        try_lock(&word, 1).unwrap();
        let found = try_lock(&word, 2).unwrap_err();
        unlock(&word);
        try_lock(&word, 1).unwrap();
        unlock_for_dead(&word, found);
        let found = try_lock(&word, 2).unwrap_err();
        unlock_for_dead(&word, found);
        assert_eq!(try_lock(&word, 2), Ok(()));
        // A dead one of the own slot is in nobody's way.
        assert_eq!(try_lock(&word, 2), Ok(()));
        assert!(try_lock(&word, 1).is_err());
    }
}
