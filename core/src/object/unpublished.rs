//! An object that has no name yet, and how it gets its name.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::name::ObjectName;
use super::temporary::{self, NEW};
use crate::error::{Call, Errno, Error};
use crate::namespace;
use crate::stale;
use crate::sys::{self, Descriptor, Lock, Path};

/// An object that has no name yet.
pub struct Unpublished {
    pub file: Descriptor,
    pub link: TemporaryLink,
}

/// The name of an object until it has its own: a temporary one, or none.
pub struct TemporaryLink(Option<Path>);

/// Whether objects can be created without a name. Cleared once such an object could not be given its own:
/// there is neither `/proc` nor the capability to do without, or a sandbox refuses it.
static CAN_LINK_UNNAMED: AtomicBool = AtomicBool::new(true);

impl Drop for TemporaryLink {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = sys::unlink(path);
        }
    }
}

impl Unpublished {
    /// Creates an object of this size in bytes, with all its memory and exactly this mode, and locks it:
    /// this process uses it. EINVAL for a size of 0.
    pub fn create(name: ObjectName<'_>, size: usize, mode: u32) -> Result<Self, Error> {
        if size == 0 {
            return Err(Error::INVALID);
        }
        let directory = Path::new(&[name.directory()])?;
        // First, since it may need a descriptor.
        let creator = namespace::this_process();
        let unpublished = Self::open(name, &directory)?;
        sys::posix_fallocate(&unpublished.file, size)?;
        stale::record_creator(&unpublished.file, creator);
        sys::fchmod(&unpublished.file, mode)?;
        // Nobody else has it yet. On a file system without locks it counts as in use for ever.
        let _ = sys::flock(&unpublished.file, Lock::Shared);
        Ok(unpublished)
    }

    fn open(name: ObjectName<'_>, directory: &Path) -> Result<Self, Error> {
        if CAN_LINK_UNNAMED.load(Relaxed) {
            match sys::open_tmpfile(directory, 0o600) {
                // The file system or the kernel has no such files, or a sandbox refuses them.
                Err(Error {
                    errno:
                        Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOSYS | Errno::EPERM,
                    ..
                }) => {}
                file => {
                    let link = TemporaryLink(None);
                    return file.map(|file| Self { file, link });
                }
            }
        }
        Self::open_named(name)
    }

    /// Creates an empty object with a temporary name, and locks it.
    fn open_named(name: ObjectName<'_>) -> Result<Self, Error> {
        /// Each further attempt means that another process judged the file before it was locked.
        const MAX_ATTEMPTS: u32 = 100;

        temporary::sweep(name.directory(), None);
        for _ in 0..MAX_ATTEMPTS {
            let path = temporary::unique(name, NEW)?;
            let file = match sys::open_exclusive(&path, 0o600) {
                Err(error) if error.errno == Errno::EEXIST => continue,
                file => file?,
            };
            let link = TemporaryLink(Some(path));
            let was_judged = sys::flock(&file, Lock::Shared)
                .is_err_and(|error| error.errno == Errno::EWOULDBLOCK);
            if !was_judged && sys::fstat(&file)?.st_nlink != 0 {
                return Ok(Self { file, link });
            }
        }
        Err(Call::Flock.failed(Errno::EBUSY))
    }
}

impl TemporaryLink {
    /// Gives this file its name. [`Error::RACED`] if the name is taken, or if the object must be created
    /// with a temporary name.
    pub fn publish(self, file: &Descriptor, name: ObjectName<'_>) -> Result<(), Error> {
        match self.link(file, name) {
            Err(error) if error.errno == Errno::EEXIST => Err(Error::RACED),
            linked => linked,
        }
    }

    fn link(mut self, file: &Descriptor, name: ObjectName<'_>) -> Result<(), Error> {
        let path = name.path;
        let Some(temporary) = &self.0 else {
            return sys::linkat(file, path).map_err(|error| match error.errno {
                Errno::ENOENT
                | Errno::ENOSYS
                | Errno::EPERM
                | Errno::EACCES
                | Errno::EOPNOTSUPP
                | Errno::EINVAL
                | Errno::EXDEV => {
                    CAN_LINK_UNNAMED.store(false, Relaxed);
                    Error::RACED
                }
                _ => error,
            });
        };
        match sys::renameat2(temporary, path) {
            // The kernel, the file system or a sandbox may not have that call.
            Err(error) if error.errno != Errno::EEXIST => {}
            renamed => {
                if renamed.is_ok() {
                    self.0 = None;
                }
                return renamed;
            }
        }
        match sys::link(temporary, path) {
            Err(Error {
                errno: Errno::EPERM | Errno::ENOSYS | Errno::EOPNOTSUPP,
                ..
            }) => {
                rename_under_lock(temporary, name)?;
                self.0 = None;
                Ok(())
            }
            // The drop unlinks the temporary name.
            linked => linked,
        }
    }
}

/// Renames if the system cannot do that exclusively: the lock of the directory excludes other processes
/// that publish the same way.
fn rename_under_lock(from: &Path, name: ObjectName<'_>) -> Result<(), Error> {
    /// One millisecond each.
    const MAX_NAPS: u32 = 200;

    let directory = sys::open_directory(&Path::new(&[name.directory()])?)?;
    for _ in 0..MAX_NAPS {
        match sys::flock(&directory, Lock::Exclusive) {
            Err(error) if error.errno == Errno::EWOULDBLOCK => sys::sleep_ms(1),
            Err(error) => return Err(error),
            Ok(()) => {
                return match sys::fstatat(name.path, false) {
                    Ok(_) => Err(Call::Linkat.failed(Errno::EEXIST)),
                    Err(_) => sys::rename(from, name.path),
                };
            }
        }
    }
    Err(Call::Flock.failed(Errno::EBUSY))
}
