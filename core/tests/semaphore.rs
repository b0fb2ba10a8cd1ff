//! The semaphore between processes: made at once by many, killed at every system call, given back.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use shmcomm::semaphore::{self, Kind, MAX_VALUE, New};
use shmcomm::{Errno, Name, Semaphore};
use support::{Child, SLACK, again, errno, kill_at_each, signal_storm, sleep_ms, timed};

/// A name of its own, whose semaphore is removed in the end.
struct Place(String);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Relaxed);
        assert!(next < 1 << 10);
        let place = Self(format!(
            "sysv:0x5e{:06x}",
            std::process::id() << 10 & 0xff_fc00 | next
        ));
        let _ = semaphore::remove(place.name());
        place
    }

    fn name(&self) -> Name<'_> {
        Name::parse(self.0.as_bytes()).unwrap()
    }

    fn key(&self) -> i32 {
        i32::from_str_radix(self.0.trim_start_matches("sysv:0x"), 16).unwrap()
    }

    fn create(&self, value: i32, kind: Kind) -> Semaphore {
        let new = New {
            value,
            kind,
            exclusive: true,
            ..New::default()
        };
        Semaphore::create(self.name(), new).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: neither takes a pointer; a set of another program's is of this test.
        unsafe { libc::semctl(libc::semget(self.key(), 0, 0), 0, libc::IPC_RMID) };
    }
}

const LOCK: New = New {
    value: 1,
    mode: 0o600,
    exclusive: false,
    kind: Kind::Units,
};

