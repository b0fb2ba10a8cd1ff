//! The ring of records: the pure algorithm, without a system call.
//!
//! A record is a length word and its bytes. Its sender publishes it in-band, by storing the length
//! word last: what is not published does not exist, so that a sender may die at any instruction.
//! Before that it has zeroed the length word behind the record, where its receiver will look next.
//! The receiver gives the room back by one store of its position.
//!
//! Positions are bytes since the ring was made; their low bits, free since records are aligned,
//! carry the low bits of a count, so that position and count change by the same store. A position
//! or length that was read from the ring is taken once, and checked before it is used.

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
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }
    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
}

/// The words of a ring, wherever they are.
pub trait Words {
    /// What a word is.
    type Word: Word;
    /// The length word at this byte offset, which is a multiple of [`WORD`] below the capacity.
    fn length(&self, offset: u64) -> &Self::Word;
    /// The receiver's position word.
    fn head(&self) -> &Self::Word;
    /// The sender's position word.
    fn tail(&self) -> &Self::Word;
}

/// A position with the low bits of a count.
#[inline(always)]
fn pack(position: u64, count: u64) -> u64 {
    (position & !COUNT_BITS) | (count & COUNT_BITS)
}

#[inline(always)]
fn position(word: u64) -> u64 {
    word & !COUNT_BITS
}

/// The count whose low bits a word carries, given one that is at most a few behind it.
pub fn count(word: u64, behind: u64) -> u64 {
    behind.wrapping_add(word.wrapping_sub(behind) & COUNT_BITS)
}

/// How many bytes a record takes.
#[inline(always)]
fn record_size(length: u64) -> Option<u64> {
    length
        .checked_next_multiple_of(WORD)
        .and_then(|size| size.checked_add(WORD))
}

/// The longest message that a ring of this capacity takes.
pub fn longest(capacity: u64) -> u64 {
    capacity.saturating_sub(2 * WORD)
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

/// A length word: one more than the length, so that 0 is no record.
#[inline(always)]
fn length_word(length: u64) -> u64 {
    length.wrapping_add(1)
}

/// The record at a position: its length and its size, checked; `None` if there is none.
#[inline(always)]
fn record_at(words: &impl Words, capacity: u64, position: u64) -> Result<Option<(u64, u64)>, Stop> {
    let word = words.length(position & offset_mask(capacity)).load(Acquire);
    let Some(length) = word.checked_sub(1) else {
        return Ok(None);
    };
    if length > longest(capacity) {
        return Err(Stop::Corrupt);
    }
    let size = record_size(length).ok_or(Stop::Corrupt)?;
    Ok(Some((length, size)))
}

#[inline(always)]
fn offset_mask(capacity: u64) -> u64 {
    capacity.wrapping_sub(1)
}

/// The sending end of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    capacity: u64,
    tail: u64,
    /// The receiver's position when it was last looked at: it can only have gone on since.
    head: u64,
    sent: u64,
}

impl Producer {
    /// Takes up where the last sender was. The capacity is a power of two; `sent` is the last
    /// sender's count, at most one behind.
    pub fn resume(words: &impl Words, capacity: u64, sent: u64) -> Result<Self, Stop> {
        let head = position(words.head().load(Acquire));
        let word = words.tail().load(Relaxed);
        let mut producer = Self {
            capacity,
            tail: position(word),
            head,
            sent: count(word, sent),
        };
        if producer.tail.abs_diff(head) > capacity {
            return Err(Stop::Corrupt);
        }
        // What was published just before its sender died is not counted yet: one record at most.
        if let Some((_, size)) = record_at(words, capacity, producer.tail)? {
            producer.advance(size);
            if record_at(words, capacity, producer.tail)?.is_some() {
                return Err(Stop::Corrupt);
            }
        }
        if producer.tail < head || producer.used() > capacity {
            return Err(Stop::Corrupt);
        }
        producer.count_in(words);
        Ok(producer)
    }

    fn advance(&mut self, size: u64) {
        self.tail = self.tail.wrapping_add(size);
        self.sent = self.sent.wrapping_add(1);
    }

