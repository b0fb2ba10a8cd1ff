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
        count_in(words.tail(), producer.tail, words.sent(), producer.sent);
        Ok(producer)
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
        // The word behind the record must be free too, to say that there is no more.
        let needed = record_size(length).wrapping_add(WORD);
        if length >= self.free() || needed > self.free() {
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

    /// Publishes the message whose bytes are where [`Self::reserve`] said; whether as many were
    /// reserved.
    #[inline(always)]
    pub fn publish(&mut self, words: &impl Words, length: u64) -> bool {
        if length >= self.reserved {
            return false;
        }
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
        true
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
        words.received().store(consumer.received, Release);
        consumer
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

    /// Gives the room of the message back that [`Self::peek`] has found; whether there is one.
    #[inline(always)]
    pub fn release(&mut self, words: &impl Words) -> bool {
        if !self.is_pending() {
            return false;
        }
        let next = self.next;
        let received = self.received.wrapping_add(1);
        *self = Self {
            head: next,
            received,
            next,
        };
        count_in(words.head(), next, words.received(), received);
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    struct Block {
        words: Vec<AtomicU64>,
        head: AtomicU64,
        received: AtomicU64,
        tail: AtomicU64,
        sent: AtomicU64,
    }

    impl Block {
        fn new(capacity: u64) -> Self {
            Self {
                words: (0..capacity / WORD).map(|_| AtomicU64::new(0)).collect(),
                head: AtomicU64::new(0),
                received: AtomicU64::new(0),
                tail: AtomicU64::new(0),
                sent: AtomicU64::new(0),
            }
        }
    }

    impl Words for Block {
        type Word = AtomicU64;
        fn capacity(&self) -> u64 {
            self.words.len() as u64 * WORD
        }
        fn longest(&self) -> u64 {
            longest(self.capacity())
        }
        fn length(&self, position: u64) -> &AtomicU64 {
            &self.words[(position / WORD) as usize % self.words.len()]
        }
        fn head(&self) -> &AtomicU64 {
            &self.head
        }
        fn received(&self) -> &AtomicU64 {
            &self.received
        }
        fn tail(&self) -> &AtomicU64 {
            &self.tail
        }
        fn sent(&self) -> &AtomicU64 {
            &self.sent
        }
    }

    const CAPACITY: u64 = 128;

    fn send(producer: &mut Producer, block: &Block, length: u64) {
        producer.reserve(block, length).unwrap();
        assert!(producer.publish(block, length));
    }

    fn receive(consumer: &mut Consumer, block: &Block) -> u64 {
        let (_, length) = consumer.peek(block).unwrap();
        assert!(consumer.release(block));
        length
    }

    #[test]
    fn messages_of_all_lengths_come_in_order() {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block).unwrap();
        let mut consumer = Consumer::resume(&block);
        for round in 0..1000 {
            let length = round % (longest(CAPACITY) + 1);
            assert_eq!(consumer.peek(&block), Err(Stop::Wait));
            let position = producer.reserve(&block, length).unwrap();
            // Payload that looks like length words must not be taken for them.
            for word in 0..length / WORD {
                block
                    .length(position + word * WORD)
                    .store(u64::MAX - word, SeqCst);
            }
            assert!(producer.publish(&block, length));
            assert_eq!(consumer.peek(&block), Ok((position, length)));
            assert!(consumer.release(&block));
        }
        assert_eq!((producer.sent(), consumer.received()), (1000, 1000));
    }

    #[test]
    fn a_full_ring_waits_for_its_receiver() {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block).unwrap();
        let mut consumer = Consumer::resume(&block);
        let mut sent = 0;
        while producer.reserve(&block, 8).is_ok() {
            assert!(producer.publish(&block, 8));
            sent += 1;
        }
        assert_eq!(sent, (CAPACITY - WORD) / 16);
        assert_eq!(producer.reserve(&block, 8), Err(Stop::Wait));
        for too_large in [longest(CAPACITY) + 1, u64::MAX - 7, u64::MAX] {
            let result = producer.reserve(&block, too_large);
            assert_eq!(result, Err(Stop::TooLarge));
        }
        assert_eq!(receive(&mut consumer, &block), 8);
        assert!(producer.reserve(&block, 8).is_ok());
    }

    #[test]
    fn only_what_is_reserved_is_published_and_what_is_peeked_at_released() {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block).unwrap();
        let mut consumer = Consumer::resume(&block);
        assert!(!producer.publish(&block, 0));
        assert!(!consumer.release(&block));
        producer.reserve(&block, 20).unwrap();
        assert!(producer.is_pending() && !producer.publish(&block, 21));
        assert!(producer.publish(&block, 3));
        assert!(!producer.is_pending() && !producer.publish(&block, 0));
        assert_eq!(consumer.peek(&block).map(|(_, length)| length), Ok(3));
        consumer.forget();
        assert!(!consumer.is_pending() && !consumer.release(&block));
        assert_eq!(receive(&mut consumer, &block), 3);
        assert!(!consumer.release(&block));
        producer.reserve(&block, 1).unwrap();
        producer.forget();
        assert!(!producer.publish(&block, 0));
        assert_eq!(consumer.peek(&block), Err(Stop::Wait));
    }

    #[test]
    fn who_comes_next_takes_up_where_a_dead_one_was() {
        let block = Block::new(CAPACITY);
        for round in 0..1000_u64 {
            let mut producer = Producer::resume(&block).unwrap();
            assert_eq!(producer.sent(), round);
            let (tail, sent) = (block.tail.load(SeqCst), block.sent.load(SeqCst));
            send(&mut producer, &block, 8);
            if round % 100 != 0 {
                // Died between the position and the count, or before both.
                block.sent.store(sent, SeqCst);
                if round % 3 == 0 {
                    block.tail.store(tail, SeqCst);
                }
            }
            let mut consumer = Consumer::resume(&block);
            assert_eq!(consumer.received(), round);
            let received = block.received.load(SeqCst);
            receive(&mut consumer, &block);
            if round % 100 != 0 {
                // So did its receiver.
                block.received.store(received, SeqCst);
            }
            if round % 2 == 0 {
                // Its message is received before the next sender comes.
                assert_eq!(Producer::resume(&block).unwrap().sent(), round + 1);
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_told() {
        for (head, tail) in [(1 << 40, 0), (0, 1 << 40), (8, 0), (u64::MAX, 0)] {
            let block = Block::new(CAPACITY);
            block.head.store(head, SeqCst);
            block.tail.store(tail, SeqCst);
            let result = Producer::resume(&block);
            assert_eq!(result.err(), Some(Stop::Corrupt), "{head} {tail}");
        }
        let block = Block::new(CAPACITY);
        for word in [u64::MAX, CAPACITY, longest(CAPACITY) + 2] {
            block.length(0).store(word, SeqCst);
            let mut consumer = Consumer::resume(&block);
            assert_eq!(consumer.peek(&block), Err(Stop::Corrupt));
            assert!(!consumer.release(&block));
        }
        // A receiver ahead of all that was sent, or that goes back.
        for head in [216, u64::MAX, 0, 96] {
            let block = Block::new(CAPACITY);
            let mut producer = Producer::resume(&block).unwrap();
            send(&mut producer, &block, 96);
            receive(&mut Consumer::resume(&block), &block);
            send(&mut producer, &block, 96);
            block.head.store(head, SeqCst);
            // Whatever it says: nothing is believed of it.
            for _ in 0..2 {
                assert_eq!(producer.reserve(&block, 96), Err(Stop::Corrupt), "{head}");
            }
        }
        // A circle of records that never ends.
        for offset in 0..CAPACITY / WORD {
            block.length(offset * WORD).store(1, SeqCst);
        }
        // Also where positions end.
        for start in [0, u64::MAX - COUNT_BITS, CAPACITY.wrapping_neg()] {
            block.head.store(start, SeqCst);
            block.tail.store(start, SeqCst);
            let result = Producer::resume(&block);
            assert_eq!(result.err(), Some(Stop::Corrupt));
        }
    }
}
