//! The first bytes of an object, for a look that no process notices.

use crate::error::{Call, Error};
use crate::sys::{self, Access, Descriptor};

/// Copies the first bytes, at most a page. False if the file is shorter, or has a hole there, which a load
/// would fill.
///
/// The kernel copies them out of a mapping: a read(2) would be an event for a process that watches the
/// object, a load a fault (SIGBUS) if another process makes the file smaller meanwhile.
pub fn copy_beginning(file: &Descriptor, to: &mut [u8]) -> Result<bool, Error> {
    if !sys::has_data(file, 0) {
        return Ok(false);
    }
    let address = sys::mmap(file, to.len(), Access::Read)?;
    let copied = sys::copy_mapped(address, to);
    // SAFETY: mapped above, with this size; nothing refers to it.
    let _ = unsafe { sys::munmap(address, to.len()) };
    match copied {
        Ok(()) => Ok(true),
        Err(errno) if errno.raw() == libc::EFAULT => Ok(false),
        Err(errno) => Err(Call::Mmap.failed(errno)),
    }
}
