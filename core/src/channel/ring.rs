//! The ring of records: the algorithm alone, without a system call, so that loom can check it.
//!
//! A record is a length word and the bytes of one message. The sender publishes a record by storing
//! its length word last. An unpublished record does not exist, so a sender may die at any
//! instruction. Before it publishes, the sender zeroes the length word after the record, where the
//! receiver looks next. The receiver frees a record with one store of its position.
//!
//! A position counts bytes since the ring was created and is reduced modulo the capacity only when
//! it becomes an offset. Records are 8-byte aligned, so a stored position has three free low bits;
//! they carry the low bits of the message count, and one store updates both.
//!
//! Another process may write anything into the ring. Each position and length is loaded once and
//! checked before it is used.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::word::Word64;
use crate::error::{Call, Errno, Error};

/// Size of a length word and alignment of a record, in bytes.
pub const WORD: u64 = 8;
/// The bits of a stored position that carry the low bits of the message count.
const COUNT_MASK: u64 = WORD - 1;

/// The words of a ring, wherever they are.
pub trait Words {
    /// The type of a word.
    type Word: Word64;
    /// Bytes of records that the ring holds: a power of two.
    fn capacity(&self) -> u64;
    /// [`max_message`] of that capacity.
    fn max_message(&self) -> u64;
    /// The length word at this position, which is reduced modulo the capacity.
    fn length(&self, position: u64) -> &Self::Word;
    /// The receiver's position.
    fn head(&self) -> &Self::Word;
    /// The receiver's message count.
    fn received(&self) -> &Self::Word;
    /// The sender's position.
    fn tail(&self) -> &Self::Word;
    /// The sender's message count.
    fn sent(&self) -> &Self::Word;
}

/// The stored form of a position, with the low bits of the message count.
#[inline(always)]
fn pack(position: u64, count: u64) -> u64 {
    position | (count & COUNT_MASK)
}

#[inline(always)]
pub(super) fn position(word: u64) -> u64 {
    word & !COUNT_MASK
}

/// The message count whose low bits the word carries. `counter` is that count or up to seven less.
fn count(word: u64, counter: u64) -> u64 {
    counter.wrapping_add(word.wrapping_sub(counter) & COUNT_MASK)
}

/// Stores the position and the message count of a side. Both stores release, because neither may
/// become visible before the record that it counts.
#[inline(always)]
fn store_position<W: Word64>(word: &W, position: u64, counter: &W, count: u64) {
    word.store(pack(position, count), Release);
    counter.store(count, Release);
}

/// Loads the position and the message count of a side that may store both meanwhile, the position
/// first.
pub fn snapshot<W: Word64>(word: &W, counter: &W) -> (u64, u64) {
    /// Each retry means that at least seven messages passed between the two loads, so the low bits
    /// are ambiguous.
    const MAX_RETRIES: u32 = 100;

    let mut before = counter.load(Acquire);
    let mut found = 0;
    for _ in 0..MAX_RETRIES {
        found = word.load(Acquire);
        let after = counter.load(Acquire);
        if after.wrapping_sub(before) < COUNT_MASK {
            return (position(found), count(found, before));
        }
        before = after;
    }
    (position(found), before)
}

/// Size of the record of a message that is no longer than the ring.
#[inline(always)]
pub(super) fn record_size(length: u64) -> u64 {
    (length.wrapping_add(COUNT_MASK) & !COUNT_MASK).wrapping_add(WORD)
}

/// The longest message of a ring of this capacity: two length words must fit beside it, its own and
/// the next one.
pub const fn max_message(capacity: u64) -> u64 {
    capacity.saturating_sub(2 * WORD)
}

/// A length word: the length plus one, since 0 means that there is no record.
#[inline(always)]
fn length_word(length: u64) -> u64 {
    length.wrapping_add(1)
}

/// Why no message can be sent or received now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// The ring is full or empty.
    Wait,
    /// The ring holds a value that no sender or receiver stores.
    Corrupt,
    /// The message is longer than [`max_message`].
    TooLarge,
}

