//! Layer 3: a channel of messages, for two processes or several, which survives the death of either
//! at any instruction.
//!
//! Messages are records of the [ring](crate::ring). Who sends or receives is known by `endpoint.rs`.
//! Nobody makes a system call while both sides are busy.

#[doc(hidden)]
pub mod lock;
mod memory;
mod open;
mod shared;
mod wait;

use core::ffi::c_int;
use core::ptr::NonNull;

use crate::endpoint::Endpoint;
pub use crate::endpoint::Side;
use crate::error::{Call, Errno, Error};
use crate::ring::{Consumer, Producer, Stop, Words, counted};
use memory::Memory;
pub use open::Options;

/// What is known about a channel now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Bytes that the ring holds.
    pub capacity: u64,
    /// Bytes that are taken by messages and their lengths.
    pub used: u64,
    /// Messages sent, since the channel was made.
    pub sent: u64,
    /// Messages received, likewise.
    pub received: u64,
    /// Whether somebody holds the sending end.
    pub sender_alive: bool,
    /// Whether somebody holds the receiving end.
    pub receiver_alive: bool,
}

/// The state of this end in the ring.
enum End {
    Sender(Producer),
    Receiver(Consumer),
}

/// One end of a channel. It belongs to the process that opened it: in a child of `fork(2)` every
/// call fails by EPERM.
pub struct Channel {
    memory: Memory,
    end: End,
    /// Consecutive messages for which nobody had to be woken.
    calm: u32,
    /// The count of this end when it last had to wait.
    waited_at: u64,
    /// Other processes' barriers reach this one.
    registered: bool,
    /// This handle holds the lock of a shared end.
    locked: bool,
    /// The word of that lock in which the last attempt found another holder.
    held_by: Option<u32>,
    /// A signal handler ends a wait.
    interruptible: bool,
    /// How many had opened the other end when this one was opened.
    peers_before: u32,
    /// Somebody has held the other end since then.
    has_met_peer: bool,
    endpoint: Endpoint,
}

// SAFETY: the memory belongs to the process, not to a thread; what changes the handle takes it by
// &mut.
unsafe impl Send for Channel {}

impl Drop for Channel {
    #[inline(never)]
    fn drop(&mut self) {
        if !self.endpoint.is_inherited() {
            self.unlock(0);
        }
    }
}

fn stopped(stop: Stop) -> Error {
    Call::Channel.failed(stop.into())
}

impl Channel {
    fn side(&self) -> Side {
        self.endpoint.side()
    }

    /// Takes up where the last one at this end was.
    fn resume(&mut self) -> Result<(), Stop> {
        self.end = match self.side() {
            Side::Sender => End::Sender(Producer::resume(&self.memory.view())?),
            Side::Receiver => End::Receiver(Consumer::resume(&self.memory.view())),
        };
        Ok(())
    }

    /// How many messages were sent or received since the channel was made.
    fn count(&self) -> u64 {
        match &self.end {
            End::Sender(producer) => producer.sent(),
            End::Receiver(consumer) => consumer.received(),
        }
    }

    /// Gives up what is reserved or peeked at.
    fn cancel(&mut self) {
        match &mut self.end {
            End::Sender(producer) => producer.forget(),
            End::Receiver(consumer) => consumer.forget(),
        }
        self.unlock(0);
    }

    /// Reserves room for a message of this length, or peeks at the next one: where, and how long.
    fn reserve_or_peek(&mut self, length: u64) -> Result<(u64, u64), Stop> {
        let view = self.memory.view();
        match &mut self.end {
            End::Sender(producer) => Ok((producer.reserve(&view, length)?, length)),
            End::Receiver(consumer) => consumer.peek(&view),
        }
    }

    /// The longest message, in bytes.
    pub fn longest(&self) -> usize {
        self.memory.view().longest() as usize
    }

    /// Sends a message, and waits for room: 0 not at all (EAGAIN), -1 for ever, else so many
    /// milliseconds (ETIMEDOUT).
    #[inline(always)]
    pub fn send(&mut self, message: &[u8], timeout_ms: c_int) -> Result<(), Error> {
        let place = self.reserve(message.len(), timeout_ms)?;
        // SAFETY: reserved, of this length; no reference into shared memory exists.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(message).cast(), message.len()) };
        self.commit(message.len())
    }

    /// Receives a message, and waits for it likewise; its length. EMSGSIZE where the buffer is
    /// smaller: the message stays.
    #[inline(always)]
    pub fn receive(&mut self, buffer: &mut [u8], timeout_ms: c_int) -> Result<usize, Error> {
        let (message, length) = self.peek(timeout_ms)?;
        if length > buffer.len() {
            self.cancel();
            return Err(Call::Channel.failed(Errno::EMSGSIZE));
        }
        // SAFETY: that many bytes are mapped; no reference into shared memory exists.
        unsafe {
            NonNull::from(buffer)
                .cast()
                .copy_from_nonoverlapping(message, length)
        };
        self.release()?;
        Ok(length)
    }

