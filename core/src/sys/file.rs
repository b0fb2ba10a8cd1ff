//! Files: memory with a descriptor.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::{checked, filled, not_negative};
use crate::error::Errno;

/// An open descriptor, closed when it is dropped.
pub struct Descriptor(c_int);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: open, and nobody else's to close.
        unsafe { libc::close(self.0) };
    }
}

impl Descriptor {
    pub fn raw(&self) -> c_int {
        self.0
    }

    /// Leaves it to whoever has closed it already.
    pub fn forget(&mut self) {
        self.0 = -1;
    }
}

/// Closes a descriptor that nothing uses any more.
pub fn close(file: c_int) {
    // SAFETY: takes no pointer.
    unsafe { libc::close(file) };
}

/// A path as the system takes it, put together from parts.
pub struct Path([u8; libc::PATH_MAX as usize]);

impl Path {
    /// ENAMETOOLONG where the system would say so, EINVAL where a part has a NUL.
    #[inline(never)]
    pub fn new(parts: &[&[u8]]) -> Result<Self, Errno> {
        let mut path = Self([0; libc::PATH_MAX as usize]);
        let mut places = path.0.iter_mut();
        for byte in parts.iter().copied().flatten() {
            match (places.next(), byte) {
                (None, _) => return Err(Errno::ENAMETOOLONG),
                (_, 0) => return Err(Errno::EINVAL),
                (Some(place), byte) => *place = *byte,
            }
        }
        match places.next() {
            Some(_) => Ok(path),
            None => Err(Errno::ENAMETOOLONG),
        }
    }

    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: new() leaves at least one NUL.
        unsafe { CStr::from_ptr(self.as_ptr()) }
    }

    pub(super) fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

/// Opens an existing file, whatever it is, without waiting for anything.
pub fn open(path: &Path, access: Access, follow_links: bool) -> Result<Descriptor, Errno> {
    let access = match access {
        Access::Read => libc::O_RDONLY,
        Access::ReadWrite => libc::O_RDWR,
    };
    let no_follow = if follow_links { 0 } else { libc::O_NOFOLLOW };
    open_with(
        path.as_c_str(),
        access | no_follow | libc::O_NONBLOCK | libc::O_NOCTTY,
        0,
    )
}

/// Makes a file without a name, in this directory.
pub fn open_unnamed(directory: &Path, mode: u32) -> Result<Descriptor, Errno> {
    open_with(directory.as_c_str(), libc::O_TMPFILE | libc::O_RDWR, mode)
}

/// Makes a file that must not be there yet.
pub fn open_new(path: &Path, mode: u32) -> Result<Descriptor, Errno> {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NOFOLLOW;
    open_with(path.as_c_str(), flags, mode)
}