    /// Stores the position: release, since it must never come before the record that it counts.
    #[inline]
    fn count_in(&self, words: &impl Words) {
        words.tail().store(pack(self.tail, self.sent), Release);
    }

    /// How much lies between the receiver's position and the sender's; 0 if that is yet to come.
    fn used(&self) -> u64 {
        self.tail.saturating_sub(self.head)
    }

    /// How many messages were sent since the ring was made.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Where the bytes of the next message go, as an offset behind which `length` bytes are free.
    #[inline(always)]
    pub fn reserve(&mut self, words: &impl Words, length: u64) -> Result<u64, Stop> {
        if length > longest(self.capacity) {
            return Err(Stop::TooLarge);
        }
        let size = record_size(length).ok_or(Stop::TooLarge)?;
        // The word behind the record must be free too, to say that there is no more.
        let needed = size.wrapping_add(WORD);
        if self.used().wrapping_add(needed) > self.capacity {
            self.look(words, needed)?;
        }
        Ok(self.tail.wrapping_add(WORD) & offset_mask(self.capacity))
    }

    /// Looks where the receiver is by now.
    #[cold]
    fn look(&mut self, words: &impl Words, needed: u64) -> Result<(), Stop> {
        let head = position(words.head().load(Acquire));
        if head < self.head || head > self.tail {
            return Err(Stop::Corrupt);
        }
        self.head = head;
        if self.used().wrapping_add(needed) > self.capacity {
            return Err(Stop::Wait);
        }
        Ok(())
    }

    /// Publishes the message whose bytes are where [`Self::reserve`] said; no longer than reserved.
    #[inline(always)]
    pub fn publish(&mut self, words: &impl Words, length: u64) {
        let mask = offset_mask(self.capacity);
        let at = self.tail & mask;
        self.advance(record_size(length).unwrap_or(WORD));
        words.length(self.tail & mask).store(0, Relaxed);
        words.length(at).store(length_word(length), Release);
        self.count_in(words);
    }
}

/// The receiving end of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    capacity: u64,
    head: u64,
    received: u64,
}

impl Consumer {
    /// Takes up where the last receiver was. The capacity is a power of two; `received` is the last
    /// receiver's count, at most one behind.
    pub fn resume(words: &impl Words, capacity: u64, received: u64) -> Self {
        let word = words.head().load(Acquire);
        Self {
            capacity,
            head: position(word),
            received: count(word, received),
        }
    }

    /// How many messages were received since the ring was made.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next message: the offset of its bytes, and its length.
    #[inline(always)]
    pub fn peek(&self, words: &impl Words) -> Result<(u64, u64), Stop> {
        let (length, _) = record_at(words, self.capacity, self.head)?.ok_or(Stop::Wait)?;
        let offset = self.head.wrapping_add(WORD) & offset_mask(self.capacity);
        Ok((offset, length))
    }

    /// Gives the room of the message of this length back, which [`Self::peek`] has found.
    #[inline(always)]
    pub fn release(&mut self, words: &impl Words, length: u64) {
        let size = record_size(length).unwrap_or(WORD);
        self.head = self.head.wrapping_add(size);
        self.received = self.received.wrapping_add(1);
        let word = pack(self.head, self.received);
        words.head().store(word, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    struct Block {
        words: Vec<AtomicU64>,
        head: AtomicU64,
        tail: AtomicU64,
    }

    impl Block {
        fn new(capacity: u64) -> Self {
            Self {
                words: (0..capacity / WORD).map(|_| AtomicU64::new(0)).collect(),
                head: AtomicU64::new(0),
                tail: AtomicU64::new(0),
            }
        }
    }

    impl Words for Block {
        type Word = AtomicU64;
        fn length(&self, offset: u64) -> &AtomicU64 {
            &self.words[(offset / WORD) as usize]
        }
        fn head(&self) -> &AtomicU64 {
            &self.head
        }
        fn tail(&self) -> &AtomicU64 {
            &self.tail
        }
    }

    const CAPACITY: u64 = 128;

    #[test]
    fn messages_of_all_lengths_come_in_order() {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block, CAPACITY, 0).unwrap();
        let mut consumer = Consumer::resume(&block, CAPACITY, 0);
        for round in 0..1000 {
            let length = round % (longest(CAPACITY) + 1);
            assert_eq!(consumer.peek(&block), Err(Stop::Wait));
            let offset = producer.reserve(&block, length).unwrap();
            // Payload that looks like length words must not be taken for them.
            for word in 0..length / WORD {
                block
                    .length((offset + word * WORD) % CAPACITY)
                    .store(u64::MAX - word, SeqCst);
            }
            producer.publish(&block, length);
            assert_eq!(consumer.peek(&block), Ok((offset, length)));
            consumer.release(&block, length);
        }
        assert_eq!((producer.sent(), consumer.received()), (1000, 1000));
    }

    #[test]
    fn a_full_ring_waits_for_its_receiver() {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block, CAPACITY, 0).unwrap();
        let mut consumer = Consumer::resume(&block, CAPACITY, 0);
        let mut sent = 0;
        while producer.reserve(&block, 8).is_ok() {
            producer.publish(&block, 8);
            sent += 1;
        }
        assert_eq!(sent, (CAPACITY - WORD) / 16);
        assert_eq!(producer.reserve(&block, 8), Err(Stop::Wait));
        let too_large = longest(CAPACITY) + 1;
        assert_eq!(producer.reserve(&block, too_large), Err(Stop::TooLarge));
        consumer.release(&block, 8);
        assert!(producer.reserve(&block, 8).is_ok());
    }

