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
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use shmcomm::handshake::{self, CALM, FENCED, SLEEPING, SleepWord};
use shmcomm::ring::{Consumer, Producer, Stop, WORD, Word, Words, longest};

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
            always_fenced: AtomicU32::new(0),
            kernel: Kernel {
                asked: AtomicU32::new(0),
                answered: AtomicU32::new(0),
                futex: Mutex::new(()),
                sleepers: Condvar::new(),
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

impl Word for Seen {
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

    fn try_producer(&self) -> Result<Producer, Stop> {
        Producer::resume(self)
    }

    fn consumer(&self) -> Consumer {
        Consumer::resume(self)
    }

    /// Sends the next message, as `Channel::send`.
    fn send(&self, producer: &mut Producer, lengths: &[u64]) -> Result<(), Stop> {
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
    fn receive(&self, consumer: &mut Consumer, lengths: &[u64]) -> Result<(), Stop> {
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
    fn longest(&self) -> u64 {
        longest(self.capacity())
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
                    Err(stop) => panic!("{stop:?}"),
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
            Err(Stop::Wait) if producer.sent() < last => {
                assert_eq!(consumer.received(), producer.sent());
                process.send(&mut producer, lengths).unwrap();
            }
            Err(stop) => {
                assert_eq!(stop, Stop::Wait);
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
    const EVERY: usize = 4;
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

/// A sleep word as one process sees it.
struct Bed {
    memory: Arc<Memory>,
    interrupted: bool,
    has_barrier: bool,
}

impl Bed {
    fn word(&self) -> &AtomicU32 {
        self.memory.steps.fetch_add(1, Relaxed);
        if self.interrupted {
            answer(&self.memory);
        }
        &self.memory.sleep
    }
}

impl SleepWord for Bed {
    fn load(&self, order: Ordering) -> u32 {
        self.word().load(order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word().swap(value, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.word().fetch_and(bits, order)
    }
    fn exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.word()
            .compare_exchange(from, to, order, Relaxed)
            .is_ok()
    }
    fn fence(&self) {
        fence(SeqCst);
    }
    fn fence_everywhere(&self) -> bool {
        if self.has_barrier {
            fence_everywhere(&self.memory.kernel);
        }
        self.has_barrier
    }
    fn wait(&self, expected: u32, _: i64) -> bool {
        let kernel = &self.memory.kernel;
        let queue = kernel.futex.lock().unwrap();
        if self.memory.sleep.load(Relaxed) == expected {
            drop(kernel.sleepers.wait(queue).unwrap());
        }
        true
    }
    fn wake(&self) {
        let _queue = self.memory.kernel.futex.lock().unwrap();
        self.memory.kernel.sleepers.notify_all();
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
fn check_handshake(word: u32, calm: u32, without: Without, messages: u64) {
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
            let bed = Bed {
                memory: memory.clone(),
                interrupted,
                has_barrier,
            };
            let mut producer = Producer::resume(&Process::new(&memory)).unwrap();
            let mut calm = calm;
            for _ in 0..messages {
                process.send(&mut producer, &LENGTHS).unwrap();
                if handshake::is_called(&bed) {
                    let reaches = || memory.always_fenced.load(Relaxed) == 0;
                    handshake::wake(&bed, &mut calm, reaches);
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
        bed: Bed,
    }
    if without == Without::Meanwhile {
        always_fence(&memory);
        // Who opens a channel spins before it sleeps: by then what the sender does now is done.
        fence_everywhere(&memory.kernel);
    }
    let process = Process::new(&memory);
    let mut receiver = Receiver {
        consumer: Consumer::resume(&process),
        process,
        bed: Bed {
            memory: memory.clone(),
            interrupted: false,
            has_barrier,
        },
    };
    while receiver.consumer.received() < messages {
        let _ = handshake::sleep(
            &mut receiver,
            |receiver| &receiver.bed,
            1,
            &mut |receiver: &mut Receiver| {
                receiver.process.receive(&mut receiver.consumer, &LENGTHS)
            },
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
    explore(4, || check_handshake(FENCED, CALM, Without::Never, 1));
    explore(3, || check_handshake(FENCED, CALM, Without::Never, 2));
}

#[test]
fn no_wake_up_is_lost_where_somebody_comes_without_the_barrier() {
    explore(3, || check_handshake(FENCED, CALM, Without::Meanwhile, 2));
}
