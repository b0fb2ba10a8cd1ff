//! A System V semaphore that gives back what a process had taken when it dies.
//!
//! The kernel creates a set of semaphores in which all values are 0, and only a second call gives it
//! its first value. So the library's set holds marks beside the value. One `semop(2)` sets both, so
//! that no process sees a semaphore without its value.
//!
//! | semaphore | holds |
//! |---|---|
//! | 0 | the value |
//! | 1, 2 | marks that no other program sets |
//! | 3 | the mark of its [`Kind`] |
//! | the others | 0, for good: the number of semaphores is a mark, too |
//!
//! | state | what `semctl(2)` shows | who may change it |
//! |---|---|---|
//! | blank | that number of semaphores; no value, no `semop(2)`, no process that set a value | the next creator completes it |
//! | ready | that number, and all marks | whoever waits or posts |
//! | another program's | anything else | nobody in here: EINVAL |
//!
//! A creator that is killed leaves a blank or a ready one. The number is the only mark that a set has
//! from its first moment, so it is one that other programs do not use.
//!
//! ```
//! use shmcomm::semaphore::{self, New, Semaphore};
//! use shmcomm::{Errno, Name};
//!
//! let semaphore = Semaphore::create(Name::SysvPrivate, New { value: 1, ..New::default() })?;
//! semaphore.wait(-1)?;
//! assert_eq!(semaphore.wait(0).unwrap_err().errno(), Errno::ETIMEDOUT);
//! semaphore.post()?;
//! semaphore::remove(Name::SysvId(semaphore.id()))?;
//! # Ok::<(), shmcomm::Error>(())
//! ```

use core::ffi::{c_int, c_short};

use crate::deadline::Deadline;
use crate::error::{Call, Errno, Error};
use crate::key::Key;
use crate::name::Name;
use crate::sys;

/// An open semaphore. Dropping it neither posts nor removes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Semaphore {
    id: c_int,
    kind: Kind,
    interruptible: bool,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Places, one for a lock: each is held by the process that waited for it until that process
    /// posts, or dies (SEM_UNDO).
    #[default]
    Places,
    /// Events that one process posts and another waits for: a death changes nothing.
    Events,
}

/// What a new semaphore is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct New {
    /// The first value, at most [`MOST`].
    pub value: c_int,
    /// Permission bits: who uses it reads and alters it.
    pub mode: u32,
    /// EEXIST if there is one already.
    pub exclusive: bool,
    /// What it counts; EINVAL if there is one that counts the other.
    pub kind: Kind,
}

impl Default for New {
    fn default() -> Self {
        Self {
            value: 0,
            mode: 0o600,
            exclusive: false,
            kind: Kind::Places,
        }
    }
}

/// The highest value.
pub const MOST: c_int = 32767;

/// A prime, so that it is the size of no one's table, and far from PostgreSQL's 17 and 20.
const COUNT: u16 = 23;
const VALUE: u16 = 0;
/// "SHMC"; the first one is never 0, which tells a ready set from a blank.
const MARKS: [(u16, c_int); 2] = [(1, 0x5348), (2, 0x4d43)];
const KIND: u16 = 3;
const PLACES: c_int = 1;
const EVENTS: c_int = 2;

/// How often an open begins again when others make and remove the same name at the same time.
const TRIES: u32 = 100;

/// What has an id.
enum Found {
    Ready(Semaphore),
    /// New, or left so by a creator that died.
    Blank,
    /// Another program's.
    Foreign,
    Gone,
}

impl Semaphore {
    fn new(id: c_int, kind: Kind) -> Self {
        Self {
            id,
            kind,
            interruptible: false,
        }
    }

    /// The same semaphore, whose waits through this value end with EINTR when a signal handler runs
    /// in the waiting thread.
    pub fn interruptible(self) -> Self {
        Self {
            interruptible: true,
            ..self
        }
    }

