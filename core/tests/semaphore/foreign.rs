//! The semaphores of other programs are left alone.

use shmcomm::semaphore::{self, Kind, New};
use shmcomm::{Errno, Name, Semaphore};

use crate::support::{SysvKey, errno};
use crate::{LOCK, create};

/// A set of another program with this key.
fn foreign_set(key: &SysvKey, count: i32) -> i32 {
    // SAFETY: takes no pointer.
    let id = unsafe { libc::semget(key.raw(), count, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
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

fn assert_left_alone(key: &SysvKey, id: i32, count: usize, what: &str) {
    let before = get_all(id, count);
    let invalid = Some(Errno::EINVAL);
    let open = Semaphore::open(key.name());
    assert_eq!(errno(open), invalid, "{count} {what}");
    for kind in [Kind::Units, Kind::Events] {
        for exclusive in [false, true] {
            let new = New {
                kind,
                exclusive,
                ..LOCK
            };
            let create = Semaphore::create(key.name(), new);
            assert_eq!(errno(create), invalid, "{count} {what}");
        }
    }
    assert_eq!(errno(Semaphore::open(Name::SysvId(id))), invalid);
    for name in [key.name(), Name::SysvId(id)] {
        assert_eq!(errno(semaphore::remove(name)), invalid, "{count} {what}");
    }
    assert_eq!(get_all(id, count), before, "{count} {what}");
}

/// Number of semaphores in a set of this library.
fn own_count() -> usize {
    let key = SysvKey::new();
    let semaphore = create(&key, 0, Kind::Units);
    // SAFETY: all zeros are a valid value.
    let mut ds: libc::semid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    let stat = unsafe { libc::semctl(semaphore.id().unwrap(), 0, libc::IPC_STAT, &raw mut ds) };
    assert_eq!(stat, 0);
    ds.sem_nsems as usize
}

#[test]
fn another_programs_semaphores_are_left_alone() {
    const SETVAL: i32 = 16;
    for count in [1, 2, 3, own_count()] {
        for value in [0, 1, 5, 0x5348, 0x5349] {
            let key = SysvKey::new();
            let id = foreign_set(&key, count as i32);
            let mut values = vec![0; count];
            values[0] = 5;
            values[count - 1] = value;
            set_all(id, &values);
            assert_left_alone(&key, id, count, "after SETALL");
        }

        let key = SysvKey::new();
        let id = foreign_set(&key, count as i32);
        set_all(id, &vec![0; count]);
        assert_left_alone(&key, id, count, "after SETALL of zeros");

        for which in 0..count as i32 {
            let key = SysvKey::new();
            let id = foreign_set(&key, count as i32);
            // SAFETY: takes no pointer.
            assert_eq!(unsafe { libc::semctl(id, which, SETVAL, 0) }, 0);
            assert_left_alone(&key, id, count, "after SETVAL");
        }

        let key = SysvKey::new();
        let id = foreign_set(&key, count as i32);
        for sem_op in [1, -1] {
            let mut used = libc::sembuf {
                sem_num: 0,
                sem_op,
                sem_flg: 0,
            };
            // SAFETY: points at one operation.
            assert_eq!(unsafe { libc::semop(id, &mut used, 1) }, 0);
            assert_left_alone(&key, id, count, "after semop");
        }
    }
}

#[test]
fn another_programs_set_without_values_is_left_alone() {
    for count in 1..own_count() + 9 {
        if count == own_count() {
            continue;
        }
        let key = SysvKey::new();
        let id = foreign_set(&key, count as i32);
        assert_left_alone(&key, id, count, "without values");
    }
}
