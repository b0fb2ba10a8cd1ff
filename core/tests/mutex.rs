//! The mutex between processes, which are killed at every instruction.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use shmcomm::mutex::Acquired::{Clean, OwnerDied};
use shmcomm::segment::Options;
use shmcomm::{Errno, Mutex, Name, Segment, futex};
use support::{
    ATTEMPTS, Child, SLACK, again, errno, kill_at_each, signal_storm, sleep_ms, timed, within,
};

fn new_page(name: Name<'_>) -> Segment {
    let options = Options {
        create: true,
        size: 4096,
        ..Options::default()
    };
    options.open(name).unwrap()
}

/// Memory that children share.
struct Shared(Segment);

impl Shared {
    fn new() -> Self {
        let name = Name::parse(b"anon:").unwrap();
        let shared = Self(new_page(name));
        shared.mutex().init().unwrap();
        shared
    }

    fn mutex(&self) -> &Mutex {
        // SAFETY: large enough, aligned, and only used as this.
        unsafe { &*self.0.as_ptr().cast() }
    }

    /// The mutex's own word, for what no call reports.
    fn word(&self) -> &AtomicU64 {
        // SAFETY: as above; it is an atomic word there too.
        unsafe { &*self.0.as_ptr().cast() }
    }

    fn counter(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.0.as_ptr().add(64).cast() }
    }

    fn wait_for(&self, count: u32) {
        while self.counter().load(Relaxed) < count {
            std::thread::yield_now();
        }
    }

    /// A child that holds the mutex until it is killed.
    fn holder(&self) -> Child {
        let before = self.counter().load(Relaxed);
        let child = Child::start(|| {
            if self.mutex().lock(-1).is_err() {
                return 1;
            }
            self.counter().fetch_add(1, Relaxed);
            loop {
                // SAFETY: takes no pointer.
                unsafe { libc::pause() };
            }
        });
        self.wait_for(before + 1);
        child
    }
}

const WAITERS: u64 = 1 << 22;

/// A wait of 300 ms that ends later than this has not ended in time.
const LATEST: Duration = Duration::from_millis(300).saturating_add(SLACK);

/// The first call of a process determines its namespaces, in thousands of instructions that touch no
/// shared memory.
fn look_around() {
    let _ = Mutex::default().init();
}

#[test]
fn a_holders_death_is_reported_once() {
    let shared = Shared::new();
    for timeout in [-1, 0, 1000] {
        shared.holder().kill();
        assert_eq!(shared.mutex().lock(timeout), Ok(OwnerDied));
        shared.mutex().unlock().unwrap();
        assert_eq!(shared.mutex().lock(0), Ok(Clean));
        shared.mutex().unlock().unwrap();
    }
}

#[test]
fn a_repairing_holder_may_die_too() {
    let shared = Shared::new();
    shared.holder().kill();
    shared.holder().kill();
    assert_eq!(shared.mutex().lock(0), Ok(OwnerDied));
}

#[test]
fn a_holder_that_nobody_has_reaped_is_dead() {
    let shared = Shared::new();
    let holder = shared.holder();
    holder.signal(libc::SIGKILL);
    assert_eq!(shared.mutex().lock(200), Ok(OwnerDied));
}

#[test]
fn a_waiter_without_a_timeout_notices_a_death() {
    let code = within(Duration::from_millis(100), ATTEMPTS, || {
        let shared = Shared::new();
        let holder = shared.holder();
        let waiter = Child::start(|| match shared.mutex().lock(-1) {
            Ok(OwnerDied) => 0,
            _ => 1,
        });
        while shared.word().load(Relaxed) & WAITERS == 0 {
            std::thread::yield_now();
        }
        sleep_ms(100);
        timed(|| {
            holder.signal(libc::SIGKILL);
            waiter.join()
        })
    });
    assert_eq!(code, 0);
}