    /// Waits for room for a message, and gives the place to write it: as many bytes, valid until
    /// [`Self::commit`].
    #[inline(always)]
    pub fn reserve(&mut self, length: usize, timeout_ms: c_int) -> Result<NonNull<u8>, Error> {
        match self.reserve_at_once(length) {
            Some(place) => Ok(place),
            None => self.reserve_or_wait(length, timeout_ms),
        }
    }

    /// As [`Self::reserve`], where the room is known and nothing is in the way: no others at this end,
    /// no error.
    #[inline(always)]
    pub fn reserve_at_once(&mut self, length: usize) -> Option<NonNull<u8>> {
        let view = self.memory.view();
        match &mut self.end {
            End::Sender(producer) if self.endpoint.is_exclusive() => {
                let position = producer.reserve_free(length as u64)?;
                Some(view.bytes(position))
            }
            _ => None,
        }
    }

    /// As [`Self::reserve`], for where it cannot be done at once.
    #[cold]
    #[inline(never)]
    pub fn reserve_or_wait(
        &mut self,
        length: usize,
        timeout_ms: c_int,
    ) -> Result<NonNull<u8>, Error> {
        self.check(Side::Sender)?;
        let (position, _) = self.wait(timeout_ms, length as u64)?;
        Ok(self.memory.view().bytes(position))
    }

    /// Sends what was written where [`Self::reserve`] said: no longer than reserved.
    #[inline(always)]
    pub fn commit(&mut self, length: usize) -> Result<(), Error> {
        match self.endpoint.is_exclusive() {
            true => self.publish(length),
            false => self.finish(length as u64, |channel| channel.publish(length)),
        }
    }

    #[inline(always)]
    fn publish(&mut self, length: usize) -> Result<(), Error> {
        let view = self.memory.view();
        match &mut self.end {
            End::Sender(producer) if producer.has_reserved(length as u64) => {
                producer.publish(&view, length as u64);
            }
            _ => return Err(self.refused()),
        }
        self.call(Side::Receiver);
        Ok(())
    }

    /// Waits for a message, and gives its bytes where they are, and how many: until
    /// [`Self::release`]. Its sender can still change them.
    #[inline(always)]
    pub fn peek(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        match self.peek_at_once() {
            Some(message) => Ok(message),
            None => self.peek_or_wait(timeout_ms),
        }
    }

    /// As [`Self::peek`], where there is a message and nothing is in the way: no others at this end,
    /// no error.
    #[inline(always)]
    pub fn peek_at_once(&mut self) -> Option<(NonNull<u8>, usize)> {
        let view = self.memory.view();
        match &mut self.end {
            End::Receiver(consumer) if self.endpoint.is_exclusive() => {
                let (position, length) = consumer.peek(&view).ok()?;
                Some((view.bytes(position), length as usize))
            }
            _ => None,
        }
    }

    /// As [`Self::peek`], for where it cannot be done at once.
    #[cold]
    #[inline(never)]
    pub fn peek_or_wait(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        self.check(Side::Receiver)?;
        let (position, length) = self.wait(timeout_ms, 0)?;
        Ok((self.memory.view().bytes(position), length as usize))
    }

    /// Frees the message that [`Self::peek`] gave.
    #[inline(always)]
    pub fn release(&mut self) -> Result<(), Error> {
        match self.endpoint.is_exclusive() {
            true => self.free(),
            false => self.finish(0, Self::free),
        }
    }

    #[inline(always)]
    fn free(&mut self) -> Result<(), Error> {
        let view = self.memory.view();
        match &mut self.end {
            End::Receiver(consumer) if consumer.is_pending() => consumer.release(&view),
            _ => return Err(self.refused()),
        }
        self.call(Side::Sender);
        Ok(())
    }

    /// Whether this handle may do what belongs to this side.
    fn check(&self, side: Side) -> Result<(), Error> {
        match self.side() == side && !self.endpoint.is_inherited() {
            true => Ok(()),
            false => Err(self.refused()),
        }
    }

    #[cold]
    #[inline(never)]
    fn refused(&self) -> Error {
        match self.endpoint.is_inherited() {
            true => Call::Arguments.failed(Errno::EPERM),
            false => Error::INVALID,
        }
    }

    /// What is known about the channel now.
    pub fn info(&self) -> Result<Info, Error> {
        if self.endpoint.is_inherited() {
            return Err(self.refused());
        }
        let memory = self.memory.view();
        let (head, received) = counted(memory.head(), memory.received());
        let (tail, sent) = counted(memory.tail(), memory.sent());
        Ok(Info {
            capacity: memory.capacity(),
            used: tail.saturating_sub(head).min(memory.capacity()),
            sent,
            received,
            sender_alive: self.endpoint.is_held(Side::Sender),
            receiver_alive: self.endpoint.is_held(Side::Receiver),
        })
    }
}
