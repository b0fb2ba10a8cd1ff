//! A sleep word as one process sees it, and the kernel's queue of those that sleep on it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Relaxed, SeqCst};

use loom::sync::atomic::{AtomicU32, fence};
use loom::thread;
use shmcomm::channel::wakeup::{FENCED, SleepEnd, SleepWord};
use shmcomm::channel::word::Word32;

use crate::model::{Life, Memory, Process, fence_everywhere};

/// A sleep word or a lock as one process sees it.
pub struct Seen32 {
    memory: Arc<Memory>,
    which: fn(&Memory) -> &AtomicU32,
    life: Arc<Life>,
    has_barrier: bool,
}

impl Seen32 {
    pub fn new(process: &Process, which: fn(&Memory) -> &AtomicU32, has_barrier: bool) -> Self {
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

    /// One operation. A process that has vanished does nothing and returns `dead`. Loom models sequential
    /// consistency only for fences.
    fn operate<T>(&self, order: Ordering, dead: T, operate: impl FnOnce(Ordering) -> T) -> T {
        if !self.life.proceeds(&self.memory) {
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
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.operate(order, FENCED, |order| self.word().fetch_or(bits, order))
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
    /// membarrier(2), as its caller sees it.
    fn fence_everywhere(&self) -> bool {
        if self.has_barrier && self.life.is_alive() {
            fence_everywhere(&self.memory.kernel);
        }
        self.has_barrier
    }
    fn wait(&self, expected: u32, _: i64) -> SleepEnd {
        if !self.life.proceeds(&self.memory) {
            return SleepEnd::Woken;
        }
        let kernel = &self.memory.kernel;
        let queue = kernel.futex.lock().unwrap();
        if !self.life.is_alive() {
            // The process was killed while it slept.
        } else if kernel.has_vanished.load(Relaxed) {
            drop(queue);
            thread::yield_now();
        } else if self.word().load(Relaxed) == expected {
            drop(kernel.sleepers.wait(queue).unwrap());
        }
        SleepEnd::Woken
    }
    fn wake(&self) {
        if self.life.proceeds(&self.memory) {
            let _queue = self.memory.kernel.futex.lock().unwrap();
            self.memory.kernel.sleepers.notify_one();
        }
    }
}

/// Same as `Sleep::always_fence`.
pub fn always_fence(memory: &Memory) {
    memory.always_fenced.store(1, Relaxed);
    memory.sleep.fetch_or(FENCED, SeqCst);
}
