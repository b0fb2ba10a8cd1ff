//! One end of the ring, as a handle uses it. If processes share the end, the position of a handle is
//! valid only under the lock of that end, which the handle takes for one message and never holds while
//! it waits.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::endpoint::{Endpoint, Side};
use super::lock;
use super::memory::{Memory, View};
use super::ring::{self, Blocked, Consumer, Producer};
use super::wakeup;
use crate::error::{Call, Error};
use crate::watch;

/// The end of the ring that a handle holds.
pub struct RingEnd {
    // The first field is dropped first: the memory is unmapped before the end is unlocked.
    memory: Memory,
    position: Position,
    /// This handle holds the lock of a shared end.
    is_locked: bool,
    /// The word of that lock, if the last attempt found another holder in it.
    found_locked: Option<u32>,
    endpoint: Endpoint,
}

enum Position {
    Sender(Producer),
    Receiver(Consumer),
}

impl Drop for RingEnd {
    #[inline(never)]
    fn drop(&mut self) {
        if !self.endpoint.is_inherited() {
            self.unlock(0);
        }
    }
}

impl RingEnd {
    /// The end that was claimed; [`Self::resume`] completes it.
    pub fn new(memory: Memory, endpoint: Endpoint) -> Self {
        Self {
            memory,
            position: match endpoint.side() {
                Side::Sender => Position::Sender(Producer::default()),
                Side::Receiver => Position::Receiver(Consumer::default()),
            },
            is_locked: false,
            found_locked: None,
            endpoint,
        }
    }

    /// Continues after the last process of this end. At a shared end the first [`Self::attempt`] does
    /// that. There, if a dead process that had the same slot left the lock, this frees it: no other
    /// process could find out that its holder is dead.
    pub fn resume(&mut self) -> Result<(), Blocked> {
        if !self.endpoint.is_shared() {
            return self.update_position();
        }
        let found = self.lock_word().load(Relaxed);
        if lock::holder(found) == self.endpoint.slot() {
            lock::unlock_for_dead(self.lock_word(), found);
        }
        Ok(())
    }

    fn update_position(&mut self) -> Result<(), Blocked> {
        self.position = match self.endpoint.side() {
            Side::Sender => Position::Sender(Producer::resume(&self.view())?),
            Side::Receiver => Position::Receiver(Consumer::resume(&self.view())),
        };
        Ok(())
    }

