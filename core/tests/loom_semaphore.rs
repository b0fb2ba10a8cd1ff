//! The word of an event semaphore under loom: two or three processes, in all interleavings and all that
//! the memory model allows. Run by `RUSTFLAGS='--cfg loom' cargo test -p shmcomm --release --test
//! loom_semaphore`.
//!
//! A process that dies is one whose operations have no effect from the k-th on, for all k. A sleeper
//! looks again on its own only when a process has died, so that a lost wake-up is a deadlock.
#![cfg(loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::arithmetic_side_effects)]
#![allow(clippy::arc_with_non_send_sync)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use shmcomm::Errno;
use shmcomm::semaphore::word::{self, Word};

const REMOVED: u32 = 1 << 31;
/// More operations than a process has.
const LONGEST: u32 = 20;
/// A process that does not die.
const FOREVER: u32 = u32::MAX;

struct Memory {
    word: AtomicU32,
    data: UnsafeCell<u32>,
    /// futex(2): a queue with a lock.
    queue: Mutex<Queue>,
    sleepers: Condvar,
}

#[derive(Default)]
struct Queue {
    sleeping: u32,
    wakes: u32,
    deaths: u32,
}

/// A process, and how many operations it still has.
struct Process {
    memory: Arc<Memory>,
    left: Cell<u32>,
    /// The deaths after which it has looked on its own.
    deaths_seen: Cell<u32>,
}

// SAFETY: each process is one thread.
unsafe impl Send for Process {}

#[derive(Clone, Copy, PartialEq)]
enum Deadline {
    Never,
    Now,
    /// It has not passed before the sleep, and has passed after it.
    DuringSleep,
}

loom::thread_local! {
    static HAS_SLEPT: Cell<bool> = Cell::new(false);
}

impl Process {
    fn is_alive(&self) -> bool {
        self.left.get() != 0
    }

    /// Whether the process comes to its next operation; wakes the sleepers if it has just died.
    fn goes_on(&self) -> bool {
        let left = self.left.get();
        if left == FOREVER || left == 0 {
            return left != 0;
        }
        self.left.set(left - 1);
        if left == 1 {
            self.memory.queue.lock().unwrap().deaths += 1;
            self.memory.sleepers.notify_all();
        }
        left > 1
    }

    fn wait(&self, deadline: Deadline) -> Result<(), Errno> {
        HAS_SLEPT.with(|slept| slept.set(false));
        word::wait(self, deadline, true, || false)
    }

    fn post(&self) {
        assert!(word::try_post(self) || word::post(self) == Ok(()) || !self.is_alive());
    }
}

impl Word for Process {
    type Deadline = Deadline;

    fn load(&self, order: Ordering) -> u32 {
        match self.goes_on() {
            true => self.memory.word.load(order),
            // Ends every loop.
            false => REMOVED,
        }
    }

    fn compare_exchange(&self, from: u32, to: u32, success: Ordering) -> Result<u32, u32> {
        match self.goes_on() {
            true => self
                .memory
                .word
                .compare_exchange(from, to, success, Relaxed),
            false => Ok(from),
        }
    }

    fn sleep(&self, expected: u32, deadline: Deadline) -> Result<(), Errno> {
        if !self.goes_on() {
            return Err(Errno::EIDRM);
        }
        HAS_SLEPT.with(|slept| slept.set(true));
        let mut queue = self.memory.queue.lock().unwrap();
        if self.memory.word.load(Relaxed) != expected {
            return Ok(());
        }
        queue.sleeping += 1;
        if deadline == Deadline::DuringSleep {
            drop(queue);
            thread::yield_now();
            queue = self.memory.queue.lock().unwrap();
        }
        loop {
            if queue.wakes > 0 {
                queue.wakes -= 1;
                queue.sleeping -= 1;
                return Ok(());
            }
            // A look that a real sleeper makes every 80 ms.
            let is_new = self.deaths_seen.replace(queue.deaths) != queue.deaths;
            if is_new || deadline == Deadline::DuringSleep {
                queue.sleeping -= 1;
                return Err(Errno::ETIMEDOUT);
            }
            queue = self.memory.sleepers.wait(queue).unwrap();
        }
    }

    fn wake(&self, how_many: i32) {
        if self.goes_on() {
            let mut queue = self.memory.queue.lock().unwrap();
            let asleep = queue.sleeping - queue.wakes;
            queue.wakes += asleep.min(how_many as u32);
            self.memory.sleepers.notify_all();
        }
    }

