//! Memory with a descriptor: POSIX objects, mapped files, anonymous memory.
//!
//! An object is made without a name, gets its size and its memory, and only then its name, which is
//! also the exclusive create. So a name is absent or whole, at whatever instruction its maker dies.
//!
//! Whoever uses an object holds a shared lock on its descriptor (`flock(2)`), which ends with the
//! last process that inherited it. Whoever removes a left-over one holds the exclusive lock.

mod removal;
mod temporary;

use crate::error::{Call, Errno, Error};
use crate::stale;
use crate::sys::{self, Access, Descriptor, Path};

use removal::clear;
pub use removal::remove;
pub use temporary::StandIn;

/// Where an object has its name.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// A POSIX name without its slash.
    Posix(&'a [u8]),
    /// A path.
    File(&'a [u8]),
}

/// Where `shm_open(3)` has its objects.
const POSIX_DIRECTORY: &[u8] = b"/dev/shm/";

impl<'a> Place<'a> {
    #[inline(never)]
    fn directory(self) -> &'a [u8] {
        match self {
            Self::Posix(_) => POSIX_DIRECTORY,
            Self::File(path) => match path.iter().rposition(|byte| *byte == b'/') {
                Some(last) => path.get(..=last).unwrap_or_default(),
                None => b"./",
            },
        }
    }

    #[inline(never)]
    fn path(self) -> Result<Path, Error> {
        let path = match self {
            Self::Posix(name) => Path::new(&[POSIX_DIRECTORY, name]),
            Self::File(path) => Path::new(&[path]),
        };
        Call::Arguments.of(path)
    }

    /// As `shm_open(3)`, which never follows a symbolic link that somebody planted.
    fn follows_links(self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// An object that has no name yet.
pub struct Unnamed {
    pub file: Descriptor,
    pub stand_in: StandIn,
}

impl Unnamed {
    /// Makes an object of this size in bytes, with all its memory and exactly this mode; in use by
    /// this process from the beginning.
    pub fn make(place: Place<'_>, size: usize, mode: u32) -> Result<Self, Error> {
        let directory = Call::Arguments.of(Path::new(&[place.directory()]))?;
        let creator = stale::this_process();
        let unnamed = Self::open(place, &directory)?;
        Call::Fallocate.of(sys::allocate(&unnamed.file, size))?;
        stale::record_creator(&unnamed.file, creator);
        Call::Fchmod.of(sys::change_mode(&unnamed.file, mode))?;
        // Nobody else has it yet. Where there are no such locks, it counts as in use for ever.
        let _ = sys::lock_shared(&unnamed.file);
        Ok(unnamed)
    }

    fn open(place: Place<'_>, directory: &Path) -> Result<Self, Error> {
        if temporary::are_avoidable() {
            match sys::open_unnamed(directory, 0o600) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        stand_in: StandIn::none(),
                    });
                }
                // The file system has none, the kernel has none, a sandbox refuses them.
                Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {}
                Err(Errno::ENOSYS | Errno::EPERM) => {}
                Err(errno) => return Err(Call::Open.failed(errno)),
            }
        }
        StandIn::make(place)
    }
}

/// Opens the object of this name, and says that it is in use; its true size is the kernel's.
///
/// Who is `creating` it, but finds it made already, does not take what another user put there.
pub fn open(
    place: Place<'_>,
    access: Access,
    creating: bool,
) -> Result<(Descriptor, usize), Error> {
    /// A millisecond each: removing what is left over takes far less.
    const TRIES: u32 = 200;

    let path = place.path()?;
    for _ in 0..TRIES {
        let file = Call::Open.of(sys::open(&path, access, place.follows_links()))?;
        let status = Call::Fstat.of(sys::status(&file))?;
        if !sys::is_regular(&status) {
            return Err(Error::INVALID);
        }
        let planted = status.st_uid != sys::effective_uid() && status.st_uid != 0;
        if creating && planted && matches!(place, Place::Posix(_)) {
            return Err(Call::Open.failed(Errno::EACCES));
        }
        match sys::lock_shared(&file) {
            Err(Errno::EWOULDBLOCK) => sys::sleep_ms(1),
            // Removed between open and lock: what has the name now, if anything?
            Ok(()) if Call::Fstat.of(sys::status(&file))?.st_nlink == 0 => {}
            Ok(()) | Err(_) => {
                let size = usize::try_from(status.st_size).unwrap_or(0);
                return Ok((file, size));
            }
        }
    }
    Err(Call::Flock.failed(Errno::EBUSY))
}

/// Whether the object has no name any more. When in doubt, it has one.
pub fn is_removed(file: &Descriptor) -> bool {
    sys::status(file).is_ok_and(|status| status.st_nlink == 0)
}

/// Makes anonymous memory, and says how large it is: with huge pages, a multiple of theirs.
pub fn make_anonymous(size: usize, huge: bool, mode: u32) -> Result<(Descriptor, usize), Error> {
    let file = Call::MemfdCreate.of(sys::open_anonymous(huge))?;
    let mut size = size;
    if huge {
        let page = Call::Fstat.of(sys::status(&file))?.st_blksize;
        size = usize::try_from(page)
            .ok()
            .and_then(|page| size.checked_next_multiple_of(page))
            .ok_or(Call::Ftruncate.failed(Errno::ENOMEM))?;
    }
    Call::Ftruncate.of(sys::set_size(&file, size))?;
    Call::Fchmod.of(sys::change_mode(&file, mode))?;
    Ok((file, size))
}

/// What is to be done about a name that is absent, or not.
#[derive(Clone, Copy)]
pub struct Creation {
    /// Make it if there is none.
    pub create: bool,
    /// With `create`: fail if there is one.
    pub exclusive: bool,
    /// With `create`: remove one that is left over first.
    pub reclaim: bool,
}

impl Creation {
    /// Finds what has the name or makes it, and begins again when others make or remove it at the same
    /// time. Making ends by [`StandIn::publish`], which decides who was first.
    pub fn find_or_make<T>(
        self,
        place: Place<'_>,
        find: impl Fn() -> Result<T, Error>,
        make: impl Fn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        const TRIES: u32 = 100;

        for _ in 0..TRIES {
            if self.reclaim {
                clear(place)?;
            }
            if self.exclusive {
                // Before the memory is allocated.
                if exists(place)? {
                    return Err(Call::Link.failed(Errno::EEXIST));
                }
            } else {
                match find() {
                    Err(error) if self.create && error.errno() == Errno::ENOENT => {}
                    result => return result,
                }
                // Before the memory is allocated, too.
                if place.follows_links() && exists(place)? {
                    continue;
                }
            }
            match make() {
                Err(error) if error == StandIn::NEEDED => {}
                Err(error) if error.errno() == Errno::EEXIST => {}
                result => return result,
            }
        }
        Err(Call::Link.failed(Errno::EBUSY))
    }
}

/// Whether anything has the name. A symbolic link to nothing does not, but is not created through
/// either: ELOOP.
fn exists(place: Place<'_>) -> Result<bool, Error> {
    let path = place.path()?;
    let Ok(status) = sys::status_of_path(path.as_c_str(), false) else {
        return Ok(false);
    };
    let is_dangling = place.follows_links()
        && sys::is_symbolic_link(&status)
        && matches!(
            sys::status_of_path(path.as_c_str(), true),
            Err(Errno::ENOENT)
        );
    match is_dangling {
        true => Err(Call::Open.failed(Errno::ELOOP)),
        false => Ok(true),
    }
}
