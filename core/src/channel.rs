//! Layer 3: a channel of messages between processes, which survives the death of any of them at any
//! instruction.
//!
//! Messages are records of a [ring]. The kernel's file locks say which process sends and which
//! receives. While both sides are busy, neither makes a system call.

pub(crate) mod endpoint;
mod head_start;
#[doc(hidden)]
pub mod lock;
pub mod look;
mod memory;
mod open;
pub mod origin;
mod poll;
pub mod read_ahead;
#[doc(hidden)]
pub mod ring;
mod ring_end;
pub(crate) mod wait;
#[doc(hidden)]
pub mod wakeup;
#[doc(hidden)]
pub mod word;

use core::ffi::c_int;
use core::ptr::NonNull;

use crate::error::{Call, Errno, Error};
use crate::watch::{self, Watch};
pub use endpoint::Side;
pub use open::Options;
pub use origin::Origin;
pub use read_ahead::ReadAhead;
use ring::{Blocked, Words};
use ring_end::RingEnd;
use wait::Sleep;

/// The state of a channel at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Bytes that the ring holds.
    pub capacity: u64,
    /// Bytes that messages and their lengths occupy.
    pub used: u64,
    /// Messages sent since the channel was created.
    pub sent: u64,
    /// Messages received since the channel was created.
    pub received: u64,
    /// Whether a process holds the sending end.
    pub sender_alive: bool,
    /// Whether a process holds the receiving end.
    pub receiver_alive: bool,
}

/// One end of a channel. It belongs to the process that opened it: in a child of `fork(2)` every call
/// fails with EPERM.
pub struct Channel {
    ring: RingEnd,
    sleep: Sleep,
    watch: Option<Watch>,
}

// SAFETY: the memory belongs to the process, not to a thread; every method that changes the handle
// takes it by &mut.
unsafe impl Send for Channel {}

impl Channel {
    /// The longest message, in bytes.
    pub fn max_message(&self) -> usize {
        self.ring.view().max_message() as usize
    }

    /// Sends a message. Waits for room for at most `timeout_ms`: 0 not at all (EAGAIN), -1 for ever,
    /// else that number of milliseconds (ETIMEDOUT).
    #[inline(always)]
    pub fn send(&mut self, message: &[u8], timeout_ms: c_int) -> Result<(), Error> {
        let reserved = self.reserve(message.len(), timeout_ms)?;
        // SAFETY: this length is reserved; no reference into shared memory exists.
        unsafe { reserved.copy_from_nonoverlapping(NonNull::from(message).cast(), message.len()) };
        self.commit(message.len())
    }

    /// Receives a message and returns its length. Waits for at most `timeout_ms`, same as
    /// [`Self::send`]. EMSGSIZE if the buffer is smaller than the message, which then stays.
    #[inline(always)]
    pub fn receive(&mut self, buffer: &mut [u8], timeout_ms: c_int) -> Result<usize, Error> {
        let (message, length) = self.peek(timeout_ms)?;
        if length > buffer.len() {
            self.ring.cancel();
            return Err(Call::Channel.failed(Errno::EMSGSIZE));
        }
        // SAFETY: this length is mapped; no reference into shared memory exists.
        unsafe {
            NonNull::from(buffer)
                .cast()
                .copy_from_nonoverlapping(message, length)
        };
        self.release()?;
        Ok(length)
    }

    /// Reserves room for a message of this length and returns its address, valid until
    /// [`Self::commit`]. Waits for room same as [`Self::send`].
    #[inline(always)]
    pub fn reserve(&mut self, length: usize, timeout_ms: c_int) -> Result<NonNull<u8>, Error> {
        match self.reserve_at_once(length) {
            Some(reserved) => Ok(reserved),
            None => self.reserve_or_wait(length, timeout_ms),
        }
    }

    /// Same as [`Self::reserve`], if the end is not shared and the room is known to be free.
    #[inline(always)]
    pub fn reserve_at_once(&mut self, length: usize) -> Option<NonNull<u8>> {
        self.ring.reserve_at_once(length as u64)
    }

    /// Same as [`Self::reserve`], after [`Self::reserve_at_once`] returned `None`.
    #[cold]
    #[inline(never)]
    pub fn reserve_or_wait(
        &mut self,
        length: usize,
        timeout_ms: c_int,
    ) -> Result<NonNull<u8>, Error> {
        self.check(Side::Sender)?;
        let (position, _) = self.wait(length as u64, timeout_ms)?;
        Ok(self.ring.view().bytes(position))
    }

    /// Sends the message in the reserved room; `length` is at most the reserved length.
    #[inline(always)]
    pub fn commit(&mut self, length: usize) -> Result<(), Error> {
        match self.ring.endpoint().is_exclusive() {
            true => self.publish(length),
            false => self.finish(length as u64, |channel| channel.publish(length)),
        }
    }