    /// Opens the semaphore of this `sysv:` name; ENOENT if there is none that has its first value.
    #[inline(never)]
    pub fn open(name: Name<'_>) -> Result<Self, Error> {
        let (id, gone) = look_up(name)?;
        match find(id)? {
            Found::Ready(semaphore) => Ok(semaphore),
            Found::Blank => Err(Call::Semget.failed(Errno::ENOENT)),
            Found::Foreign => Err(Error::INVALID),
            Found::Gone => Err(Call::Semget.failed(gone)),
        }
    }

    /// Opens the semaphore of this name, and makes it if there is none.
    #[inline(never)]
    pub fn create(name: Name<'_>, new: New) -> Result<Self, Error> {
        if new.value < 0 || new.mode & !0o777 != 0 {
            return Err(Error::INVALID);
        }
        if new.value > MOST {
            return Err(Call::Arguments.failed(Errno::ERANGE));
        }
        let key = match name {
            Name::SysvPrivate => Key::PRIVATE,
            _ => name.key()?,
        };
        for _ in 0..TRIES {
            let (id, created) = match get_or_create(key, new.mode) {
                Err(error) if error.errno == Errno::ENOENT => continue,
                result => result?,
            };
            match if created { Found::Blank } else { find(id)? } {
                Found::Ready(_) if new.exclusive => {
                    return Err(Call::Semget.failed(Errno::EEXIST));
                }
                Found::Ready(semaphore) if semaphore.kind == new.kind => return Ok(semaphore),
                Found::Ready(_) | Found::Foreign => return Err(Error::INVALID),
                Found::Gone => {}
                Found::Blank => match set_up(id, new) {
                    // Somebody else was first, or has removed it.
                    Err(Error {
                        errno: Errno::EWOULDBLOCK | Errno::EIDRM | Errno::EINVAL,
                        ..
                    }) => {}
                    result => {
                        if result.is_err() && created {
                            discard(id);
                        }
                        return result.map(|()| Self::new(id, new.kind));
                    }
                },
            }
        }
        Err(Call::Semget.failed(Errno::EBUSY))
    }

    /// Takes one, and waits until there is one: at most so many milliseconds, -1 for ever, 0 not at
    /// all. ETIMEDOUT; EIDRM if it is removed, also meanwhile; EINTR, and nothing is taken, only if it
    /// is [interruptible](Self::interruptible).
    #[inline(never)]
    pub fn wait(&self, timeout_ms: c_int) -> Result<(), Error> {
        let deadline = Deadline::after_ms(timeout_ms);
        loop {
            let remaining = deadline.remaining_ns();
            match self.change(-1, remaining) {
                Err(error) if error.errno == Errno::EWOULDBLOCK => {
                    if remaining == Some(0) {
                        return Err(error.call.failed(Errno::ETIMEDOUT));
                    }
                }
                Err(error) if error.errno == Errno::EINTR && !self.interruptible => {}
                result => return result,
            }
        }
    }

    /// Gives one back, or tells of an event. ERANGE beyond [`MOST`]; EIDRM if it is removed.
    pub fn post(&self) -> Result<(), Error> {
        self.change(1, None)
    }

    fn change(&self, by: c_short, timeout_ns: Option<i64>) -> Result<(), Error> {
        let mut flags = 0;
        if self.kind == Kind::Places {
            flags |= libc::SEM_UNDO;
        }
        if timeout_ns == Some(0) {
            flags |= libc::IPC_NOWAIT;
        }
        let result = sys::semtimedop(self.id, &mut [operation(VALUE, by, flags)], timeout_ns);
        result.map_err(removed)
    }

    /// How many may be taken now.
    pub fn value(&self) -> Result<c_int, Error> {
        sys::semctl_getval(self.id, VALUE).map_err(removed)
    }

    /// Its System V id.
    pub fn id(&self) -> c_int {
        self.id
    }

    /// What it counts.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// Removes the semaphore of this name; who waits for it gets EIDRM.
#[inline(never)]
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    let (id, gone) = look_up(name)?;
    match find(id) {
        Ok(Found::Foreign) => return Err(Error::INVALID),
        Ok(Found::Gone) => return Err(Call::Semctl.failed(gone)),
        // The owner may remove also what it may not read.
        Ok(Found::Ready(_) | Found::Blank) | Err(_) => {}
    }
    sys::semctl_rmid(id).map_err(|error| match removed(error).errno {
        Errno::EIDRM => error.call.failed(gone),
        _ => error,
    })
}

