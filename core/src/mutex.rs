//! A mutex that lives in shared memory and survives the death of who holds it.
//!
//! Its state is one word, which says who holds it and since when: a thread that is killed at any
//! moment either holds the mutex or does not, and whoever finds the holder dead takes it over. The
//! memory holds no address, so that nothing another process writes there, and no unmapping while it
//! is held, can harm this one; a robust mutex of `pthread(7)` has neither property.
//!
//! ```
//! use shmcomm::mutex::{Acquired, Mutex};
//!
//! let mutex = Mutex::default(); // in shared memory: zeros are ready for init()
//! mutex.init()?;
//! assert_eq!(mutex.lock(-1)?, Acquired::Clean);
//! mutex.unlock()?;
//! # Ok::<(), shmcomm::Error>(())
//! ```

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::deadline::Deadline;
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::place::Place;
use crate::stale;
use crate::sys;

/// A mutex; 16 bytes, and any bytes are a valid value.
#[repr(C, align(8))]
#[derive(Default, Debug)]
pub struct Mutex {
    /// Who holds it, from the high bits to the low ones:
    ///
    /// ```text
    /// | since when, in ms after boot: 41 | somebody may sleep: 1 | thread id: 22 |
    /// ```
    ///
    /// The low half is the word that waiters sleep on.
    ///
    /// | from | to | by | ordering | a death right after it leaves |
    /// |---|---|---|---|---|
    /// | 0 | held | who locks | acquire, release | a dead holder |
    /// | held | held, somebody may sleep | who is about to sleep | relaxed | one wake-up too many |
    /// | held by the dead | held | who finds that out | acquire, release | a dead holder again |
    /// | held | 0 | who unlocks | release | sleepers that look again within [`CHECK_MS`] |
    /// | anything | 0 or [`DIED`] | [`Self::prepare`], as long as `kind` forbids locking | relaxed | the same work for the next |
    word: AtomicU64,
    /// What makes it a mutex: [`MAGIC`], and the place where its thread ids and times mean
    /// something. Nobody locks before this is what the locker's own place makes it.
    ///
    /// | from | to | by | ordering | a death right after it leaves |
    /// |---|---|---|---|---|
    /// | anything | a mutex of this place | [`Self::prepare`], after `word` | acquire, release | a mutex |
    kind: AtomicU64,
}

/// How a lock was got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// From who unlocked it.
    Clean,
    /// From a holder that died: what the mutex protects may be half changed. Reported once: the next
    /// holder gets it clean, unless this one dies as well.
    OwnerDied,
}

const FREE: u64 = 0;
const TID_BITS: u32 = 22;
const TID: u64 = (1 << TID_BITS) - 1;
const WAITERS: u64 = 1 << TID_BITS;
const SINCE_SHIFT: u32 = TID_BITS + 1;
/// Held by no thread: by one of an earlier boot.
const DIED: u64 = 1 << SINCE_SHIFT;

const MAGIC: u64 = 0x53_484d << Place::BITS;
const MAGIC_MASK: u64 = !((1 << Place::BITS) - 1);

/// How long who waits sleeps before it looks whether the holder is alive.
const CHECK_MS: c_int = 50;

impl Mutex {
    /// Makes any bytes an unlocked mutex; leaves alone what is one already, so that each process may
    /// call it, in any order, also at the same time. EOPNOTSUPP for a mutex of another pid or time
    /// namespace, or without `/proc`.
    pub fn init(&self) -> Result<(), Error> {
        self.prepare(true)
    }

    /// Waits at most so many milliseconds, -1 for ever, 0 not at all. ETIMEDOUT; EDEADLK where this
    /// thread holds it already; EINVAL where it is no mutex; EOPNOTSUPP as [`Self::init`].
    pub fn lock(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        self.prepare(false)?;
        let me = this_thread();
        match self.word.compare_exchange(FREE, me, AcqRel, Relaxed) {
            Ok(_) => Ok(Acquired::Clean),
            Err(_) => Call::Futex.of(self.contend(me, Deadline::after_ms(timeout_ms))),
        }
    }

    /// EPERM where this thread does not hold it; EINVAL where it is no mutex; EOPNOTSUPP as
    /// [`Self::init`].
    pub fn unlock(&self) -> Result<(), Error> {
        self.prepare(false)?;
        if self.word.load(Relaxed) & TID != sys::thread_id() as u64 {
            return Err(Call::Arguments.failed(Errno::EPERM));
        }
        if self.word.swap(FREE, Release) & WAITERS != 0 {
            let _ = sys::futex_wake(self.low_half(), 1);
        }
        Ok(())
    }

    #[cold]
    fn contend(&self, me: u64, deadline: Deadline) -> Result<Acquired, Errno> {
        let mut slept_long = false;
        loop {
            let last = deadline.has_passed();
            let seen = self.word.load(Relaxed);
            let is_mine = seen & TID == me & TID;
            let died = holder_died(seen, last || slept_long || is_mine);
            if seen == FREE || died {
                // Others may sleep, who came before.
                let new = me | WAITERS;
                match self.word.compare_exchange(seen, new, AcqRel, Relaxed) {
                    Ok(_) if died => return Ok(Acquired::OwnerDied),
                    Ok(_) => return Ok(Acquired::Clean),
                    Err(_) => continue,
                }
            }
            if is_mine {
                return Err(Errno::EDEADLK);
            }
            if last {
                return Err(Errno::ETIMEDOUT);
            }
            let marked = seen | WAITERS;
            if seen != marked
                && self
                    .word
                    .compare_exchange(seen, marked, Relaxed, Relaxed)
                    .is_err()
            {
                continue;
            }
            let look_again = deadline.or_earlier(Deadline::after_ms(CHECK_MS));
            slept_long = match futex::wait_until(self.low_half(), marked as u32, look_again) {
                Ok(()) => false,
                Err(Errno::ETIMEDOUT) => true,
                Err(errno) => return Err(errno),
            };
        }
    }

