//! Layer 2: one segment of shared memory, whatever its kind.
//!
//! ```
//! use shmcomm::Name;
//! use shmcomm::segment::Options;
//!
//! let name = Name::parse(b"anon:").unwrap();
//! let segment = Options { create: true, size: 4096, ..Options::default() }.open(name)?;
//! segment.write(0, b"how are you");
//! let mut text = [0; 11];
//! segment.read(0, &mut text);
//! assert_eq!(&text, b"how are you");
//! # Ok::<(), shmcomm::Error>(())
//! ```

mod open;

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::error::Error;
use crate::info::{HugePages, Info};
use crate::name::Name;
use crate::object::{self, ObjectName};
use crate::stale;
use crate::sys::{self, Descriptor, Path};
use crate::sysv;

pub use open::Options;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Posix,
    File,
    Anonymous,
}

enum Memory {
    Sysv(c_int),
    Object(Descriptor, Kind),
}

/// A segment of shared memory, [opened](Options) and attached to this process until it is dropped. The
/// drop only detaches it; [`remove`] removes it.
///
/// Other processes may write to the memory at any time, so it is never borrowed as ordinary bytes:
/// [`Self::read`] and [`Self::write`] copy, [`Self::bytes`] gives atomic bytes, and the user of
/// [`Self::as_ptr`] takes care of races. A process that may write to an object can also truncate it; touching
/// the missing pages is a fault (SIGBUS).
pub struct Segment {
    memory: Memory,
    /// Attached or mapped here, at least `size` bytes.
    address: NonNull<c_void>,
    size: usize,
    read_only: bool,
    locked: bool,
    huge_pages: HugePages,
}

// SAFETY: the memory belongs to the process, not to a thread, and its contents are only reached by
// atomic operations.
unsafe impl Send for Segment {}
// SAFETY: as above; a change of the handle takes &mut.
unsafe impl Sync for Segment {}

impl Drop for Segment {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: attached or mapped, and its owner uses the memory no more.
        unsafe {
            let _ = match self.memory {
                Memory::Sysv(_) => sys::shmdt(self.address.as_ptr()),
                Memory::Object(..) => sys::munmap(self.address, self.size),
            };
        }
    }
}

impl Segment {
    /// The true size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The first byte; on a page boundary. Valid as long as the segment.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address.as_ptr().cast()
    }

    /// The memory as atomic bytes; `None` if it is read-only, because their operations would fault.
    pub fn bytes(&self) -> Option<&[AtomicU8]> {
        (!self.read_only).then(|| self.atomic())
    }

    fn atomic(&self) -> &[AtomicU8] {
        // SAFETY: mapped for as long as self, of this size; other processes' writes are no data
        // races with atomic operations.
        unsafe { core::slice::from_raw_parts(self.as_ptr().cast(), self.size) }
    }

    /// Copies from the memory at `offset`, up to its end; returns the number of bytes.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> usize {
        let from = self.atomic().get(offset..).unwrap_or_default();
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.load(Relaxed);
        }
        to.len().min(from.len())
    }

    /// Copies into the memory at `offset`, up to its end; returns the number of bytes, 0 if it is
    /// read-only.
    pub fn write(&self, offset: usize, from: &[u8]) -> usize {
        let to = self.bytes().and_then(|bytes| bytes.get(offset..));
        let to = to.unwrap_or_default();
        for (to, from) in to.iter().zip(from) {
            to.store(*from, Relaxed);
        }
        to.len().min(from.len())
    }

    /// What the kernel knows about it now.
    #[inline(never)]
    pub fn info(&self) -> Result<Info, Error> {
        match &self.memory {
            Memory::Sysv(id) => Ok(Info {
                huge_pages: self.huge_pages,
                ..sysv::info(*id)?
            }),
            Memory::Object(file, kind) => {
                let status = sys::fstat(file)?;
                Ok(Info {
                    size: usize::try_from(status.st_size).unwrap_or(0),
                    mode: status.st_mode & 0o777,
                    uid: status.st_uid,
                    gid: status.st_gid,
                    creator_pid: stale::recorded_pid(file),
                    attach_time: status.st_atime,
                    change_time: status.st_ctime,
                    removed: *kind != Kind::Anonymous && status.st_nlink == 0,
                    locked: self.locked,
                    huge_pages: self.huge_pages,
                    ..Info::default()
                })
            }
        }
    }

    /// Changes the permission bits: `IPC_SET` or `fchmod(2)`.
    #[inline(never)]
    pub fn set_mode(&self, mode: u32) -> Result<(), Error> {
        if mode & !0o777 != 0 {
            return Err(Error::INVALID);
        }
        match &self.memory {
            Memory::Sysv(id) => sysv::chmod(*id, mode),
            Memory::Object(file, _) => sys::fchmod(file, mode),
        }
    }

    /// Changes the owner: `IPC_SET` or `fchown(2)`.
    #[inline(never)]
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), Error> {
        match &self.memory {
            Memory::Sysv(id) => sysv::chown(*id, uid, gid),
            Memory::Object(file, _) => sys::fchown(file, uid, gid),
        }
    }

    /// Prevents the memory from being swapped: `SHM_LOCK`, which holds for the segment, or `mlock(2)`,
    /// which holds for this process.
    #[inline(never)]
    pub fn lock(&mut self) -> Result<(), Error> {
        match &self.memory {
            Memory::Sysv(id) => sys::shmctl_lock(*id)?,
            // SAFETY: mapped, of this size.
            Memory::Object(..) => unsafe { sys::mlock(self.address, self.size) }?,
        }
        self.locked = true;
        Ok(())
    }

    /// Lets the memory be swapped again.
    #[inline(never)]
    pub fn unlock(&mut self) -> Result<(), Error> {
        match &self.memory {
            Memory::Sysv(id) => sys::shmctl_unlock(*id)?,
            // SAFETY: mapped, of this size.
            Memory::Object(..) => unsafe { sys::munlock(self.address, self.size) }?,
        }
        self.locked = false;
        Ok(())
    }

    /// Waits until a file holds what its memory does: `msync(2)`. Does nothing for memory without a file.
    pub fn sync(&self) -> Result<(), Error> {
        match &self.memory {
            // SAFETY: mapped, of this size.
            Memory::Object(_, Kind::File) => unsafe { sys::msync(self.address, self.size) },
            _ => Ok(()),
        }
    }
}

/// Removes the segment of this name: `IPC_RMID`, `unlink(2)`. Processes that have it attached keep it
/// until they detach. A name that stands for no lasting segment, `anon:` or `sysv:private`, is refused:
/// EINVAL.
#[inline(never)]
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    match name {
        Name::Posix(_) | Name::File(_) => {
            object::remove(ObjectName::new(name, &mut Path::empty())?)
        }
        Name::SysvId(id) => sys::shmctl_rmid(id),
        _ => {
            let id = sys::shmget(name.key()?.raw(), 0, 0)?;
            sys::shmctl_rmid(id).map_err(sysv::absent_if_gone)
        }
    }
}
