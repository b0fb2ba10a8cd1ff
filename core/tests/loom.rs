//! The ring and the handshake under loom: small cases, in all interleavings and all that the memory
//! model allows. Run by `RUSTFLAGS='--cfg loom' cargo test -p shmcomm --release --test loom`.
//!
//! A process that dies is one whose operations on memory have no effect from the k-th on, for all k.
//! Its successor runs in the same thread, since the kernel orders the two: it is by a lock's release
//! that the successor learns of the death.
//!
//! What is not modelled: payload that is not words, the double mapping (indices wrap instead), and
//! that a compiler may reorder relaxed stores which a death then falls in between (all that matter
//! are release stores).
#![cfg(loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::arc_with_non_send_sync
)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use shmcomm::channel::lock;
use shmcomm::channel::ring::{self, Blocked, Consumer, Producer, WORD, Words, max_message};
use shmcomm::channel::wakeup::{self, FENCE_FREE_AFTER, FENCED, SLEEPING, SleepEnd, SleepWord};
use shmcomm::channel::word::{Word32, Word64};

/// A word, and what tells loom that a payload is read or written there.
struct Cell64 {
    word: AtomicU64,
    payload: UnsafeCell<()>,
}

impl Cell64 {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            payload: UnsafeCell::new(()),
        }
    }
}

/// What the processes share.
struct Memory {
    ring: Vec<Cell64>,
    head: Cell64,
    tail: Cell64,
    sent: Cell64,
    received: Cell64,
    sleep: AtomicU32,
    /// Of the receiving end, where it is shared.
    lock: AtomicU32,
    always_fenced: AtomicU32,
    kernel: Kernel,
    /// Every operation changes it, without ordering anything: loom remembers only the last access to
    /// a word, and would leave out what a thread's own later load hides.
    steps: AtomicU32,
}

/// membarrier(2): the other side's processor is interrupted between two of its operations, makes a
/// fence, and says so; the caller waits for that.
struct Kernel {
    asked: AtomicU32,
    answered: AtomicU32,
    /// futex(2): a queue with a lock. Nobody sleeps with a timeout: a lost wake-up is a deadlock.
    futex: Mutex<()>,
    sleepers: Condvar,
    /// Only where a process has vanished, sleeps end by themselves.
    has_vanished: AtomicBool,
}

impl Memory {
    fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            ring: (0..capacity / WORD).map(|_| Cell64::new()).collect(),
            head: Cell64::new(),
            tail: Cell64::new(),
            sent: Cell64::new(),
            received: Cell64::new(),
            sleep: AtomicU32::new(0),
            lock: AtomicU32::new(0),
            always_fenced: AtomicU32::new(0),
            kernel: Kernel {
                asked: AtomicU32::new(0),
                answered: AtomicU32::new(0),
                futex: Mutex::new(()),
                sleepers: Condvar::new(),
                has_vanished: AtomicBool::new(false),
            },
            steps: AtomicU32::new(0),
        })
    }

    fn capacity(&self) -> u64 {
        self.ring.len() as u64 * WORD
    }
}

const GONE: u32 = u32::MAX;

/// A word as one process sees it.
struct Seen {
    memory: Arc<Memory>,
    which: fn(&Memory, usize) -> &Cell64,
    index: usize,
    life: Arc<Life>,
}

/// How many operations a process still has, and whether it is interrupted by barriers.
struct Life {
    left: Cell<u32>,
    interrupted: bool,
}

// SAFETY: each process is one thread.
unsafe impl Send for Life {}
// SAFETY: likewise.
unsafe impl Sync for Life {}

impl Life {
    /// Whether the process comes to its next operation.
    fn goes_on(&self, memory: &Memory) -> bool {
        memory.steps.fetch_add(1, Relaxed);
        if self.interrupted {
            answer(memory);
        }
        let left = self.left.get();
        self.left.set(left.saturating_sub(u32::from(left != GONE)));
        left != 0
    }

    fn is_alive(&self) -> bool {
        self.left.get() != 0
    }
}

/// What the interrupt of a barrier does.
fn answer(memory: &Memory) {
    let asked = memory.kernel.asked.load(Acquire);
    if asked != 0 && asked != memory.kernel.answered.load(Relaxed) {
        fence(SeqCst);
        memory.kernel.answered.store(asked, Release);
    }
}

impl Word64 for Seen {
    fn load(&self, order: Ordering) -> u64 {
        match self.life.goes_on(&self.memory) {
            true => (self.which)(&self.memory, self.index).word.load(order),
            false => 0,
        }
    }
    fn store(&self, value: u64, order: Ordering) {
        if self.life.goes_on(&self.memory) {
            (self.which)(&self.memory, self.index)
                .word
                .store(value, order);
        }
    }
}