/// Opens a directory, to list or to lock it.
pub fn open_directory(path: &Path) -> Result<Descriptor, Errno> {
    open_with(path.as_c_str(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

#[inline(never)]
fn open_with(path: &CStr, flags: c_int, mode: u32) -> Result<Descriptor, Errno> {
    // SAFETY: the path ends with NUL.
    opened(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode as c_uint) })
}

/// What was just opened, under a number that no program takes for its standard input, output or error.
fn opened(file: c_int) -> Result<Descriptor, Errno> {
    let file = Descriptor(not_negative(file)?);
    if file.0 > libc::STDERR_FILENO {
        return Ok(file);
    }
    // SAFETY: takes no pointer.
    let moved = unsafe { libc::fcntl(file.0, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    not_negative(moved).map(Descriptor)
}

/// Makes anonymous memory; with huge pages where `huge`.
pub fn open_anonymous(huge: bool) -> Result<Descriptor, Errno> {
    let huge = if huge { libc::MFD_HUGETLB } else { 0 };
    // SAFETY: the name ends with NUL.
    let file = unsafe { libc::memfd_create(c"shmcomm".as_ptr(), libc::MFD_CLOEXEC | huge) };
    opened(file)
}

/// Gives the file its size, in bytes, with all its memory or blocks: ENOSPC now, no SIGBUS later.
pub fn allocate(file: &Descriptor, size: usize) -> Result<(), Errno> {
    /// A signal makes the kernel begin again; a storm of them must not make it do so for ever.
    const TRIES: u32 = 1000;

    let size = libc::off_t::try_from(size).map_err(|_| Errno::EINVAL)?;
    let mut result = 0;
    for _ in 0..TRIES {
        // SAFETY: takes no pointer.
        result = unsafe { libc::posix_fallocate(file.0, 0, size) };
        if result != libc::EINTR {
            break;
        }
    }
    match result {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}

/// Gives anonymous memory its size, in bytes. What no file system limits is allocated page by page,
/// when it is touched: all at once, too large a size would take the memory of the whole system.
pub fn set_size(file: &Descriptor, size: usize) -> Result<(), Errno> {
    let size = libc::off_t::try_from(size).map_err(|_| Errno::EINVAL)?;
    // SAFETY: takes no pointer.
    checked(unsafe { libc::ftruncate(file.0, size) })
}

/// Gives an unnamed file a name; EEXIST where that is taken.
pub fn link_unnamed(file: &Descriptor, path: &Path) -> Result<(), Errno> {
    let link = |from: *const c_char, directory, flags| {
        // SAFETY: the paths end with NUL.
        checked(unsafe { libc::linkat(directory, from, libc::AT_FDCWD, path.as_ptr(), flags) })
    };
    // A kernel before 6.10 does that only for who may search any directory; others get ENOENT.
    let linked = link(c"".as_ptr(), file.0, libc::AT_EMPTY_PATH);
    if matches!(linked, Ok(()) | Err(Errno::EEXIST)) {
        return linked;
    }
    let mut source = [0; 32];
    let template = c"/proc/self/fd/%d".as_ptr();
    // SAFETY: the length is the buffer's, and `%d` takes an int.
    unsafe { libc::snprintf(source.as_mut_ptr(), source.len(), template, file.0) };
    link(source.as_ptr(), libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW)
}

/// Gives a file a second name; EEXIST where that is taken.
pub fn link(from: &Path, to: &Path) -> Result<(), Errno> {
    // SAFETY: the paths end with NUL.
    checked(unsafe { libc::link(from.as_ptr(), to.as_ptr()) })
}

#[inline(never)]
pub fn unlink(path: &Path) -> Result<(), Errno> {
    // SAFETY: the path ends with NUL.
    checked(unsafe { libc::unlink(path.as_ptr()) })
}

#[inline(never)]
pub fn status(file: &Descriptor) -> Result<libc::stat, Errno> {
    // SAFETY: the buffer is of the type that the call fills.
    unsafe { filled(|status| libc::fstat(file.0, status)) }
}

#[inline(never)]
pub fn status_of_path(path: &CStr, follow_links: bool) -> Result<libc::stat, Errno> {
    let flags = if follow_links {
        0
    } else {
        libc::AT_SYMLINK_NOFOLLOW
    };
    // SAFETY: the path ends with NUL, the buffer is of the type that the call fills.
    unsafe { filled(|status| libc::fstatat(libc::AT_FDCWD, path.as_ptr(), status, flags)) }
}

/// Reads the beginning of a file, such as one line of `/proc`; leaves the rest of the buffer, or all
/// where the file cannot be read, as it is.
pub fn read_beginning(path: &CStr, to: &mut [u8]) {
    let Ok(file) = open_with(path, libc::O_RDONLY, 0) else {
        return;
    };
    // SAFETY: the buffer is as long as said.
    unsafe { libc::read(file.0, to.as_mut_ptr().cast(), to.len()) };
}

pub fn change_mode(file: &Descriptor, mode: u32) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    checked(unsafe { libc::fchmod(file.0, mode) })
}

pub fn change_owner(file: &Descriptor, uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    checked(unsafe { libc::fchown(file.0, uid, gid) })
}

/// Takes a lock that says "in use", which others may hold too; EWOULDBLOCK at once where somebody
/// is about to remove the file.
#[inline(never)]
pub fn lock_shared(file: &Descriptor) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    checked(unsafe { libc::flock(file.0, libc::LOCK_SH | libc::LOCK_NB) })
}

/// Takes the lock of who removes the file; EWOULDBLOCK at once where somebody uses it.
pub fn lock_exclusive(file: &Descriptor) -> Result<(), Errno> {
    // SAFETY: takes no pointer.
    checked(unsafe { libc::flock(file.0, libc::LOCK_EX | libc::LOCK_NB) })
}

pub fn set_attribute(file: &Descriptor, name: &CStr, value: &[u64]) -> Result<(), Errno> {
    let data = value.as_ptr().cast::<c_void>();
    // SAFETY: the name ends with NUL, the value is as long as said.
    checked(unsafe { libc::fsetxattr(file.0, name.as_ptr(), data, size_of_val(value), 0) })
}

/// The value of an attribute that consists of so many numbers.
pub fn attribute<const N: usize>(file: &Descriptor, name: &CStr) -> Option<[u64; N]> {
    let mut value = [0; N];
    let size = size_of_val(&value);
    let data = value.as_mut_ptr().cast::<c_void>();
    // SAFETY: the name ends with NUL, the buffer is as long as said.
    let length = unsafe { libc::fgetxattr(file.0, name.as_ptr(), data, size) };
    (usize::try_from(length) == Ok(size)).then_some(value)
}

/// A lock on one byte of a file, held by the open file description: gone when the last descriptor of
/// it is closed, however the process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ByteLock {
    /// Others may have it too, but not exclusively.
    Shared,
    /// Nobody else has it.
    Exclusive,
}

fn byte(at: i64, kind: c_int) -> libc::flock {
    // SAFETY: all zeros are a valid value.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at;
    lock.l_len = 1;
    lock
}

/// Takes the lock of a byte, or fails at once: EAGAIN where another open file has it.
pub fn lock_byte(file: &Descriptor, at: i64, kind: ByteLock) -> Result<(), Errno> {
    let lock = byte(
        at,
        match kind {
            ByteLock::Shared => libc::F_RDLCK,
            ByteLock::Exclusive => libc::F_WRLCK,
        },
    );
    // SAFETY: the pointer is valid.
    checked(unsafe { libc::fcntl(file.0, libc::F_OFD_SETLK, &raw const lock) })
}

/// Gives up all locks of bytes, also where another process still has the open file.
pub fn unlock_bytes(file: &Descriptor) {
    let mut lock = byte(0, libc::F_UNLCK);
    // To the end, wherever that is.
    lock.l_len = 0;
    // SAFETY: the pointer is valid.
    unsafe { libc::fcntl(file.0, libc::F_OFD_SETLK, &raw const lock) };
}

/// Whether another open file has a lock of the byte.
pub fn is_byte_locked(file: &Descriptor, at: i64) -> Result<bool, Errno> {
    let mut lock = byte(at, libc::F_WRLCK);
    // SAFETY: the pointer is valid.
    checked(unsafe { libc::fcntl(file.0, libc::F_OFD_GETLK, &raw mut lock) })?;
    Ok(c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// Whether two say that they are the status of one file.
pub fn is_same_file(one: &libc::stat, other: &libc::stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

pub fn is_regular(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFREG
}

pub fn is_symbolic_link(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFLNK
}
