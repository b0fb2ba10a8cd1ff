//! Temporary names, where an object cannot be made without one.
//!
//! A temporary name is unique, and its file is locked for as long as its creator lives. What a death
//! leaves of it is in nobody's way, and the next creator in that directory that needs such a name
//! removes it.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{Place, Unnamed};
use crate::error::{Call, Errno, Error};
use crate::stale;
use crate::sys::{self, Access, Descriptor, Path};
use crate::text::Text;

/// The beginning of the name of an object that gets its own name next.
const NEW: &str = ".shmcomm-0x";
/// The beginning of the name of an object that is being replaced.
const OLD: &str = ".shmcomm-old-0x";
const DIGITS: usize = 16;

/// Whether objects are made without a name; not any more, once one could not be given its own: there
/// is neither `/proc` nor the right to do without, or a sandbox refuses it.
static ARE_AVOIDABLE: AtomicBool = AtomicBool::new(true);

pub fn are_avoidable() -> bool {
    ARE_AVOIDABLE.load(Relaxed)
}

/// What stands in for an object's name until it has its own: a temporary name, or nothing.
pub struct StandIn(Option<Path>);

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(stand_in) = &self.0 {
            let _ = sys::unlink(stand_in);
        }
    }
}

impl StandIn {
    /// An object without a name cannot be published here: it is to be made again, with a stand-in.
    pub const NEEDED: Error = Call::Link.failed(Errno::EAGAIN);

    pub fn none() -> Self {
        Self(None)
    }

    /// Makes an empty object with a temporary name, in use by this process.
    pub fn make(place: Place<'_>) -> Result<Unnamed, Error> {
        /// Each other attempt means that the file was judged before it was locked.
        const TRIES: u32 = 100;

        sweep(place.directory(), None);
        for _ in 0..TRIES {
            let path = Call::Arguments.of(unique(place, NEW))?;
            let file = match sys::open_new(&path, 0o600) {
                Err(Errno::EEXIST) => continue,
                file => Call::Open.of(file)?,
            };
            let stand_in = Self(Some(path));
            let was_judged = sys::lock_shared(&file) == Err(Errno::EWOULDBLOCK);
            if !was_judged && Call::Fstat.of(sys::status(&file))?.st_nlink != 0 {
                return Ok(Unnamed { file, stand_in });
            }
        }
        Err(Call::Flock.failed(Errno::EBUSY))
    }

    /// Gives this file its name; EEXIST where that is taken, [`Self::NEEDED`].
    pub fn publish(mut self, file: &Descriptor, place: Place<'_>) -> Result<(), Error> {
        let path = place.path()?;
        let Some(stand_in) = &self.0 else {
            let linked = sys::link_unnamed(file, &path);
            return match linked {
                Err(Errno::ENOENT | Errno::ENOSYS | Errno::EPERM | Errno::EACCES)
                | Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EXDEV) => {
                    ARE_AVOIDABLE.store(false, Relaxed);
                    Err(Self::NEEDED)
                }
                linked => Call::Link.of(linked),
            };
        };
        match sys::rename_to_new(stand_in, &path) {
            Ok(()) => {
                self.0 = None;
                return Ok(());
            }
            Err(Errno::EEXIST) => return Err(Call::Link.failed(Errno::EEXIST)),
            // The kernel, the file system or a sandbox may not have that call.
            Err(_) => {}
        }
        match sys::link(stand_in, &path) {
            Err(Errno::EPERM | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                Call::Link.of(rename_under_lock(stand_in, &path, place))?;
                self.0 = None;
                Ok(())
            }
            // The temporary name goes when this is dropped.
            linked => Call::Link.of(linked),
        }
    }
}

/// Renames where the system cannot do that exclusively: the lock of the directory keeps others out
/// that publish the same way.
fn rename_under_lock(from: &Path, to: &Path, place: Place<'_>) -> Result<(), Errno> {
    /// A millisecond each.
    const TRIES: u32 = 200;

    let directory = sys::open_directory(&Path::new(&[place.directory()])?)?;
    for _ in 0..TRIES {
        match sys::lock_exclusive(&directory) {
            Err(Errno::EWOULDBLOCK) => sys::sleep_ms(1),
            Err(errno) => return Err(errno),
            Ok(()) => {
                return match sys::status_of_path(to.as_c_str(), false) {
                    Ok(_) => Err(Errno::EEXIST),
                    Err(_) => sys::rename(from, to),
                };
            }
        }
    }
    Err(Errno::EBUSY)
}

/// A temporary name beside an object's own, that nobody else has.
fn unique(place: Place<'_>, beginning: &str) -> Result<Path, Errno> {
    let mut number = Text::new();
    number.hex(sys::random(), DIGITS);
    let digits = number.as_bytes().strip_prefix(b"0x").unwrap_or_default();
    Path::new(&[place.directory(), beginning.as_bytes(), digits])
}

/// A temporary name for an object that is about to be removed.
pub fn aside(place: Place<'_>) -> Result<Path, Errno> {
    sweep(place.directory(), None);
    unique(place, OLD)
}

/// Removes the temporary names that a death has left in a directory: this user's, or those of an object
/// which was just removed. That has one if its creator died between giving it its own name and giving up
/// the temporary one.
pub fn sweep(directory: &[u8], removed: Option<&libc::stat>) {
    let Ok(path) = Path::new(&[directory]) else {
        return;
    };
    let _ = sys::for_each_name(&path, |name| {
        let is_old = is_temporary(name, OLD);
        if !is_old && !is_temporary(name, NEW) {
            return;
        }
        let Ok(path) = Path::new(&[directory, name]) else {
            return;
        };
        let is_left = match removed {
            None => is_left(&path, is_old),
            Some(removed) => sys::status_of_path(path.as_c_str(), false)
                .is_ok_and(|status| sys::is_same_file(&status, removed)),
        };
        if is_left {
            let _ = sys::unlink(&path);
        }
    });
}

fn is_temporary(name: &[u8], beginning: &str) -> bool {
    name.strip_prefix(beginning.as_bytes())
        .is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether a temporary name is a dead one's: nobody has the file locked, and if it says who made it,
/// that process has exited. What was moved aside must say so: it may be another's by mistake.
fn is_left(path: &Path, is_old: bool) -> bool {
    let Ok(file) = sys::open(path, Access::Read, false) else {
        return false;
    };
    match sys::status(&file) {
        Ok(status) if sys::is_regular(&status) => {
            let state = stale::object_state(&file, status.st_uid);
            let is_unsigned = state == stale::State::Unattached(stale::Creator::Unknown)
                && stale::recorded_pid(&file) == 0;
            state.is_left_over() || (is_unsigned && !is_old)
        }
        _ => false,
    }
}
