//! The mutex under loom: two or three processes, in all interleavings and all that the memory model
//! allows. Run by `RUSTFLAGS='--cfg loom' cargo test -p shmcomm --release --test loom_mutex`.
//!
//! A process that dies is one whose operations have no effect from the k-th on, for all k. A sleeper
//! looks again on its own only when a process has died, so that a lost wake-up is a deadlock.
//!
//! Not modelled: the reuse of a thread id, which the start of the thread reveals, and timeouts other than
//! 0 and -1.
#![cfg(loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::arc_with_non_send_sync
)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use shmcomm::mutex::Acquired::{self, OwnerDied};
use shmcomm::mutex::{Caller, Word, WordMutex};
use shmcomm::{Errno, Error};

loom::thread_local! {
    static ME: Cell<u32> = Cell::new(0);
}

loom::lazy_static! {
    /// One bit for each process that has died.
    static ref DEAD: AtomicU32 = AtomicU32::new(0);
}

const TID: u64 = (1 << 22) - 1;
const HERE: u64 = 7;

/// The memory of the processes: the mutex, and a value that it protects.
struct Memory {
    words: [AtomicU64; 2],
    data: [UnsafeCell<u32>; 2],
    /// futex(2): a queue with a lock.
    queue: Mutex<Queue>,
    sleepers: Condvar,
    /// Every operation changes it, without ordering anything: loom remembers only the last access to
    /// a word.
    steps: AtomicU32,
}

impl Memory {
    fn wait_until_held(&self) {
        while self.words[0].load(Relaxed) == 0 {
            thread::yield_now();
        }
    }
}

#[derive(Default)]
struct Queue {
    sleeping: u32,
    wakes: u32,
}

const GONE: u32 = u32::MAX;

/// How many operations a process still has.
struct Life(Cell<u32>);

// SAFETY: each process is one thread.
unsafe impl Send for Life {}
// SAFETY: same as above.
unsafe impl Sync for Life {}

/// A word as one process sees it.
struct Seen {
    memory: Arc<Memory>,
    index: usize,
    life: Arc<Life>,
}

impl Seen {
    /// Whether the process comes to its next operation; wakes the sleepers if it has just died.
    fn goes_on(&self) -> bool {
        self.memory.steps.fetch_add(1, Relaxed);
        let left = self.life.0.get();
        if left == GONE {
            return true;
        }
        if left == 0 {
            return false;
        }
        self.life.0.set(left - 1);
        if left == 1 {
            let _queue = self.memory.queue.lock().unwrap();
            DEAD.fetch_or(1 << ME.with(Cell::get), AcqRel);
            self.memory.sleepers.notify_all();
        }
        left > 1
    }

    fn word(&self) -> &AtomicU64 {
        &self.memory.words[self.index]
    }
}

fn is_dead(tid: u32) -> bool {
    DEAD.load(Acquire) & (1 << tid) != 0
}

impl Word for Seen {
    /// Whether it has come.
    type Deadline = bool;

    fn load(&self, order: Ordering) -> u64 {
        match self.goes_on() {
            true => self.word().load(order),
            false => 0,
        }
    }

    fn compare_exchange(
        &self,
        from: u64,
        to: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        match self.goes_on() {
            true => self.word().compare_exchange(from, to, success, failure),
            false => Ok(from),
        }
    }

    fn sleep(&self, expected: u64, _: bool) -> Result<(), Errno> {
        if !self.goes_on() {
            return Err(Errno::ETIMEDOUT);
        }
        let mut queue = self.memory.queue.lock().unwrap();
        let holder = (expected & TID) as u32;
        if self.word().load(Relaxed) as u32 != expected as u32 {
            return Ok(());
        }
        queue.sleeping += 1;
        let mut dead = 0;
        loop {
            if queue.wakes > 0 {
                queue.wakes -= 1;
                queue.sleeping -= 1;
                return Ok(());
            }
            // Looks that real sleepers make every 50 ms.
            let now_dead = DEAD.load(Acquire);
            if now_dead != dead
                && (is_dead(holder) || self.word().load(Relaxed) as u32 != expected as u32)
            {
                queue.sleeping -= 1;
                return Err(Errno::ETIMEDOUT);
            }
            dead = now_dead;
            queue = self.memory.sleepers.wait(queue).unwrap();
        }
    }

    fn wake(&self) {
        if self.goes_on() {
            let mut queue = self.memory.queue.lock().unwrap();
            if queue.wakes < queue.sleeping {
                queue.wakes += 1;
                self.memory.sleepers.notify_all();
            }
        }
    }

    fn caller() -> Option<Caller> {
        Some(Caller::new(ME.with(Cell::get), 1, HERE))
    }

    fn now_ms() -> i64 {
        1
    }

    fn has_died(tid: u32, _: i64, _: bool) -> bool {
        is_dead(tid)
    }

    fn deadline(timeout_ms: i32) -> bool {
        timeout_ms == 0
    }

    fn has_passed(deadline: bool) -> bool {
        deadline
    }
}

struct Process {
    mutex: WordMutex<Seen>,
    memory: Arc<Memory>,
    life: Arc<Life>,
}

