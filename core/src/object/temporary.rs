//! Temporary names, for an object that cannot be created without one or that is about to be removed.
//!
//! A temporary name has a random number, and its creator locks the file. The name of a dead creator blocks no
//! process; the next creator in that directory that needs a temporary name removes it.

use super::name::ObjectName;
use crate::error::Error;
use crate::stale::{self, Creator, State};
use crate::sys::{self, Access, Descriptor, Path};
use crate::text::Text;

/// The beginning of the name of an object that gets its own name next.
pub const NEW: &str = ".shmcomm-0x";
/// The beginning of the name of an object that is being replaced.
pub const OLD: &str = ".shmcomm-old-0x";
const DIGITS: usize = 16;

/// The temporary name with this number, in the directory of an object.
pub fn path(name: ObjectName<'_>, beginning: &str, number: u64) -> Result<Path, Error> {
    let mut digits = Text::new();
    digits.hex(number, DIGITS);
    let digits = digits.as_bytes().strip_prefix(b"0x").unwrap_or_default();
    Path::new(&[name.directory(), beginning.as_bytes(), digits])
}

/// Removes stale temporary names from a directory: this user's, or those of an object that was just
/// removed, which has one if its creator died between publishing it and unlinking the temporary name.
pub fn sweep(directory: &[u8], removed: Option<&libc::stat>) {
    let Ok(path) = Path::new(&[directory]) else {
        return;
    };
    sys::for_each_name(&path, |name| {
        let is_old = is_temporary(name, OLD);
        if !is_old && !is_temporary(name, NEW) {
            return;
        }
        let Ok(path) = Path::new(&[directory, name]) else {
            return;
        };
        // Locked until the name is removed, since its creator may come to its own lock before that.
        let _locked = match removed {
            None => match lock_if_stale(&path, is_old) {
                None => return,
                locked => locked,
            },
            Some(removed) => match sys::fstatat(&path, false) {
                Ok(status) if sys::is_same_file(&status, removed) => None,
                _ => return,
            },
        };
        let _ = sys::unlink(&path);
    });
}

fn is_temporary(name: &[u8], beginning: &str) -> bool {
    name.strip_prefix(beginning.as_bytes())
        .is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Locks the file of a temporary name if it is stale: no process has locked the file, and its creator, if
/// recorded, has exited. A file that was moved aside must record it: it may be another program's, moved
/// by mistake.
fn lock_if_stale(path: &Path, is_old: bool) -> Option<Descriptor> {
    let file = sys::open(path, Access::Read, false).ok()?;
    let status = sys::fstat(&file).ok()?;
    if !sys::is_regular(&status) {
        return None;
    }
    let state = stale::object_state(&file, status.st_uid);
    let is_unsigned =
        state == State::Unattached(Creator::Unknown) && stale::recorded_pid(&file) == 0;
    (state.is_stale() || (is_unsigned && !is_old)).then_some(file)
}