    #[inline(always)]
    fn publish(&mut self, length: usize) -> Result<(), Error> {
        self.ring.publish(length as u64)?;
        self.notify(Side::Receiver);
        Ok(())
    }

    /// Returns the address and the length of the next message, valid until [`Self::release`]. Its
    /// sender can still change the bytes. Waits for a message same as [`Self::receive`].
    #[inline(always)]
    pub fn peek(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        match self.peek_at_once() {
            Some(message) => Ok(message),
            None => self.peek_or_wait(timeout_ms),
        }
    }

    /// Same as [`Self::peek`], if the end is not shared and there is a message.
    #[inline(always)]
    pub fn peek_at_once(&mut self) -> Option<(NonNull<u8>, usize)> {
        self.ring.peek_at_once()
    }

    /// Same as [`Self::peek`], after [`Self::peek_at_once`] returned `None`.
    #[cold]
    #[inline(never)]
    pub fn peek_or_wait(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        self.check(Side::Receiver)?;
        let (position, length) = self.wait(0, timeout_ms)?;
        Ok((self.ring.view().bytes(position), length as usize))
    }

    /// Frees the message that [`Self::peek`] returned.
    #[inline(always)]
    pub fn release(&mut self) -> Result<(), Error> {
        match self.ring.endpoint().is_exclusive() {
            true => self.free(),
            false => self.finish(0, Self::free),
        }
    }

    #[inline(always)]
    fn free(&mut self) -> Result<(), Error> {
        self.ring.release()?;
        self.notify(Side::Sender);
        Ok(())
    }

    /// Wakes the other side, if it sleeps, after a message was sent or freed.
    #[inline(always)]
    fn notify(&mut self, other: Side) {
        if wakeup::needs_wake(self.ring.view().sleep(other)) {
            self.wake(other);
        }
    }

    #[cold]
    #[inline(never)]
    fn wake(&mut self, other: Side) {
        self.sleep.wake(&self.ring, other);
    }

    /// Waits until a message of this length can be reserved, or until a message can be peeked. A failed
    /// wait cancels an earlier reserve or peek.
    #[inline(always)]
    fn wait(&mut self, length: u64, timeout_ms: c_int) -> Result<(u64, u64), Error> {
        let result = match self.ring.attempt(length) {
            Err(Blocked::Wait) if timeout_ms != 0 || self.ring.is_locked_out() => {
                self.sleep.wait(&mut self.ring, length, timeout_ms)
            }
            result => result.map_err(Error::from),
        };
        let result = match (result, &mut self.watch) {
            (Err(error), Some(watch)) if error.errno == Errno::EAGAIN => {
                poll::attempt(watch, &mut self.ring, &mut self.sleep, length)
            }
            (result, _) => result,
        };
        result.inspect_err(|_| self.ring.cancel())
    }

    /// A descriptor for poll(2), which is readable (POLLIN) while this end may be able to proceed: until a
    /// call with the timeout 0 returns EAGAIN or reports the peer's death. It belongs to this handle.
    pub fn poll_descriptor(&mut self) -> Result<c_int, Error> {
        if self.ring.endpoint().is_inherited() {
            return Err(self.ring.refused());
        }
        watch::descriptor(&mut self.watch, self.ring.endpoint().file())
    }

    /// Commits or releases at an end that is shared or inherited. `length` is that of the message.
    #[cold]
    #[inline(never)]
    fn finish(
        &mut self,
        length: u64,
        publish_or_free: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.ring.endpoint().is_inherited() {
            return Err(self.ring.refused());
        }
        publish_or_free(self)?;
        self.ring.unlock(length);
        Ok(())
    }

    /// Whether this handle is of this side and was not inherited.
    fn check(&self, side: Side) -> Result<(), Error> {
        let endpoint = self.ring.endpoint();
        match endpoint.side() == side && !endpoint.is_inherited() {
            true => Ok(()),
            false => Err(self.ring.refused()),
        }
    }

    /// The state of the channel now.
    pub fn info(&self) -> Result<Info, Error> {
        if self.ring.endpoint().is_inherited() {
            return Err(self.ring.refused());
        }
        let memory = self.ring.view();
        let (head, received) = ring::snapshot(memory.head(), memory.received());
        let (tail, sent) = ring::snapshot(memory.tail(), memory.sent());
        Ok(Info {
            capacity: memory.capacity(),
            used: tail.saturating_sub(head).min(memory.capacity()),
            sent,
            received,
            sender_alive: self.ring.endpoint().is_held(Side::Sender),
            receiver_alive: self.ring.endpoint().is_held(Side::Receiver),
        })
    }
}
