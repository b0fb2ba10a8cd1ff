//! Removing an object: on request, or because it is stale.
//!
//! A name can pass to another object at any moment. A remover holds the shared lock of the object that it
//! removes, and a reclaimer the exclusive lock of the object that it judges: no call of this library
//! removes a name while a stale object that has it is being replaced. If another program did, the
//! reclaimer finds another object under the temporary name that it moved the stale one to, and gives
//! that object its name back.

use core::ffi::CStr;

use super::name::ObjectName;
use super::temporary;
use crate::error::{Call, Errno, Error};
use crate::stale::{self, State};
use crate::sys::{self, Access, Descriptor, Lock};

/// Removes the object of this name if it is stale. ELOOP if that would replace a symbolic link.
pub fn remove_stale(name: ObjectName<'_>) -> Result<(), Error> {
    match StaleObject::find(name)? {
        Ok(object) => object.remove(),
        Err(_) => Ok(()),
    }
}

/// A stale object. While this value lives, it has the exclusive lock: no process of this library opens
/// the object.
pub struct StaleObject<'a> {
    name: ObjectName<'a>,
    pub file: Descriptor,
    status: libc::stat,
}

impl<'a> StaleObject<'a> {
    /// The object of this name if it is stale, else its state. ELOOP if its removal would replace a
    /// symbolic link.
    #[inline]
    pub fn find(name: ObjectName<'a>) -> Result<Result<Self, State>, Error> {
        let file = match sys::open(name.path, Access::Read, name.is_file) {
            Err(error) if error.errno == Errno::ENOENT => return Ok(Err(State::Absent)),
            Err(_) => return Ok(Err(State::Unknown)),
            Ok(file) => file,
        };
        let status = sys::fstat(&file)?;
        if !sys::is_regular(&status) {
            return Ok(Err(State::Unknown));
        }
        let state = stale::object_state(&file, status.st_uid);
        if !state.is_stale() {
            return Ok(Err(state));
        }
        match sys::fstatat(name.path, false) {
            Ok(named) if sys::is_symbolic_link(&named) => Err(Call::Open.failed(Errno::ELOOP)),
            Ok(named) if sys::is_same_file(&named, &status) => Ok(Ok(Self { name, file, status })),
            Ok(_) | Err(_) => Ok(Err(State::Absent)),
        }
    }

    /// Removes it, unless the name has passed to another object.
    #[inline]
    pub fn remove(&self) -> Result<(), Error> {
        move_aside(self.name, &self.status)
    }
}

/// Removes the judged object, proven to be the one that had the name when it is removed.
fn move_aside(name: ObjectName<'_>, judged: &libc::stat) -> Result<(), Error> {
    temporary::sweep(name.directory(), None);
    let aside = temporary::path(name, temporary::OLD, sys::getrandom())?;
    match sys::rename(name.path, &aside) {
        Err(error) if error.errno == Errno::ENOENT => return Ok(()),
        renamed => renamed?,
    }
    let failed = match sys::fstatat(&aside, false) {
        Ok(moved) if sys::is_same_file(&moved, judged) => match sys::unlink(&aside) {
            Ok(()) => return Ok(()),
            failed => failed,
        },
        // The name had passed to another object.
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match put_back(&aside, name.path) {
        // Another object was created meanwhile: this one keeps the temporary name.
        Err(error) if error.errno == Errno::EEXIST => Ok(()),
        _ => failed,
    }
}

/// Gives a file its name back; EEXIST if that is taken.
fn put_back(aside: &CStr, path: &CStr) -> Result<(), Error> {
    match sys::renameat2(aside, path) {
        // The kernel, the file system or a sandbox may not have that call.
        Err(error) if error.errno != Errno::EEXIST => {
            sys::link(aside, path)?;
            sys::unlink(aside)
        }
        renamed => renamed,
    }
}

/// Removes the name. Processes that use the object keep it.
pub fn remove(name: ObjectName<'_>) -> Result<(), Error> {
    let kept = keep_from_reclaim(name.path);
    sys::unlink(name.path)?;
    if let Some((_, status)) = kept
        && status.st_nlink > 1
    {
        temporary::sweep(name.directory(), Some(&status));
    }
    Ok(())
}

/// Keeps other processes from replacing the object of this name while the descriptor is open. `None` if
/// that is impossible: the object cannot be opened, or stays locked. The caller may then remove it
/// without that protection.
fn keep_from_reclaim(path: &CStr) -> Option<(Descriptor, libc::stat)> {
    /// One millisecond each: replacing a stale object takes far less.
    const MAX_NAPS: u32 = 200;

    for _ in 0..MAX_NAPS {
        let file = sys::open(path, Access::Read, false).ok()?;
        let locked = sys::flock(&file, Lock::Shared);
        let status = sys::fstat(&file).ok()?;
        match locked {
            _ if !sys::is_regular(&status) => return None,
            Err(error) if error.errno == Errno::EWOULDBLOCK => sys::sleep_ms(1),
            Err(_) => return None,
            Ok(()) => {
                let named = sys::fstatat(path, false).ok()?;
                if sys::is_same_file(&named, &status) {
                    return Some((file, status));
                }
            }
        }
    }
    None
}