    fn has_passed(deadline: Deadline) -> bool {
        match deadline {
            Deadline::Never => false,
            Deadline::Now => true,
            Deadline::DuringSleep => HAS_SLEPT.with(Cell::get),
        }
    }
}

fn all() -> bool {
    std::env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// Tries every interleaving with at most two preemptions; with three if all are wanted.
fn model(check: impl Fn(Arc<Memory>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(if all() { 3 } else { 2 });
    builder.max_branches = 10_000;
    builder.check(move || {
        check(Arc::new(Memory {
            word: AtomicU32::new(0),
            data: UnsafeCell::new(0),
            queue: Mutex::new(Queue::default()),
            sleepers: Condvar::new(),
        }))
    });
}

fn process(memory: &Arc<Memory>, left: u32) -> Process {
    Process {
        memory: memory.clone(),
        left: Cell::new(left),
        deaths_seen: Cell::new(0),
    }
}

fn start<T: 'static>(
    memory: &Arc<Memory>,
    left: u32,
    work: impl FnOnce(&Process) -> T + 'static,
) -> thread::JoinHandle<T> {
    let process = process(memory, left);
    thread::spawn(move || work(&process))
}

/// The operations after which a process dies, at this distance; each with SHMCOMM_TEST_ALL.
fn lives(apart: usize) -> impl Iterator<Item = u32> {
    (1..LONGEST).step_by(if all() { 1 } else { apart })
}

#[test]
fn a_wait_sees_what_was_stored_before_the_post() {
    model(|memory| {
        let waiter = start(&memory, FOREVER, |process| {
            assert!(word::try_take(process) || process.wait(Deadline::Never) == Ok(()));
            // SAFETY: loom checks it.
            process.memory.data.with(|data| unsafe { *data })
        });
        // SAFETY: as above.
        memory.data.with_mut(|data| unsafe { *data = 7 });
        process(&memory, FOREVER).post();
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

#[test]
fn each_of_two_sleepers_gets_its_event() {
    model(|memory| {
        let waiters = [(); 2].map(|()| start(&memory, FOREVER, |p| p.wait(Deadline::Never)));
        let poster = process(&memory, FOREVER);
        poster.post();
        poster.post();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Ok(()));
        }
        assert_eq!(word::value(&poster), Ok(0));
    });
}

/// The waiter that leaves may have been woken in place of the other.
#[test]
fn a_waiter_that_leaves_takes_no_wake_up_along() {
    model(|memory| {
        let leaves = start(&memory, FOREVER, |p| p.wait(Deadline::DuringSleep));
        let stays = start(&memory, FOREVER, |p| p.wait(Deadline::Never));
        let poster = process(&memory, FOREVER);
        poster.post();
        let thief = poster.wait(Deadline::Now);
        poster.post();
        poster.post();
        assert_eq!(stays.join().unwrap(), Ok(()));
        let taken = 1 + [leaves.join().unwrap(), thief].iter().flatten().count();
        assert_eq!(word::value(&poster), Ok(3 - taken as u32));
    });
}

#[test]
fn a_removal_ends_every_wait() {
    model(|memory| {
        let waiters = [(); 2].map(|()| start(&memory, FOREVER, |p| p.wait(Deadline::Never)));
        word::remove(&process(&memory, FOREVER));
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Err(Errno::EIDRM));
        }
    });
}

#[test]
fn a_poster_that_dies_at_any_operation_loses_no_other_event() {
    for life in lives(2) {
        model(move |memory| {
            let waiter = start(&memory, FOREVER, |p| p.wait(Deadline::Never));
            let dies = start(&memory, life, Process::post);
            let poster = process(&memory, FOREVER);
            poster.post();
            dies.join().unwrap();
            assert_eq!(waiter.join().unwrap(), Ok(()));
            assert!(matches!(word::value(&poster), Ok(0 | 1)));
        });
    }
}

#[test]
fn a_waiter_that_dies_at_any_operation_leaves_the_other_its_event() {
    for life in lives(5) {
        model(move |memory| {
            let dies = start(&memory, life, |p| {
                let _ = p.wait(Deadline::Never);
            });
            let waiter = start(&memory, FOREVER, |p| p.wait(Deadline::Never));
            let poster = process(&memory, FOREVER);
            poster.post();
            poster.post();
            assert_eq!(waiter.join().unwrap(), Ok(()));
            dies.join().unwrap();
            assert!(matches!(word::value(&poster), Ok(0 | 1)));
        });
    }
}
