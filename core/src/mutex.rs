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

mod caller;
mod word;

#[cfg(test)]
mod tests;

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{self, AcqRel, Acquire, Relaxed, Release},
};

use crate::error::{Call, Errno, Error};
use crate::namespace::Namespace;

pub use caller::Caller;
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

const MAGIC: u64 = 0x53_484d;

impl<W: Word> WordMutex<W> {
    /// Of these two words, whatever they hold.
    pub const fn new(word: W, kind: W) -> Self {
        Self { word, kind }
    }

    /// See [`Mutex::init`].
    pub fn init(&self) -> Result<(), Error> {
        self.prepare(true).map(drop)
    }

    /// See [`Mutex::lock`].
    #[inline]
    pub fn lock(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        match self.change_at_once(|me| (FREE, me), AcqRel) {
            true => Ok(Acquired::Clean),
            false => self.lock_slowly(timeout_ms),
        }
    }

    /// See [`Mutex::unlock`].
    #[inline]
    pub fn unlock(&self) -> Result<(), Error> {
        match self.change_at_once(|me| (me, FREE), Release) {
            true => Ok(()),
            false => self.unlock_slowly(),
        }
    }

    /// What a call is where nobody waits, and it is not the thread's first: no system call.
    #[inline(always)]
    fn change_at_once(&self, change: impl FnOnce(u64) -> (u64, u64), order: Ordering) -> bool {
        W::remembered_caller().is_some_and(|caller| {
            let (from, to) = change(caller.holder);
            self.kind.load(Acquire) == caller.kind
                && self.word.compare_exchange(from, to, order, Relaxed).is_ok()
        })
    }

    #[cold]
    #[inline(never)]
    fn lock_slowly(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        let me = self.prepare(false)?;
        self.word.spin_while_held();
        match self.word.compare_exchange(FREE, me, AcqRel, Relaxed) {
            Ok(_) => Ok(Acquired::Clean),
            Err(_) => {
                let acquired = self.contend(me, W::deadline(timeout_ms));
                acquired.map_err(|errno| Call::Futex.failed(errno))
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_slowly(&self) -> Result<(), Error> {
        /// The holder's word changes once at most, when a waiter marks it; more often only by a peer
        /// that rewrites it.
        const TRIES: u32 = 3;

        let me = self.prepare(false)?;
        let mut held = self.word.load(Relaxed);
        for _ in 0..TRIES {
            if !is_mine::<W>(held, me) {
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
            if is_mine::<W>(seen, me) {
                return Err(Errno::EDEADLK);
            }
            let died = seen & TID == me & TID || holder_died::<W>(seen, last || slept_long);
            if seen == FREE || died {
                // Others may sleep, who came before.
                let new = me | WAITERS;
                match self.word.compare_exchange(seen, new, AcqRel, Relaxed) {
                    Ok(_) if died => return Ok(Acquired::OwnerDied),
                    Ok(_) => return Ok(Acquired::Clean),
                    Err(_) => continue,
                }
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

    /// Makes it a mutex of this place, if it is not and if that may be; the word that says that the
    /// calling thread holds it.
    #[cold]
    #[inline(never)]
    fn prepare(&self, from_any_bytes: bool) -> Result<u64, Error> {
        let caller = W::caller();
        // The word first: one that is read before a kind that forbids locking is nobody's lock.
        let word = self.word.load(Acquire);
        let found = self.kind.load(Acquire);
        match caller {
            Some(caller) if caller.kind == found => Ok(caller.holder),
            _ => self.settle(word, found, caller, from_any_bytes),
        }
    }

    fn settle(
        &self,
        word: u64,
        found: u64,
        caller: Option<Caller>,
        from_any_bytes: bool,
    ) -> Result<u64, Error> {
        let is_mutex = found >> Namespace::BITS == MAGIC;
        if !is_mutex && !from_any_bytes {
            return Err(Error::INVALID);
        }
        let elsewhere = Call::Arguments.failed(Errno::EOPNOTSUPP);
        let Caller { holder, kind } = caller.ok_or(elsewhere)?;
        if is_mutex && Namespace::from_raw(found).is_same_boot(Namespace::from_raw(kind)) {
            return Err(elsewhere);
        }
        let new = if is_mutex && word != FREE { DIED } else { FREE };
        let _ = self.word.compare_exchange(word, new, Relaxed, Relaxed);
        match self.kind.compare_exchange(found, kind, AcqRel, Acquire) {
            Ok(_) => Ok(holder),
            Err(now) if now == kind => Ok(holder),
            Err(_) => Err(elsewhere),
        }
    }
}

/// Whether this thread holds it. Where it was determined anew since, as after exec(2), the word says so
/// by another time; but so does that of an earlier thread of its id.
fn is_mine<W: Word>(word: u64, me: u64) -> bool {
    word & !WAITERS == me || (word & TID == me & TID && !holder_died::<W>(word, true))
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
