//! How a wait ends, and what a death of the waiting process returns.

use std::time::Duration;

use shmcomm::semaphore::{self, Kind};
use shmcomm::{Errno, Name, Semaphore};

use crate::create;
use crate::support::{Child, SLACK, SysvKey, again, errno, signal_storm, sleep_ms, timed};

/// A child takes a unit and is killed.
pub fn die_inside(semaphore: &Semaphore) {
    let child = Child::start(|| {
        if semaphore.wait(-1).is_err() {
            return 1;
        }
        // SAFETY: takes no pointer.
        unsafe { libc::raise(libc::SIGSTOP) }
    });
    child.wait_for_stop();
    child.kill();
}

#[test]
fn a_death_returns_the_units_of_the_process() {
    let key = SysvKey::new();
    let semaphore = create(&key, 1, Kind::Units);
    for _ in 0..100 {
        die_inside(&semaphore);
        semaphore.wait(200).unwrap();
        assert_eq!(semaphore.value(), Ok(0));
        semaphore.post().unwrap();
    }
    assert_eq!(semaphore.value(), Ok(1));
}

#[test]
fn a_death_changes_no_events() {
    let key = SysvKey::new();
    let semaphore = create(&key, 1, Kind::Events);
    die_inside(&semaphore);
    assert_eq!(semaphore.value(), Ok(0));
    let child = Child::start(|| i32::from(semaphore.post().is_err()));
    assert_eq!(child.join(), 0);
    assert_eq!(semaphore.value(), Ok(1));
}

#[test]
fn a_wait_ends_in_time_also_under_signals() {
    let key = SysvKey::new();
    let semaphore = create(&key, 0, Kind::Units);
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

/// Runs a signal handler once, this number of milliseconds from now; with SA_RESTART, which must change
/// nothing.
fn signal_in(ms: i64) {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the pointers are valid, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let mut timer: libc::itimerval = std::mem::zeroed();
        timer.it_value.tv_usec = ms * 1000;
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

/// A signal handler ends a wait for this semaphore, whose value is 0, only if that is interruptible.
pub fn a_handler_ends_an_interruptible_wait_alone(semaphore: &Semaphore, name: Name<'_>) {
    let interruptible = Semaphore::open(name).unwrap().interruptible();
    for timeout_ms in [10_000, -1] {
        let child = Child::start(|| {
            signal_in(100);
            i32::from(errno(interruptible.wait(timeout_ms)) != Some(Errno::EINTR))
        });
        assert_eq!(child.join(), 0, "{name:?} {timeout_ms}");
    }
    let child = Child::start(|| {
        signal_in(50);
        let (result, waited) = timed(|| semaphore.wait(300));
        let in_time = waited >= Duration::from_millis(300);
        i32::from(!(in_time && errno(result) == Some(Errno::ETIMEDOUT)))
    });
    assert_eq!(child.join(), 0, "{name:?}");
    semaphore.post().unwrap();
    assert_eq!(semaphore.value(), Ok(1), "{name:?}");
}

#[test]
fn a_signal_handler_ends_an_interruptible_wait_alone() {
    for kind in [Kind::Units, Kind::Events] {
        let key = SysvKey::new();
        a_handler_ends_an_interruptible_wait_alone(&create(&key, 0, kind), key.name());
    }
}

#[test]
fn an_interrupted_wait_takes_nothing() {
    const POSTS: usize = 3000;
    let key = SysvKey::new();
    let semaphore = create(&key, 0, Kind::Events).interruptible();
    let child = Child::start(|| {
        signal_storm();
        let (mut taken, mut interrupted) = (0, 0);
        while taken < POSTS {
            match errno(semaphore.wait(10_000)) {
                None => taken += 1,
                Some(Errno::EINTR) => interrupted += 1,
                Some(_) => return 1,
            }
        }
        if interrupted > 100 { 0 } else { 2 }
    });
    for post in 0..POSTS {
        semaphore.post().unwrap();
        if post % 10 == 0 {
            sleep_ms(1);
        }
    }
    assert_eq!(child.join(), 0);
    assert_eq!(semaphore.value(), Ok(0));
}

#[test]
fn a_post_ends_a_wait() {
    let key = SysvKey::new();
    let semaphore = create(&key, 0, Kind::Events);
    let child = Child::start(|| {
        signal_storm();
        i32::from(semaphore.wait(-1).is_err())
    });
    sleep_ms(50);
    semaphore.post().unwrap();
    assert_eq!(child.join(), 0);
}

#[test]
fn a_removal_ends_a_wait() {
    let key = SysvKey::new();
    let semaphore = create(&key, 0, Kind::Units);
    let waits = || i32::from(errno(semaphore.wait(-1)) != Some(Errno::EIDRM));
    let child = Child::start(waits);
    sleep_ms(50);
    semaphore::remove(key.name()).unwrap();
    assert_eq!(child.join(), 0);
    for result in [semaphore.wait(-1), semaphore.post()] {
        assert_eq!(errno(result), Some(Errno::EIDRM));
    }
    assert_eq!(errno(semaphore.value()), Some(Errno::EIDRM));
    let by_id = Name::SysvId(semaphore.id().unwrap());
    assert_eq!(errno(Semaphore::open(by_id)), Some(Errno::EIDRM));
    assert_eq!(errno(semaphore::remove(by_id)), Some(Errno::EIDRM));
    assert_eq!(errno(Semaphore::open(key.name())), Some(Errno::ENOENT));
    assert_eq!(errno(semaphore::remove(key.name())), Some(Errno::ENOENT));
}
