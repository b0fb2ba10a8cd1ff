//! The lock that those have who share an end of a channel.

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use super::Channel;
use super::memory::at;
use super::wait::{SLICE_NS, SPIN_NS};
use crate::deadline::Deadline;
use crate::endpoint::Side;
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::sys;

/// The lock's word.
mod word {
    /// The slot of who has it; 0 for nobody.
    pub const HOLDER: u32 = 0xff;
    /// How often it was taken: so that nobody takes the lock of a living one for that of a dead one
    /// that had the same slot before.
    pub const COUNT: u32 = 0x7fff_ff00;
    /// Somebody waits for it.
    pub const WAITED_FOR: u32 = 1 << 31;

    /// The count of who takes it next.
    pub fn next(word: u32) -> u32 {
        (word & COUNT).wrapping_add(HOLDER.wrapping_add(1)) & COUNT
    }
}

impl Channel {
    fn lock_word(&self) -> &AtomicU32 {
        self.memory.view().word(match self.side() {
            Side::Sender => at::SENDER_LOCK,
            Side::Receiver => at::RECEIVER_LOCK,
        })
    }

    /// Keeps others that share this end out.
    #[cold]
    #[inline(never)]
    pub(super) fn lock(&mut self, timeout_ms: c_int) -> Result<(), Error> {
        let slot = self.endpoint.slot();
        let deadline = Deadline::after_ms(timeout_ms);
        let spin = sys::monotonic_clock_ns().wrapping_add(SPIN_NS);
        let mut marks = 0;
        // Who does not wait must see at once that the holder is dead.
        let mut in_doubt = timeout_ms == 0;
        loop {
            let word = self.lock_word();
            let found = word.load(Relaxed);
            let holder = found & word::HOLDER;
            // A dead one's lock passes to who finds it; one of this slot was left by a dead one.
            let is_free =
                holder == 0 || holder == slot || (in_doubt && !self.endpoint.is_alive(holder));
            if is_free {
                let waited_for = match holder {
                    0 => marks,
                    _ => word::WAITED_FOR,
                };
                let mine = word::next(found) | slot | waited_for;
                if word.compare_exchange(found, mine, Acquire, Relaxed).is_ok() {
                    break;
                }
            }
            if sys::monotonic_clock_ns() < spin {
                core::hint::spin_loop();
                continue;
            }
            let left = deadline.remaining_at_most(SLICE_NS);
            if left == 0 && !(is_free && timeout_ms == 0) {
                return Err(Call::Futex.failed(match timeout_ms {
                    0 => Errno::EAGAIN,
                    _ => Errno::ETIMEDOUT,
                }));
            }
            if is_free {
                continue;
            }
            let marked = found | word::WAITED_FOR;
            if word
                .compare_exchange(found, marked, Relaxed, Relaxed)
                .is_ok()
            {
                let woken = futex::sleep(word, marked, left);
                // Signals may come more often than a slice ends.
                in_doubt = matches!(woken, Err(Errno::ETIMEDOUT | Errno::EINTR));
                marks = word::WAITED_FOR;
            }
        }
        self.resume().inspect_err(|_| self.unlock_word())
    }

    #[inline(always)]
    pub(super) fn unlock(&mut self) {
        if self.endpoint.is_shared() {
            self.unlock_word();
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_word(&self) {
        let word = self.lock_word();
        if word.fetch_and(word::COUNT, Release) & word::WAITED_FOR != 0 {
            let _ = futex::wake(word, 1);
        }
    }

    /// Frees the lock that was left by a dead one of the slot that this process has now: nobody
    /// could tell any more that it is dead.
    pub(super) fn unlock_for_dead(&self) {
        let word = self.lock_word();
        let found = word.load(Relaxed);
        if found & word::HOLDER == self.endpoint.slot()
            && word
                .compare_exchange(found, found & word::COUNT, Release, Relaxed)
                .is_ok()
        {
            let _ = futex::wake(word, 1);
        }
    }
}
