//! System V names that several processes create, open, replace and remove at the same time.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use shmcomm::segment::Options;
use shmcomm::{Errno, Name, segment};
use support::{Child, SysvKey, errno};

/// The id of the key's segment and the number of its attachments. It does not attach: the fork of another
/// test would inherit that.
fn look(key: &SysvKey) -> (i32, u64) {
    // SAFETY: takes no pointer.
    let id = unsafe { libc::shmget(key.raw(), 0, 0) };
    // SAFETY: all zeros are a valid value.
    let mut ds: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    let stat = unsafe { libc::shmctl(id, libc::IPC_STAT, &mut ds) };
    assert_eq!(stat, 0);
    (id, ds.shm_nattch)
}

const OPEN: Options = Options::new();
const CREATE: Options = Options {
    size: 100,
    create: true,
    ..OPEN
};
const RECLAIM: Options = Options {
    reclaim: true,
    ..CREATE
};

fn exists_or_not<T>(result: Result<T, shmcomm::Error>) -> bool {
    matches!(errno(result), None | Some(Errno::ENOENT))
}

#[test]
fn a_name_that_is_created_and_removed_exists_or_does_not() {
    let key = SysvKey::new();
    let name = key.name();
    let at_least = Options { size: 50, ..OPEN };
    let exclusive = Options {
        exclusive: true,
        ..CREATE
    };
    let work = |nth: usize| {
        for round in 0..6000 {
            let as_promised = match (round + nth) % 6 {
                0 => CREATE.open(name).is_ok(),
                1 => exists_or_not(OPEN.open(name)),
                2 => exists_or_not(at_least.open(name)),
                3 => RECLAIM.open(name).is_ok(),
                4 => matches!(errno(exclusive.open(name)), None | Some(Errno::EEXIST)),
                _ => exists_or_not(segment::remove(name)),
            };
            if !as_promised {
                return 1 + (round + nth) as i32 % 6;
            }
        }
        0
    };
    let children: Vec<Child> = (0..6).map(|nth| Child::start(move || work(nth))).collect();
    let failed: Vec<_> = children.into_iter().map(Child::join).collect();
    assert_eq!(failed, [0; 6], "1 and the step that failed");
}

/// A segment whose creator has exited.
fn leave(name: Name<'_>) {
    let child = Child::start(|| i32::from(CREATE.open(name).is_err()));
    assert_eq!(child.join(), 0);
}

#[test]
fn several_that_replace_a_stale_segment_share_the_new_one() {
    const SEVERAL: u64 = 6;
    for _ in 0..100 {
        let key = SysvKey::new();
        let name = key.name();
        leave(name);
        let (stale, _) = look(&key);
        let work = || {
            let segment = RECLAIM.open(name);
            // SAFETY: takes no pointer.
            unsafe { libc::raise(libc::SIGSTOP) };
            errno(segment).map_or(0, Errno::raw)
        };
        let children: Vec<Child> = (0..SEVERAL).map(|_| Child::start(work)).collect();
        children.iter().for_each(Child::wait_for_stop);
        let (id, attached) = look(&key);
        for child in children {
            child.signal(libc::SIGCONT);
            assert_eq!(child.join(), 0);
        }
        assert_ne!(id, stale);
        assert_eq!(attached, SEVERAL);
    }
}

#[test]
fn one_of_several_exclusive_creators_replaces_a_stale_segment() {
    let exclusive = Options {
        exclusive: true,
        ..RECLAIM
    };
    for _ in 0..100 {
        let key = SysvKey::new();
        let name = key.name();
        leave(name);
        let work = || {
            let segment = exclusive.open(name);
            // SAFETY: takes no pointer.
            unsafe { libc::raise(libc::SIGSTOP) };
            errno(segment).map_or(0, Errno::raw)
        };
        let children: Vec<Child> = (0..6).map(|_| Child::start(work)).collect();
        children.iter().for_each(Child::wait_for_stop);
        let results = children.into_iter().map(|child| {
            child.signal(libc::SIGCONT);
            child.join()
        });
        let mut results: Vec<_> = results.collect();
        results.sort_unstable();
        let taken = libc::EEXIST;
        assert_eq!(results, [0, taken, taken, taken, taken, taken]);
    }
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let key = SysvKey::new();
    let name = key.name();
    // Only root can attach the first two for writing, and no process may lock any memory.
    let cases = [
        Options { mode: 0, ..CREATE },
        Options {
            mode: 0o400,
            ..CREATE
        },
        Options {
            locked: true,
            size: 1 << 24,
            ..CREATE
        },
    ];
    for options in cases {
        let child = Child::start(|| {
            let limit = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: the pointer is valid. If the second call fails, the process is not root's.
            unsafe {
                libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit);
                libc::setuid(65534);
            }
            i32::from(options.open(name).is_ok())
        });
        assert_eq!(child.join(), 0, "{options:?}");
        assert_eq!(errno(OPEN.open(name)), Some(Errno::ENOENT), "{options:?}");
    }
}
