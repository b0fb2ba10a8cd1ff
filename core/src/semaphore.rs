//! A System V semaphore that gives back what a process had taken when it dies.
//!
//! It is a set of two: the value, and a mark that the value is set. The first value and the mark are
//! set by one operation, so that a semaphore is never seen before it has its value, and a creator
//! that is killed leaves either a semaphore or a blank that the next one completes.
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

const VALUE: u16 = 0;
const MARK: u16 = 1;
const COUNT: c_int = 2;
/// Values of the mark that another program's set hardly has.
const PLACES: c_int = 0x5348;
const EVENTS: c_int = 0x5349;

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
    /// Opens the semaphore of this `sysv:` name; ENOENT if there is none that has its first value.
    pub fn open(name: Name<'_>) -> Result<Self, Error> {
        let (id, gone) = match name {
            Name::SysvId(id) => (id, Errno::EIDRM),
            _ => {
                let id = sys::semget(name.key()?.raw(), 0, 0);
                (Call::Semget.of(id)?, Errno::ENOENT)
            }
        };
        match find(id)? {
            Found::Ready(semaphore) => Ok(semaphore),
            Found::Blank => Err(Call::Semget.failed(Errno::ENOENT)),
            Found::Foreign => Err(Error::INVALID),
            Found::Gone => Err(Call::Semget.failed(gone)),
        }
    }

    /// Opens the semaphore of this name, and makes it if there is none.
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
            // Never IPC_EXCL: a blank is no semaphore yet.
            let id = sys::semget(key.raw(), COUNT, libc::IPC_CREAT | new.mode as c_int);
            let id = Call::Semget.of(id)?;
            match find(id)? {
                Found::Ready(_) if new.exclusive => {
                    return Err(Call::Semget.failed(Errno::EEXIST));
                }
                Found::Ready(semaphore) if semaphore.kind == new.kind => return Ok(semaphore),
                Found::Ready(_) | Found::Foreign => return Err(Error::INVALID),
                Found::Gone => {}
                Found::Blank => match set_up(id, new) {
                    // Somebody else was first, or has removed it.
                    Err(Errno::EWOULDBLOCK | Errno::EIDRM | Errno::EINVAL) => {}
                    result => {
                        let kind = new.kind;
                        return Call::Semop.of(result).map(|()| Self { id, kind });
                    }
                },
            }
        }
        Err(Call::Semget.failed(Errno::EBUSY))
    }

    /// Takes one, and waits until there is one: at most so many milliseconds, -1 for ever, 0 not at
    /// all. ETIMEDOUT; EIDRM if it is removed, also meanwhile.
    pub fn wait(&self, timeout_ms: c_int) -> Result<(), Error> {
        let deadline = Deadline::after_ms(timeout_ms);
        loop {
            let remaining = deadline.remaining_ns();
            match self.change(-1, remaining) {
                Err(Errno::EWOULDBLOCK) if remaining == Some(0) => {
                    return Err(Call::Semop.failed(Errno::ETIMEDOUT));
                }
                Err(Errno::EINTR | Errno::EWOULDBLOCK) => {}
                result => return Call::Semop.of(result),
            }
        }
    }

    /// Gives one back, or tells of an event. ERANGE beyond [`MOST`]; EIDRM if it is removed.
    pub fn post(&self) -> Result<(), Error> {
        Call::Semop.of(self.change(1, None))
    }

    fn change(&self, by: c_short, timeout_ns: Option<i64>) -> Result<(), Errno> {
        let mut flags = 0;
        if self.kind == Kind::Places {
            flags |= libc::SEM_UNDO;
        }
        if timeout_ns == Some(0) {
            flags |= libc::IPC_NOWAIT;
        }
        let result = sys::sem_operate(self.id, &mut [operation(VALUE, by, flags)], timeout_ns);
        result.map_err(removed)
    }

    /// How many may be taken now.
    pub fn value(&self) -> Result<c_int, Error> {
        Call::Semctl.of(sys::sem_value(self.id, VALUE).map_err(removed))
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
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    let id = match name {
        Name::SysvId(id) => id,
        _ => Call::Semget.of(sys::semget(name.key()?.raw(), 0, 0))?,
    };
    match find(id) {
        Ok(Found::Foreign) => Err(Error::INVALID),
        Ok(Found::Gone) => Err(Call::Semctl.failed(Errno::EIDRM)),
        // The owner may remove also what it may not read.
        Ok(Found::Ready(_) | Found::Blank) | Err(_) => Call::Semctl.of(sys::sem_remove(id)),
    }
}

fn find(id: c_int) -> Result<Found, Error> {
    match look(id) {
        Err(Errno::EIDRM | Errno::EINVAL) => Ok(Found::Gone),
        found => Call::Semctl.of(found),
    }
}

fn look(id: c_int) -> Result<Found, Errno> {
    // In this order: the first operation sets both the time and the mark.
    let status = sys::sem_stat(id)?;
    if status.sem_nsems != COUNT as libc::c_ulong {
        return Ok(Found::Foreign);
    }
    let mark = sys::sem_value(id, MARK)?;
    let ready = |kind| Found::Ready(Semaphore { id, kind });
    Ok(match mark {
        PLACES => ready(Kind::Places),
        EVENTS => ready(Kind::Events),
        0 if status.sem_otime == 0 => Found::Blank,
        _ => Found::Foreign,
    })
}

/// Sets the value and the mark, unless somebody else has.
fn set_up(id: c_int, new: New) -> Result<(), Errno> {
    let mark = match new.kind {
        Kind::Places => PLACES,
        Kind::Events => EVENTS,
    };
    let mut operations = [
        operation(MARK, 0, libc::IPC_NOWAIT),
        // 0 would be to wait for 0, which a blank is.
        operation(VALUE, new.value as c_short, libc::IPC_NOWAIT),
        operation(MARK, mark as c_short, 0),
    ];
    sys::sem_operate(id, &mut operations, None)
}

fn operation(which: u16, by: c_short, flags: c_int) -> libc::sembuf {
    libc::sembuf {
        sem_num: which,
        sem_op: by,
        sem_flg: flags as c_short,
    }
}

/// An id that is gone is EINVAL, unless the kernel still knows better.
fn removed(errno: Errno) -> Errno {
    match errno {
        Errno::EINVAL => Errno::EIDRM,
        errno => errno,
    }
}