/// A process.
struct Process {
    ring: Vec<Seen>,
    head: Seen,
    tail: Seen,
    sent: Seen,
    received: Seen,
    memory: Arc<Memory>,
    life: Arc<Life>,
}

impl Process {
    fn living(memory: &Arc<Memory>, operations: u32, interrupted: bool) -> Self {
        let life = Arc::new(Life {
            left: Cell::new(operations),
            interrupted,
        });
        let seen = |which, index| Seen {
            memory: memory.clone(),
            which,
            index,
            life: life.clone(),
        };
        Self {
            ring: (0..memory.ring.len())
                .map(|index| seen(|memory, index| &memory.ring[index], index))
                .collect(),
            head: seen(|memory, _| &memory.head, 0),
            tail: seen(|memory, _| &memory.tail, 0),
            sent: seen(|memory, _| &memory.sent, 0),
            received: seen(|memory, _| &memory.received, 0),
            memory: memory.clone(),
            life,
        }
    }

    fn new(memory: &Arc<Memory>) -> Self {
        Self::living(memory, GONE, false)
    }

    fn payload_words(&self, position: u64, length: u64) -> impl Iterator<Item = &Seen> {
        let first = position / WORD;
        (first..first + length / WORD).map(|word| &self.ring[word as usize % self.ring.len()])
    }

    fn producer(&self) -> Producer {
        self.try_producer().unwrap()
    }

    fn try_producer(&self) -> Result<Producer, Blocked> {
        Producer::resume(self)
    }

    fn consumer(&self) -> Consumer {
        Consumer::resume(self)
    }

    /// Sends the next message, as `Channel::send`.
    fn send(&self, producer: &mut Producer, lengths: &[u64]) -> Result<(), Blocked> {
        let number = producer.sent();
        let length = lengths[number as usize % lengths.len()];
        let position = producer.reserve(self, length)?;
        for word in self.payload_words(position, length) {
            if self.life.is_alive() {
                let cell = &self.memory.ring[word.index];
                cell.payload.with_mut(|_| ());
                word.store(payload(number), Relaxed);
            }
        }
        producer.publish(self, length);
        Ok(())
    }

    /// Receives the next message, as `Channel::receive`, and checks it.
    fn receive(&self, consumer: &mut Consumer, lengths: &[u64]) -> Result<(), Blocked> {
        let number = consumer.received();
        let (position, length) = consumer.peek(self)?;
        if self.life.is_alive() {
            assert_eq!(length, lengths[number as usize % lengths.len()]);
        }
        for word in self.payload_words(position, length) {
            let cell = &self.memory.ring[word.index];
            if self.life.is_alive() {
                cell.payload.with(|_| ());
                assert_eq!(word.load(Relaxed), payload(number), "message {number}");
            }
        }
        consumer.release(self);
        Ok(())
    }
}

/// Unlike any length word.
fn payload(number: u64) -> u64 {
    1000 + number
}

impl Words for Process {
    type Word = Seen;
    fn capacity(&self) -> u64 {
        self.memory.capacity()
    }
    fn max_message(&self) -> u64 {
        max_message(self.capacity())
    }
    fn length(&self, position: u64) -> &Seen {
        &self.ring[(position / WORD) as usize % self.ring.len()]
    }
    fn head(&self) -> &Seen {
        &self.head
    }
    fn received(&self) -> &Seen {
        &self.received
    }
    fn tail(&self) -> &Seen {
        &self.tail
    }
    fn sent(&self) -> &Seen {
        &self.sent
    }
}

/// A ring in which so many messages have come and gone, so that the next ones go around its end.
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

