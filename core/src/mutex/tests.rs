//! The mutex within one process; `core/tests/mutex.rs` has it between processes.

use super::*;

fn this_thread() -> u64 {
    Caller::current().unwrap().holder
}

fn mutex() -> Mutex {
    let mutex = Mutex::default();
    mutex.init().unwrap();
    mutex
}

fn errno<T>(result: Result<T, Error>) -> Option<Errno> {
    result.err().map(|error| error.errno())
}

#[test]
fn it_is_exclusive_among_threads() {
    struct Counter(core::cell::UnsafeCell<u64>);
    // SAFETY: only reached under the mutex.
    unsafe impl Sync for Counter {}
    impl Counter {
        fn increase(&self) {
            // SAFETY: under the mutex.
            unsafe { *self.0.get() += 1 }
        }
    }
    let (mutex, counter) = (mutex(), Counter(0.into()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    assert_eq!(mutex.lock(-1), Ok(Acquired::Clean));
                    counter.increase();
                    mutex.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(counter.0.into_inner(), 80_000);
    assert_eq!(mutex.0.word.into_inner(), FREE);
}

#[test]
fn misuse_is_reported() {
    let mutex = mutex();
    assert_eq!(errno(mutex.unlock()), Some(Errno::EPERM));
    mutex.lock(0).unwrap();
    for timeout in [-1, 0, 10] {
        assert_eq!(errno(mutex.lock(timeout)), Some(Errno::EDEADLK));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(errno(mutex.unlock()), Some(Errno::EPERM));
            assert_eq!(errno(mutex.lock(0)), Some(Errno::ETIMEDOUT));
        });
    });
    mutex.unlock().unwrap();
    assert_eq!(errno(mutex.unlock()), Some(Errno::EPERM));
}

#[test]
fn memory_that_is_no_mutex_is_refused() {
    for byte in 0..=u8::MAX {
        let bytes = u64::from_ne_bytes([byte; 8]);
        let garbage = Mutex(WordMutex::new(AtomicU64::new(bytes), AtomicU64::new(bytes)));
        assert_eq!(errno(garbage.lock(-1)), Some(Errno::EINVAL));
        assert_eq!(errno(garbage.unlock()), Some(Errno::EINVAL));
        assert_eq!(garbage.0.word.load(Relaxed), bytes);
        garbage.init().unwrap();
        assert_eq!(garbage.lock(0), Ok(Acquired::Clean));
    }
}

#[test]
fn any_word_ends_a_lock() {
    let mutex = mutex();
    for shift in 0..64 {
        for word in [1 << shift, u64::MAX << shift, u64::MAX >> shift] {
            mutex.0.word.store(word, Relaxed);
            let result = mutex.lock(1);
            let timed_out = errno(result) == Some(Errno::ETIMEDOUT);
            assert!(timed_out || result == Ok(Acquired::OwnerDied), "{word:x}");
        }
    }
}

#[test]
fn init_leaves_a_mutex_as_it_is() {
    let mutex = mutex();
    mutex.lock(0).unwrap();
    mutex.init().unwrap();
    assert_eq!(errno(mutex.lock(0)), Some(Errno::EDEADLK));
}

#[test]
fn a_thread_that_ends_inside_is_a_dead_holder() {
    let mutex = mutex();
    std::thread::scope(|scope| {
        scope.spawn(|| mutex.lock(0).unwrap());
    });
    // The kernel may not be done with it when it is joined.
    assert_eq!(mutex.lock(5000), Ok(Acquired::OwnerDied));
    mutex.unlock().unwrap();
    assert_eq!(mutex.lock(0), Ok(Acquired::Clean));
}

#[test]
fn a_later_thread_of_the_same_id_is_not_the_holder() {
    let mutex = mutex();
    let before_this_thread = DIED | (this_thread() & TID);
    mutex.0.word.store(before_this_thread, Relaxed);
    assert_eq!(mutex.lock(0), Ok(Acquired::OwnerDied));
    let by_init = (1 << SINCE_SHIFT) | 1;
    mutex.0.word.store(by_init, Relaxed);
    assert_eq!(
        mutex.lock(0).is_ok(),
        holder_died::<AtomicU64>(by_init, true)
    );
}

#[test]
fn a_holder_of_an_earlier_boot_is_dead() {
    let mutex = mutex();
    let another_boot = mutex.0.kind.load(Relaxed) ^ (1 << (Namespace::BITS - 1));
    for (word, acquired) in [
        (this_thread(), Acquired::OwnerDied),
        (FREE, Acquired::Clean),
    ] {
        mutex.0.kind.store(another_boot, Relaxed);
        mutex.0.word.store(word, Relaxed);
        assert_eq!(mutex.lock(0), Ok(acquired));
        mutex.unlock().unwrap();
    }
}

#[test]
fn a_mutex_of_another_namespace_is_refused() {
    let mutex = mutex();
    mutex.0.kind.fetch_xor(1, Relaxed);
    assert_eq!(errno(mutex.init()), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(mutex.lock(0)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(mutex.unlock()), Some(Errno::EOPNOTSUPP));
}

#[test]
fn the_loser_of_an_init_race_leaves_the_winners_lock() {
    for garbage in [0, 1, u64::MAX] {
        let mutex = Mutex(WordMutex::new(
            AtomicU64::new(garbage),
            AtomicU64::new(garbage),
        ));
        let me = Caller::current();
        mutex.init().unwrap();
        mutex.lock(0).unwrap();
        let locked = mutex.0.word.load(Relaxed);
        // What the loser had seen before.
        assert!(mutex.0.adopt(garbage, garbage, me, true).is_ok());
        assert_eq!(mutex.0.word.load(Relaxed), locked);
        mutex.unlock().unwrap();
    }
}

#[test]
fn the_loser_of_an_init_race_with_another_namespace_is_refused() {
    let mutex = Mutex::default();
    let here = Caller::current().unwrap();
    let kind = here.kind ^ 1;
    let there = Caller { kind, ..here };
    mutex.0.adopt(0, 0, Some(there), true).unwrap();
    let lost = mutex.0.adopt(0, 0, Some(here), true);
    assert_eq!(errno(lost), Some(Errno::EOPNOTSUPP));
    assert_eq!(mutex.0.kind.load(Relaxed), kind);
}

#[test]
fn a_place_that_cannot_be_determined_is_refused_and_changes_nothing() {
    let mutex = mutex();
    mutex.lock(0).unwrap();
    let (word, kind) = (mutex.0.word.load(Relaxed), mutex.0.kind.load(Relaxed));
    for from_any_bytes in [false, true] {
        let refused = mutex.0.adopt(word, kind, None, from_any_bytes);
        assert_eq!(errno(refused), Some(Errno::EOPNOTSUPP));
    }
    assert_eq!(
        errno(mutex.0.adopt(0, 0, None, true)),
        Some(Errno::EOPNOTSUPP)
    );
    assert_eq!(
        (word, kind),
        (mutex.0.word.load(Relaxed), mutex.0.kind.load(Relaxed))
    );
}
