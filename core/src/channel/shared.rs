//! An end that several processes share: each locks it for as long as it sends or receives a message,
//! and not while it waits.

use core::sync::atomic::Ordering::Relaxed;

use super::{Channel, End, lock};
use crate::error::Error;
use crate::handshake;
use crate::ring::{self, Stop};

impl Channel {
    /// Reserves or peeks, at a shared end under its lock: [`Stop::Wait`] where it must wait for the other
    /// side or, as `held_by` says, for another process at this end. `length` is that of the message to
    /// be sent.
    pub(super) fn attempt(&mut self, length: u64) -> Result<(u64, u64), Stop> {
        if !self.endpoint.is_shared() {
            return self.reserve_or_peek(length);
        }
        self.held_by = None;
        if !self.locked {
            // A process that has nothing to do never locks the others out, wherever it is stopped.
            if !self.may_go_on(length) {
                return Err(Stop::Wait);
            }
            self.try_lock()?;
        }
        self.reserve_or_peek(length).inspect_err(|_| self.cancel())
    }

    /// Whether there seems to be room, or a message, for any process at this end.
    fn may_go_on(&self, length: u64) -> bool {
        let view = self.memory.view();
        match &self.end {
            End::Sender(producer) => producer.may_have_room(&view, length),
            End::Receiver(_) => ring::may_have_message(&view),
        }
    }

    fn try_lock(&mut self) -> Result<(), Stop> {
        let word = self.memory.view().lock(self.side());
        if let Err(found) = lock::try_lock(word, self.endpoint.slot()) {
            self.held_by = Some(found);
            return Err(Stop::Wait);
        }
        self.locked = true;
        let view = self.memory.view();
        let is_current = match &self.end {
            End::Sender(producer) => producer.is_current(&view),
            End::Receiver(consumer) => consumer.is_current(&view),
        };
        match is_current {
            true => Ok(()),
            false => self.resume().inspect_err(|_| self.unlock(0)),
        }
    }

    /// Unlocks the end, and wakes another process that waits at it if there is more to do. `length` is
    /// what that one may have to send.
    #[inline(always)]
    pub(super) fn unlock(&mut self, length: u64) {
        if self.locked {
            self.unlock_shared(length);
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_shared(&mut self, length: u64) {
        self.locked = false;
        let view = self.memory.view();
        lock::unlock(view.lock(self.side()));
        handshake::pass_on(view.sleep(self.side()), || self.may_go_on(length));
    }

    /// Ends what an [attempt](Self::attempt) began.
    #[cold]
    #[inline(never)]
    pub(super) fn finish(
        &mut self,
        length: u64,
        end: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.endpoint.is_inherited() {
            return Err(self.refused());
        }
        end(self)?;
        self.unlock(length);
        Ok(())
    }

    /// Frees the lock that has been in the way, if its holder is dead; whether it was.
    pub(super) fn unlock_for_dead(&self) -> bool {
        match self.held_by {
            Some(found) if !self.endpoint.is_alive(lock::holder(found)) => {
                lock::unlock_for_dead(self.memory.view().lock(self.side()), found);
                true
            }
            _ => false,
        }
    }

    /// Frees the lock of a dead process that had the slot which this one has now: nobody could tell any
    /// more that it is dead.
    pub(super) fn unlock_own_slot(&self) {
        let word = self.memory.view().lock(self.side());
        let found = word.load(Relaxed);
        if lock::holder(found) == self.endpoint.slot() {
            lock::unlock_for_dead(word, found);
        }
    }
}
