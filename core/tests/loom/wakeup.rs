//! The wake-up: no side sleeps through a message, with membarrier(2) and without.

use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::sync::atomic::fence;
use loom::thread;
use shmcomm::channel::ring::{Consumer, Producer};
use shmcomm::channel::wakeup::{self, FENCE_FREE_AFTER, FENCED, SLEEPING};
use std::sync::atomic::Ordering::SeqCst;

use crate::explore;
use crate::model::{IMMORTAL, Memory, Process, fence_everywhere};
use crate::sleep_word::{Seen32, always_fence};

/// When the sender learns that the receiver cannot use membarrier(2).
#[derive(Clone, Copy, PartialEq)]
enum NoBarrier {
    Never,
    Before,
    Meanwhile,
}

/// A sender, and a receiver that sleeps whenever the ring is empty.
fn check_wakeup(word: u32, unslept: u32, no_barrier: NoBarrier, messages: u64) {
    const LENGTHS: [u64; 1] = [0];
    let has_barrier = no_barrier == NoBarrier::Never;
    let memory = Memory::new(64);
    memory.sleep.store(word, Relaxed);
    if no_barrier == NoBarrier::Before {
        always_fence(&memory);
    }

    let sender = thread::spawn({
        let memory = memory.clone();
        move || {
            let interrupted = no_barrier != NoBarrier::Before;
            let process = Process::living(&memory, IMMORTAL, interrupted);
            let sleep_word = Seen32::new(&process, |memory| &memory.sleep, has_barrier);
            let mut producer = Producer::resume(&Process::new(&memory)).unwrap();
            let mut unslept = unslept;
            for _ in 0..messages {
                process.send(&mut producer, &LENGTHS).unwrap();
                if wakeup::needs_wake(&sleep_word) {
                    let reaches = || memory.always_fenced.load(Relaxed) == 0;
                    wakeup::wake(&sleep_word, &mut unslept, reaches, || ());
                }
            }
            // It has left the processor: membarrier(2) no longer waits for it.
            fence(SeqCst);
            memory.kernel.answered.store(1000, Release);
        }
    });

    struct Receiver {
        process: Process,
        consumer: Consumer,
        sleep_word: Seen32,
    }
    if no_barrier == NoBarrier::Meanwhile {
        always_fence(&memory);
        // A process that opens a channel spins before it sleeps; by then the sender has finished what it
        // does now.
        fence_everywhere(&memory.kernel);
    }
    let process = Process::new(&memory);
    let mut receiver = Receiver {
        consumer: Consumer::resume(&process),
        sleep_word: Seen32::new(&process, |memory| &memory.sleep, has_barrier),
        process,
    };
    while receiver.consumer.received() < messages {
        let _ = wakeup::sleep(
            &mut receiver,
            |receiver| &receiver.sleep_word,
            1,
            false,
            |receiver| receiver.process.receive(&mut receiver.consumer, &LENGTHS),
            |receiver| always_fence(&receiver.process.memory),
        );
    }
    sender.join().unwrap();
    assert_eq!(memory.sleep.load(Relaxed) & SLEEPING, 0);
}

#[test]
fn no_wake_up_is_lost_with_a_fence() {
    explore(4, || check_wakeup(FENCED, 0, NoBarrier::Before, 1));
    explore(3, || check_wakeup(FENCED, 0, NoBarrier::Before, 2));
}

#[test]
fn no_wake_up_is_lost_with_membarrier() {
    explore(3, || check_wakeup(0, 0, NoBarrier::Never, 1));
    explore(3, || check_wakeup(0, 0, NoBarrier::Never, 2));
}

#[test]
fn no_wake_up_is_lost_when_the_fence_is_switched_off() {
    explore(4, || {
        check_wakeup(FENCED, FENCE_FREE_AFTER, NoBarrier::Never, 1)
    });
    explore(3, || {
        check_wakeup(FENCED, FENCE_FREE_AFTER, NoBarrier::Never, 2)
    });
}

#[test]
fn no_wake_up_is_lost_when_a_process_without_membarrier_opens_the_channel() {
    explore(3, || {
        check_wakeup(FENCED, FENCE_FREE_AFTER, NoBarrier::Meanwhile, 2)
    });
}
