//! Copies of an object's bytes, for a look that no process notices.
//!
//! The kernel copies them out of a read-only mapping: a read(2) would be an event for a process that
//! watches the object, a load a fault (SIGBUS) if another process makes the file smaller meanwhile.

use core::ffi::c_void;
use core::ptr::NonNull;

use crate::error::{Call, Errno, Error};
use crate::sys::{self, Access, Descriptor};

/// What an object is, as far as one format is concerned.
pub enum Found<T> {
    /// An object of this format.
    This(T),
    /// An object of another version of it.
    OtherVersion,
    /// An object of it whose file has the wrong size, or whose first words are wrong.
    Damaged,
    /// Something else.
    Other,
}

/// The bits of a magic that name the format; the others are its version.
pub const FORMAT: u64 = (1 << 48) - 1;

/// An object, mapped read-only.
pub struct Mapped<'a> {
    /// Its descriptor.
    pub file: &'a Descriptor,
    base: NonNull<c_void>,
    size: usize,
    call: Call,
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, with this size; nothing refers to it.
        let _ = unsafe { sys::munmap(self.base, self.size) };
    }
}

impl<'a> Mapped<'a> {
    /// Maps the first `size` bytes. `call` is that of its errors.
    pub fn new(file: &'a Descriptor, size: usize, call: Call) -> Result<Self, Error> {
        Ok(Self {
            base: sys::mmap(file, size, Access::Read)?,
            file,
            size,
            call,
        })
    }

    /// Copies bytes of the object. EBADMSG if it does not have them, perhaps because another process has
    /// made the file smaller.
    pub fn copy(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        let is_mapped = offset
            .checked_add(to.len())
            .is_some_and(|end| end <= self.size);
        if !is_mapped {
            return Err(self.call.failed(Errno::EBADMSG));
        }
        // SAFETY: in the mapping; nothing is read here.
        let from = unsafe { self.base.byte_add(offset) };
        sys::copy_mapped(from, to).map_err(|errno| match errno.raw() {
            libc::EFAULT => self.call.failed(Errno::EBADMSG),
            _ => self.call.failed(errno),
        })
    }

    /// A 64-bit word.
    pub fn long(&self, at: usize) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.copy(at, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// A 32-bit word.
    pub fn word(&self, at: usize) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.copy(at, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }
}

/// Copies the first bytes, at most a page. False if the file is shorter, or has a hole there, which a load
/// would fill.
pub fn copy_beginning(file: &Descriptor, to: &mut [u8]) -> Result<bool, Error> {
    if !sys::has_data(file, 0) {
        return Ok(false);
    }
    match Mapped::new(file, to.len(), Call::Mmap)?.copy(0, to) {
        Ok(()) => Ok(true),
        Err(error) if error.errno == Errno::EBADMSG => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first word of an object; `None` if it has a hole there.
pub fn magic(file: &Descriptor) -> Result<Option<u64>, Error> {
    let mut magic = [0; 8];
    let is_there = copy_beginning(file, &mut magic)?;
    Ok(is_there.then(|| u64::from_ne_bytes(magic)))
}
