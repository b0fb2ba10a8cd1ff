//! Removing an object: because somebody says so, or because it is stale.
//!
//! A name can pass to another object at any moment. A remover holds the shared lock of what it
//! removes, and a reclaimer the exclusive one of what it judges, so that no call of this library
//! removes a name while a stale object that has it is being replaced. Where something else did, the
//! reclaimer finds another object under the temporary name that it moved the stale one to, and gives
//! that object its name back.

use super::temporary;
use super::{Place, stale};
use crate::error::{Call, Errno, Error};
use crate::sys::{self, Access, Descriptor, Path};

/// Removes the object of this name if it is left over; whether nothing has the name any more. ELOOP
/// where that would replace a symbolic link.
pub fn clear(place: Place<'_>) -> Result<bool, Error> {
    let path = place.path()?;
    let file = match sys::open(&path, Access::Read, place.follows_links()) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return Ok(true),
        Err(_) => return Ok(false),
    };
    let status = Call::Fstat.of(sys::status(&file))?;
    if !sys::is_regular(&status) || !stale::object_state(&file, status.st_uid).is_left_over() {
        return Ok(false);
    }
    match sys::status_of_path(path.as_c_str(), false) {
        Ok(named) if sys::is_symbolic_link(&named) => Err(Call::Open.failed(Errno::ELOOP)),
        Ok(named) if sys::is_same_file(&named, &status) => move_aside(place, &path, &status),
        Ok(_) => Ok(false),
        Err(_) => Ok(true),
    }
}

/// Removes the judged object, proven to be what had the name when it is removed.
fn move_aside(place: Place<'_>, path: &Path, judged: &libc::stat) -> Result<bool, Error> {
    let aside = Call::Arguments.of(temporary::aside(place))?;
    match sys::rename(path, &aside) {
        Err(Errno::ENOENT) => return Ok(true),
        renamed => Call::Rename.of(renamed)?,
    }
    let removed = match sys::status_of_path(aside.as_c_str(), false) {
        Ok(moved) if sys::is_same_file(&moved, judged) => {
            Call::Unlink.of(sys::unlink(&aside)).map(|()| true)
        }
        Ok(_) => Ok(false),
        Err(errno) => Err(Call::Fstat.failed(errno)),
    };
    if removed != Ok(true) && put_back(&aside, path) == Err(Errno::EEXIST) {
        // Another object was created meanwhile: this one keeps the temporary name.
        return Ok(false);
    }
    removed
}

/// Gives a file its name back; EEXIST where that is taken.
fn put_back(aside: &Path, path: &Path) -> Result<(), Errno> {
    match sys::rename_to_new(aside, path) {
        Ok(()) => Ok(()),
        Err(Errno::EEXIST) => Err(Errno::EEXIST),
        // The kernel, the file system or a sandbox may not have that call.
        Err(_) => {
            sys::link(aside, path)?;
            sys::unlink(aside)
        }
    }
}

/// Removes the name; who uses the object keeps it.
pub fn remove(place: Place<'_>) -> Result<(), Error> {
    let path = place.path()?;
    let file = keep_from_reclaim(&path);
    Call::Unlink.of(sys::unlink(&path))?;
    if let Some(Ok(status)) = file.as_ref().map(sys::status)
        && status.st_nlink != 0
    {
        temporary::sweep(place.directory(), Some(&status));
    }
    Ok(())
}

/// Has nobody replace the object of this name while the result lives. `None` where that cannot be
/// had: the object cannot be opened, or is locked all the time. Removing it is not refused for that.
fn keep_from_reclaim(path: &Path) -> Option<Descriptor> {
    /// A millisecond each: replacing a stale object takes far less.
    const TRIES: u32 = 200;

    for _ in 0..TRIES {
        let named = sys::status_of_path(path.as_c_str(), false).ok()?;
        if !sys::is_regular(&named) {
            return None;
        }
        let file = sys::open(path, Access::Read, false).ok()?;
        match sys::lock_shared(&file) {
            Err(Errno::EWOULDBLOCK) => sys::sleep_ms(1),
            Err(_) => return None,
            Ok(()) => {
                let named = sys::status_of_path(path.as_c_str(), false).ok()?;
                if sys::is_same_file(&named, &sys::status(&file).ok()?) {
                    return Some(file);
                }
            }
        }
    }
    None
}
