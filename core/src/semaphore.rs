//! A semaphore. The name chooses where it lies, and that chooses what it may count:
//!
//! | name | semaphore | [`Kind`] | a wait and a post |
//! |---|---|---|---|
//! | `sysv:` | a System V set, semop(2) | [`Units`](Kind::Units), [`Events`](Kind::Events) | two system calls |
//! | `posix:`, `file:` | a word of shared memory, futex(2) | [`Events`](Kind::Events) | none, unless a process sleeps |
//!
//! Units have `sysv:` names only: the kernel returns them when their holder dies (SEM_UNDO). A count in shared
//! memory does not tell who held them (docs/architecture.md).
//!
//! ```
//! use shmcomm::semaphore::{self, New, Semaphore};
//! use shmcomm::{Errno, Name};
//!
//! let semaphore = Semaphore::create(Name::SysvPrivate, New { value: 1, ..New::default() })?;
//! semaphore.wait(-1)?;
//! assert_eq!(semaphore.wait(0).unwrap_err().errno(), Errno::ETIMEDOUT);
//! semaphore.post()?;
//! semaphore::remove(Name::SysvId(semaphore.id().unwrap()))?;
//! # Ok::<(), shmcomm::Error>(())
//! ```

mod events;
mod sysv;
#[doc(hidden)]
pub mod word;

use core::ffi::c_int;

use crate::error::{Call, Errno, Error};
use crate::name::Name;
use crate::object::OpenMode;
use crate::sys::Access;

use events::Events;
pub(crate) use events::look;
use sysv::Set;

/// An open semaphore. Dropping it neither posts nor removes anything. A forked child may use it too.
pub struct Semaphore {
    place: Place,
    interruptible: bool,
}

enum Place {
    Sysv(Set),
    Shared(Events),
}

/// What a semaphore counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Units, one for a lock. A unit belongs to the process that waited for it until that process
    /// posts; if the process exits first, the kernel returns the unit (SEM_UNDO).
    #[default]
    Units,
    /// Events that one process posts and another waits for. A death changes nothing.
    Events,
}

/// The properties of a new semaphore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct New {
    /// The first value, at most [`MAX_VALUE`], or [`MAX_SHARED_VALUE`] for a `posix:` or `file:` name.
    pub value: c_int,
    /// Permission bits. A process that uses the semaphore needs to read and write it.
    pub mode: u32,
    /// EEXIST if the semaphore exists.
    pub exclusive: bool,
    /// Replace a stale semaphore, one that no process uses and whose creator has exited; EINVAL for a
    /// `sysv:` name.
    pub reclaim: bool,
    /// What the semaphore counts; EINVAL if it exists and counts the other, or if its name cannot count
    /// that.
    pub kind: Kind,
}

impl Default for New {
    fn default() -> Self {
        Self {
            value: 0,
            mode: 0o600,
            exclusive: false,
            reclaim: false,
            kind: Kind::Units,
        }
    }
}

/// The highest value of a `sysv:` semaphore, SEMVMX.
pub const MAX_VALUE: c_int = 32767;
/// The highest value of a `posix:` or `file:` semaphore.
pub const MAX_SHARED_VALUE: c_int = word::MAX as c_int;

impl From<Place> for Semaphore {
    fn from(place: Place) -> Self {
        Self {
            place,
            interruptible: false,
        }
    }
}

impl Semaphore {
    /// The same semaphore; a wait through this value ends with EINTR when a signal handler runs in the
    /// waiting thread.
    pub fn interruptible(self) -> Self {
        Self {
            interruptible: true,
            ..self
        }
    }

    /// Opens the semaphore of this name; ENOENT if there is none, or none with its first value.
    pub fn open(name: Name<'_>) -> Result<Self, Error> {
        let place = match is_shared(name) {
            true => Place::Shared(Events::open(
                name,
                OpenMode::existing(Access::ReadWrite),
                0,
            )?),
            false => Place::Sysv(Set::open(name)?),
        };
        Ok(place.into())
    }

    /// Opens the semaphore of this name and creates it if there is none.
    pub fn create(name: Name<'_>, new: New) -> Result<Self, Error> {
        let is_shared = is_shared(name);
        let is_offered = match is_shared {
            true => new.kind == Kind::Events,
            false => !new.reclaim,
        };
        if new.value < 0 || new.mode & !0o777 != 0 || !is_offered {
            return Err(Error::INVALID);
        }
        let max = if is_shared {
            MAX_SHARED_VALUE
        } else {
            MAX_VALUE
        };
        if new.value > max {
            return Err(Call::Arguments.failed(Errno::ERANGE));
        }
        let place = match is_shared {
            false => Place::Sysv(Set::create(name, new)?),
            true => {
                let mode = OpenMode {
                    create: true,
                    exclusive: new.exclusive,
                    reclaim: new.reclaim,
                    size: events::SIZE,
                    mode: new.mode,
                    ..OpenMode::existing(Access::ReadWrite)
                };
                Place::Shared(Events::open(name, mode, new.value as u32)?)
            }
        };
        Ok(place.into())
    }

    /// Takes a unit or an event. Waits for it for at most this number of milliseconds: -1 for ever, 0 not
    /// at all (ETIMEDOUT). EIDRM if the semaphore is removed before or during the wait. EINTR, and
    /// nothing is taken, only if it is [interruptible](Self::interruptible).
    #[inline(always)]
    pub fn wait(&self, timeout_ms: c_int) -> Result<(), Error> {
        match &self.place {
            Place::Shared(events) if events.try_take() => Ok(()),
            Place::Shared(events) => events.wait(timeout_ms, self.interruptible),
            Place::Sysv(set) => set.wait(timeout_ms, self.interruptible),
        }
    }

    /// Returns a unit or posts an event. ERANGE beyond [`MAX_VALUE`], EOVERFLOW beyond
    /// [`MAX_SHARED_VALUE`]; EIDRM if the semaphore is removed.
    #[inline(always)]
    pub fn post(&self) -> Result<(), Error> {
        match &self.place {
            Place::Shared(events) if events.try_post() => Ok(()),
            Place::Shared(events) => events.post(),
            Place::Sysv(set) => set.post(),
        }
    }

    /// Number of units or events that can be taken now.
    pub fn value(&self) -> Result<c_int, Error> {
        match &self.place {
            Place::Shared(events) => events.value(),
            Place::Sysv(set) => set.value(),
        }
    }

    /// The System V id; `None` for a `posix:` or `file:` name.
    pub fn id(&self) -> Option<c_int> {
        match &self.place {
            Place::Shared(_) => None,
            Place::Sysv(set) => Some(set.id()),
        }
    }

    /// What the semaphore counts.
    pub fn kind(&self) -> Kind {
        match &self.place {
            Place::Shared(_) => Kind::Events,
            Place::Sysv(set) => set.kind(),
        }
    }
}

/// Removes the semaphore of this name; its waiters get EIDRM.
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    match is_shared(name) {
        true => events::remove(name),
        false => sysv::remove(name),
    }
}

fn is_shared(name: Name<'_>) -> bool {
    matches!(name, Name::Posix(_) | Name::File(_))
}
