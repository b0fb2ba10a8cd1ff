//! How long the mutex takes: a sleeper is woken at once, and a peer that rewrites the words in a loop
//! stretches no call.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::cell::Cell;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{self, Relaxed},
};
use std::time::{Duration, Instant};

use shmcomm::mutex::{Caller, Word, WordMutex};
use shmcomm::segment::Options;
use shmcomm::{Errno, Mutex, Name, Segment};
use support::{Child, errno, sleep_ms, timed};

/// Memory that children share: a mutex, and a counter behind it.
struct Shared(Segment);

impl Shared {
    fn new() -> Self {
        let options = Options {
            create: true,
            size: 4096,
            ..Options::default()
        };
        let shared = Self(options.open(Name::parse(b"anon:").unwrap()).unwrap());
        shared.mutex().init().unwrap();
        shared
    }

    fn mutex(&self) -> &Mutex {
        // SAFETY: large enough, aligned, and only used as this.
        unsafe { &*self.0.as_ptr().cast() }
    }

    /// The mutex's own words.
    fn words(&self) -> &[AtomicU64; 2] {
        // SAFETY: as above; they are atomic words there too.
        unsafe { &*self.0.as_ptr().cast() }
    }

    fn counter(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.0.as_ptr().add(64).cast() }
    }
}

#[test]
fn unlock_wakes_a_sleeper_at_once() {
    const WAITERS: u64 = 1 << 22;
    const WAKEUPS: u32 = 50;

    let shared = Shared::new();
    let (mutex, counter) = (shared.mutex(), shared.counter());
    let sleeper = Child::start(|| {
        for round in 1..=WAKEUPS {
            while counter.load(Relaxed) != 2 * round - 1 {
                std::thread::yield_now();
            }
            if mutex.lock(-1).is_err() || mutex.unlock().is_err() {
                return 1;
            }
            counter.store(2 * round, Relaxed);
        }
        0
    });
    let mut waits: Vec<Duration> = (1..=WAKEUPS)
        .map(|round| {
            mutex.lock(-1).unwrap();
            counter.store(2 * round - 1, Relaxed);
            while shared.words()[0].load(Relaxed) & WAITERS == 0 {
                std::thread::yield_now();
            }
            sleep_ms(2);
            let ((), waited) = timed(|| {
                mutex.unlock().unwrap();
                while counter.load(Relaxed) != 2 * round {
                    std::thread::yield_now();
                }
            });
            waited
        })
        .collect();
    assert_eq!(sleeper.join(), 0);
    waits.sort();
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(10), "{waits:?}");
}

/// Keeps the calling thread on one core, so that it runs while a thread on another does.
fn run_on(core: usize) {
    // SAFETY: zeros are a set, which is of this size; where there is no such core, nothing changes.
    unsafe {
        let mut only: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut only);
        libc::sched_setaffinity(0, size_of_val(&only), &only);
    }
}

/// A peer that writes these words, one for each number of writes before, until it is killed.
fn attack(shared: &Shared, word: impl Fn(u64) -> u64) -> Child {
    shared.counter().store(0, Relaxed);
    let peer = Child::start(|| {
        run_on(1);
        for count in 0_u64.. {
            shared.words()[0].store(word(count), Relaxed);
            shared.counter().store(1, Relaxed);
        }
        0
    });
    while shared.counter().load(Relaxed) == 0 {
        std::thread::yield_now();
    }
    peer
}

/// The longest that a call took beyond its timeout, of all in 200 ms: the peer runs in most of them.
fn lateness(shared: &Shared) -> Duration {
    let end = Instant::now() + Duration::from_millis(200);
    let mut late = Duration::ZERO;
    for timeout in [0, 1, 5].into_iter().cycle() {
        let (_, locking) = timed(|| shared.mutex().lock(timeout));
        let (_, unlocking) = timed(|| shared.mutex().unlock());
        let allowed = Duration::from_millis(timeout as u64);
        late = late.max(locking.saturating_sub(allowed)).max(unlocking);
        if Instant::now() > end {
            break;
        }
    }
    late
}

/// A word that changes whenever the caller is about to change it. Each look at the clock is a
/// millisecond.
struct Rewritten(u64);

thread_local! {
    static NOW_MS: Cell<i64> = const { Cell::new(0) };
    static ATTEMPTS: Cell<u32> = const { Cell::new(0) };
}

const MUTEX: u64 = 0x53_484d << 40;

impl Word for Rewritten {
    type Deadline = i64;

    fn load(&self, _: Ordering) -> u64 {
        self.0
    }
    fn compare_exchange(&self, _: u64, _: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        ATTEMPTS.set(ATTEMPTS.get() + 1);
        assert!(ATTEMPTS.get() < 1000, "no end");
        Err(self.0)
    }
    fn sleep(&self, _: u64, _: i64) -> Result<(), Errno> {
        panic!("the word was not as expected");
    }
    fn wake(&self) {}
    fn caller() -> Option<Caller> {
        Some(Caller::new(7, 0, 0))
    }
    fn now_ms() -> i64 {
        NOW_MS.get()
    }
    fn has_died(tid: u32, _: i64, _: bool) -> bool {
        tid != 7
    }
    fn deadline(timeout_ms: i32) -> i64 {
        NOW_MS.get() + i64::from(timeout_ms)
    }
    fn has_passed(deadline: i64) -> bool {
        NOW_MS.set(NOW_MS.get() + 1);
        NOW_MS.get() > deadline
    }
}

#[test]
fn a_word_that_always_changes_ends_a_call_with_its_timeout() {
    const FREE: u64 = 0;
    const DEAD: u64 = 8;
    for word in [FREE, DEAD] {
        for timeout in [0, 1, 5] {
            let mutex = WordMutex::new(Rewritten(word), Rewritten(MUTEX));
            NOW_MS.set(0);
            assert_eq!(errno(mutex.lock(timeout)), Some(Errno::ETIMEDOUT));
            assert!(NOW_MS.get() <= i64::from(timeout) + 50);
            ATTEMPTS.set(0);
        }
    }
    let mutex = WordMutex::new(Rewritten(7), Rewritten(MUTEX));
    assert_eq!(errno(mutex.unlock()), Some(Errno::EPERM));
}

#[test]
fn a_peer_that_rewrites_the_word_stretches_no_call() {
    const ALLOWED: Duration = Duration::from_millis(50);
    run_on(0);
    let shared = Shared::new();
    // SAFETY: takes no argument.
    let me = unsafe { libc::gettid() } as u64;
    // No word comes twice.
    let since = |count: u64| count << 23;
    let dead = |count| since(count) | 0x3f_ffff;
    let mine = |count| since(count) | me;
    let any = |count: u64| count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in [&dead as &dyn Fn(u64) -> u64, &mine, &any] {
        let peer = attack(&shared, word);
        // The machine may be busy with other things, but not each time.
        let late = (0..5)
            .map(|_| lateness(&shared))
            .find(|late| *late <= ALLOWED);
        peer.kill();
        assert!(late.is_some());
    }
}
