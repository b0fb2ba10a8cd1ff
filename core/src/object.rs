//! Memory with a descriptor: POSIX objects, mapped files, anonymous memory.
//!
//! An object is created without a name, gets its size and its memory, and only then its name, which is
//! also the exclusive create. So a name is absent or whole, at whatever instruction its creator dies.
//!
//! A process that uses an object holds a shared lock on its descriptor (`flock(2)`), which ends with the
//! last process that inherited it. A process that removes a stale object holds the exclusive lock.

mod look;
mod name;
mod removal;
mod temporary;
mod unpublished;

use crate::error::{Call, Errno, Error};
use crate::sys::{self, Access, Descriptor, Lock};

pub use look::{FORMAT, Found, Mapped, copy_beginning, magic};
pub use name::ObjectName;
pub use removal::{StaleObject, remove};
pub use unpublished::{TemporaryLink, Unpublished};

/// How an object is opened.
#[derive(Clone, Copy)]
pub struct OpenMode {
    pub access: Access,
    /// Create it if there is none.
    pub create: bool,
    /// With `create`: EEXIST if there is one.
    pub exclusive: bool,
    /// With `create`: remove a stale one first.
    pub reclaim: bool,
    /// The size of a new object in bytes; 0 cannot be created.
    pub size: usize,
    /// The permission bits of a new object.
    pub mode: u32,
}

impl OpenMode {
    /// An existing object.
    pub const fn existing(access: Access) -> Self {
        Self {
            access,
            create: false,
            exclusive: false,
            reclaim: false,
            size: 0,
            mode: 0,
        }
    }
}

/// An object that was opened.
pub enum Opened<'a> {
    /// It existed; its descriptor and its size in bytes.
    Found(Descriptor, usize),
    /// It is new: the caller publishes it.
    Fresh(Unpublished<'a>),
}

/// Opens again each time that another process has created or removed the name meanwhile
/// ([`Error::RACED`]), then EBUSY.
pub fn until_settled<T>(mut open: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    const MAX_ATTEMPTS: u32 = 100;

    for _ in 0..MAX_ATTEMPTS {
        match open() {
            Err(Error::RACED) => {}
            opened => return opened,
        }
    }
    Err(Call::Open.failed(Errno::EBUSY))
}

/// Attaches the object of this name, or creates one. [`Error::RACED`] if the caller must start again.
pub fn open(name: ObjectName<'_>, mode: OpenMode) -> Result<Opened<'_>, Error> {
    /// Allocating this takes about as long as the look whether the name is taken, which the publication
    /// does anyway.
    const SMALL: usize = 64 << 10;

    if mode.reclaim {
        removal::remove_stale(name)?;
    }
    if !mode.exclusive {
        match attach(name, mode.access, mode.create) {
            Err(error) if mode.create && error.errno == Errno::ENOENT => {}
            attached => return attached.map(|(file, size)| Opened::Found(file, size)),
        }
    }
    if mode.size > SMALL {
        check_free(name, mode.exclusive)?;
    }
    let created = Unpublished::create(name, mode);
    if created.is_err() {
        check_free(name, mode.exclusive)?;
    }
    created.map(Opened::Fresh)
}

/// If the name is taken, fails with EEXIST where it must be free, else with [`Error::RACED`].
fn check_free(name: ObjectName<'_>, exclusive: bool) -> Result<(), Error> {
    match exists(name)? {
        false => Ok(()),
        true if exclusive => Err(Call::Linkat.failed(Errno::EEXIST)),
        true => Err(Error::RACED),
    }
}

/// Opens an existing object and locks it: this process uses it. A creator does not accept an object that
/// another user planted: EACCES.
fn attach(
    name: ObjectName<'_>,
    access: Access,
    creating: bool,
) -> Result<(Descriptor, usize), Error> {
    /// One millisecond each: removing a stale object takes far less.
    const MAX_NAPS: u32 = 200;

    for _ in 0..MAX_NAPS {
        let file = sys::open(name.path, access, name.is_file)?;
        let locked = sys::flock(&file, Lock::Shared);
        let status = sys::fstat(&file)?;
        if !sys::is_regular(&status) {
            return Err(Error::INVALID);
        }
        let may_be_planted = creating && !name.is_file && status.st_uid != 0;
        if may_be_planted && status.st_uid != sys::geteuid() {
            return Err(Call::Open.failed(Errno::EACCES));
        }
        match locked {
            Err(error) if error.errno == Errno::EWOULDBLOCK => sys::sleep_ms(1),
            // Removed between open and lock: another object may have the name now.
            Ok(()) if status.st_nlink == 0 => {}
            Ok(()) | Err(_) => {
                let size = usize::try_from(status.st_size).unwrap_or(0);
                return Ok((file, size));
            }
        }
    }
    Err(Call::Flock.failed(Errno::EBUSY))
}

/// Whether the object has no name any more. In doubt, it has one.
pub fn is_removed(file: &Descriptor) -> bool {
    sys::fstat(file).is_ok_and(|status| status.st_nlink == 0)
}

/// Creates anonymous memory, and returns its size: with huge pages, a multiple of theirs.
pub fn create_anonymous(size: usize, huge: bool, mode: u32) -> Result<(Descriptor, usize), Error> {
    let file = sys::memfd_create(huge)?;
    let mut size = size;
    if huge {
        let page = sys::fstat(&file)?.st_blksize;
        size = usize::try_from(page)
            .ok()
            .and_then(|page| size.checked_next_multiple_of(page))
            .ok_or(Call::Ftruncate.failed(Errno::ENOMEM))?;
    }
    sys::ftruncate(&file, size)?;
    sys::fchmod(&file, mode)?;
    Ok((file, size))
}

/// Whether the name is taken. A symbolic link to nothing does not take it, but no object is created
/// through the link either: ELOOP.
fn exists(name: ObjectName<'_>) -> Result<bool, Error> {
    let path = name.path;
    let Ok(status) = sys::fstatat(path, false) else {
        return Ok(false);
    };
    let is_dangling = name.is_file
        && sys::is_symbolic_link(&status)
        && sys::fstatat(path, true).is_err_and(|error| error.errno == Errno::ENOENT);
    match is_dangling {
        true => Err(Call::Open.failed(Errno::ELOOP)),
        false => Ok(true),
    }
}
