//! The semaphores of `posix:` and `file:` names: their objects, and the number of events in them.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use shmcomm::semaphore::{self, Kind, MAX_SHARED_VALUE, New};
use shmcomm::{Errno, Semaphore, segment};

use crate::creation::a_killed_creator_leaves_a_whole_semaphore_or_none;
use crate::object::{Object, events};
use crate::support::{Child, errno, timed};

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
        a_killed_creator_leaves_a_whole_semaphore_or_none(object.name(), events(3));
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
    // A child of another test may have inherited the file, and has it until it exits.
    let end = Instant::now() + Duration::from_secs(20);
    while value() != 5 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(10));
    }
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
