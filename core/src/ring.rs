//! The ring of records: the pure algorithm, without a system call.
//!
//! A record is a length word and the bytes of a message. Its sender publishes it in-band, by storing
//! the length word last: what is not published does not exist, so that a sender may die at any
//! instruction. Before that it has zeroed the length word behind the record, where its receiver will
//! look next. The receiver gives the room back by one store of its position.
//!
//! Positions are bytes since the ring was made, and wrap around its end where they become places;
//! their low bits, free since records are aligned, carry the low bits of a count, so that position
//! and count change by the same store. A position or length that was read from the ring is taken
//! once, and checked before it is used.

use core::sync::atomic::{
    AtomicU64, Ordering,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::error::Errno;

/// What a length word occupies, and what records are aligned to, in bytes.
pub const WORD: u64 = 8;
const COUNT_BITS: u64 = WORD - 1;

/// A word of shared memory: of core's atomics, or of a model checker's.
pub trait Word {
    /// As of an atomic.
    fn load(&self, order: Ordering) -> u64;
    /// As of an atomic.
    fn store(&self, value: u64, order: Ordering);
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }
    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
}

/// The words of a ring, wherever they are.
pub trait Words {
    /// What a word is.
    type Word: Word;
    /// Bytes of records that the ring holds: a power of two.
    fn capacity(&self) -> u64;
    /// What [`longest`] says of it.
    fn longest(&self) -> u64;
    /// The length word at this position, taken modulo the capacity.
    fn length(&self, position: u64) -> &Self::Word;
    /// The receiver's position word.
    fn head(&self) -> &Self::Word;
    /// The receiver's count.
    fn received(&self) -> &Self::Word;
    /// The sender's position word.
    fn tail(&self) -> &Self::Word;
    /// The sender's count.
    fn sent(&self) -> &Self::Word;
}

/// A position with the low bits of a count.
#[inline(always)]
fn pack(position: u64, count: u64) -> u64 {
    position | (count & COUNT_BITS)
}

#[inline(always)]
fn position(word: u64) -> u64 {
    word & !COUNT_BITS
}

/// The count whose low bits a word carries, given one that is at most a few behind it.
fn count(word: u64, behind: u64) -> u64 {
    behind.wrapping_add(word.wrapping_sub(behind) & COUNT_BITS)
}

/// Stores a side's position and count: release, since they must not come before what they count.
#[inline(always)]
fn count_in<W: Word>(word: &W, position: u64, counter: &W, count: u64) {
    word.store(pack(position, count), Release);
    counter.store(count, Release);
}

/// The position of a side and its count, while it changes both: the counter after the position.
pub fn counted<W: Word>(word: &W, counter: &W) -> (u64, u64) {
    /// As often as so many messages may come in between that the low bits do not tell.
    const TRIES: u32 = 100;

    let mut behind = counter.load(Acquire);
    let mut found = 0;
    for _ in 0..TRIES {
        found = word.load(Acquire);
        let now = counter.load(Acquire);
        if now.wrapping_sub(behind) < COUNT_BITS {
            return (position(found), count(found, behind));
        }
        behind = now;
    }
    (position(found), behind)
}

/// What the record of a message takes that is no longer than a ring.
#[inline(always)]
fn record_size(length: u64) -> u64 {
    (length.wrapping_add(COUNT_BITS) & !COUNT_BITS).wrapping_add(WORD)
}

/// The longest message that a ring of this capacity takes: there is a length word behind it, too.
pub const fn longest(capacity: u64) -> u64 {
    capacity.saturating_sub(2 * WORD)
}

/// A length word: one more than the length, so that 0 is no record.
#[inline(always)]
fn length_word(length: u64) -> u64 {
    length.wrapping_add(1)
}

/// Why nothing can be sent or received now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// No room, or nothing to receive.
    Wait,
    /// The ring holds what no sender or receiver has written.
    Corrupt,
    /// Larger than the ring ever takes.
    TooLarge,
}

impl From<Stop> for Errno {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Wait => Self::EAGAIN,
            Stop::Corrupt => Self::EBADMSG,
            Stop::TooLarge => Self::EMSGSIZE,
        }
    }
}

/// The length of the record at a position, checked.
#[inline(always)]
fn length_at(words: &impl Words, position: u64) -> Result<u64, Stop> {
    let word = words.length(position).load(Acquire);
    let length = word.wrapping_sub(1);
    match (length > words.longest(), word) {
        (false, _) => Ok(length),
        (true, 0) => Err(Stop::Wait),
        (true, _) => Err(Stop::Corrupt),
    }
}

/// Whether a receiver that looks without holding its end may find a message. It says no only where
/// there was none at some moment of the call.
pub fn may_have_message(words: &impl Words) -> bool {
    let head = words.head().load(Acquire);
    words.length(position(head)).load(Acquire) != 0 || words.head().load(Relaxed) != head
}

/// The room that a message takes that is no longer than a ring, with the length word after it, which
/// must be free to say that there is no more.
#[inline(always)]
fn needed(length: u64) -> u64 {
    record_size(length).wrapping_add(WORD)
}

/// The sending end of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Producer {
    tail: u64,
    /// The position up to which the ring was free when the receiver's was last looked at, which can
    /// only have gone on since.
    limit: u64,
    sent: u64,
    /// What the length word would be of all that is reserved; 0 if nothing is.
    reserved: u64,
}

