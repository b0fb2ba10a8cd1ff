//! The semaphore of a `sysv:` name. The kernel returns the units of a process that dies.
//!
//! The kernel creates a set of semaphores with zeros, and only a second call gives it its first value. So
//! a set of this library holds marks beside the value. One `semop(2)` sets both, so no process sees a
//! semaphore without its value.
//!
//! | semaphore | holds |
//! |---|---|
//! | 0 | the value |
//! | 1, 2 | marks that no other program sets |
//! | 3 | the number of its [`Kind`] |
//! | the others | 0: the number of semaphores is a mark too |
//!
//! | state | what `semctl(2)` shows | who may change it |
//! |---|---|---|
//! | blank | that number of semaphores; no value, no `semop(2)`, no process that set a value | the next creator completes it |
//! | ready | that number, and all marks | any process that waits or posts |
//! | foreign | anything else | no process of this library: EINVAL |
//!
//! A creator that is killed leaves a blank set or a ready one. The number of semaphores is the only mark
//! that a set has from its first moment, so it is a number that other programs do not use.

use core::ffi::{c_int, c_short};

use super::{Kind, New};
use crate::deadline::Deadline;
use crate::error::{Call, Errno, Error};
use crate::key::Key;
use crate::name::Name;
use crate::sys;

/// An open set.
#[derive(Clone, Copy)]
pub struct Set {
    id: c_int,
    kind: Kind,
}

/// Number of semaphores in a set: a prime, which no other program's table is likely to have, and far
/// from PostgreSQL's 17 and 20.
const COUNT: u16 = 23;
const VALUE: u16 = 0;
/// "SHMC". The first mark is not 0, so that a ready set differs from a blank one.
const MARKS: [(u16, c_int); 2] = [(1, 0x5348), (2, 0x4d43)];
const KIND: u16 = 3;
const UNITS: c_int = 1;
const EVENTS: c_int = 2;

/// Each further attempt means that another process created or removed the same name meanwhile.
const MAX_ATTEMPTS: u32 = 100;

/// The state of the set with an id.
enum Found {
    Ready(Set),
    /// New, or its creator died before it set the value.
    Blank,
    /// Of another program.
    Foreign,
    Removed,
}

impl Set {
    /// Opens the semaphore of this `sysv:` name; ENOENT if there is none, or none with its first value.
    #[inline(never)]
    pub fn open(name: Name<'_>) -> Result<Self, Error> {
        let (id, if_removed) = look_up(name)?;
        match find(id)? {
            Found::Ready(set) => Ok(set),
            Found::Blank => Err(Call::Semget.failed(Errno::ENOENT)),
            Found::Foreign => Err(Error::INVALID),
            Found::Removed => Err(Call::Semget.failed(if_removed)),
        }
    }

    /// Opens the semaphore of this name and creates it if there is none.
    #[inline(never)]
    pub fn create(name: Name<'_>, new: New) -> Result<Self, Error> {
        let key = match name {
            Name::SysvPrivate => Key::PRIVATE,
            _ => name.key()?,
        };
        for _ in 0..MAX_ATTEMPTS {
            let (id, created) = match get_or_create(key, new.mode) {
                Err(error) if error.errno == Errno::ENOENT => continue,
                result => result?,
            };
            match if created { Found::Blank } else { find(id)? } {
                Found::Ready(_) if new.exclusive => {
                    return Err(Call::Semget.failed(Errno::EEXIST));
                }
                Found::Ready(set) if set.kind == new.kind => return Ok(set),
                Found::Ready(_) | Found::Foreign => return Err(Error::INVALID),
                Found::Removed => {}
                Found::Blank => match set_up(id, new) {
                    // Another process was first or has removed the set.
                    Err(Error {
                        errno: Errno::EWOULDBLOCK | Errno::EIDRM | Errno::EINVAL,
                        ..
                    }) => {}
                    result => {
                        if result.is_err() && created {
                            discard(id);
                        }
                        return result.map(|()| Self { id, kind: new.kind });
                    }
                },
            }
        }
        Err(Call::Semget.failed(Errno::EBUSY))
    }