impl From<Blocked> for Error {
    fn from(blocked: Blocked) -> Self {
        Call::Channel.failed(match blocked {
            Blocked::Wait => Errno::EAGAIN,
            Blocked::Corrupt => Errno::EBADMSG,
            Blocked::TooLarge => Errno::EMSGSIZE,
        })
    }
}

/// The length of the record at a position, checked.
#[inline(always)]
fn length_at(words: &impl Words, position: u64) -> Result<u64, Blocked> {
    let word = words.length(position).load(Acquire);
    let length = word.wrapping_sub(1);
    match (length > words.max_message(), word) {
        (false, _) => Ok(length),
        (true, 0) => Err(Blocked::Wait),
        (true, _) => Err(Blocked::Corrupt),
    }
}

/// Whether a receiver that does not hold its end may find a message there. If not, the ring was
/// empty at some moment of the call.
pub fn may_have_message(words: &impl Words) -> bool {
    let head = words.head().load(Acquire);
    words.length(position(head)).load(Acquire) != 0 || words.head().load(Relaxed) != head
}

/// The free bytes that a message needs: its record, and the length word after it, which says that
/// no record follows.
#[inline(always)]
fn needed(length: u64) -> u64 {
    record_size(length).wrapping_add(WORD)
}

/// The sending end of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Producer {
    tail: u64,
    /// The position up to which the ring was free when this end last loaded the receiver's position,
    /// which only grows.
    limit: u64,
    sent: u64,
    /// The length word of a message that fills the reserved bytes; 0 if none are reserved.
    reserved: u64,
}

impl Producer {
    /// Continues after the last sender of this ring.
    pub fn resume(words: &impl Words) -> Result<Self, Blocked> {
        let head = position(words.head().load(Acquire));
        let sent = words.sent().load(Relaxed);
        let word = words.tail().load(Relaxed);
        let mut producer = Self {
            tail: position(word),
            limit: head.wrapping_add(words.capacity()),
            sent: count(word, sent),
            reserved: 0,
        };
        if producer.tail.abs_diff(head) > words.capacity() {
            return Err(Blocked::Corrupt);
        }
        // A sender that died right after it published has left that one record uncounted.
        let mut next = length_at(words, producer.tail);
        if let Ok(length) = next {
            producer.tail = producer.tail.wrapping_add(record_size(length));
            producer.sent = producer.sent.wrapping_add(1);
            next = length_at(words, producer.tail);
        }
        if next != Err(Blocked::Wait) || producer.free() > words.capacity() {
            return Err(Blocked::Corrupt);
        }
        if producer.sent != sent {
            store_position(words.tail(), producer.tail, words.sent(), producer.sent);
        }
        Ok(producer)
    }

    /// Whether no other process has sent since, a sender that died right after it published
    /// included.
    #[inline(always)]
    pub fn is_current(&self, words: &impl Words) -> bool {
        words.tail().load(Relaxed) == pack(self.tail, self.sent)
            && words.length(self.tail).load(Relaxed) == 0
    }

    /// Whether a sender that does not hold its end may find room there for a message of this length.
    /// If not, there was none at some moment of the call.
    pub fn may_have_room(&self, words: &impl Words, length: u64) -> bool {
        let tail = position(words.tail().load(Acquire));
        let has_room = |limit: u64| needed(length) <= limit.wrapping_sub(tail);
        // The receiver's position is loaded only if need be: it is on a cache line of the other side.
        let known = self.limit.wrapping_sub(tail) <= words.capacity() && has_room(self.limit);
        let limit = || position(words.head().load(Acquire)).wrapping_add(words.capacity());
        // The holder of the end reports what is corrupt or too large.
        known || length > words.max_message() || has_room(limit())
    }

    #[inline(always)]
    fn free(&self) -> u64 {
        self.limit.wrapping_sub(self.tail)
    }

    /// The position of this end.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Number of messages sent since the ring was created.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Cancels a reservation.
    pub fn cancel(&mut self) {
        self.reserved = 0;
    }

