//! The memory that processes share, a process that may vanish, and a kernel.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use shmcomm::channel::ring::{Blocked, Consumer, Producer, WORD, Words, max_message};
use shmcomm::channel::word::Word64;

/// A 64-bit word. Loom checks the accesses to `payload`, for a word that holds a part of a message.
pub struct Cell64 {
    word: AtomicU64,
    pub payload: UnsafeCell<()>,
}

impl Cell64 {
    fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            payload: UnsafeCell::new(()),
        }
    }
}

/// The memory that the processes share.
pub struct Memory {
    pub ring: Vec<Cell64>,
    head: Cell64,
    tail: Cell64,
    sent: Cell64,
    received: Cell64,
    pub sleep: AtomicU32,
    /// The lock of the receiving end, if it is shared.
    pub lock: AtomicU32,
    pub always_fenced: AtomicU32,
    pub kernel: Kernel,
    /// Every operation changes this word without ordering anything. Loom remembers only the last access
    /// to a word, and would skip interleavings that a thread's own later load hides.
    steps: AtomicU32,
}

/// The kernel. membarrier(2) interrupts the other side's processor between two of its operations; that
/// processor fences and answers, and the caller waits for the answer.
pub struct Kernel {
    pub asked: AtomicU32,
    pub answered: AtomicU32,
    /// futex(2): a queue with a lock. Sleeps have no timeout, so a lost wake-up is a deadlock.
    pub futex: Mutex<()>,
    pub sleepers: Condvar,
    /// Sleeps end on their own only after a process has vanished.
    pub has_vanished: AtomicBool,
    /// inotify(7): whether the descriptor of each process is readable.
    pub readable: Mutex<[bool; 2]>,
    pub pollers: Condvar,
}

impl Kernel {
    /// `watch::poke`, and the event of a file's close.
    pub fn poke(&self) {
        *self.readable.lock().unwrap() = [true; 2];
        self.pollers.notify_all();
    }

    /// poll(2), without a timeout: a lost poke is a deadlock.
    pub fn poll(&self, descriptor: usize) {
        let mut readable = self.readable.lock().unwrap();
        while !readable[descriptor] {
            readable = self.pollers.wait(readable).unwrap();
        }
    }

    /// `Watch::drain`. Returns whether a process has vanished.
    pub fn drain(&self, descriptor: usize) -> bool {
        self.readable.lock().unwrap()[descriptor] = false;
        self.has_vanished.load(Acquire)
    }
}

impl Memory {
    pub fn new(capacity: u64) -> Arc<Self> {
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
                readable: Mutex::new([true; 2]),
                pollers: Condvar::new(),
            },
            steps: AtomicU32::new(0),
        })
    }

    fn capacity(&self) -> u64 {
        self.ring.len() as u64 * WORD
    }
}

/// The life of a process that does not vanish.
pub const IMMORTAL: u32 = u32::MAX;

/// A 64-bit word as one process sees it.
pub struct Seen64 {
    memory: Arc<Memory>,
    which: fn(&Memory, usize) -> &Cell64,
    pub index: usize,
    life: Arc<Life>,
}

/// The number of operations that a process still makes, and whether membarrier(2) interrupts it.
pub struct Life {
    left: Cell<u32>,
    interrupted: bool,
}

// SAFETY: each process is one thread.
unsafe impl Send for Life {}
// SAFETY: each process is one thread.
unsafe impl Sync for Life {}

impl Life {
    /// Whether the process makes its next operation.
    pub fn proceeds(&self, memory: &Memory) -> bool {
        memory.steps.fetch_add(1, Relaxed);
        if self.interrupted {
            answer(memory);
        }
        let left = self.left.get();
        self.left
            .set(left.saturating_sub(u32::from(left != IMMORTAL)));
        left != 0
    }

    pub fn is_alive(&self) -> bool {
        self.left.get() != 0
    }
}

/// The interrupt of membarrier(2).
fn answer(memory: &Memory) {
    let asked = memory.kernel.asked.load(Acquire);
    if asked != 0 && asked != memory.kernel.answered.load(Relaxed) {
        fence(SeqCst);
        memory.kernel.answered.store(asked, Release);
    }
}

impl Word64 for Seen64 {
    fn load(&self, order: Ordering) -> u64 {
        match self.life.proceeds(&self.memory) {
            true => (self.which)(&self.memory, self.index).word.load(order),
            false => 0,
        }
    }
    fn store(&self, value: u64, order: Ordering) {
        if self.life.proceeds(&self.memory) {
            (self.which)(&self.memory, self.index)
                .word
                .store(value, order);
        }
    }
}

/// A process.
pub struct Process {
    ring: Vec<Seen64>,
    head: Seen64,
    tail: Seen64,
    sent: Seen64,
    received: Seen64,
    pub memory: Arc<Memory>,
    pub life: Arc<Life>,
}

impl Process {
    /// A process that vanishes after this number of operations.
    pub fn living(memory: &Arc<Memory>, operations: u32, interrupted: bool) -> Self {
        let life = Arc::new(Life {
            left: Cell::new(operations),
            interrupted,
        });
        let seen = |which, index| Seen64 {
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

    pub fn new(memory: &Arc<Memory>) -> Self {
        Self::living(memory, IMMORTAL, false)
    }

    fn payload_words(&self, position: u64, length: u64) -> impl Iterator<Item = &Seen64> {
        let first = position / WORD;
        (first..first + length / WORD).map(|word| &self.ring[word as usize % self.ring.len()])
    }

    pub fn producer(&self) -> Producer {
        self.try_producer().unwrap()
    }

    pub fn try_producer(&self) -> Result<Producer, Blocked> {
        Producer::resume(self)
    }

    pub fn consumer(&self) -> Consumer {
        Consumer::resume(self)
    }

    /// Sends the next message, same as `Channel::send`.
    pub fn send(&self, producer: &mut Producer, lengths: &[u64]) -> Result<(), Blocked> {
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

    /// Receives the next message, same as `Channel::receive`, and checks it.
    pub fn receive(&self, consumer: &mut Consumer, lengths: &[u64]) -> Result<(), Blocked> {
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

/// The payload of the message with this number, which no length word equals.
fn payload(number: u64) -> u64 {
    1000 + number
}

impl Words for Process {
    type Word = Seen64;
    fn capacity(&self) -> u64 {
        self.memory.capacity()
    }
    fn max_message(&self) -> u64 {
        max_message(self.capacity())
    }
    fn length(&self, position: u64) -> &Seen64 {
        &self.ring[(position / WORD) as usize % self.ring.len()]
    }
    fn head(&self) -> &Seen64 {
        &self.head
    }
    fn received(&self) -> &Seen64 {
        &self.received
    }
    fn tail(&self) -> &Seen64 {
        &self.tail
    }
    fn sent(&self) -> &Seen64 {
        &self.sent
    }
}

/// membarrier(2), as its caller sees it.
pub fn fence_everywhere(kernel: &Kernel) {
    fence(SeqCst);
    let asked = kernel.asked.fetch_add(1, SeqCst) + 1;
    while kernel.answered.load(Acquire) < asked {
        thread::yield_now();
    }
    fence(SeqCst);
}