    /// Takes a unit or an event, and waits for it.
    #[inline(never)]
    pub fn wait(&self, timeout_ms: c_int, interruptible: bool) -> Result<(), Error> {
        let deadline = Deadline::after_ms(timeout_ms);
        loop {
            let remaining = deadline.remaining_ns();
            match self.change(-1, remaining) {
                Err(error) if error.errno == Errno::EWOULDBLOCK => {
                    if remaining == Some(0) {
                        return Err(error.call.failed(Errno::ETIMEDOUT));
                    }
                }
                Err(error) if error.errno == Errno::EINTR && !interruptible => {}
                result => return result,
            }
        }
    }

    /// Returns a unit or posts an event.
    pub fn post(&self) -> Result<(), Error> {
        self.change(1, None)
    }

    fn change(&self, by: c_short, timeout_ns: Option<i64>) -> Result<(), Error> {
        let mut flags = 0;
        if self.kind == Kind::Units {
            flags |= libc::SEM_UNDO;
        }
        if timeout_ns == Some(0) {
            flags |= libc::IPC_NOWAIT;
        }
        let result = sys::semtimedop(self.id, &mut [operation(VALUE, by, flags)], timeout_ns);
        result.map_err(removed)
    }

    /// Number of units or events that can be taken now.
    pub fn value(&self) -> Result<c_int, Error> {
        sys::semctl_getval(self.id, VALUE).map_err(removed)
    }

    /// The System V id.
    pub fn id(&self) -> c_int {
        self.id
    }

    /// What the semaphore counts.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// Removes the semaphore of this name; its waiters get EIDRM.
#[inline(never)]
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    let (id, if_removed) = look_up(name)?;
    match find(id) {
        Ok(Found::Foreign) => return Err(Error::INVALID),
        Ok(Found::Removed) => return Err(Call::Semctl.failed(if_removed)),
        // The owner may remove a semaphore that it may not read.
        Ok(Found::Ready(_) | Found::Blank) | Err(_) => {}
    }
    sys::semctl_rmid(id).map_err(|error| match removed(error).errno {
        Errno::EIDRM => error.call.failed(if_removed),
        _ => error,
    })
}

/// The id of a name, and the error that reports that its set was removed since.
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
        Err(error) if removed(error).errno == Errno::EIDRM => Ok(Found::Removed),
        found => found,
    }
}

fn look(id: c_int) -> Result<Found, Error> {
    let status = sys::semctl_stat(id)?;
    if status.sem_nsems != libc::c_ulong::from(COUNT) {
        return Ok(Found::Foreign);
    }
    // Before the marks are read: they show a creator that completes the set meanwhile.
    let untouched = status.sem_otime == 0 && is_untouched(id)?;
    let [(first, ready), (second, ready_too)] = MARKS;
    let first = sys::semctl_getval(id, first)?;
    if first == 0 && untouched {
        return Ok(Found::Blank);
    }
    if first != ready || sys::semctl_getval(id, second)? != ready_too {
        return Ok(Found::Foreign);
    }
    let ready = |kind| Found::Ready(Set { id, kind });
    Ok(match sys::semctl_getval(id, KIND)? {
        UNITS => ready(Kind::Units),
        EVENTS => ready(Kind::Events),
        _ => Found::Foreign,
    })
}

/// Whether no process has ever set a value of the set: SETVAL and SETALL leave the pid of their process
/// even if they set 0.
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
        Kind::Units => UNITS,
        Kind::Events => EVENTS,
    };
    let unset = (0..COUNT).map(|which| (which, 0));
    // An operation of 0 waits for 0, which a blank set has.
    let set = [(VALUE, new.value), (KIND, kind)].into_iter().chain(MARKS);
    let mut operations = [operation(VALUE, 0, libc::IPC_NOWAIT); COUNT as usize + 4];
    for (slot, (which, by)) in operations.iter_mut().zip(unset.chain(set)) {
        *slot = operation(which, by as c_short, libc::IPC_NOWAIT);
    }
    sys::semtimedop(id, &mut operations, None)
}

/// Removes a set that this process created and could not set up, unless another process has completed
/// it.
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

/// For the id of a removed set the kernel reports EINVAL, or EIDRM while it still knows the id.
fn removed(error: Error) -> Error {
    match error.errno {
        Errno::EINVAL => error.call.failed(Errno::EIDRM),
        _ => error,
    }
}