/// A child that takes one and is killed.
fn die_inside(semaphore: Semaphore) {
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
fn a_death_gives_back_what_was_taken() {
    let place = Place::new();
    let semaphore = place.create(1, Kind::Units);
    for _ in 0..100 {
        die_inside(semaphore);
        semaphore.wait(200).unwrap();
        assert_eq!(semaphore.value(), Ok(0));
        semaphore.post().unwrap();
    }
    assert_eq!(semaphore.value(), Ok(1));
}

#[test]
fn a_death_changes_no_events() {
    let place = Place::new();
    let semaphore = place.create(1, Kind::Events);
    die_inside(semaphore);
    assert_eq!(semaphore.value(), Ok(0));
    let child = Child::start(|| i32::from(semaphore.post().is_err()));
    assert_eq!(child.join(), 0);
    assert_eq!(semaphore.value(), Ok(1));
}

#[test]
fn a_wait_ends_in_time_also_under_signals() {
    let place = Place::new();
    let semaphore = place.create(0, Kind::Units);
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

/// Runs a handler once, so many milliseconds from now; with SA_RESTART, which must change nothing.
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

#[test]
fn a_signal_handler_ends_an_interruptible_wait_alone() {
    let place = Place::new();
    for kind in [Kind::Units, Kind::Events] {
        let semaphore = place.create(0, kind);
        for timeout_ms in [10_000, -1] {
            let child = Child::start(|| {
                signal_in(100);
                i32::from(errno(semaphore.interruptible().wait(timeout_ms)) != Some(Errno::EINTR))
            });
            assert_eq!(child.join(), 0, "{kind:?} {timeout_ms}");
        }
        let child = Child::start(|| {
            signal_in(50);
            let (result, waited) = timed(|| semaphore.wait(300));
            let in_time = waited >= Duration::from_millis(300);
            i32::from(!(in_time && errno(result) == Some(Errno::ETIMEDOUT)))
        });
        assert_eq!(child.join(), 0, "{kind:?}");
        semaphore.post().unwrap();
        assert_eq!(semaphore.value(), Ok(1), "{kind:?}");
        semaphore::remove(place.name()).unwrap();
    }
}

#[test]
fn an_interrupted_wait_takes_nothing() {
    const POSTS: usize = 3000;
    let place = Place::new();
    let semaphore = place.create(0, Kind::Events);
    let child = Child::start(|| {
        signal_storm();
        let (mut taken, mut interrupted) = (0, 0);
        while taken < POSTS {
            match errno(semaphore.interruptible().wait(10_000)) {
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
    let place = Place::new();
    let semaphore = place.create(0, Kind::Events);
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
    let place = Place::new();
    let semaphore = place.create(0, Kind::Units);
    let waits = || i32::from(errno(semaphore.wait(-1)) != Some(Errno::EIDRM));
    let child = Child::start(waits);
    sleep_ms(50);
    semaphore::remove(place.name()).unwrap();
    assert_eq!(child.join(), 0);
    for result in [semaphore.wait(-1), semaphore.post()] {
        assert_eq!(errno(result), Some(Errno::EIDRM));
    }
    assert_eq!(errno(semaphore.value()), Some(Errno::EIDRM));
    let by_id = Name::SysvId(semaphore.id());
    assert_eq!(errno(Semaphore::open(by_id)), Some(Errno::EIDRM));
    assert_eq!(errno(semaphore::remove(by_id)), Some(Errno::EIDRM));
    assert_eq!(errno(Semaphore::open(place.name())), Some(Errno::ENOENT));
    assert_eq!(errno(semaphore::remove(place.name())), Some(Errno::ENOENT));
}

#[test]
fn an_existing_one_stays_as_it_is() {
    let place = Place::new();
    let semaphore = place.create(7, Kind::Units);
    assert_eq!(Semaphore::create(place.name(), LOCK), Ok(semaphore));
    assert_eq!(Semaphore::open(place.name()), Ok(semaphore));
    assert_eq!(Semaphore::open(Name::SysvId(semaphore.id())), Ok(semaphore));
    assert_eq!(semaphore.value(), Ok(7));
    let create = |new| errno(Semaphore::create(place.name(), new));
    let exclusive = New {
        exclusive: true,
        ..LOCK
    };
    let events = New {
        kind: Kind::Events,
        ..LOCK
    };
    assert_eq!(create(exclusive), Some(Errno::EEXIST));
    assert_eq!(create(events), Some(Errno::EINVAL));
}

#[test]
fn values_and_modes_have_their_range() {
    let place = Place::new();
    let create = |value, mode| {
        let new = New {
            value,
            mode,
            ..LOCK
        };
        Semaphore::create(place.name(), new)
    };
    assert_eq!(errno(create(-1, 0o600)), Some(Errno::EINVAL));
    assert_eq!(errno(create(1, 0o1600)), Some(Errno::EINVAL));
    assert_eq!(errno(create(MAX_VALUE + 1, 0o600)), Some(Errno::ERANGE));
    assert_eq!(errno(Semaphore::open(place.name())), Some(Errno::ENOENT));
    let semaphore = create(MAX_VALUE, 0o600).unwrap();
    assert_eq!(semaphore.value(), Ok(MAX_VALUE));
    assert_eq!(errno(semaphore.post()), Some(Errno::ERANGE));
}

#[test]
fn only_sysv_names_have_semaphores() {
    for name in ["posix:/x", "file:x", "anon:", "sysv:private"] {
        let name = Name::parse(name.as_bytes()).unwrap();
        assert_eq!(errno(Semaphore::open(name)), Some(Errno::EINVAL));
        assert_eq!(errno(semaphore::remove(name)), Some(Errno::EINVAL));
        if name != Name::SysvPrivate {
            assert_eq!(errno(Semaphore::create(name, LOCK)), Some(Errno::EINVAL));
        }
    }
    assert_eq!(
        errno(Semaphore::create(Name::SysvId(0), LOCK)),
        Some(Errno::EINVAL)
    );
}

/// Another program's set under the key of this place.
fn foreign_set(place: &Place, count: i32) -> i32 {
    // SAFETY: takes no pointer.
    let id = unsafe { libc::semget(place.key(), count, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    assert!(id >= 0);
    id
}

fn set_all(id: i32, values: &[u16]) {
    const SETALL: i32 = 17;
    // SAFETY: there are as many values as the set has semaphores.
    assert_eq!(unsafe { libc::semctl(id, 0, SETALL, values.as_ptr()) }, 0);
}

fn get_all(id: i32, count: usize) -> Vec<u16> {
    const GETALL: i32 = 13;
    let mut values = vec![0; count];
    // SAFETY: there is room for as many values as the set has semaphores.
    let got = unsafe { libc::semctl(id, 0, GETALL, values.as_mut_ptr()) };
    assert_eq!(got, 0);
    values
}

fn assert_left_alone(place: &Place, id: i32, count: usize, what: &str) {
    let before = get_all(id, count);
    let invalid = Some(Errno::EINVAL);
    let open = Semaphore::open(place.name());
    assert_eq!(errno(open), invalid, "{count} {what}");
    for kind in [Kind::Units, Kind::Events] {
        for exclusive in [false, true] {
            let new = New {
                kind,
                exclusive,
                ..LOCK
            };
            let create = Semaphore::create(place.name(), new);
            assert_eq!(errno(create), invalid, "{count} {what}");
        }
    }
    assert_eq!(errno(Semaphore::open(Name::SysvId(id))), invalid);
    for name in [place.name(), Name::SysvId(id)] {
        assert_eq!(errno(semaphore::remove(name)), invalid, "{count} {what}");
    }
    assert_eq!(get_all(id, count), before, "{count} {what}");
}

/// How many semaphores the sets of this library have.
fn own_count() -> usize {
    let place = Place::new();
    let semaphore = place.create(0, Kind::Units);
    // SAFETY: all zeros are a valid value.
    let mut ds: libc::semid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    let stat = unsafe { libc::semctl(semaphore.id(), 0, libc::IPC_STAT, &raw mut ds) };
    assert_eq!(stat, 0);
    ds.sem_nsems as usize
}

#[test]
fn another_programs_semaphores_are_left_alone() {
    const SETVAL: i32 = 16;
    for count in [1, 2, 3, own_count()] {
        for value in [0, 1, 5, 0x5348, 0x5349] {
            let place = Place::new();
            let id = foreign_set(&place, count as i32);
            let mut values = vec![0; count];
            values[0] = 5;
            values[count - 1] = value;
            set_all(id, &values);
            assert_left_alone(&place, id, count, "after SETALL");
        }

        let place = Place::new();
        let id = foreign_set(&place, count as i32);
        set_all(id, &vec![0; count]);
        assert_left_alone(&place, id, count, "after SETALL of zeros");

        for which in 0..count as i32 {
            let place = Place::new();
            let id = foreign_set(&place, count as i32);
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { libc::semctl(id, which, SETVAL, 0) }, 0);
            assert_left_alone(&place, id, count, "after SETVAL");
        }

        let place = Place::new();
        let id = foreign_set(&place, count as i32);
        for sem_op in [1, -1] {
            let mut used = libc::sembuf {
                sem_num: 0,
                sem_op,
                sem_flg: 0,
            };
            // SAFETY: one operation, as said.
            assert_eq!(unsafe { libc::semop(id, &mut used, 1) }, 0);
            assert_left_alone(&place, id, count, "after semop");
        }
    }
}

#[test]
fn another_programs_set_without_values_is_left_alone() {
    for count in 1..own_count() + 9 {
        if count == own_count() {
            continue;
        }
        let place = Place::new();
        let id = foreign_set(&place, count as i32);
        assert_left_alone(&place, id, count, "without values");
    }
}

#[test]
fn a_creator_killed_at_any_system_call_leaves_it_whole_or_to_the_next() {
    let place = Place::new();
    let new = New {
        value: 3,
        exclusive: true,
        ..LOCK
    };
    let (mut absent, mut whole) = (0, 0);
    let kills = kill_at_each(
        libc::PTRACE_SYSCALL,
        || (),
        || {
            let _ = Semaphore::create(place.name(), new);
        },
        |steps| {
            let semaphore = match Semaphore::open(place.name()) {
                Ok(semaphore) => {
                    whole += 1;
                    semaphore
                }
                Err(error) => {
                    assert_eq!(error.errno(), Errno::ENOENT, "{steps}");
                    absent += 1;
                    Semaphore::create(place.name(), new).unwrap()
                }
            };
            assert_eq!(semaphore.value(), Ok(3), "{steps}");
            semaphore::remove(place.name()).unwrap();
        },
    );
    println!("{kills} kills: {absent} absent, {whole} whole");
    assert!(absent >= 3 && whole >= 1, "{absent} {whole}");
}

#[test]
fn many_make_and_open_and_remove_it_at_the_same_time() {
    let place = Place::new();
    let name = place.name();
    let work = || {
        for round in 0..2000 {
            let semaphore = if round % 3 == 0 {
                Semaphore::open(name)
            } else {
                Semaphore::create(name, LOCK)
            };
            let taken = match semaphore {
                Ok(semaphore) => semaphore.wait(5000).and_then(|()| semaphore.post()),
                Err(error) if error.errno() == Errno::ENOENT && round % 3 == 0 => Ok(()),
                Err(_) => return 1,
            };
            // It always has its first value, so that no wait is in vain.
            if !matches!(errno(taken), None | Some(Errno::EIDRM)) {
                return 2;
            }
            if round % 7 == 0
                && !matches!(errno(semaphore::remove(name)), None | Some(Errno::ENOENT))
            {
                return 3;
            }
        }
        0
    };
    let children: Vec<Child> = (0..6).map(|_| Child::start(work)).collect();
    for child in children {
        assert_eq!(child.join(), 0);
    }
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    for mode in [0, 0o400] {
        let place = Place::new();
        let new = New { mode, ..LOCK };
        let name = place.name();
        let child = Child::start(|| {
            // SAFETY: takes no pointer. Where it fails, the process is an ordinary user's already.
            unsafe { libc::setuid(65534) };
            i32::from(errno(Semaphore::create(name, new)) != Some(Errno::EACCES))
        });
        assert_eq!(child.join(), 0, "{mode:o}");
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::semget(place.key(), 0, 0) }, -1, "{mode:o}");
    }
}

#[test]
fn one_of_many_makes_it() {
    for _ in 0..50 {
        let place = Place::new();
        let exclusive = New {
            exclusive: true,
            ..LOCK
        };
        let name = place.name();
        let work = || match Semaphore::create(name, exclusive) {
            Ok(_) => 1,
            Err(error) if error.errno() == Errno::EEXIST => 0,
            Err(_) => 100,
        };
        let children: Vec<Child> = (0..6).map(|_| Child::start(work)).collect();
        let made: i32 = children.into_iter().map(Child::join).sum();
        assert_eq!(made, 1);
        assert_eq!(Semaphore::open(name).unwrap().value(), Ok(1));
    }
}
