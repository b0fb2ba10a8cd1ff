//! A shared end: no wake-up of a receiver is lost, and one of them may vanish at any step.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use loom::sync::atomic::fence;
use loom::thread;
use shmcomm::channel::lock;
use shmcomm::channel::ring::{self, Blocked, Consumer, Producer, Words};
use shmcomm::channel::wakeup::{self, FENCED, SLEEPING};

use crate::model::{IMMORTAL, Memory, Process};
use crate::sleep_word::{Seen32, always_fence};
use crate::{all, explore};

/// One of the receivers that share an end, same as `RingEnd`.
struct Sharer {
    process: Process,
    consumer: Consumer,
    sleep_word: Seen32,
    lock: Seen32,
    slot: u32,
    locked: bool,
    /// Whether it has ever found something to do, so that it may have locked the end.
    has_locked: bool,
    found_locked: u32,
}

impl Sharer {
    fn new(memory: &Arc<Memory>, slot: u32, life: u32, has_barrier: bool) -> Self {
        let process = Process::living(memory, life, false);
        Self {
            consumer: Consumer::default(),
            sleep_word: Seen32::new(&process, |memory| &memory.sleep, has_barrier),
            lock: Seen32::new(&process, |memory| &memory.lock, has_barrier),
            process,
            slot,
            locked: false,
            has_locked: false,
            found_locked: 0,
        }
    }

    fn is_alive(&self) -> bool {
        self.process.life.is_alive()
    }

    /// Same as `RingEnd::attempt`.
    fn attempt(&mut self, lengths: &[u64]) -> Result<(), Blocked> {
        self.found_locked = 0;
        if !ring::may_have_message(&self.process) {
            return Err(Blocked::Wait);
        }
        self.has_locked |= self.is_alive();
        if let Err(found) = lock::try_lock(&self.lock, self.slot) {
            self.found_locked = found;
            return Err(Blocked::Wait);
        }
        self.locked = true;
        if !self.consumer.is_current(&self.process) {
            self.consumer = self.process.consumer();
        }
        let result = match self.is_alive() {
            true => self.process.receive(&mut self.consumer, lengths),
            false => Err(Blocked::Wait),
        };
        self.unlock();
        result
    }

    /// Same as `RingEnd::unlock`.
    fn unlock(&mut self) {
        self.locked = false;
        lock::unlock(&self.lock);
        let more = |_| ring::may_have_message(&self.process);
        let kernel = &self.process.memory.kernel;
        wakeup::wake_next(&self.sleep_word, more, || kernel.poke());
    }

    /// Sleeps until it has received a message, has vanished, or `until` holds.
    fn receive(&mut self, lengths: &[u64], until: impl Fn(&Self) -> bool) -> bool {
        while self.is_alive() && !until(self) {
            let (result, _) = wakeup::sleep(
                self,
                |sharer| &sharer.sleep_word,
                1,
                true,
                |sharer| sharer.attempt(lengths),
                |sharer| always_fence(&sharer.process.memory),
            );
            if result.is_ok() && self.is_alive() {
                return true;
            }
            // Same as `RingEnd::attempt_for_dead`.
            if self.found_locked != 0 && self.process.memory.kernel.has_vanished.load(Acquire) {
                lock::unlock_for_dead(&self.lock, self.found_locked);
            }
        }
        false
    }
}

impl Sharer {
    /// Polls until it has received a message, same as `Poll::attempt`.
    fn receive_polled(&mut self, lengths: &[u64], descriptor: usize) -> bool {
        let memory = self.process.memory.clone();
        loop {
            memory.kernel.poll(descriptor);
            if self.attempt(lengths).is_ok() {
                return true;
            }
            let (result, _) = wakeup::arm(
                self,
                |sharer| &sharer.sleep_word,
                || _ = memory.kernel.drain(descriptor),
                |sharer| sharer.attempt(lengths),
                |sharer| sharer.process.memory.kernel.poke(),
                |sharer| always_fence(&sharer.process.memory),
            );
            if result.is_ok() {
                return true;
            }
        }
    }
}

const LENGTHS: [u64; 1] = [0];

