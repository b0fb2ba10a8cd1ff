//! A receiver that reads messages before it frees those that it has read.
//!
//! Its death costs nothing: what was read and not released is there for the next receiver, because
//! reading stores nothing in the ring.
//!
//! The channel's descriptor for poll(2), if it has one, tells of messages that were not read. After a
//! rewind it may not be readable although there are messages.

use core::ffi::c_int;
use core::ptr::NonNull;

use super::ring::{Blocked, Consumer, Words};
use super::{Channel, Side};
use crate::error::Error;

/// The receiving end of a channel, read ahead of what is released.
pub struct ReadAhead {
    /// Its end of the ring is at the next message to read.
    channel: Channel,
    /// The oldest message that is not released.
    oldest: Consumer,
}

impl ReadAhead {
    /// Reads ahead in this channel. EINVAL if it is not a receiving end, or shared.
    pub fn new(mut channel: Channel) -> Result<Self, Error> {
        let consumer = channel.ring.consumer()?;
        consumer.cancel();
        let oldest = *consumer;
        Ok(Self { channel, oldest })
    }

    /// The channel, whose next message is the oldest that was not released.
    pub fn into_channel(mut self) -> Channel {
        // A child of fork keeps its position, which it cannot use.
        let _ = self.rewind();
        self.channel
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Number of messages that this receiver and its predecessors have released.
    pub fn released(&self) -> u64 {
        self.oldest.received()
    }

    /// Number of messages that were released or read.
    pub fn read(&self) -> u64 {
        self.channel.ring.count()
    }

    /// Bytes that messages occupy that were read and not released, their length words included.
    pub fn unreleased_bytes(&mut self) -> u64 {
        let oldest = self.oldest;
        let consumer = self.channel.ring.consumer();
        consumer.map_or(0, |consumer| oldest.bytes_to(consumer))
    }

    /// Same as [`Channel::peek`], for the next message that was not read.
    pub fn peek(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        self.channel.peek(timeout_ms)
    }

    /// Makes the peeked message count as read. EINVAL if none is peeked. EBADMSG if more bytes would
    /// then be read than the ring holds, because its lengths are not those that the sender stored.
    pub fn advance(&mut self) -> Result<(), Error> {
        let capacity = self.channel.ring.view().capacity();
        let oldest = self.oldest;
        let consumer = self.channel.ring.consumer()?;
        if !consumer.has_peeked() {
            return Err(Error::INVALID);
        }
        let mut ahead = *consumer;
        ahead.advance();
        if oldest.bytes_to(&ahead) > capacity {
            return Err(Blocked::Corrupt.into());
        }
        *consumer = ahead;
        Ok(())
    }

    /// Frees the oldest message that was read. EINVAL if there is none. EBADMSG if its length has
    /// changed since.
    ///
    /// Messages are freed one at a time: a death between the position and the count may leave the count
    /// at most seven behind.
    pub fn release(&mut self) -> Result<(), Error> {
        let ahead = *self.channel.ring.consumer()?;
        if self.oldest.received() == ahead.received() {
            return Err(Error::INVALID);
        }
        let memory = self.channel.ring.view();
        let mut oldest = self.oldest;
        let before = oldest.bytes_to(&ahead);
        oldest.peek(&memory)?;
        let mut after = oldest;
        after.advance();
        if after.bytes_to(&ahead) > before {
            return Err(Blocked::Corrupt.into());
        }
        oldest.release(&memory);
        self.oldest = oldest;
        self.channel.notify(Side::Sender);
        Ok(())
    }

    /// Reads again from the oldest message that was not released.
    pub fn rewind(&mut self) -> Result<(), Error> {
        *self.channel.ring.consumer()? = self.oldest;
        Ok(())
    }
}