/// The id of a name, and the error that says that the set of this id has gone since.
fn look_up(name: Name<'_>) -> Result<(c_int, Errno), Error> {
    if let Name::SysvId(id) = name {
        return Ok((id, Errno::EIDRM));
    }
    let id = sys::semget(name.key()?.raw(), 0, 0)?;
    Ok((id, Errno::ENOENT))
}

/// The id of the set with this key, and whether this call created it. ENOENT if another process
/// removes it at the same time.
fn get_or_create(key: Key, mode: u32) -> Result<(c_int, bool), Error> {
    let (count, mode) = (COUNT.into(), mode as c_int);
    match sys::semget(key.raw(), count, libc::IPC_CREAT | libc::IPC_EXCL | mode) {
        Err(error) if error.errno == Errno::EEXIST => {
            Ok((sys::semget(key.raw(), count, mode)?, false))
        }
        result => Ok((result?, true)),
    }
}

#[inline(never)]
fn find(id: c_int) -> Result<Found, Error> {
    match look(id) {
        Err(error) if removed(error).errno == Errno::EIDRM => Ok(Found::Gone),
        found => found,
    }
}

fn look(id: c_int) -> Result<Found, Error> {
    let status = sys::semctl_stat(id)?;
    if status.sem_nsems != libc::c_ulong::from(COUNT) {
        return Ok(Found::Foreign);
    }
    // Before the marks: a creator that completes the set meanwhile is seen by them.
    let untouched = status.sem_otime == 0 && is_untouched(id)?;
    let [(first, ready), (second, ready_too)] = MARKS;
    let first = sys::semctl_getval(id, first)?;
    if first == 0 && untouched {
        return Ok(Found::Blank);
    }
    if first != ready || sys::semctl_getval(id, second)? != ready_too {
        return Ok(Found::Foreign);
    }
    let ready = |kind| Found::Ready(Semaphore::new(id, kind));
    Ok(match sys::semctl_getval(id, KIND)? {
        PLACES => ready(Kind::Places),
        EVENTS => ready(Kind::Events),
        _ => Found::Foreign,
    })
}

/// Whether no process has ever set a value of the set: SETVAL and SETALL leave their process's pid,
/// also where they set 0.
fn is_untouched(id: c_int) -> Result<bool, Error> {
    for which in 0..COUNT {
        if sys::semctl_getval(id, which)? != 0 || sys::semctl_getpid(id, which)? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sets the value and the marks, unless another process has set any value.
fn set_up(id: c_int, new: New) -> Result<(), Error> {
    let kind = match new.kind {
        Kind::Places => PLACES,
        Kind::Events => EVENTS,
    };
    let unset = (0..COUNT).map(|which| (which, 0));
    // A value of 0 is to wait for 0, which a blank is.
    let set = [(VALUE, new.value), (KIND, kind)].into_iter().chain(MARKS);
    let mut operations = [operation(VALUE, 0, libc::IPC_NOWAIT); COUNT as usize + 4];
    for (slot, (which, by)) in operations.iter_mut().zip(unset.chain(set)) {
        *slot = operation(which, by as c_short, libc::IPC_NOWAIT);
    }
    sys::semtimedop(id, &mut operations, None)
}

/// Removes what this process created and could not set up, unless another process has completed it.
fn discard(id: c_int) {
    if !matches!(look(id), Ok(Found::Ready(_))) {
        let _ = sys::semctl_rmid(id);
    }
}

fn operation(which: u16, by: c_short, flags: c_int) -> libc::sembuf {
    libc::sembuf {
        sem_num: which,
        sem_op: by,
        sem_flg: flags as c_short,
    }
}

/// An id that is gone is EINVAL, unless the kernel still knows better.
fn removed(error: Error) -> Error {
    match error.errno {
        Errno::EINVAL => error.call.failed(Errno::EIDRM),
        _ => error,
    }
}
