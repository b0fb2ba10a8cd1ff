//! Creation, opening and removal: the rules, and processes that do it at the same time or are killed.

use shmcomm::semaphore::{self, Kind, MAX_VALUE, New};
use shmcomm::{Errno, Name, Semaphore};

use crate::support::{Child, SysvKey, errno, kill_at_each};
use crate::{LOCK, create};

#[test]
fn an_existing_semaphore_stays_as_it_is() {
    let key = SysvKey::new();
    let semaphore = create(&key, 7, Kind::Units);
    let by_id = Name::SysvId(semaphore.id().unwrap());
    for opened in [
        Semaphore::create(key.name(), LOCK),
        Semaphore::open(key.name()),
        Semaphore::open(by_id),
    ] {
        let opened = opened.unwrap();
        assert_eq!(opened.id(), semaphore.id());
        assert_eq!(opened.kind(), Kind::Units);
    }
    assert_eq!(semaphore.value(), Ok(7));
    let create = |new| errno(Semaphore::create(key.name(), new));
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
fn values_and_modes_have_a_range() {
    let key = SysvKey::new();
    let create = |value, mode| {
        let new = New {
            value,
            mode,
            ..LOCK
        };
        Semaphore::create(key.name(), new)
    };
    let reclaim = New {
        reclaim: true,
        ..LOCK
    };
    assert_eq!(
        errno(Semaphore::create(key.name(), reclaim)),
        Some(Errno::EINVAL)
    );
    assert_eq!(errno(create(-1, 0o600)), Some(Errno::EINVAL));
    assert_eq!(errno(create(1, 0o1600)), Some(Errno::EINVAL));
    assert_eq!(errno(create(MAX_VALUE + 1, 0o600)), Some(Errno::ERANGE));
    assert_eq!(errno(Semaphore::open(key.name())), Some(Errno::ENOENT));
    let semaphore = create(MAX_VALUE, 0o600).unwrap();
    assert_eq!(semaphore.value(), Ok(MAX_VALUE));
    assert_eq!(errno(semaphore.post()), Some(Errno::ERANGE));
}

#[test]
fn some_names_have_no_semaphore() {
    for name in ["anon:", "sysv:private"] {
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

/// A creator that is killed at any system call leaves a whole semaphore of this name, or none.
pub fn a_killed_creator_leaves_a_whole_semaphore_or_none(name: Name<'_>, new: New) {
    let new = New {
        value: 3,
        exclusive: true,
        ..new
    };
    let (mut absent, mut whole) = (0, 0);
    kill_at_each(
        libc::PTRACE_SYSCALL,
        || (),
        || {
            let _ = Semaphore::create(name, new);
        },
        |steps| {
            let semaphore = match Semaphore::open(name) {
                Ok(semaphore) => {
                    whole += 1;
                    semaphore
                }
                Err(error) => {
                    assert_eq!(error.errno(), Errno::ENOENT, "{steps}");
                    absent += 1;
                    Semaphore::create(name, new).unwrap()
                }
            };
            assert_eq!(semaphore.value(), Ok(3), "{steps}");
            semaphore::remove(name).unwrap();
        },
    );
    assert!(absent >= 3 && whole >= 1, "{absent} {whole}");
}

#[test]
fn a_creator_killed_at_any_system_call_leaves_a_whole_semaphore_or_none() {
    let key = SysvKey::new();
    a_killed_creator_leaves_a_whole_semaphore_or_none(key.name(), LOCK);
}

#[test]
fn processes_create_open_and_remove_it_at_the_same_time() {
    let key = SysvKey::new();
    let name = key.name();
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
            // An open semaphore always has its first value, so a wait succeeds.
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
        let key = SysvKey::new();
        let new = New { mode, ..LOCK };
        let name = key.name();
        let child = Child::start(|| {
            // SAFETY: takes no pointer. If it fails, the process is not root's.
            unsafe { libc::setuid(65534) };
            i32::from(errno(Semaphore::create(name, new)) != Some(Errno::EACCES))
        });
        assert_eq!(child.join(), 0, "{mode:o}");
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::semget(key.raw(), 0, 0) }, -1, "{mode:o}");
    }
}

#[test]
fn one_of_several_creators_succeeds() {
    for _ in 0..50 {
        let key = SysvKey::new();
        let exclusive = New {
            exclusive: true,
            ..LOCK
        };
        let name = key.name();
        let work = || match Semaphore::create(name, exclusive) {
            Ok(_) => 1,
            Err(error) if error.errno() == Errno::EEXIST => 0,
            Err(_) => 100,
        };
        let children: Vec<Child> = (0..6).map(|_| Child::start(work)).collect();
        let created: i32 = children.into_iter().map(Child::join).sum();
        assert_eq!(created, 1);
        assert_eq!(Semaphore::open(name).unwrap().value(), Ok(1));
    }
}