/// Sends this number of messages to the shared end.
fn send_to_sharers(memory: &Arc<Memory>, messages: u64, interrupted: bool) {
    let process = Process::living(memory, IMMORTAL, interrupted);
    let sleep_word = Seen32::new(&process, |memory| &memory.sleep, interrupted);
    let mut producer = Producer::resume(&Process::new(memory)).unwrap();
    let mut unslept = 0;
    for _ in 0..messages {
        process.send(&mut producer, &LENGTHS).unwrap();
        if wakeup::needs_wake(&sleep_word) {
            wakeup::wake(&sleep_word, &mut unslept, || true, || memory.kernel.poke());
        }
    }
    fence(SeqCst);
    memory.kernel.answered.store(1000, Release);
}

/// How a receiver waits.
#[derive(Clone, Copy)]
enum Waits {
    Asleep,
    InPoll,
}

/// Two receivers share an end and each receives one message. No sleep has a timeout.
fn check_sharers(word: u32, waits: [Waits; 2]) {
    let memory = Memory::new(64);
    memory.sleep.store(word, Relaxed);
    let has_barrier = word & FENCED == 0;
    let receive = move |memory: &Arc<Memory>, index: usize| {
        let mut sharer = Sharer::new(memory, index as u32 + 1, IMMORTAL, has_barrier);
        match waits[index] {
            Waits::Asleep => sharer.receive(&LENGTHS, |_| false),
            Waits::InPoll => sharer.receive_polled(&LENGTHS, index),
        }
    };
    let sender = thread::spawn({
        let memory = memory.clone();
        move || send_to_sharers(&memory, 2, has_barrier)
    });
    let other = thread::spawn({
        let memory = memory.clone();
        move || receive(&memory, 1)
    });
    let received = receive(&memory, 0);
    assert!(received && other.join().unwrap());
    sender.join().unwrap();
    assert_eq!(Process::new(&memory).consumer().received(), 2);
}

/// From now on each sleep ends on its own, and the kernel knows that the victim is dead.
fn end_all_sleeps(memory: &Memory) {
    let _queue = memory.kernel.futex.lock().unwrap();
    memory.kernel.has_vanished.store(true, Release);
    memory.kernel.sleepers.notify_all();
}

/// One of two receivers vanishes after this number of operations. It may hold the lock then, but only if
/// there was a message for it. The other one receives the rest.
fn check_vanishing_sharer(life: u32) {
    let memory = Memory::new(64);
    memory.sleep.store(FENCED, Relaxed);
    let sender = thread::spawn({
        let memory = memory.clone();
        move || send_to_sharers(&memory, 2, false)
    });
    let victim = thread::spawn({
        let memory = memory.clone();
        move || {
            let mut sharer = Sharer::new(&memory, 2, life, false);
            sharer.receive(&LENGTHS, |sharer| {
                sharer.process.memory.kernel.has_vanished.load(Relaxed)
            });
            if !sharer.is_alive() && !sharer.has_locked {
                assert_ne!(lock::holder(memory.lock.load(Relaxed)), 2);
            }
            end_all_sleeps(&memory);
        }
    });
    let mut sharer = Sharer::new(&memory, 1, IMMORTAL, false);
    let all = |sharer: &Sharer| {
        let process = Process::new(&sharer.process.memory);
        ring::snapshot(process.head(), process.received()).1 == 2
    };
    while sharer.receive(&LENGTHS, all) {}
    end_all_sleeps(&memory);
    victim.join().unwrap();
    sender.join().unwrap();
    assert_eq!(Process::new(&memory).consumer().received(), 2);
}

#[test]
fn no_wake_up_of_a_sharer_is_lost() {
    let asleep = [Waits::Asleep; 2];
    explore(if all() { 2 } else { 1 }, move || {
        check_sharers(FENCED, asleep)
    });
    explore(1, move || check_sharers(FENCED | SLEEPING, asleep));
    explore(1, move || check_sharers(0, asleep));
}

#[test]
fn no_poke_of_a_sharer_is_lost() {
    let both = [Waits::Asleep, Waits::InPoll];
    explore(1, move || check_sharers(FENCED, both));
    if all() {
        explore(2, move || check_sharers(FENCED, [Waits::InPoll; 2]));
        explore(2, move || check_sharers(FENCED, both));
        explore(1, move || check_sharers(0, [Waits::InPoll; 2]));
        explore(1, move || check_sharers(0, both));
    }
}

#[test]
fn a_sharer_may_vanish_at_any_step() {
    for life in (0..40).step_by(if all() { 1 } else { 13 }) {
        explore(1, move || check_vanishing_sharer(life));
    }
}
