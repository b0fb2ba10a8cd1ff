//! An object that has no name yet, and how it gets its name.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::name::ObjectName;
use super::temporary::{self, NEW};
use super::{OpenMode, check_free};
use crate::error::{Call, Errno, Error};
use crate::namespace;
use crate::stale;
use crate::sys::{self, Descriptor, Lock, Path};

/// An object that has no name yet.
pub struct Unpublished<'a> {
    pub file: Descriptor,
    pub link: TemporaryLink<'a>,
}

/// The name that an object is to have, and the temporary one that it may have until then.
pub struct TemporaryLink<'a> {
    name: ObjectName<'a>,
    /// EEXIST if the name is taken.
    exclusive: bool,
    /// The number in the temporary name. Not the name itself: a copy of its 4 KiB takes 4 µs.
    number: Option<u64>,
}

/// Whether objects can be created without a name. Cleared once such an object could not be given its own:
/// there is neither `/proc` nor the capability to do without, or a sandbox refuses it.
static CAN_LINK_UNNAMED: AtomicBool = AtomicBool::new(true);

impl Drop for TemporaryLink<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        if let Some(Ok(path)) = self
            .number
            .map(|number| temporary::path(self.name, NEW, number))
        {
            let _ = sys::unlink(&path);
        }
    }
}

impl<'a> Unpublished<'a> {
    /// Creates an object of the mode's size, with all its memory and exactly its permission bits, and
    /// locks it: this process uses it. EINVAL for a size of 0.
    pub fn create(name: ObjectName<'a>, mode: OpenMode) -> Result<Self, Error> {
        if mode.size == 0 {
            return Err(Error::INVALID);
        }
        let directory = Path::new(&[name.directory()])?;
        // First, since it may need a descriptor.
        let creator = namespace::this_process();
        let unpublished = Self::open(name, mode.exclusive, &directory)?;
        sys::posix_fallocate(&unpublished.file, mode.size)?;
        stale::record_creator(&unpublished.file, creator);
        sys::fchmod(&unpublished.file, mode.mode)?;
        // No other process has it yet. On a file system without locks it counts as in use for ever.
        let _ = sys::flock(&unpublished.file, Lock::Shared);
        Ok(unpublished)
    }

    fn open(name: ObjectName<'a>, exclusive: bool, directory: &Path) -> Result<Self, Error> {
        let link = |number| TemporaryLink {
            name,
            exclusive,
            number,
        };
        if CAN_LINK_UNNAMED.load(Relaxed) {
            match sys::open_tmpfile(directory, 0o600) {
                // The file system or the kernel has no such files, or a sandbox refuses them.
                Err(Error {
                    errno:
                        Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOSYS | Errno::EPERM,
                    ..
                }) => {}
                file => {
                    let link = link(None);
                    return file.map(|file| Self { file, link });
                }
            }
        }
        Self::open_named(name, link)
    }

    /// Creates an empty object with a temporary name, and locks it.
    fn open_named(
        name: ObjectName<'a>,
        link: impl Fn(Option<u64>) -> TemporaryLink<'a>,
    ) -> Result<Self, Error> {
        /// Each further attempt means that another process judged the file before it was locked.
        const MAX_ATTEMPTS: u32 = 100;

        temporary::sweep(name.directory(), None);
        for _ in 0..MAX_ATTEMPTS {
            let number = sys::getrandom();
            let path = temporary::path(name, NEW, number)?;
            let file = match sys::open_exclusive(&path, 0o600) {
                Err(error) if error.errno == Errno::EEXIST => continue,
                file => file?,
            };
            let link = link(Some(number));
            let was_judged = sys::flock(&file, Lock::Shared)
                .is_err_and(|error| error.errno == Errno::EWOULDBLOCK);
            if !was_judged && sys::fstat(&file)?.st_nlink != 0 {
                return Ok(Self { file, link });
            }
        }
        Err(Call::Flock.failed(Errno::EBUSY))
    }
}

impl TemporaryLink<'_> {
    /// Gives this file its name. [`Error::RACED`] if the name is taken, unless it must be free, or if the
    /// object must be created with a temporary name.
    pub fn publish(self, file: &Descriptor) -> Result<(), Error> {
        let (name, exclusive) = (self.name, self.exclusive);
        match self.link(file) {
            Err(error) if error.errno == Errno::EEXIST => {
                check_free(name, exclusive).and(Err(Error::RACED))
            }
            linked => linked,
        }
    }

    fn link(mut self, file: &Descriptor) -> Result<(), Error> {
        let name = self.name;
        let path = name.path;
        let Some(number) = self.number else {
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
        let temporary = temporary::path(name, NEW, number)?;
        match sys::renameat2(&temporary, path) {
            // The kernel, the file system or a sandbox may not have that call.
            Err(error) if error.errno != Errno::EEXIST => {}
            renamed => {
                if renamed.is_ok() {
                    self.number = None;
                }
                return renamed;
            }
        }
        match sys::link(&temporary, path) {
            Err(Error {
                errno: Errno::EPERM | Errno::ENOSYS | Errno::EOPNOTSUPP,
                ..
            }) => {
                rename_under_lock(&temporary, name)?;
                self.number = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::object::{self, Opened};
    use crate::sys::Access;

    /// Each creator of a temporary name sweeps those of dead creators away, and must spare the others'.
    #[test]
    fn creators_spare_each_others_temporary_names() {
        fn create(number: i32) -> Result<(), Error> {
            CAN_LINK_UNNAMED.store(false, Relaxed);
            let own = format!("shmcomm-test-{}-spared-{number}", sys::getpid());
            let mut path = Path::empty();
            let name = ObjectName::new(Name::Posix(own.as_bytes()), &mut path)?;
            let mode = OpenMode {
                create: true,
                exclusive: true,
                size: 64,
                mode: 0o600,
                ..OpenMode::existing(Access::ReadWrite)
            };
            for _ in 0..5000 {
                if let Opened::Fresh(Unpublished { file, link }) = object::open(name, mode)? {
                    link.publish(&file)?;
                }
                object::remove(name)?;
            }
            Ok(())
        }
        let children = [1, 2, 3].map(|number| {
            // SAFETY: takes no pointer.
            match unsafe { libc::fork() } {
                // SAFETY: ends the child, and nothing of the parent.
                0 => unsafe {
                    libc::_exit(create(number).map_or_else(|error| error.errno.raw(), |()| 0))
                },
                child => child,
            }
        });
        for child in children {
            let mut status = -1;
            // SAFETY: the pointer is valid.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(libc::WEXITSTATUS(status), 0);
        }
    }
}
