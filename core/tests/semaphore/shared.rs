//! The semaphores of `posix:` and `file:` names: events that are counted in shared memory.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use shmcomm::semaphore::{self, Kind, MAX_SHARED_VALUE, New};
use shmcomm::{Errno, Name, Semaphore, segment};

use crate::support::{
    Child, EVERY, SLACK, again, errno, kill_at_each, signal_storm, sleep_ms, spread, timed, within,
};
use crate::waits::{die_inside, signal_in};

/// A name that no other test uses; its object is removed at first and in the end.
pub struct Object(String);

impl Object {
    fn new(kind: &str, what: &str) -> Self {
        let own = format!("shmcomm-test-{}-semaphore-{what}", std::process::id());
        let object = Self(match kind {
            "file" => format!("file:{}", env::temp_dir().join(own).display()),
            _ => format!("posix:/{own}"),
        });
        let _ = fs::remove_file(object.path());
        object
    }

    fn both(what: &str) -> [Self; 2] {
        ["posix", "file"].map(|kind| Self::new(kind, what))
    }

    fn name(&self) -> Name<'_> {
        Name::parse(self.0.as_bytes()).unwrap()
    }

    fn path(&self) -> PathBuf {
        match self.0.strip_prefix("file:") {
            Some(path) => path.into(),
            None => self.0.replacen("posix:", "/dev/shm", 1).into(),
        }
    }

    fn create(&self, value: i32) -> Semaphore {
        let new = New {
            exclusive: true,
            ..events(value)
        };
        Semaphore::create(self.name(), new).unwrap()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn events(value: i32) -> New {
    New {
        value,
        kind: Kind::Events,
        ..New::default()
    }
}

#[test]
fn an_existing_semaphore_stays_as_it_is() {
    for object in Object::both("existing") {
        let semaphore = object.create(7);
        for opened in [
            Semaphore::open(object.name()),
            Semaphore::create(object.name(), events(3)),
        ] {
            let opened = opened.unwrap();
            assert_eq!(opened.wait(0), Ok(()));
            assert_eq!((opened.id(), opened.kind()), (None, Kind::Events));
        }
        assert_eq!(semaphore.value(), Ok(5));
        let mode = fs::metadata(object.path()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let create = |new| errno(Semaphore::create(object.name(), new));
        let exclusive = New {
            exclusive: true,
            ..events(0)
        };
        assert_eq!(create(exclusive), Some(Errno::EEXIST));
        assert_eq!(create(New::default()), Some(Errno::EINVAL));
    }
}

#[test]
fn values_and_kinds_have_a_range() {
    for object in Object::both("range") {
        let create = |new| errno(Semaphore::create(object.name(), new));
        let mode = New {
            mode: 0o1600,
            ..events(0)
        };
        assert_eq!(create(mode), Some(Errno::EINVAL));
        assert_eq!(create(events(-1)), Some(Errno::EINVAL));
        assert_eq!(create(New::default()), Some(Errno::EINVAL));
        assert_eq!(create(events(MAX_SHARED_VALUE + 1)), Some(Errno::ERANGE));
        let opened = Semaphore::open(object.name());
        assert_eq!(errno(opened), Some(Errno::ENOENT));
        let semaphore = object.create(MAX_SHARED_VALUE - 1);
        semaphore.post().unwrap();
        assert_eq!(errno(semaphore.post()), Some(Errno::EOVERFLOW));
        assert_eq!(semaphore.value(), Ok(MAX_SHARED_VALUE));
    }
}

#[test]
fn another_object_is_no_semaphore() {
    for object in Object::both("foreign") {
        let refused = |expected| {
            let before = fs::read(object.path()).unwrap();
            for result in [
                errno(Semaphore::open(object.name())),
                errno(Semaphore::create(object.name(), events(1))),
                errno(semaphore::remove(object.name())),
            ] {
                assert_eq!(result, Some(expected), "{} bytes", before.len());
            }
            assert_eq!(fs::read(object.path()).unwrap(), before);
        };
        // Of the size of a semaphore, too.
        for size in [0, 8, 64, 4096] {
            fs::write(object.path(), vec![0; size]).unwrap();
            refused(Errno::EBADMSG);
        }
        fs::remove_file(object.path()).unwrap();
        object.create(1);
        let mut other_version = fs::read(object.path()).unwrap();
        other_version[6] += 1;
        fs::write(object.path(), other_version).unwrap();
        refused(Errno::EBADMSG);
        fs::remove_file(object.path()).unwrap();
        let path = CString::new(object.path().into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: the path ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        for result in [
            errno(Semaphore::open(object.name())),
            errno(semaphore::remove(object.name())),
        ] {
            assert_eq!(result, Some(Errno::EINVAL));
        }
    }
}

/// Whatever another process writes into the word, a call ends and the value stays in its range.
#[test]
fn a_damaged_word_has_a_value_in_its_range() {
    let object = Object::new("file", "damaged");
    let semaphore = object.create(0);
    let whole = fs::read(object.path()).unwrap();
    for word in [0, 1, !0, 1 << 29, 1 << 30, 1 << 31, (1 << 30) - 1, 3 << 30] {
        let mut bytes = whole.clone();
        bytes[8..12].copy_from_slice(&u32::to_ne_bytes(word));
        // The file keeps its pages, which the semaphore has mapped.
        fs::write(object.path(), bytes).unwrap();
        let value = semaphore.value();
        assert!(matches!(value, Ok(0..=MAX_SHARED_VALUE)) || word >> 31 == 1);
        let (waited, posted) = (errno(semaphore.wait(1)), errno(semaphore.post()));
        assert!(matches!(
            waited,
            None | Some(Errno::ETIMEDOUT | Errno::EIDRM)
        ));
        assert!(matches!(posted, None | Some(Errno::EIDRM)), "{word:x}");
    }
}

/// It changes the word faster than a waiter can sleep on it. A minute is far beyond the sum of all
/// timeouts, on a loaded machine too.
#[test]
fn a_peer_that_rewrites_the_word_harms_only_the_number() {
    let object = Object::new("posix", "hostile");
    let semaphore = object.create(0);
    let memory = segment::Options::default().open(object.name()).unwrap();
    let peer = Child::start(|| {
        let mut random = 1_u32;
        loop {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // One in four numbers is small, and none has the bit of a removed semaphore.
            let word = if random >> 30 == 0 { 0 } else { random >> 1 };
            memory.write(8, &word.to_ne_bytes());
        }
    });
    let (harmless, took) = timed(|| {
        (0..500).all(|round| {
            let waited = errno(semaphore.wait(round % 3 * 2));
            let posted = errno(semaphore.post());
            matches!(waited, None | Some(Errno::ETIMEDOUT))
                && matches!(posted, None | Some(Errno::EOVERFLOW))
                && semaphore.value().is_ok()
        })
    });
    peer.kill();
    assert!(harmless && took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn a_creator_killed_at_any_system_call_leaves_a_whole_semaphore_or_none() {
    for object in Object::both("creator") {
        let (mut absent, mut whole) = (0, 0);
        let new = New {
            exclusive: true,
            ..events(3)
        };
        kill_at_each(
            libc::PTRACE_SYSCALL,
            || (),
            || {
                let _ = Semaphore::create(object.name(), new);
            },
            |steps| {
                let semaphore = match Semaphore::open(object.name()) {
                    Ok(semaphore) => {
                        whole += 1;
                        semaphore
                    }
                    Err(error) => {
                        assert_eq!(error.errno(), Errno::ENOENT, "{steps}");
                        absent += 1;
                        object.create(3)
                    }
                };
                assert_eq!(semaphore.value(), Ok(3), "{steps}");
                semaphore::remove(object.name()).unwrap();
            },
        );
        assert!(absent >= 3 && whole >= 1, "{absent} {whole}");
    }
}

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
    let semaphore = object.create(0);
    let interruptible = Semaphore::open(object.name()).unwrap().interruptible();
    for timeout_ms in [10_000, -1] {
        let child = Child::start(|| {
            signal_in(50);
            i32::from(errno(interruptible.wait(timeout_ms)) != Some(Errno::EINTR))
        });
        assert_eq!(child.join(), 0, "{timeout_ms}");
    }
    let child = Child::start(|| {
        signal_in(50);
        let (result, waited) = timed(|| semaphore.wait(200));
        let in_time = waited >= Duration::from_millis(200);
        i32::from(!(in_time && errno(result) == Some(Errno::ETIMEDOUT)))
    });
    assert_eq!(child.join(), 0);
    semaphore.post().unwrap();
    assert_eq!(semaphore.value(), Ok(1));
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

#[test]
fn a_file_with_a_second_name_is_not_removed() {
    let [object, other] = ["first", "second"].map(|what| Object::new("file", what));
    let semaphore = object.create(0);
    fs::hard_link(object.path(), other.path()).unwrap();
    semaphore::remove(object.name()).unwrap();
    let opened = Semaphore::open(other.name()).unwrap();
    opened.post().unwrap();
    assert_eq!(semaphore.wait(0), Ok(()));
}

#[test]
fn only_a_stale_semaphore_is_reclaimed() {
    let object = Object::new("posix", "reclaim");
    let reclaim = New {
        reclaim: true,
        ..events(5)
    };
    let value = || {
        Semaphore::create(object.name(), reclaim)
            .and_then(|semaphore| semaphore.value())
            .unwrap()
    };
    // Its creator lives.
    drop(object.create(1));
    assert_eq!(value(), 1);
    semaphore::remove(object.name()).unwrap();
    let create = || i32::from(Semaphore::create(object.name(), events(1)).is_err());
    assert_eq!(Child::start(create).join(), 0);
    let user = Semaphore::open(object.name()).unwrap();
    assert_eq!(value(), 1);
    drop(user);
    assert_eq!(value(), 5);
}

#[test]
fn processes_create_open_and_remove_it_at_the_same_time() {
    for object in Object::both("race") {
        let name = object.name();
        let work = || {
            for round in 0..300 {
                let semaphore = if round % 3 == 0 {
                    Semaphore::open(name)
                } else {
                    Semaphore::create(name, events(1))
                };
                let taken = match semaphore {
                    Ok(semaphore) => semaphore.wait(5000).and_then(|()| semaphore.post()),
                    Err(error) if error.errno() == Errno::ENOENT && round % 3 == 0 => Ok(()),
                    Err(_) => return 1,
                };
                // An open semaphore always has its first value, so a wait succeeds.
                if !matches!(errno(taken), None | Some(Errno::EIDRM)) {
                    return 2;
                }
                let removed = || errno(semaphore::remove(name));
                if round % 7 == 0 && !matches!(removed(), None | Some(Errno::ENOENT)) {
                    return 3;
                }
            }
            0
        };
        let children: Vec<Child> = (0..4).map(|_| Child::start(work)).collect();
        for child in children {
            assert_eq!(child.join(), 0);
        }
    }
}