    /// The memory of the channel.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        self.memory.view()
    }

    /// The claim to this end, and what it knows about the other end.
    #[inline(always)]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn lock_word(&self) -> &AtomicU32 {
        self.view().lock(self.endpoint.side())
    }

    /// The sleep word of this side.
    pub fn sleep_word(&self) -> &AtomicU32 {
        self.view().sleep(self.endpoint.side())
    }

    /// Number of messages sent or received since the channel was created.
    pub fn count(&self) -> u64 {
        match &self.position {
            Position::Sender(producer) => producer.sent(),
            Position::Receiver(consumer) => consumer.received(),
        }
    }

    /// The position after the last message that was sent or received.
    pub fn position(&self) -> u64 {
        match &self.position {
            Position::Sender(producer) => producer.tail(),
            Position::Receiver(consumer) => consumer.head(),
        }
    }

    /// Reserves room for a message of this length, if the end is not shared and the room is known to
    /// be free.
    #[inline(always)]
    pub fn reserve_at_once(&mut self, length: u64) -> Option<NonNull<u8>> {
        let memory = self.memory.view();
        match &mut self.position {
            Position::Sender(producer) if self.endpoint.is_exclusive() => {
                let position = producer.reserve_known(length)?;
                Some(memory.bytes(position))
            }
            _ => None,
        }
    }

    /// Publishes the message in the reserved room.
    #[inline(always)]
    pub fn publish(&mut self, length: u64) -> Result<(), Error> {
        let memory = self.memory.view();
        match &mut self.position {
            Position::Sender(producer) if producer.has_reserved(length) => {
                producer.publish(&memory, length);
                Ok(())
            }
            _ => Err(self.refused()),
        }
    }

    /// Peeks at the next message, if the end is not shared and there is one.
    #[inline(always)]
    pub fn peek_at_once(&mut self) -> Option<(NonNull<u8>, usize)> {
        let memory = self.memory.view();
        match &mut self.position {
            Position::Receiver(consumer) if self.endpoint.is_exclusive() => {
                let (position, length) = consumer.peek(&memory).ok()?;
                Some((memory.bytes(position), length as usize))
            }
            _ => None,
        }
    }

    /// Frees the peeked message.
    #[inline(always)]
    pub fn release(&mut self) -> Result<(), Error> {
        let memory = self.memory.view();
        match &mut self.position {
            Position::Receiver(consumer) if consumer.has_peeked() => {
                consumer.release(&memory);
                Ok(())
            }
            _ => Err(self.refused()),
        }
    }

    /// The position of a receiver that holds its end alone.
    pub fn consumer(&mut self) -> Result<&mut Consumer, Error> {
        let refused = self.refused();
        match &mut self.position {
            Position::Receiver(consumer) if self.endpoint.is_exclusive() => Ok(consumer),
            _ => Err(refused),
        }
    }

    /// See [`Endpoint::refused`].
    pub fn refused(&self) -> Error {
        self.endpoint.refused()
    }

    /// Reserves room for a message of this length or peeks at the next message; returns its position
    /// and length. At a shared end this takes the lock. [`Blocked::Wait`] if the ring is full or empty,
    /// or if another process [holds the lock](Self::is_locked_out).
    pub fn attempt(&mut self, length: u64) -> Result<(u64, u64), Blocked> {
        if !self.endpoint.is_shared() {
            return self.reserve_or_peek(length);
        }
        self.found_locked = None;
        if !self.is_locked {
            // A process that has nothing to do locks no other process out, wherever it is stopped.
            if !self.may_proceed(length) {
                return Err(Blocked::Wait);
            }
            self.lock()?;
        }
        self.reserve_or_peek(length).inspect_err(|_| self.cancel())
    }

    fn reserve_or_peek(&mut self, length: u64) -> Result<(u64, u64), Blocked> {
        let memory = self.memory.view();
        match &mut self.position {
            Position::Sender(producer) => Ok((producer.reserve(&memory, length)?, length)),
            Position::Receiver(consumer) => consumer.peek(&memory),
        }
    }

    /// Whether there seems to be room, or a message, for any process of this end.
    fn may_proceed(&self, length: u64) -> bool {
        let memory = self.view();
        match &self.position {
            Position::Sender(producer) => producer.may_have_room(&memory, length),
            Position::Receiver(_) => ring::may_have_message(&memory),
        }
    }

    fn lock(&mut self) -> Result<(), Blocked> {
        if let Err(found) = lock::try_lock(self.lock_word(), self.endpoint.slot()) {
            self.found_locked = Some(found);
            return Err(Blocked::Wait);
        }
        self.is_locked = true;
        let memory = self.view();
        let is_current = match &self.position {
            Position::Sender(producer) => producer.is_current(&memory),
            Position::Receiver(consumer) => consumer.is_current(&memory),
        };
        match is_current {
            true => Ok(()),
            false => self.update_position().inspect_err(|_| self.unlock(0)),
        }
    }

    /// Cancels a reservation or a peek.
    pub fn cancel(&mut self) {
        match &mut self.position {
            Position::Sender(producer) => producer.cancel(),
            Position::Receiver(consumer) => consumer.cancel(),
        }
        self.unlock(0);
    }

    /// Unlocks a shared end and wakes another process that waits at it, if there is more to do.
    /// `length` is what that process may have to send.
    #[inline(always)]
    pub fn unlock(&mut self, length: u64) {
        if self.is_locked {
            self.unlock_shared(length);
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_shared(&mut self, length: u64) {
        self.is_locked = false;
        lock::unlock(self.lock_word());
        let more = |any| self.may_proceed(if any { 0 } else { length });
        wakeup::wake_next(self.sleep_word(), more, || {
            watch::poke(self.endpoint.file())
        });
    }

    /// Whether the last attempt found that another process holds the lock.
    pub fn is_locked_out(&self) -> bool {
        self.found_locked.is_some()
    }

    /// Attempts once more if the process that locked this one out is dead.
    pub fn attempt_for_dead(&mut self, length: u64) -> Result<(u64, u64), Blocked> {
        match self.found_locked {
            Some(found) if !self.endpoint.is_alive(lock::holder(found)) => {
                lock::unlock_for_dead(self.lock_word(), found);
                self.attempt(length)
            }
            _ => Err(Blocked::Wait),
        }
    }

    /// Attempts once more if a process has died or closed meanwhile. EIDRM or EPIPE if no peer is left to
    /// wait for, see [`Endpoint::peer_gone`]; else EAGAIN.
    pub fn attempt_after_deaths(&mut self, length: u64) -> Result<(u64, u64), Error> {
        match self.attempt_for_dead(length) {
            Err(Blocked::Wait) => {}
            result => return Ok(result?),
        }
        let peer_opens = self.memory.view().opens(self.endpoint.side().other());
        let Some(errno) = self.endpoint.peer_gone(peer_opens) else {
            return Err(Blocked::Wait.into());
        };
        // What the peer did before it exited counts.
        match self.attempt(length) {
            Err(Blocked::Wait) if !self.is_locked_out() => Err(Call::Channel.failed(errno)),
            result => Ok(result?),
        }
    }
}