/// After the operation with this number the sender, the receiver dies.
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
            for life in [sender_lives, GONE] {
                let process = Process::living(&memory, life, false);
                let mut producer = match process.try_producer() {
                    Ok(producer) => producer,
                    // A dead one reads nothing but 0.
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
    for life in [receiver_lives, GONE] {
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

    // All that was sent, and the rest, comes exactly once, in order.
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
    // Room for all.
    Case {
        capacity: 64,
        lengths: &[8, 0],
        before: 0,
        messages: 2,
    },
    // Full after one; the second goes around the end.
    Case {
        capacity: 32,
        lengths: &[8],
        before: 1,
        messages: 2,
    },
    // Each fills the ring.
    Case {
        capacity: 32,
        lengths: &[16],
        before: 2,
        messages: 2,
    },
    // Length words where payload was, and payload where length words were.
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

/// Whether all is wanted, rather than what fits into a newcomer's two minutes.
fn all() -> bool {
    std::env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// Tries everything that takes at most so many preemptions; at most two, which takes a tenth of the
/// time, unless all is wanted.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let preemptions = if all() {
        preemptions
    } else {
        preemptions.min(2)
    };
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

#[test]
fn no_message_is_lost_doubled_or_reordered() {
    for case in &CASES {
        explore(3, move || check(case, GONE, GONE));
    }
}

/// As many operations as a side has in a case, at most.
const OPERATIONS: u32 = 22;

/// The operations of a case after which a side vanishes: each, or samples that differ by case.
fn lives(case: usize) -> impl Iterator<Item = u32> {
    const EVERY: usize = 11;
    let (first, every) = if all() { (0, 1) } else { (case % EVERY, EVERY) };
    (0..OPERATIONS).skip(first).step_by(every)
}

#[test]
fn a_sender_may_vanish_at_any_step() {
    for (number, case) in CASES.iter().enumerate() {
        for life in lives(number) {
            explore(2, move || check(case, life, GONE));
        }
    }
}

#[test]
fn a_receiver_may_vanish_at_any_step() {
    for (number, case) in CASES.iter().enumerate() {
        for life in lives(number) {
            explore(2, move || check(case, GONE, life));
        }
    }
}

fn fence_everywhere(kernel: &Kernel) {
    fence(SeqCst);
    let asked = kernel.asked.fetch_add(1, SeqCst) + 1;
    while kernel.answered.load(Acquire) < asked {
        thread::yield_now();
    }
    fence(SeqCst);
}

/// A word of the handshake or a lock as one process sees it.
struct Seen32 {
    memory: Arc<Memory>,
    which: fn(&Memory) -> &AtomicU32,
    life: Arc<Life>,
    has_barrier: bool,
}

impl Seen32 {
    fn new(process: &Process, which: fn(&Memory) -> &AtomicU32, has_barrier: bool) -> Self {
        Self {
            memory: process.memory.clone(),
            which,
            life: process.life.clone(),
            has_barrier,
        }
    }

    fn word(&self) -> &AtomicU32 {
        (self.which)(&self.memory)
    }

    /// One operation, or nothing and `dead` from a process that has vanished. Loom knows sequential
    /// consistency of fences alone.
    fn operate<T>(&self, order: Ordering, dead: T, operate: impl FnOnce(Ordering) -> T) -> T {
        if !self.life.goes_on(&self.memory) {
            return dead;
        }
        if order == SeqCst {
            fence(SeqCst);
        }
        operate(order)
    }
}

impl Word32 for Seen32 {
    fn load(&self, order: Ordering) -> u32 {
        self.operate(order, 0, |order| self.word().load(order))
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.operate(order, FENCED, |order| self.word().swap(value, order))
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.operate(order, 0, |order| self.word().fetch_and(bits, order))
    }
    fn compare_exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.operate(order, true, |order| {
            self.word()
                .compare_exchange(from, to, order, Relaxed)
                .is_ok()
        })
    }
}

impl SleepWord for Seen32 {
    fn fence(&self) {
        fence(SeqCst);
    }
    fn fence_everywhere(&self) -> bool {
        if self.has_barrier && self.life.is_alive() {
            fence_everywhere(&self.memory.kernel);
        }
        self.has_barrier
    }
    fn wait(&self, expected: u32, _: i64) -> SleepEnd {
        if !self.life.goes_on(&self.memory) {
            return SleepEnd::Woken;
        }
        let kernel = &self.memory.kernel;
        let queue = kernel.futex.lock().unwrap();
        if !self.life.is_alive() {
            // It is killed in its sleep.
        } else if kernel.has_vanished.load(Relaxed) {
            drop(queue);
            thread::yield_now();
        } else if self.word().load(Relaxed) == expected {
            drop(kernel.sleepers.wait(queue).unwrap());
        }
        SleepEnd::Woken
    }
    fn wake(&self) {
        if self.life.goes_on(&self.memory) {
            let _queue = self.memory.kernel.futex.lock().unwrap();
            self.memory.kernel.sleepers.notify_one();
        }
    }
}

/// As `Channel::always_fence`.
fn always_fence(memory: &Memory) {
    memory.always_fenced.store(1, Relaxed);
    memory.sleep.fetch_or(FENCED, SeqCst);
}

/// When it becomes known that the receiver cannot make a barrier for all.
#[derive(Clone, Copy, PartialEq)]
enum Without {
    Never,
    Before,
    Meanwhile,
}

/// A receiver that sleeps whenever there is nothing, and a sender.
fn check_handshake(word: u32, unslept: u32, without: Without, messages: u64) {
    const LENGTHS: [u64; 1] = [0];
    let has_barrier = without == Without::Never;
    let memory = Memory::new(64);
    memory.sleep.store(word, Relaxed);
    if without == Without::Before {
        always_fence(&memory);
    }

    let sender = thread::spawn({
        let memory = memory.clone();
        move || {
            let interrupted = without != Without::Before;
            let process = Process::living(&memory, GONE, interrupted);
            let bed = Seen32::new(&process, |memory| &memory.sleep, has_barrier);
            let mut producer = Producer::resume(&Process::new(&memory)).unwrap();
            let mut unslept = unslept;
            for _ in 0..messages {
                process.send(&mut producer, &LENGTHS).unwrap();
                if wakeup::needs_wake(&bed) {
                    let reaches = || memory.always_fenced.load(Relaxed) == 0;
                    wakeup::wake(&bed, &mut unslept, reaches);
                }
            }
            // It has left the processor: no barrier waits for it.
            fence(SeqCst);
            memory.kernel.answered.store(1000, Release);
        }
    });

    struct Receiver {
        process: Process,
        consumer: Consumer,
        bed: Seen32,
    }
    if without == Without::Meanwhile {
        always_fence(&memory);
        // Who opens a channel spins before it sleeps: by then what the sender does now is done.
        fence_everywhere(&memory.kernel);
    }
    let process = Process::new(&memory);
    let mut receiver = Receiver {
        consumer: Consumer::resume(&process),
        bed: Seen32::new(&process, |memory| &memory.sleep, has_barrier),
        process,
    };
    while receiver.consumer.received() < messages {
        let _ = wakeup::sleep(
            &mut receiver,
            |receiver| &receiver.bed,
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
    explore(4, || check_handshake(FENCED, 0, Without::Before, 1));
    explore(3, || check_handshake(FENCED, 0, Without::Before, 2));
}

#[test]
fn no_wake_up_is_lost_with_a_barrier_for_all() {
    explore(3, || check_handshake(0, 0, Without::Never, 1));
    explore(3, || check_handshake(0, 0, Without::Never, 2));
}

#[test]
fn no_wake_up_is_lost_where_the_fence_is_left_out_again() {
    explore(4, || {
        check_handshake(FENCED, FENCE_FREE_AFTER, Without::Never, 1)
    });
    explore(3, || {
        check_handshake(FENCED, FENCE_FREE_AFTER, Without::Never, 2)
    });
}

#[test]
fn no_wake_up_is_lost_where_somebody_comes_without_the_barrier() {
    explore(3, || {
        check_handshake(FENCED, FENCE_FREE_AFTER, Without::Meanwhile, 2)
    });
}

/// One of the receivers that share an end, as `Channel` at a shared end.
struct Sharer {
    process: Process,
    consumer: Consumer,
    bed: Seen32,
    lock: Seen32,
    slot: u32,
    locked: bool,
    /// Whether it has ever found something to do.
    has_locked: bool,
    held_by: u32,
}

impl Sharer {
    fn new(memory: &Arc<Memory>, slot: u32, life: u32, has_barrier: bool) -> Self {
        let process = Process::living(memory, life, false);
        Self {
            consumer: Consumer::default(),
            bed: Seen32::new(&process, |memory| &memory.sleep, has_barrier),
            lock: Seen32::new(&process, |memory| &memory.lock, has_barrier),
            process,
            slot,
            locked: false,
            has_locked: false,
            held_by: 0,
        }
    }

    fn is_alive(&self) -> bool {
        self.process.life.is_alive()
    }

    /// As `Channel::attempt`.
    fn attempt(&mut self, lengths: &[u64]) -> Result<(), Blocked> {
        self.held_by = 0;
        if !ring::may_have_message(&self.process) {
            return Err(Blocked::Wait);
        }
        self.has_locked |= self.is_alive();
        if let Err(found) = lock::try_lock(&self.lock, self.slot) {
            self.held_by = found;
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

    /// As `Channel::unlock`.
    fn unlock(&mut self) {
        self.locked = false;
        lock::unlock(&self.lock);
        wakeup::wake_next(&self.bed, || ring::may_have_message(&self.process));
    }

    /// Sleeps until it has received a message, or has vanished, or `until` says so.
    fn receive(&mut self, lengths: &[u64], until: impl Fn(&Self) -> bool) -> bool {
        while self.is_alive() && !until(self) {
            let (result, _) = wakeup::sleep(
                self,
                |sharer| &sharer.bed,
                1,
                true,
                |sharer| sharer.attempt(lengths),
                |sharer| always_fence(&sharer.process.memory),
            );
            if result.is_ok() && self.is_alive() {
                return true;
            }
            // As `Channel::look_around`.
            if self.held_by != 0 && self.process.memory.kernel.has_vanished.load(Acquire) {
                lock::unlock_for_dead(&self.lock, self.held_by);
            }
        }
        false
    }
}

const SHARED_LENGTHS: [u64; 1] = [0];

/// Sends so many messages to an end where others may sleep.
fn send_to_sharers(memory: &Arc<Memory>, messages: u64, interrupted: bool) {
    let process = Process::living(memory, GONE, interrupted);
    let bed = Seen32::new(&process, |memory| &memory.sleep, interrupted);
    let mut producer = Producer::resume(&Process::new(memory)).unwrap();
    let mut unslept = 0;
    for _ in 0..messages {
        process.send(&mut producer, &SHARED_LENGTHS).unwrap();
        if wakeup::needs_wake(&bed) {
            wakeup::wake(&bed, &mut unslept, || true);
        }
    }
    fence(SeqCst);
    memory.kernel.answered.store(1000, Release);
}

/// Two receivers share an end, each receives one message: no wake-up is lost, without any timeout.
fn check_sharers(word: u32) {
    let memory = Memory::new(64);
    memory.sleep.store(word, Relaxed);
    let has_barrier = word & FENCED == 0;
    let sender = thread::spawn({
        let memory = memory.clone();
        move || send_to_sharers(&memory, 2, has_barrier)
    });
    let other = thread::spawn({
        let memory = memory.clone();
        move || Sharer::new(&memory, 2, GONE, has_barrier).receive(&SHARED_LENGTHS, |_| false)
    });
    let received = Sharer::new(&memory, 1, GONE, has_barrier).receive(&SHARED_LENGTHS, |_| false);
    assert!(received && other.join().unwrap());
    sender.join().unwrap();
    assert_eq!(Process::new(&memory).consumer().received(), 2);
}

/// From now on a sleep ends after a slice, and the kernel knows that the victim is dead.
fn end_all_sleeps(memory: &Memory) {
    let _queue = memory.kernel.futex.lock().unwrap();
    memory.kernel.has_vanished.store(true, Release);
    memory.kernel.sleepers.notify_all();
}

/// One of two sharers vanishes after so many operations, where it may hold the lock only if there was
/// a message for it: the other one receives the rest.
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
            sharer.receive(&SHARED_LENGTHS, |sharer| {
                sharer.process.memory.kernel.has_vanished.load(Relaxed)
            });
            if !sharer.is_alive() && !sharer.has_locked {
                assert_ne!(lock::holder(memory.lock.load(Relaxed)), 2);
            }
            end_all_sleeps(&memory);
        }
    });
    let mut sharer = Sharer::new(&memory, 1, GONE, false);
    let all = |sharer: &Sharer| {
        let process = Process::new(&sharer.process.memory);
        ring::snapshot(&process.head, &process.received).1 == 2
    };
    while sharer.receive(&SHARED_LENGTHS, all) {}
    end_all_sleeps(&memory);
    victim.join().unwrap();
    sender.join().unwrap();
    assert_eq!(Process::new(&memory).consumer().received(), 2);
}

#[test]
fn no_wake_up_of_a_sharer_is_lost() {
    explore(if all() { 2 } else { 1 }, || check_sharers(FENCED));
    explore(1, || check_sharers(FENCED | SLEEPING));
    explore(1, || check_sharers(0));
}

#[test]
fn a_sharer_may_vanish_at_any_step() {
    for life in (0..40).step_by(if all() { 1 } else { 13 }) {
        explore(1, move || check_vanishing_sharer(life));
    }
}

/// More than the low bits of a count tell.
#[test]
fn no_count_is_another_positions() {
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
        let (position, count) = ring::snapshot(process.tail(), process.sent());
        assert_eq!(position, count * WORD);
        sender.join().unwrap();
    });
}

#[test]
fn a_receiver_that_takes_up_counts_what_it_finds() {
    explore(2, || {
        let memory = Memory::new(16 * WORD);
        let died = thread::spawn({
            let memory = memory.clone();
            // Between the position and the count.
            move || Process::new(&memory).head().store(WORD | 1, Release)
        });
        let next = thread::spawn({
            let memory = memory.clone();
            move || Process::new(&memory).consumer().received()
        });
        let process = Process::new(&memory);
        let (position, count) = ring::snapshot(process.head(), process.received());
        assert_eq!(position, count * WORD);
        died.join().unwrap();
        assert!(next.join().unwrap() <= 1);
    });
}