    /// Reserves `length` bytes for the next message and returns their position.
    pub fn reserve(&mut self, words: &impl Words, length: u64) -> Result<u64, Blocked> {
        if let Some(position) = self.reserve_known(length) {
            return Ok(position);
        }
        if length > words.max_message() {
            return Err(Blocked::TooLarge);
        }
        self.update_limit(words)?;
        self.reserve_known(length).ok_or(Blocked::Wait)
    }

    /// Same as [`Self::reserve`], in the bytes that this end already knows to be free.
    #[inline(always)]
    pub fn reserve_known(&mut self, length: u64) -> Option<u64> {
        if length >= self.free() || needed(length) > self.free() {
            return None;
        }
        self.reserved = length_word(length);
        Some(self.tail.wrapping_add(WORD))
    }

    /// Loads the receiver's position.
    fn update_limit(&mut self, words: &impl Words) -> Result<(), Blocked> {
        let limit = position(words.head().load(Acquire)).wrapping_add(words.capacity());
        let free = limit.wrapping_sub(self.tail);
        // A receiver neither goes back nor passes the sender.
        if free < self.free() || free > words.capacity() {
            return Err(Blocked::Corrupt);
        }
        self.limit = limit;
        Ok(())
    }

    /// Whether at least `length` bytes are reserved.
    #[inline(always)]
    pub fn has_reserved(&self, length: u64) -> bool {
        length < self.reserved
    }

    /// Publishes the message in the reserved bytes; `length` is at most the reserved length.
    #[inline(always)]
    pub fn publish(&mut self, words: &impl Words, length: u64) {
        let tail = self.tail;
        let next = tail.wrapping_add(record_size(length));
        let sent = self.sent.wrapping_add(1);
        *self = Self {
            tail: next,
            sent,
            reserved: 0,
            ..*self
        };
        words.length(next).store(0, Relaxed);
        words.length(tail).store(length_word(length), Release);
        store_position(words.tail(), next, words.sent(), sent);
    }
}

/// The receiving end of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consumer {
    head: u64,
    received: u64,
    /// The position after the peeked message; equal to `head` if none is peeked.
    next: u64,
}

impl Consumer {
    /// Continues after the last receiver of this ring.
    pub fn resume(words: &impl Words) -> Self {
        let received = words.received().load(Relaxed);
        let word = words.head().load(Acquire);
        let consumer = Self {
            head: position(word),
            received: count(word, received),
            next: position(word),
        };
        // Each death may leave the counter one behind; the low bits of `head` correct at most seven.
        if consumer.received != received {
            words.received().store(consumer.received, Release);
        }
        consumer
    }

    /// Whether no other process has received since.
    #[inline(always)]
    pub fn is_current(&self, words: &impl Words) -> bool {
        words.head().load(Acquire) == pack(self.head, self.received)
    }

    /// The position of this end.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Number of messages received since the ring was created.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether a message is peeked.
    #[inline(always)]
    pub fn has_peeked(&self) -> bool {
        self.next != self.head
    }

    /// Cancels a peek.
    pub fn cancel(&mut self) {
        self.next = self.head;
    }

    /// The position of the next message and its length.
    #[inline(always)]
    pub fn peek(&mut self, words: &impl Words) -> Result<(u64, u64), Blocked> {
        let length = length_at(words, self.head)?;
        self.next = self.head.wrapping_add(record_size(length));
        Ok((self.head.wrapping_add(WORD), length))
    }

    /// Passes over the peeked message, which stays in the ring until a copy of this end that was made
    /// before frees it.
    pub fn advance(&mut self) {
        self.received = self.received.wrapping_add(u64::from(self.has_peeked()));
        self.head = self.next;
    }

    /// The distance in bytes to an end that has advanced further.
    pub fn bytes_to(&self, ahead: &Self) -> u64 {
        ahead.head.wrapping_sub(self.head)
    }

    /// Frees the peeked message.
    #[inline(always)]
    pub fn release(&mut self, words: &impl Words) {
        let next = self.next;
        let received = self.received.wrapping_add(1);
        *self = Self {
            head: next,
            received,
            next,
        };
        store_position(words.head(), next, words.received(), received);
    }
}
