//! The ring alone: order, room, recovery after a death, and values that no end of it stores.
#![cfg(not(loom))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use shmcomm::channel::ring::{Blocked, Consumer, Producer, WORD, Words, max_message};

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
    fn max_message(&self) -> u64 {
        max_message(self.capacity())
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
    producer.publish(block, length);
}

fn receive(consumer: &mut Consumer, block: &Block) -> u64 {
    let (_, length) = consumer.peek(block).unwrap();
    consumer.release(block);
    length
}

#[test]
fn messages_of_all_lengths_arrive_in_order() {
    let block = Block::new(CAPACITY);
    let mut producer = Producer::resume(&block).unwrap();
    let mut consumer = Consumer::resume(&block);
    for round in 0..1000 {
        let length = round % (max_message(CAPACITY) + 1);
        assert_eq!(consumer.peek(&block), Err(Blocked::Wait));
        let position = producer.reserve(&block, length).unwrap();
        // Payload that looks like a length word is not taken for one.
        for word in 0..length / WORD {
            block
                .length(position + word * WORD)
                .store(u64::MAX - word, SeqCst);
        }
        producer.publish(&block, length);
        assert_eq!(consumer.peek(&block), Ok((position, length)));
        consumer.release(&block);
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
        producer.publish(&block, 8);
        sent += 1;
    }
    assert_eq!(sent, (CAPACITY - WORD) / 16);
    assert_eq!(producer.reserve(&block, 8), Err(Blocked::Wait));
    for too_large in [max_message(CAPACITY) + 1, u64::MAX - 7, u64::MAX] {
        let result = producer.reserve(&block, too_large);
        assert_eq!(result, Err(Blocked::TooLarge));
    }
    assert_eq!(receive(&mut consumer, &block), 8);
    assert!(producer.reserve(&block, 8).is_ok());
}

#[test]
fn only_reserved_room_is_published_and_only_a_peeked_message_released() {
    let block = Block::new(CAPACITY);
    let mut producer = Producer::resume(&block).unwrap();
    let mut consumer = Consumer::resume(&block);
    assert!(!producer.has_reserved(0) && !consumer.has_peeked());
    producer.reserve(&block, 20).unwrap();
    assert!(producer.has_reserved(20) && !producer.has_reserved(21));
    producer.publish(&block, 3);
    assert!(!producer.has_reserved(0));
    assert_eq!(consumer.peek(&block).map(|(_, length)| length), Ok(3));
    consumer.cancel();
    assert!(!consumer.has_peeked());
    assert_eq!(receive(&mut consumer, &block), 3);
    assert!(!consumer.has_peeked());
    producer.reserve(&block, 1).unwrap();
    producer.cancel();
    assert!(!producer.has_reserved(0));
    assert_eq!(consumer.peek(&block), Err(Blocked::Wait));
}

#[test]
fn an_end_continues_where_a_dead_process_left_off() {
    let block = Block::new(CAPACITY);
    for round in 0..1000_u64 {
        let mut producer = Producer::resume(&block).unwrap();
        assert_eq!(producer.sent(), round);
        let (tail, sent) = (block.tail.load(SeqCst), block.sent.load(SeqCst));
        send(&mut producer, &block, 8);
        if round % 100 != 0 {
            // The sender died between the two stores, or before both.
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
            // So did the receiver.
            block.received.store(received, SeqCst);
        }
        if round % 2 == 0 {
            // The message was received before the next sender resumes.
            assert_eq!(Producer::resume(&block).unwrap().sent(), round + 1);
        }
    }
}

#[test]
fn values_that_no_end_stores_are_corrupt() {
    for (head, tail) in [(1 << 40, 0), (0, 1 << 40), (8, 0), (u64::MAX, 0)] {
        let block = Block::new(CAPACITY);
        block.head.store(head, SeqCst);
        block.tail.store(tail, SeqCst);
        let result = Producer::resume(&block);
        assert_eq!(result.err(), Some(Blocked::Corrupt), "{head} {tail}");
    }
    let block = Block::new(CAPACITY);
    for word in [u64::MAX, CAPACITY, max_message(CAPACITY) + 2] {
        block.length(0).store(word, SeqCst);
        let mut consumer = Consumer::resume(&block);
        assert_eq!(consumer.peek(&block), Err(Blocked::Corrupt));
        assert!(!consumer.has_peeked());
    }
    // A receiver that has passed the sender, or that goes back.
    for head in [216, u64::MAX, 0, 96] {
        let block = Block::new(CAPACITY);
        let mut producer = Producer::resume(&block).unwrap();
        send(&mut producer, &block, 96);
        receive(&mut Consumer::resume(&block), &block);
        send(&mut producer, &block, 96);
        block.head.store(head, SeqCst);
        // A refused position is not remembered.
        for _ in 0..2 {
            assert_eq!(
                producer.reserve(&block, 96),
                Err(Blocked::Corrupt),
                "{head}"
            );
        }
    }
    // A circle of records without an end.
    for offset in 0..CAPACITY / WORD {
        block.length(offset * WORD).store(1, SeqCst);
    }
    // Among them positions that are about to wrap.
    for start in [0, u64::MAX - (WORD - 1), CAPACITY.wrapping_neg()] {
        block.head.store(start, SeqCst);
        block.tail.store(start, SeqCst);
        let result = Producer::resume(&block);
        assert_eq!(result.err(), Some(Blocked::Corrupt));
    }
}