    /// Makes it a mutex of this place, if it is not and if that may be.
    #[inline]
    fn prepare(&self, from_any_bytes: bool) -> Result<(), Error> {
        let kind = Place::current().map(|place| MAGIC | place.raw());
        // The word first: one that is read before a kind that forbids locking is nobody's lock.
        let word = self.word.load(Acquire);
        let found = self.kind.load(Acquire);
        if kind == Some(found) {
            Ok(())
        } else {
            self.settle(word, found, kind, from_any_bytes)
        }
    }

    #[cold]
    fn settle(
        &self,
        word: u64,
        found: u64,
        kind: Option<u64>,
        from_any_bytes: bool,
    ) -> Result<(), Error> {
        let is_mutex = found & MAGIC_MASK == MAGIC;
        if !is_mutex && !from_any_bytes {
            return Err(Error::INVALID);
        }
        let elsewhere = Call::Arguments.failed(Errno::EOPNOTSUPP);
        let kind = kind.ok_or(elsewhere)?;
        if is_mutex && Place::from_raw(found).is_same_boot(Place::from_raw(kind)) {
            return Err(elsewhere);
        }
        let new = if is_mutex && word != FREE { DIED } else { FREE };
        let _ = self.word.compare_exchange(word, new, Relaxed, Relaxed);
        match self.kind.compare_exchange(found, kind, AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(now) if now == kind => Ok(()),
            Err(_) => Err(elsewhere),
        }
    }

    fn low_half(&self) -> *const u32 {
        let halves = ptr::from_ref(&self.word).cast::<u32>();
        halves.wrapping_add(usize::from(cfg!(target_endian = "big")))
    }
}

/// The word of a mutex that this thread holds from now on.
fn this_thread() -> u64 {
    ((sys::boot_clock_ms() as u64) << SINCE_SHIFT) | (sys::thread_id() as u64 & TID)
}

/// Whether nobody will ever unlock it. When in doubt, somebody will; to see also that the holder is
/// not yet reaped, or another thread has its id, takes a look into `/proc`.
fn holder_died(word: u64, thoroughly: bool) -> bool {
    let tid = (word & TID) as i32;
    let since = (word >> SINCE_SHIFT) as i64;
    if word == FREE {
        return false;
    }
    // A time to come is no holder's, but garbage.
    tid == 0
        || since > sys::boot_clock_ms()
        || !sys::process_exists(tid)
        || (thoroughly && stale::thread_has_ended(tid, since))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(mutex.word.into_inner(), FREE);
    }

    #[test]
    fn misuse_is_told() {
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
            let garbage = Mutex {
                word: bytes.into(),
                kind: bytes.into(),
            };
            assert_eq!(errno(garbage.lock(-1)), Some(Errno::EINVAL));
            assert_eq!(errno(garbage.unlock()), Some(Errno::EINVAL));
            assert_eq!(garbage.word.load(Relaxed), bytes);
            garbage.init().unwrap();
            assert_eq!(garbage.lock(0), Ok(Acquired::Clean));
        }
    }

    #[test]
    fn any_word_ends_a_lock() {
        let mutex = mutex();
        for shift in 0..64 {
            for word in [1 << shift, u64::MAX << shift, u64::MAX >> shift] {
                mutex.word.store(word, Relaxed);
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
        mutex.word.store(before_this_thread, Relaxed);
        assert_eq!(mutex.lock(0), Ok(Acquired::OwnerDied));
        let by_init = (1 << SINCE_SHIFT) | 1;
        mutex.word.store(by_init, Relaxed);
        assert_eq!(mutex.lock(0).is_ok(), holder_died(by_init, true));
    }

    #[test]
    fn a_holder_of_an_earlier_boot_is_dead() {
        let mutex = mutex();
        let another_boot = mutex.kind.load(Relaxed) ^ (1 << (Place::BITS - 1));
        for (word, acquired) in [
            (this_thread(), Acquired::OwnerDied),
            (FREE, Acquired::Clean),
        ] {
            mutex.kind.store(another_boot, Relaxed);
            mutex.word.store(word, Relaxed);
            assert_eq!(mutex.lock(0), Ok(acquired));
            mutex.unlock().unwrap();
        }
    }

    #[test]
    fn a_mutex_of_another_namespace_is_refused() {
        let mutex = mutex();
        mutex.kind.fetch_xor(1, Relaxed);
        assert_eq!(errno(mutex.init()), Some(Errno::EOPNOTSUPP));
        assert_eq!(errno(mutex.lock(0)), Some(Errno::EOPNOTSUPP));
        assert_eq!(errno(mutex.unlock()), Some(Errno::EOPNOTSUPP));
    }
}