#[test]
fn a_stopped_holder_is_not_dead() {
    let shared = Shared::new();
    let holder = shared.holder();
    holder.signal(libc::SIGSTOP);
    within(Duration::from_millis(300) + SLACK, ATTEMPTS, || {
        let (result, waited) = timed(|| shared.mutex().lock(300));
        assert_eq!(errno(result), Some(Errno::ETIMEDOUT));
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        ((), waited)
    });
    assert_eq!(errno(shared.mutex().unlock()), Some(Errno::EPERM));
    assert_eq!(errno(shared.mutex().lock(0)), Some(Errno::ETIMEDOUT));
}

#[test]
fn a_forked_child_holds_nothing() {
    let shared = Shared::new();
    shared.mutex().lock(0).unwrap();
    let child = Child::start(|| {
        let unlocked = errno(shared.mutex().unlock()) == Some(Errno::EPERM);
        let locked = errno(shared.mutex().lock(10)) == Some(Errno::ETIMEDOUT);
        i32::from(!(unlocked && locked))
    });
    assert_eq!(child.join(), 0);
    shared.mutex().unlock().unwrap();
}

#[test]
fn signals_change_no_deadline() {
    let shared = Shared::new();
    let _holder = shared.holder();
    let child = Child::start(|| {
        signal_storm();
        let (result, waited) = again(|| timed(|| shared.mutex().lock(300)));
        let (slept, waited_for_word) = again(|| timed(|| futex::wait(shared.counter(), 1, 300)));
        let in_time = |time| (Duration::from_millis(300)..LATEST).contains(&time);
        let timed_out = errno(result) == Some(Errno::ETIMEDOUT);
        let slept = errno(slept) == Some(Errno::ETIMEDOUT);
        i32::from(!(timed_out && slept && in_time(waited) && in_time(waited_for_word)))
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn it_is_exclusive_while_processes_die() {
    let shared = Shared::new();
    let inside = || {
        let mutex = shared.mutex();
        loop {
            match mutex.lock(-1) {
                // A process that died inside did not change the counter.
                Ok(OwnerDied) => shared.counter().store(0, Relaxed),
                Ok(Clean) => {}
                Err(_) => return 1,
            }
            if shared.counter().fetch_add(1, Relaxed) != 0 {
                return 2;
            }
            std::hint::spin_loop();
            shared.counter().fetch_sub(1, Relaxed);
            if mutex.unlock().is_err() {
                return 3;
            }
        }
    };
    let mut children: Vec<Child> = (0..4).map(|_| Child::start(inside)).collect();
    for round in 0..300 {
        sleep_ms(1);
        let child = std::mem::replace(&mut children[round % 4], Child::start(inside));
        assert!(child.was_running(), "round {round}");
    }
    for child in children {
        assert!(child.was_running());
    }
    assert!(shared.mutex().lock(1000).is_ok());
}

#[test]
fn a_death_at_any_instruction_of_lock_and_unlock_leaves_it_usable() {
    let shared = Shared::new();
    let mutex = shared.mutex();
    let (mut clean, mut died) = (0, 0);
    let work = || {
        let _ = mutex.lock(-1);
        let _ = mutex.unlock();
    };
    let kills = kill_at_each(libc::PTRACE_SINGLESTEP, look_around, work, |steps| {
        match mutex.lock(0) {
            Ok(Clean) => clean += 1,
            Ok(OwnerDied) => died += 1,
            Err(error) => panic!("after {steps} steps: {error}"),
        }
        mutex.unlock().unwrap();
        assert_eq!(mutex.lock(0), Ok(Clean));
        mutex.unlock().unwrap();
    });
    println!("{kills} instructions, {died} of them inside");
    let least = 100 / support::EVERY;
    assert!(clean > least && died > least, "{clean} {died}");
}

#[test]
fn a_death_at_any_instruction_of_unlock_wakes_the_sleeper() {
    let shared = Shared::new();
    let mutex = shared.mutex();
    let mut waits = Vec::new();
    for steps in support::spread(support::EVERY) {
        let lock = || {
            let _ = mutex.lock(-1);
        };
        let unlock = || {
            let _ = mutex.unlock();
        };
        let holder = Child::stopped_before(lock, unlock);
        let waiter = Child::start(|| match mutex.lock(5000) {
            Ok(_) => i32::from(mutex.unlock().is_err()),
            Err(_) => 2,
        });
        while shared.word().load(Relaxed) & WAITERS == 0 {
            std::thread::yield_now();
        }
        let killed = holder.step(libc::PTRACE_SINGLESTEP, steps);
        let (code, waited) = timed(|| {
            holder.kill();
            waiter.join()
        });
        assert_eq!(code, 0, "{steps}");
        waits.push(waited);
        if !killed {
            assert!(steps > 50);
            break;
        }
    }
    let longest = waits.iter().copied().max().unwrap();
    let median = support::median(waits);
    println!("woken after {median:?}, at most {longest:?}");
    // The machine may be busy with other things, but not most of the time.
    assert!(median < Duration::from_millis(100), "{median:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn a_waiters_death_disturbs_nobody() {
    let shared = Shared::new();
    let mutex = shared.mutex();
    mutex.lock(0).unwrap();
    let wait = || {
        let _ = mutex.lock(1);
    };
    let kills = kill_at_each(libc::PTRACE_SYSCALL, look_around, wait, |steps| {
        mutex.unlock().unwrap();
        assert_eq!(mutex.lock(0), Ok(Clean), "{steps}");
    });
    assert!(kills > 10, "{kills}");
}

#[test]
fn a_death_at_any_system_call_of_init_leaves_it_to_the_next() {
    let shared = Shared::new();
    for byte in [0, 0xa5] {
        kill_at_each(
            libc::PTRACE_SYSCALL,
            || (),
            || {
                shared.0.write(0, &[byte; 16]);
                let _ = shared.mutex().init();
                let _ = shared.mutex().lock(0);
            },
            |steps| {
                shared.mutex().init().unwrap();
                assert!(shared.mutex().lock(0).is_ok(), "{steps}");
                shared.mutex().unlock().unwrap();
            },
        );
    }
}

#[test]
fn all_may_init_at_the_same_time() {
    for _ in 0..50 {
        let shared = Shared::new();
        shared.0.write(0, &[0xff; 16]);
        let children: Vec<Child> = (0..4)
            .map(|_| {
                Child::start(|| {
                    shared.wait_for(1);
                    for _ in 0..100 {
                        let mutex = shared.mutex();
                        if mutex.init().is_err() || mutex.lock(-1) != Ok(Clean) {
                            return 1;
                        }
                        if shared.counter().fetch_add(1, Relaxed) != 1 {
                            return 2;
                        }
                        shared.counter().fetch_sub(1, Relaxed);
                        if mutex.unlock().is_err() {
                            return 3;
                        }
                    }
                    0
                })
            })
            .collect();
        shared.counter().store(1, Relaxed);
        for child in children {
            assert_eq!(child.join(), 0);
        }
    }
}

#[test]
fn memory_that_is_unmapped_while_locked_harms_nobody() {
    let shared = Shared::new();
    let text = format!("posix:/shmcomm-unmapped-{}", std::process::id());
    let name = Name::parse(text.as_bytes()).unwrap();
    let segment = new_page(name);
    let again = Options::default().open(name).unwrap();
    shmcomm::segment::remove(name).unwrap();
    // SAFETY: large enough, aligned, and only used as this, until it is dropped.
    let (one, other): (&Mutex, &Mutex) =
        unsafe { (&*segment.as_ptr().cast(), &*again.as_ptr().cast()) };
    one.init().unwrap();
    one.lock(0).unwrap();
    drop(segment);
    shared.mutex().lock(0).unwrap();
    shared.mutex().unlock().unwrap();
    assert_eq!(errno(other.lock(0)), Some(Errno::EDEADLK));
    other.unlock().unwrap();
    assert_eq!(other.lock(0), Ok(Clean));
}