    #[test]
    fn who_comes_next_takes_up_where_a_dead_one_was() {
        let block = Block::new(CAPACITY);
        for round in 0..1000_u64 {
            let mut producer = Producer::resume(&block, CAPACITY, round.saturating_sub(1)).unwrap();
            assert_eq!(producer.sent(), round);
            producer.reserve(&block, 8).unwrap();
            let tail = block.tail.load(SeqCst);
            producer.publish(&block, 8);
            if round % 3 == 0 {
                // Died between publishing and counting.
                block.tail.store(tail, SeqCst);
            }
            if round % 2 == 0 {
                // Its message may be received before the next sender comes.
                let mut consumer = Consumer::resume(&block, CAPACITY, round);
                assert_eq!(consumer.received(), round);
                consumer.release(&block, 8);
                let producer = Producer::resume(&block, CAPACITY, round).unwrap();
                assert_eq!(producer.sent(), round + 1);
            } else {
                let mut consumer = Consumer::resume(&block, CAPACITY, round);
                assert!(consumer.peek(&block).is_ok());
                consumer.release(&block, 8);
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_told() {
        for (head, tail) in [(1 << 40, 0), (0, 1 << 40), (8, 0), (u64::MAX, 0)] {
            let block = Block::new(CAPACITY);
            block.head.store(head, SeqCst);
            block.tail.store(tail, SeqCst);
            let result = Producer::resume(&block, CAPACITY, 0);
            assert_eq!(result.err(), Some(Stop::Corrupt), "{head} {tail}");
        }
        let block = Block::new(CAPACITY);
        for word in [u64::MAX, CAPACITY, longest(CAPACITY) + 2] {
            block.length(0).store(word, SeqCst);
            let consumer = Consumer::resume(&block, CAPACITY, 0);
            assert_eq!(consumer.peek(&block), Err(Stop::Corrupt));
        }
        // A receiver ahead of all that was sent.
        for head in [CAPACITY, u64::MAX] {
            let block = Block::new(CAPACITY);
            let mut producer = Producer::resume(&block, CAPACITY, 0).unwrap();
            producer.reserve(&block, 96).unwrap();
            producer.publish(&block, 96);
            block.head.store(head, SeqCst);
            assert_eq!(producer.reserve(&block, 96), Err(Stop::Corrupt));
        }
        // A circle of records that never ends.
        for offset in 0..CAPACITY / WORD {
            block.length(offset * WORD).store(1, SeqCst);
        }
        // Also where positions end.
        for start in [0, u64::MAX - COUNT_BITS, CAPACITY.wrapping_neg()] {
            block.head.store(start, SeqCst);
            block.tail.store(start, SeqCst);
            let result = Producer::resume(&block, CAPACITY, 0);
            assert_eq!(result.err(), Some(Stop::Corrupt));
        }
    }
}
