//! The ring: messages arrive once and in order, and either side may vanish at any step.

use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

use loom::thread;
use shmcomm::channel::ring::{Blocked, WORD, Words, snapshot};
use shmcomm::channel::word::Word64;

use crate::model::{IMMORTAL, Memory, Process};
use crate::{all, explore};

/// A ring through which `before` messages have passed, so that the next ones wrap around its end.
fn used_ring(capacity: u64, lengths: &[u64], before: u64) -> Arc<Memory> {
    let memory = Memory::new(capacity);
    let process = Process::new(&memory);
    let (mut producer, mut consumer) = (process.producer(), process.consumer());
    for _ in 0..before {
        process.send(&mut producer, lengths).unwrap();
        process.receive(&mut consumer, lengths).unwrap();
    }
    memory
}

struct Case {
    capacity: u64,
    lengths: &'static [u64],
    before: u64,
    messages: u64,
}

/// The sender and the receiver vanish after this number of operations.
fn check(case: &Case, sender_lives: u32, receiver_lives: u32) {
    let &Case {
        capacity,
        lengths,
        before,
        messages,
    } = case;
    let memory = used_ring(capacity, lengths, before);
    let last = before + messages;

    let sender = thread::spawn({
        let memory = memory.clone();
        move || {
            for life in [sender_lives, IMMORTAL] {
                let process = Process::living(&memory, life, false);
                let mut producer = match process.try_producer() {
                    Ok(producer) => producer,
                    // A vanished process loads only zeros.
                    Err(_) if !process.life.is_alive() => continue,
                    Err(blocked) => panic!("{blocked:?}"),
                };
                while process.life.is_alive() && producer.sent() < last {
                    if process.send(&mut producer, lengths).is_err() {
                        break;
                    }
                }
            }
        }
    });

    let mut certain = before;
    for life in [receiver_lives, IMMORTAL] {
        let process = Process::living(&memory, life, false);
        let mut consumer = process.consumer();
        assert!(consumer.received() >= certain || !process.life.is_alive());
        for _ in 0..messages {
            if process.receive(&mut consumer, lengths).is_err() || !process.life.is_alive() {
                break;
            }
            certain = consumer.received();
        }
    }
    sender.join().unwrap();

    // Each message arrives exactly once and in order; those that no sender has published follow.
    let process = Process::new(&memory);
    let (mut producer, mut consumer) = (process.producer(), process.consumer());
    assert!(producer.sent() >= consumer.received());
    assert!(consumer.received() >= certain);
    loop {
        match process.receive(&mut consumer, lengths) {
            Ok(()) => {}
            Err(Blocked::Wait) if producer.sent() < last => {
                assert_eq!(consumer.received(), producer.sent());
                process.send(&mut producer, lengths).unwrap();
            }
            Err(blocked) => {
                assert_eq!(blocked, Blocked::Wait);
                break;
            }
        }
    }
    assert_eq!((producer.sent(), consumer.received()), (last, last));
}

const CASES: [Case; 5] = [
    // Room for all messages.
    Case {
        capacity: 64,
        lengths: &[8, 0],
        before: 0,
        messages: 2,
    },
    // Full after one message; the second wraps around the end.
    Case {
        capacity: 32,
        lengths: &[8],
        before: 1,
        messages: 2,
    },
    // Each message fills the ring.
    Case {
        capacity: 32,
        lengths: &[16],
        before: 2,
        messages: 2,
    },
    // Length words replace payload, and payload replaces length words.
    Case {
        capacity: 32,
        lengths: &[0, 8],
        before: 3,
        messages: 3,
    },
    Case {
        capacity: 16,
        lengths: &[0],
        before: 1,
        messages: 3,
    },
];

#[test]
fn no_message_is_lost_doubled_or_reordered() {
    for case in &CASES {
        explore(3, move || check(case, IMMORTAL, IMMORTAL));
    }
}

/// No side makes more operations in a case.
const MAX_OPERATIONS: u32 = 22;

/// The numbers of operations after which a side vanishes: each, or samples that differ by case.
fn lives(case: usize) -> impl Iterator<Item = u32> {
    const EVERY: usize = 11;
    let (first, every) = if all() { (0, 1) } else { (case % EVERY, EVERY) };
    (0..MAX_OPERATIONS).skip(first).step_by(every)
}

#[test]
fn a_sender_may_vanish_at_any_step() {
    for (number, case) in CASES.iter().enumerate() {
        for life in lives(number) {
            explore(2, move || check(case, life, IMMORTAL));
        }
    }
}

#[test]
fn a_receiver_may_vanish_at_any_step() {
    for (number, case) in CASES.iter().enumerate() {
        for life in lives(number) {
            explore(2, move || check(case, IMMORTAL, life));
        }
    }
}

/// More messages than the low bits of a position can count.
#[test]
fn a_snapshot_never_pairs_a_position_with_another_count() {
    const MESSAGES: u64 = 10;

    explore(2, || {
        let memory = Memory::new(16 * WORD);
        let sender = thread::spawn({
            let memory = memory.clone();
            move || {
                let process = Process::new(&memory);
                let mut producer = process.producer();
                for _ in 0..MESSAGES {
                    producer.reserve(&process, 0).unwrap();
                    producer.publish(&process, 0);
                }
            }
        });
        let process = Process::new(&memory);
        let (position, count) = snapshot(process.tail(), process.sent());
        assert_eq!(position, count * WORD);
        sender.join().unwrap();
    });
}

#[test]
fn a_receiver_that_resumes_completes_the_count() {
    explore(2, || {
        let memory = Memory::new(16 * WORD);
        let died = thread::spawn({
            let memory = memory.clone();
            // It dies between the position and the count.
            move || Process::new(&memory).head().store(WORD | 1, Release)
        });
        let next = thread::spawn({
            let memory = memory.clone();
            move || Process::new(&memory).consumer().received()
        });
        let process = Process::new(&memory);
        let (position, count) = snapshot(process.head(), process.received());
        assert_eq!(position, count * WORD);
        died.join().unwrap();
        assert!(next.join().unwrap() <= 1);
    });
}
