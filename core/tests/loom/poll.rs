//! The descriptor: it is never unreadable while there is a message, with membarrier(2) and without, with
//! blocking calls in between, and although a sender may vanish between its message and the poke.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use loom::sync::atomic::fence;
use loom::thread;
use shmcomm::channel::ring::{Blocked, Consumer, Words, snapshot};
use shmcomm::channel::wakeup::{self, FENCE_FREE_AFTER, FENCED, POLLED};
use std::sync::atomic::Ordering::SeqCst;

use crate::model::{IMMORTAL, Memory, Process};
use crate::sleep_word::{Seen32, always_fence};
use crate::{all, explore};

const LENGTHS: [u64; 1] = [0];

/// Sends this many messages, or as many as its life allows. Its end is an event for the descriptor.
fn send(memory: &Arc<Memory>, unslept: u32, has_barrier: bool, messages: u64, life: u32) {
    let process = Process::living(memory, life, has_barrier);
    let sleep_word = Seen32::new(&process, |memory| &memory.sleep, has_barrier);
    let mut producer = Process::new(memory).producer();
    let mut unslept = unslept;
    for _ in 0..messages {
        process.send(&mut producer, &LENGTHS).unwrap();
        if wakeup::needs_wake(&sleep_word) {
            let reaches = || memory.always_fenced.load(Relaxed) == 0;
            let poke = || {
                if process.life.proceeds(memory) {
                    memory.kernel.poke();
                }
            };
            wakeup::wake(&sleep_word, &mut unslept, reaches, poke);
        }
    }
    // It has left the processor: membarrier(2) no longer waits for it.
    fence(SeqCst);
    memory.kernel.answered.store(1000, Release);
    if !process.life.is_alive() {
        memory.kernel.has_vanished.store(true, Release);
        memory.kernel.poke();
    }
}

struct Receiver {
    process: Process,
    consumer: Consumer,
    sleep_word: Seen32,
}

impl Receiver {
    fn new(memory: &Arc<Memory>, has_barrier: bool) -> Self {
        let process = Process::new(memory);
        Self {
            consumer: process.consumer(),
            sleep_word: Seen32::new(&process, |memory| &memory.sleep, has_barrier),
            process,
        }
    }

    fn attempt(&mut self) -> Result<(), Blocked> {
        self.process.receive(&mut self.consumer, &LENGTHS)
    }

    /// One event of a loop, which receives one message at most. Same as `Poll::attempt`. `None` if it did,
    /// else whether the sender had vanished before.
    fn event(&mut self) -> Option<bool> {
        let memory = self.process.memory.clone();
        memory.kernel.poll(0);
        if self.attempt().is_ok() {
            return None;
        }
        let mut vanished = false;
        let (result, _) = wakeup::arm(
            self,
            |receiver| &receiver.sleep_word,
            || vanished = memory.kernel.drain(0),
            Self::attempt,
            |receiver| receiver.process.memory.kernel.poke(),
            |receiver| always_fence(&receiver.process.memory),
        );
        result.is_err().then_some(vanished)
    }

    /// A call that waits.
    fn wait(&mut self) {
        let received = self.consumer.received();
        while self.consumer.received() == received {
            let _ = wakeup::sleep(
                self,
                |receiver| &receiver.sleep_word,
                1,
                false,
                |receiver| receiver.attempt(),
                |receiver| always_fence(&receiver.process.memory),
            );
        }
    }
}

/// A sender, and a receiver that polls. Before the message with the number `waits` it is armed, and then
/// makes a call that waits.
fn check_poll(word: u32, unslept: u32, has_barrier: bool, messages: u64, waits: Option<u64>) {
    let memory = Memory::new(64);
    memory.sleep.store(word, Relaxed);
    if !has_barrier {
        always_fence(&memory);
    }
    let sender = thread::spawn({
        let memory = memory.clone();
        move || send(&memory, unslept, has_barrier, messages, IMMORTAL)
    });
    let mut receiver = Receiver::new(&memory, has_barrier);
    while receiver.consumer.received() < messages {
        let idle = receiver.event().is_some();
        if idle && waits == Some(receiver.consumer.received()) {
            receiver.wait();
        }
    }
    sender.join().unwrap();
}

#[test]
fn no_poke_is_lost_with_a_fence() {
    explore(4, || check_poll(FENCED, 0, false, 1, None));
    explore(3, || check_poll(FENCED | POLLED, 0, false, 2, None));
}

#[test]
fn no_poke_is_lost_with_membarrier() {
    explore(3, || check_poll(0, 0, true, 1, None));
    explore(3, || check_poll(0, 0, true, 2, None));
    explore(3, || {
        check_poll(FENCED, FENCE_FREE_AFTER, true, 2, None);
    });
}

#[test]
fn no_poke_is_lost_if_a_call_waits_in_between() {
    for waits in 0..2 {
        explore(3, move || check_poll(FENCED, 0, false, 2, Some(waits)));
        if all() {
            explore(3, move || check_poll(0, 0, true, 2, Some(waits)));
        }
    }
}

/// The sender vanishes after this many operations. The receiver learns of it after the last message that
/// was sent.
fn check_vanishing_sender(life: u32) {
    let memory = Memory::new(64);
    always_fence(&memory);
    let sender = thread::spawn({
        let memory = memory.clone();
        move || send(&memory, 0, false, 2, life)
    });
    let mut receiver = Receiver::new(&memory, false);
    while receiver.consumer.received() < 2 && receiver.event() != Some(true) {}
    sender.join().unwrap();
    let process = Process::new(&memory);
    let sent = process.producer().sent();
    assert_eq!(snapshot(process.head(), process.received()).1, sent);
}

#[test]
fn the_descriptor_reports_a_sender_that_vanishes_at_any_step() {
    for life in (0..30).step_by(if all() { 1 } else { 7 }) {
        explore(2, move || check_vanishing_sender(life));
    }
}
