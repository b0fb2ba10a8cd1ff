//! A mutex that lives in shared memory and survives the death of its holder.
//!
//! Its state is one word, which names the holder: a thread that is killed at any moment either holds the
//! mutex or does not, and the first waiter that finds the holder dead takes it over. The memory contains
//! no address, so nothing that another process writes there can harm this one, nor can unmapping it while
//! it is held; a robust mutex of `pthread(7)` has neither property. A lock of a free mutex and its unlock
//! make no system call, since a thread remembers its own name.
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
    /// Makes any bytes an unlocked mutex. A mutex stays as it is, so each process may call it, in any
    /// order and at the same time. EOPNOTSUPP for a mutex of another pid or time namespace, or if this
    /// process cannot determine its own: without `/proc`, or without a descriptor to read the boot id.
    pub fn init(&self) -> Result<(), Error> {
        self.0.init()
    }

    /// Waits at most this number of milliseconds, -1 for ever, 0 not at all. ETIMEDOUT; EDEADLK if this
    /// thread holds it already; EINVAL if it is no mutex; EOPNOTSUPP as in [`Self::init`].
    pub fn lock(&self, timeout_ms: c_int) -> Result<Acquired, Error> {
        self.0.lock(timeout_ms)
    }

    /// EPERM if this thread does not hold it; EINVAL if it is no mutex; EOPNOTSUPP as in [`Self::init`].
    pub fn unlock(&self) -> Result<(), Error> {
        self.0.unlock()
    }
}

/// The words of a [`Mutex`], or of a model checker's model of it.
#[repr(C, align(8))]
#[derive(Default, Debug)]
pub struct WordMutex<W> {
    /// The holder, from the high bits to the low ones:
    ///
    /// ```text
    /// | a time when it was alive, in ms after boot: 41 | a waiter may sleep: 1 | its thread id: 22 |
    /// ```
    ///
    /// A thread with this id that started after that time is another one, so the holder has died. A
    /// thread keeps the time of its first call, so all its words are the same but for the waiters' bit.
    /// The low half is the word that waiters sleep on.
    ///
    /// | from | to | by | ordering | a death right after it leaves |
    /// |---|---|---|---|---|
    /// | 0 | held | a caller of lock | acquire, release | a dead holder |
    /// | 0 | held, a waiter may sleep | a waiter, since others may sleep | acquire, release | a dead holder |
    /// | held | held, a waiter may sleep | a waiter before it sleeps | relaxed | one unneeded wake-up |
    /// | held by a dead thread | held, a waiter may sleep | the waiter that determined it | acquire, release | a dead holder again |
    /// | held | 0 | the holder | release | nothing, or sleepers that look again within 50 ms |
    /// | anything | 0 or [`DIED`] | [`Self::prepare`], while `kind` forbids locking | relaxed | the same work for the next caller |
    word: W,
    /// What makes it a mutex: [`MAGIC`], and the boot and namespaces in which its thread ids and times
    /// have a meaning. No thread locks it before this is the kind of the thread's own namespaces.
    ///
    /// | from | to | by | ordering | a death right after it leaves |
    /// |---|---|---|---|---|
    /// | anything | a mutex of these namespaces | [`Self::prepare`], after `word` | acquire, release | a mutex |
    kind: W,
}

/// From whom a lock was acquired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// From a holder that unlocked it.
    Clean,
    /// From a holder that died: what the mutex protects may be half changed. Reported once: the next
    /// holder gets it clean, unless this one dies too.
    OwnerDied,
}

const FREE: u64 = 0;
const TID_BITS: u32 = 22;
const TID: u64 = (1 << TID_BITS) - 1;
const WAITERS: u64 = 1 << TID_BITS;
const SINCE_SHIFT: u32 = TID_BITS + 1;
/// Held by a thread of an earlier boot.
const DIED: u64 = 1 << SINCE_SHIFT;

const MAGIC: u64 = 0x53_484d;

impl<W: Word> WordMutex<W> {
    /// A mutex of these two words, with any contents.
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

    /// The whole of a call that meets no other thread, unless it is the thread's first: no system call.
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
                acquired.map_err(|errno| Call::Mutex.failed(errno))
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_slowly(&self) -> Result<(), Error> {
        /// A waiter changes the holder's word at most once, to mark it; only a hostile peer changes it
        /// more often.
        const MAX_ATTEMPTS: u32 = 3;

        let me = self.prepare(false)?;
        let mut held = self.word.load(Relaxed);
        for _ in 0..MAX_ATTEMPTS {
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
        Err(Call::Mutex.failed(Errno::EPERM))
    }

    fn contend(&self, me: u64, deadline: W::Deadline) -> Result<Acquired, Errno> {
        /// Looks allowed after the deadline. A waiter that marks the word makes one of them fail; only a
        /// hostile peer makes all of them fail.
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
                // Earlier waiters may sleep.
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

    /// Makes it a mutex of these namespaces if it may become one. Returns the word of the calling thread
    /// as its holder.
    #[cold]
    #[inline(never)]
    fn prepare(&self, from_any_bytes: bool) -> Result<u64, Error> {
        let caller = W::caller();
        // The word first: one that is read before a kind that forbids locking is nobody's lock.
        let word = self.word.load(Acquire);
        let found = self.kind.load(Acquire);
        match caller {
            Some(caller) if caller.kind == found => Ok(caller.holder),
            _ => self.adopt(word, found, caller, from_any_bytes),
        }
    }

    fn adopt(
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
        let elsewhere = Call::Mutex.failed(Errno::EOPNOTSUPP);
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

/// Whether the calling thread holds it. Another time with the same thread id is this thread before
/// exec(2), or an earlier thread; the earlier thread is dead.
fn is_mine<W: Word>(word: u64, me: u64) -> bool {
    word & !WAITERS == me || (word & TID == me & TID && !holder_died::<W>(word, true))
}

/// Whether the holder has died. In doubt, it lives. A thorough look, into `/proc`, also recognises a
/// holder that is not yet reaped, and another thread with its id.
fn holder_died<W: Word>(word: u64, thoroughly: bool) -> bool {
    let tid = (word & TID) as u32;
    let since_ms = (word >> SINCE_SHIFT) as i64;
    if word == FREE {
        return false;
    }
    // A time in the future is garbage.
    tid == 0 || since_ms > W::now_ms() || W::has_died(tid, since_ms, thoroughly)
}