impl Process {
    fn is_alive(&self) -> bool {
        self.life.0.get() != 0
    }

    /// Locks, changes what is protected in two steps, unlocks.
    fn work(&self, timeout_ms: i32) -> Result<Acquired, Error> {
        let acquired = self.mutex.lock(timeout_ms)?;
        if !self.is_alive() {
            return Ok(acquired);
        }
        let [one, other] = &self.memory.data;
        let is_whole = one.with(|one| {
            other.with(|other| {
                // SAFETY: under the mutex, as loom checks.
                unsafe { *one == *other }
            })
        });
        assert!(is_whole || acquired == OwnerDied);
        let next = one.with_mut(|one| {
            // SAFETY: same as above.
            unsafe {
                *one += 1;
                *one
            }
        });
        // A moment in between, to die in.
        let word = Seen {
            memory: self.memory.clone(),
            index: 0,
            life: self.life.clone(),
        };
        word.load(Relaxed);
        if self.is_alive() {
            // SAFETY: same as above.
            other.with_mut(|other| unsafe { *other = next });
        }
        let unlocked = self.mutex.unlock();
        assert!(unlocked.is_ok() || !self.is_alive());
        Ok(acquired)
    }
}

/// Starts processes, each of which dies after its number of operations.
fn run(lives: &[u32], bytes: u64, work: impl Fn(&Process) + Clone + Send + 'static) {
    let memory = Arc::new(Memory {
        words: [AtomicU64::new(bytes), AtomicU64::new(bytes)],
        data: [UnsafeCell::new(0), UnsafeCell::new(0)],
        queue: Mutex::new(Queue::default()),
        sleepers: Condvar::new(),
        steps: AtomicU32::new(0),
    });
    // Before the processes, whose identities it needs.
    let _ = DEAD.load(Relaxed);
    let start = |number: usize| {
        let memory = memory.clone();
        let life = Arc::new(Life(Cell::new(lives[number])));
        let seen = |index| Seen {
            memory: memory.clone(),
            index,
            life: life.clone(),
        };
        let process = Process {
            mutex: WordMutex::new(seen(0), seen(1)),
            memory: memory.clone(),
            life: life.clone(),
        };
        let work = work.clone();
        move || {
            ME.with(|me| me.set(number as u32 + 1));
            work(&process);
        }
    };
    let others: Vec<_> = (1..lives.len())
        .map(|number| thread::spawn(start(number)))
        .collect();
    start(0)();
    for other in others {
        other.join().unwrap();
    }
}

fn model(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(check);
}

fn init_and_work(process: &Process) {
    process.mutex.init().unwrap();
    process.work(-1).unwrap();
}

#[test]
fn two_exclude_each_other() {
    model(2, || run(&[GONE, GONE], 0, init_and_work));
}

#[test]
fn three_exclude_each_other() {
    model(1, || run(&[GONE, GONE, GONE], 0, init_and_work));
}

#[test]
fn each_of_several_sleepers_is_woken() {
    model(1, || {
        run(&[GONE, GONE, GONE], 0, |process| {
            process.mutex.init().unwrap();
            if ME.with(Cell::get) == 1 {
                process.mutex.lock(-1).unwrap();
                // The others find it held, and sleep.
                while process.memory.queue.lock().unwrap().sleeping < 2 {
                    thread::yield_now();
                }
                process.mutex.unlock().unwrap();
            } else {
                process.memory.wait_until_held();
                process.mutex.lock(-1).unwrap();
                process.mutex.unlock().unwrap();
            }
        });
    });
}

#[test]
fn an_init_race_over_any_bytes_has_one_winner() {
    model(2, || run(&[GONE, GONE], u64::MAX, init_and_work));
}

#[test]
fn a_lock_without_waiting_fails_or_excludes() {
    model(2, || {
        run(&[GONE, GONE], 0, |process| {
            process.mutex.init().unwrap();
            let tried = process.work(0);
            assert!(matches!(
                tried.map_err(|error| error.errno()),
                Ok(_) | Err(Errno::ETIMEDOUT)
            ));
        });
    });
}

/// More operations than a process has.
const LONGEST: u32 = 28;

/// The operations after which a process dies, at this distance; each with SHMCOMM_TEST_ALL.
fn lives(apart: usize) -> impl Iterator<Item = u32> {
    let all = std::env::var_os("SHMCOMM_TEST_ALL").is_some();
    (1..LONGEST).step_by(if all { 1 } else { apart })
}

#[test]
fn a_death_at_any_operation_lets_the_other_in() {
    for life in lives(3) {
        model(2, move || {
            run(&[GONE, life], 0, |process| {
                let _ = process.mutex.init();
                let worked = process.work(-1);
                assert!(worked.is_ok() || !process.is_alive());
            });
        });
    }
}

#[test]
fn a_death_among_three_lets_the_others_in() {
    for life in lives(11) {
        model(1, move || {
            run(&[GONE, GONE, life], 0, |process| {
                let _ = process.mutex.init();
                let worked = process.work(-1);
                assert!(worked.is_ok() || !process.is_alive());
            });
        });
    }
}
