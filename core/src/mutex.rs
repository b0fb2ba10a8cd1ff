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

mod word;

#[cfg(test)]
mod tests;

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::error::{Call, Errno, Error};
use crate::namespace::Namespace;

pub use word::Word;

/// A mutex; 16 bytes, and any bytes are a valid value.
#[repr(transparent)]
#[derive(Default, Debug)]
pub struct Mutex(WordMutex<AtomicU64>);

impl Mutex {
    /// Makes any bytes an unlocked mutex; leaves alone what is one already, so that each process may
    /// call it, in any order, also at the same time. EOPNOTSUPP for a mutex of another pid or time
    /// namespace, or where this process cannot determine its own: without `/proc`, or without a
    /// descriptor to read the boot id.
    pub fn init(&self) -> Result<(), Error> {
        self.0.init()
    }

    /// Waits at most so many milliseconds, -1 for ever, 0 not at all. ETIMEDOUT; EDEADLK where this
    /// thread holds it already; EINVAL where it is no mutex; EOPNOTSUPP as [`Self::init`].
    pub fn lock(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        self.0.lock(timeout_ms)
    }

    /// EPERM where this thread does not hold it; EINVAL where it is no mutex; EOPNOTSUPP as
    /// [`Self::init`].
    pub fn unlock(&self) -> Result<(), Error> {
        self.0.unlock()
    }
}

/// The words of a [`Mutex`], or of the model that a model checker has of it.
#[repr(C, align(8))]
#[derive(Default, Debug)]
pub struct WordMutex<W> {
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
    /// | held | 0 | who unlocks | release | sleepers that look again within 50 ms |
    /// | anything | 0 or [`DIED`] | [`Self::prepare`], as long as `kind` forbids locking | relaxed | the same work for the next |
    word: W,
    /// What makes it a mutex: [`MAGIC`], and the place where its thread ids and times mean
    /// something. Nobody locks before this is what the locker's own place makes it.
    ///
    /// | from | to | by | ordering | a death right after it leaves |
    /// |---|---|---|---|---|
    /// | anything | a mutex of this place | [`Self::prepare`], after `word` | acquire, release | a mutex |
    kind: W,
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

const MAGIC: u64 = 0x53_484d << Namespace::BITS;
const MAGIC_MASK: u64 = !((1 << Namespace::BITS) - 1);

impl<W: Word> WordMutex<W> {
    /// Of these two words, whatever they hold.
    pub const fn new(word: W, kind: W) -> Self {
        Self { word, kind }
    }

    /// See [`Mutex::init`].
    pub fn init(&self) -> Result<(), Error> {
        self.prepare(true)
    }

    /// See [`Mutex::lock`].
    pub fn lock(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        self.prepare(false)?;
        let me = holder(W::thread_id(), W::now_ms());
        match self.word.compare_exchange(FREE, me, AcqRel, Relaxed) {
            Ok(_) => Ok(Acquired::Clean),
            Err(_) => {
                let acquired = self.contend(me, W::deadline(timeout_ms));
                acquired.map_err(|errno| Call::Futex.failed(errno))
            }
        }
    }

    /// See [`Mutex::unlock`].
    pub fn unlock(&self) -> Result<(), Error> {
        /// The holder's word changes once at most, when a waiter marks it; more often only by a peer
        /// that rewrites it.
        const TRIES: u32 = 3;

        self.prepare(false)?;
        let me = u64::from(W::thread_id());
        let mut held = self.word.load(Relaxed);
        for _ in 0..TRIES {
            if held & TID != me {
                break;
            }
            // Not a swap: a signal handler in between may unlock it, and then another thread holds it.
            match self.word.compare_exchange(held, FREE, Release, Relaxed) {
                Ok(_) => {
                    if held & WAITERS != 0 {
                        self.word.wake();
                    }
                    return Ok(());
                }
                Err(now) => held = now,
            }
        }
        Err(Call::Arguments.failed(Errno::EPERM))
    }

    #[cold]
    #[inline(never)]
    fn contend(&self, me: u64, deadline: W::Deadline) -> Result<Acquired, Errno> {
        /// Looks that are allowed once the time is over: a waiter that marks the word makes one
        /// fail, and only a peer that rewrites it in a loop makes so many fail.
        const LAST_LOOKS: u32 = 8;

        let mut looks_left = LAST_LOOKS;
        let mut slept_long = false;
        loop {
            let last = W::has_passed(deadline);
            if last {
                looks_left = looks_left.checked_sub(1).ok_or(Errno::ETIMEDOUT)?;
            }
            let seen = self.word.load(Relaxed);
            let is_mine = seen & TID == me & TID;
            let died = holder_died::<W>(seen, last || slept_long || is_mine);
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
            slept_long = match self.word.sleep(marked, deadline) {
                Ok(()) => false,
                Err(Errno::ETIMEDOUT) => true,
                Err(errno) => return Err(errno),
            };
        }
    }

    /// Makes it a mutex of this place, if it is not and if that may be.
    #[inline]
    fn prepare(&self, from_any_bytes: bool) -> Result<(), Error> {
        let kind = W::place().map(|place| MAGIC | place);
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
    #[inline(never)]
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
        if is_mutex && Namespace::from_raw(found).is_same_boot(Namespace::from_raw(kind)) {
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
}

/// The word of a mutex that this thread holds from this time on.
fn holder(tid: u32, since_ms: i64) -> u64 {
    ((since_ms as u64) << SINCE_SHIFT) | (u64::from(tid) & TID)
}

/// Whether nobody will ever unlock it. When in doubt, somebody will; a thorough look, into `/proc`, also
/// sees a holder that is not yet reaped, or another thread that has its id.
fn holder_died<W: Word>(word: u64, thoroughly: bool) -> bool {
    let tid = (word & TID) as u32;
    let since_ms = (word >> SINCE_SHIFT) as i64;
    if word == FREE {
        return false;
    }
    // A time to come is no holder's, but garbage.
    tid == 0 || since_ms > W::now_ms() || W::has_died(tid, since_ms, thoroughly)
}
