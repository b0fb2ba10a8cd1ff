//! How a wait for an event of shared memory ends, and what a kill at any instruction leaves.

use std::time::Duration;

use shmcomm::{Errno, Semaphore, segment, semaphore};

use crate::object::Object;
use crate::support::{
    Child, EVERY, SLACK, again, errno, kill_at_each, signal_storm, sleep_ms, spread, timed,
};
use crate::waits::{a_handler_ends_an_interruptible_wait_alone, die_inside};

#[test]
fn a_kill_at_any_instruction_of_a_call_loses_no_event_and_makes_none() {
    let object = Object::new("posix", "killed");
    let semaphore = object.create(0);
    for (before, change) in [(1, -1), (0, 0), (0, 1)] {
        let set = || {
            while semaphore.wait(0).is_ok() {}
            for _ in 0..before {
                semaphore.post().unwrap();
            }
        };
        set();
        let mut changes = Vec::new();
        kill_at_each(
            libc::PTRACE_SINGLESTEP,
            || (),
            || {
                let _ = match change {
                    1 => semaphore.post(),
                    _ => semaphore.wait(0),
                };
            },
            |steps| {
                let value = semaphore.value().unwrap();
                changes.push(value - before);
                semaphore.post().unwrap();
                assert_eq!(semaphore.wait(0), Ok(()), "{steps}");
                assert_eq!(semaphore.value(), Ok(value), "{steps}");
                set();
            },
        );
        assert_eq!((changes.first(), changes.last()), (Some(&0), Some(&change)));
        assert!(changes.is_sorted_by_key(|change| change.abs()));
        println!("{} kills", changes.len());
    }
}

/// Kills children at each instruction of `work` that follows the beginning of its `calls`-th system
/// call, which skips the looks of a waiter before it sleeps.
fn kill_after_calls(calls: u64, work: impl Fn(), mut next: impl FnMut(u64)) -> u64 {
    for steps in spread(EVERY) {
        let child = Child::stopped_before(|| (), &work);
        let runs =
            child.step(libc::PTRACE_SYSCALL, calls) && child.step(libc::PTRACE_SINGLESTEP, steps);
        child.kill();
        next(steps);
        if !runs {
            return steps;
        }
    }
    unreachable!()
}

/// A poster, a waiter that sleeps, or one that times out is killed beside sleepers. They get all other
/// events.
#[test]
fn a_kill_at_any_instruction_leaves_sleepers_their_events() {
    const TIMEOUT_MS: i32 = 1;

    let object = Object::new("posix", "sleepers");
    let semaphore = object.create(0);
    let sleepers = [(); 2].map(|()| {
        Child::start(|| {
            while semaphore.wait(30_000).is_ok() {}
            errno(semaphore.wait(0)).map_or(1, |errno| i32::from(errno != Errno::EIDRM))
        })
    });
    let take_all = |steps| {
        for _ in 0..2 {
            semaphore.post().unwrap();
        }
        let taken = (0..20_000).any(|_| {
            std::thread::sleep(Duration::from_micros(100));
            semaphore.value() == Ok(0)
        });
        assert!(taken, "{steps}: {:?}", semaphore.value());
    };
    let post = || {
        let _ = semaphore.post();
    };
    let posts = kill_at_each(libc::PTRACE_SINGLESTEP, || (), post, take_all);
    let wait = || {
        let _ = semaphore.wait(TIMEOUT_MS);
    };
    let waits = kill_after_calls(1, wait, take_all);
    println!("{posts} instructions of a post, {waits} after a sleep");
    assert!(waits > 50);
    semaphore::remove(object.name()).unwrap();
    for sleeper in sleepers {
        assert_eq!(sleeper.join(), 0);
    }
}

#[test]
fn a_forked_child_uses_and_closes_its_parents_handle() {
    for object in Object::both("fork") {
        let semaphore = object.create(0);
        let child = Child::start(|| {
            let waited = semaphore.wait(10_000);
            let posted = semaphore.post();
            i32::from(waited.is_err() || posted.is_err())
        });
        semaphore.post().unwrap();
        assert_eq!(child.join(), 0);
        assert_eq!(semaphore.wait(0), Ok(()));
    }
}

