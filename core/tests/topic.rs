//! The messages of a topic alone: what is kept, what is lost, and values that no writer stores.
#![cfg(not(loom))]
#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use std::sync::atomic::{AtomicU64, Ordering, Ordering::SeqCst, fence};

use shmcomm::channel::ring::Blocked;
use shmcomm::topic::slots::{Reader, Words, Writer};

#[derive(Default)]
struct Block {
    intent: AtomicU64,
    last: AtomicU64,
}

const DEPTH: u64 = 8;

impl Words for Block {
    type Word = AtomicU64;
    fn depth(&self) -> u64 {
        DEPTH
    }
    fn intent(&self) -> &AtomicU64 {
        &self.intent
    }
    fn last(&self) -> &AtomicU64 {
        &self.last
    }
    fn fence(&self, order: Ordering) {
        fence(order);
    }
}

impl Block {
    fn at(intent: u64, last: u64) -> Self {
        Self {
            intent: intent.into(),
            last: last.into(),
        }
    }

    fn write(&self, messages: u64) {
        let mut writer = Writer::resume(self).unwrap();
        for _ in 0..messages {
            writer.begin(self);
            writer.publish(self);
        }
    }
}

#[test]
fn what_is_read_and_lost_is_all_that_was_written() {
    let block = Block::default();
    let mut reader = Reader::start(&block, false);
    let (mut read, mut lost, mut written) = (0, 0, 0);
    for round in 0..1000 {
        block.write(round % 20);
        written += round % 20;
        for _ in 0..round % 7 {
            match reader.next(&block) {
                Ok(number) => {
                    lost += reader.read(number);
                    read += 1;
                    assert_eq!(read + lost, number);
                }
                Err(blocked) => {
                    assert_eq!((blocked, read + lost), (Blocked::Wait, written));
                }
            }
        }
    }
    assert!(read > 1000 && lost > 1000);
}

#[test]
fn a_message_is_whole_until_the_writer_is_back() {
    let block = Block::default();
    block.write(1);
    for later in 2..=DEPTH {
        block.write(1);
        assert!(Reader::is_whole(&block, 1), "{later}");
    }
    let mut writer = Writer::resume(&block).unwrap();
    assert_eq!((writer.begun(), writer.begin(&block)), (None, DEPTH + 1));
    assert!(!Reader::is_whole(&block, 1) && Reader::is_whole(&block, 2));
    // The writer dies there: the next one takes the same number.
    let mut reader = Reader::start(&Block::default(), false);
    assert_eq!(reader.next(&block), Ok(1));
    reader.skip(&block).unwrap();
    assert_eq!(reader.next(&block), Ok(DEPTH / 2 + 1));
    assert_eq!(Writer::resume(&block).unwrap().begin(&block), DEPTH + 1);
}

#[test]
fn a_reader_starts_where_it_is_told() {
    for (intent, last, newest, history) in [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 1, 0, 0),
        (DEPTH, DEPTH, DEPTH - 1, 0),
        (DEPTH + 1, DEPTH, DEPTH - 1, 1),
        (100, 100, 99, 100 - DEPTH),
        // Damaged.
        (u64::MAX, 3, 2, 3),
    ] {
        let block = Block::at(intent, last);
        assert_eq!(Reader::start(&block, false).position(), newest);
        assert_eq!(Reader::start(&block, true).position(), history);
    }
}

#[test]
fn values_that_no_writer_stores_are_corrupt() {
    for (intent, last) in [(0, 1), (2, 0), (u64::MAX, 1), (5, 100)] {
        let block = Block::at(intent, last);
        assert_eq!(Writer::resume(&block).err(), Some(Blocked::Corrupt));
    }
    // A writer that has gone back, or that says it has begun what it cannot have begun.
    let block = Block::at(100, 100);
    let mut reader = Reader::start(&block, false);
    assert_eq!(reader.next(&block).map(|number| reader.read(number)), Ok(0));
    for last in [99, 0, u64::MAX, (1 << 63) + 200] {
        block.last.store(last, SeqCst);
        for _ in 0..2 {
            assert_eq!(reader.next(&block), Err(Blocked::Corrupt), "{last}");
        }
    }
    block.last.store(101, SeqCst);
    block.intent.store(1 << 40, SeqCst);
    assert_eq!(reader.next(&block), Ok(101));
    assert!(!Reader::is_whole(&block, 101));
    assert_eq!(reader.skip(&block), Err(Blocked::Corrupt));
    // Its position did not change: an honest writer repairs the words.
    block.intent.store(101, SeqCst);
    assert_eq!(reader.next(&block).map(|number| reader.read(number)), Ok(0));
}