impl Producer {
    /// Takes up where the last sender was.
    pub fn resume(words: &impl Words) -> Result<Self, Stop> {
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
            return Err(Stop::Corrupt);
        }
        // What was published just before its sender died is not counted yet: one record at most.
        let mut next = length_at(words, producer.tail);
        if let Ok(length) = next {
            producer.tail = producer.tail.wrapping_add(record_size(length));
            producer.sent = producer.sent.wrapping_add(1);
            next = length_at(words, producer.tail);
        }
        if next != Err(Stop::Wait) || producer.free() > words.capacity() {
            return Err(Stop::Corrupt);
        }
        if producer.sent != sent {
            count_in(words.tail(), producer.tail, words.sent(), producer.sent);
        }
        Ok(producer)
    }

    /// Whether nobody else has sent since: the next message goes where this end left off, and nothing
    /// was published there just before its sender died.
    #[inline(always)]
    pub fn is_current(&self, words: &impl Words) -> bool {
        words.tail().load(Relaxed) == pack(self.tail, self.sent)
            && words.length(self.tail).load(Relaxed) == 0
    }

    /// Whether a sender that looks without holding its end may find room for a message of this length. It
    /// says no only where there was none at some moment of the call.
    pub fn may_have_room(&self, words: &impl Words, length: u64) -> bool {
        let tail = position(words.tail().load(Acquire));
        let has_room = |limit: u64| needed(length) <= limit.wrapping_sub(tail);
        // The receiver's position is looked at only if need be: it is on a line of the other side.
        let known = self.limit.wrapping_sub(tail) <= words.capacity() && has_room(self.limit);
        let limit = || position(words.head().load(Acquire)).wrapping_add(words.capacity());
        // What is wrong is for the holder to report.
        known || length > words.longest() || has_room(limit())
    }

    #[inline(always)]
    fn free(&self) -> u64 {
        self.limit.wrapping_sub(self.tail)
    }

    /// How many messages were sent since the ring was made.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether something is reserved.
    pub fn is_pending(&self) -> bool {
        self.reserved != 0
    }

    /// Gives up what is reserved.
    pub fn forget(&mut self) {
        self.reserved = 0;
    }

    /// The position where the bytes of the next message go; `length` are free there.
    pub fn reserve(&mut self, words: &impl Words, length: u64) -> Result<u64, Stop> {
        if let Some(position) = self.reserve_free(length) {
            return Ok(position);
        }
        if length > words.longest() {
            return Err(Stop::TooLarge);
        }
        self.look(words)?;
        self.reserve_free(length).ok_or(Stop::Wait)
    }

    /// As [`Self::reserve`], in what is known to be free.
    #[inline(always)]
    pub fn reserve_free(&mut self, length: u64) -> Option<u64> {
        if length >= self.free() || needed(length) > self.free() {
            return None;
        }
        self.reserved = length_word(length);
        Some(self.tail.wrapping_add(WORD))
    }

    /// Looks where the receiver is by now.
    fn look(&mut self, words: &impl Words) -> Result<(), Stop> {
        let limit = position(words.head().load(Acquire)).wrapping_add(words.capacity());
        let free = limit.wrapping_sub(self.tail);
        // The receiver goes neither back nor beyond what was sent.
        if free < self.free() || free > words.capacity() {
            return Err(Stop::Corrupt);
        }
        self.limit = limit;
        Ok(())
    }

    /// Whether so many bytes are reserved, or more.
    #[inline(always)]
    pub fn has_reserved(&self, length: u64) -> bool {
        length < self.reserved
    }

    /// Publishes the message whose bytes are where [`Self::reserve`] said; no longer than reserved.
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
        count_in(words.tail(), next, words.sent(), sent);
    }
}

/// The receiving end of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consumer {
    head: u64,
    received: u64,
    /// The position behind the message that is peeked at; `head` if none is.
    next: u64,
}

impl Consumer {
    /// Takes up where the last receiver was.
    pub fn resume(words: &impl Words) -> Self {
        let received = words.received().load(Relaxed);
        let word = words.head().load(Acquire);
        let consumer = Self {
            head: position(word),
            received: count(word, received),
            next: position(word),
        };
        // A counter that is behind by one for each death would soon be behind by more than is told.
        if consumer.received != received {
            words.received().store(consumer.received, Release);
        }
        consumer
    }

    /// Whether nobody else has received since.
    #[inline(always)]
    pub fn is_current(&self, words: &impl Words) -> bool {
        words.head().load(Acquire) == pack(self.head, self.received)
    }

    /// How many messages were received since the ring was made.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether a message is peeked at.
    #[inline(always)]
    pub fn is_pending(&self) -> bool {
        self.next != self.head
    }

    /// Peeks at nothing.
    pub fn forget(&mut self) {
        self.next = self.head;
    }

    /// The next message: the position of its bytes, and its length.
    #[inline(always)]
    pub fn peek(&mut self, words: &impl Words) -> Result<(u64, u64), Stop> {
        let length = length_at(words, self.head)?;
        self.next = self.head.wrapping_add(record_size(length));
        Ok((self.head.wrapping_add(WORD), length))
    }

    /// Gives the room of the message back that [`Self::peek`] has found.
    #[inline(always)]
    pub fn release(&mut self, words: &impl Words) {
        let next = self.next;
        let received = self.received.wrapping_add(1);
        *self = Self {
            head: next,
            received,
            next,
        };
        count_in(words.head(), next, words.received(), received);
    }
}