#[test]
fn a_death_changes_no_events() {
    let object = Object::new("posix", "death");
    let semaphore = object.create(1);
    die_inside(&semaphore);
    assert_eq!(semaphore.value(), Ok(0));
    let child = Child::start(|| i32::from(semaphore.post().is_err()));
    assert_eq!(child.join(), 0);
    assert_eq!(semaphore.value(), Ok(1));
}

#[test]
fn a_wait_ends_in_time_also_under_signals() {
    let object = Object::new("posix", "time");
    let semaphore = object.create(0);
    assert_eq!(errno(semaphore.wait(0)), Some(Errno::ETIMEDOUT));
    let child = Child::start(|| {
        signal_storm();
        let (result, waited) = again(|| timed(|| semaphore.wait(300)));
        let most = Duration::from_millis(300) + SLACK;
        let in_time = (Duration::from_millis(300)..most).contains(&waited);
        i32::from(!(in_time && errno(result) == Some(Errno::ETIMEDOUT)))
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn a_signal_handler_ends_an_interruptible_wait_alone() {
    let object = Object::new("posix", "signal");
    a_handler_ends_an_interruptible_wait_alone(&object.create(0), object.name());
}

/// Posts and waits of several processes, which the storm of signals interrupts: each post ends one wait.
#[test]
fn no_event_is_lost_or_doubled_among_several_processes() {
    const WAITERS: usize = 3;
    const EACH: usize = 5000;
    let object = Object::new("posix", "storm");
    let semaphore = object.create(0);
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            Child::start(|| {
                signal_storm();
                (0..EACH).any(|_| semaphore.wait(20_000).is_err()).into()
            })
        })
        .collect();
    let poster = Child::start(|| {
        signal_storm();
        (0..EACH).any(|_| semaphore.post().is_err()).into()
    });
    for post in 0..(WAITERS - 1) * EACH {
        semaphore.post().unwrap();
        if post % 50 == 0 {
            sleep_ms(1);
        }
    }
    for child in waiters.into_iter().chain([poster]) {
        assert_eq!(child.join(), 0);
    }
    assert_eq!(semaphore.value(), Ok(0));
}

/// Without a wake-up a waiter would find out too, but later: the model checks that one comes.
#[test]
fn a_removal_ends_each_wait() {
    for object in Object::both("removal") {
        let semaphore = object.create(0);
        let wait = || i32::from(errno(semaphore.wait(20_000)) != Some(Errno::EIDRM));
        let waiters = [Child::start(wait), Child::start(wait)];
        sleep_ms(30);
        semaphore::remove(object.name()).unwrap();
        assert_eq!(waiters.map(Child::join), [0, 0]);
        for result in [semaphore.wait(-1), semaphore.post(), semaphore.wait(0)] {
            assert_eq!(errno(result), Some(Errno::EIDRM));
        }
        assert_eq!(errno(semaphore.value()), Some(Errno::EIDRM));
        let gone = [
            errno(Semaphore::open(object.name())),
            errno(semaphore::remove(object.name())),
        ];
        assert_eq!(gone, [Some(Errno::ENOENT); 2]);
    }
}

/// By `shmc_remove`, by rm(1), by a remover that dies before it wakes the waiters.
#[test]
fn a_wait_ends_when_the_name_is_removed_by_other_means() {
    for object in Object::both("unlinked") {
        let semaphore = object.create(0);
        let wait = || i32::from(errno(semaphore.wait(20_000)) != Some(Errno::EIDRM));
        let waiters = [Child::start(wait), Child::start(wait)];
        sleep_ms(30);
        segment::remove(object.name()).unwrap();
        assert_eq!(waiters.map(Child::join), [0, 0]);
        assert_eq!(errno(semaphore.post()), Some(Errno::EIDRM));
    }
}
