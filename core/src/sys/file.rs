//! Files: memory with a descriptor.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ops::Deref;

use crate::error::{Call, Errno, Error};

/// An open descriptor, closed when it is dropped.
pub struct Descriptor(c_int);

impl Drop for Descriptor {
    #[inline(never)]
    fn drop(&mut self) {
        close(self.0);
    }
}

impl Descriptor {
    pub fn raw(&self) -> c_int {
        self.0
    }

    /// Makes the drop close nothing: the descriptor is closed already.
    pub fn forget(&mut self) {
        self.0 = -1;
    }
}

/// Closes a descriptor that nothing uses any more.
pub fn close(file: c_int) {
    // SAFETY: takes no pointer.
    unsafe { libc::close(file) };
}

/// A path with its NUL, put together from parts.
pub struct Path([u8; libc::PATH_MAX as usize]);

impl Path {
    pub const fn empty() -> Self {
        Self([0; libc::PATH_MAX as usize])
    }

    pub fn new(parts: &[&[u8]]) -> Result<Self, Error> {
        let mut path = Self::empty();
        path.fill(parts)?;
        Ok(path)
    }

    /// Fills an empty path. ENAMETOOLONG if the system would refuse it as too long; EINVAL if a part
    /// contains a NUL.
    #[inline(never)]
    pub fn fill(&mut self, parts: &[&[u8]]) -> Result<&CStr, Error> {
        let mut room = self.0.iter_mut();
        for byte in parts.iter().copied().flatten() {
            match (room.next(), byte) {
                (None, _) => return Err(Call::Arguments.failed(Errno::ENAMETOOLONG)),
                (_, 0) => return Err(Error::INVALID),
                (Some(to), byte) => *to = *byte,
            }
        }
        match room.next() {
            Some(_) => Ok(self),
            None => Err(Call::Arguments.failed(Errno::ENAMETOOLONG)),
        }
    }
}

impl Deref for Path {
    type Target = CStr;

    fn deref(&self) -> &CStr {
        // SAFETY: fill() leaves at least one NUL.
        unsafe { CStr::from_ptr(self.0.as_ptr().cast()) }
    }
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    ReadWrite,
}

/// Opens an existing file of any kind, without waiting.
pub fn open(path: &CStr, access: Access, follow_links: bool) -> Result<Descriptor, Error> {
    let access = match access {
        Access::Read => libc::O_RDONLY,
        Access::ReadWrite => libc::O_RDWR,
    };
    let no_follow = if follow_links { 0 } else { libc::O_NOFOLLOW };
    open_with(
        path,
        access | no_follow | libc::O_NONBLOCK | libc::O_NOCTTY,
        0,
    )
}

/// Creates a file without a name, in this directory.
pub fn open_tmpfile(directory: &CStr, mode: u32) -> Result<Descriptor, Error> {
    open_with(directory, libc::O_TMPFILE | libc::O_RDWR, mode)
}

/// Creates a file; EEXIST if the name is taken.
pub fn open_exclusive(path: &CStr, mode: u32) -> Result<Descriptor, Error> {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NOFOLLOW;
    open_with(path, flags, mode)
}

/// Opens a directory, to list or to lock it.
pub fn open_directory(path: &CStr) -> Result<Descriptor, Error> {
    open_with(path, libc::O_RDONLY | libc::O_DIRECTORY, 0)
}

#[inline(never)]
fn open_with(path: &CStr, flags: c_int, mode: u32) -> Result<Descriptor, Error> {
    // SAFETY: the path ends with NUL.
    let file = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode as c_uint) };
    above_stderr(Call::Open, file)
}

/// The descriptor that a call has returned, moved to a number that no program uses as its standard
/// input, output or error.
#[inline(never)]
pub(super) fn above_stderr(call: Call, file: c_int) -> Result<Descriptor, Error> {
    let file = Descriptor(call.not_negative(file)?);
    if file.0 > libc::STDERR_FILENO {
        return Ok(file);
    }
    // SAFETY: takes no pointer.
    let moved = unsafe { libc::fcntl(file.0, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    call.not_negative(moved).map(Descriptor)
}

/// Creates anonymous memory, with huge pages if `huge`.
pub fn memfd_create(huge: bool) -> Result<Descriptor, Error> {
    let huge = if huge { libc::MFD_HUGETLB } else { 0 };
    // SAFETY: the name ends with NUL.
    let file = unsafe { libc::memfd_create(c"shmcomm".as_ptr(), libc::MFD_CLOEXEC | huge) };
    above_stderr(Call::MemfdCreate, file)
}

/// Gives a file its size in bytes and all its memory or blocks: ENOSPC now, no SIGBUS later.
pub fn posix_fallocate(file: &Descriptor, size: usize) -> Result<(), Error> {
    /// A signal makes the kernel start again. The limit ends the call under a storm of signals.
    const MAX_RESTARTS: u32 = 1000;

    let size = libc::off_t::try_from(size).map_err(|_| Error::INVALID)?;
    let mut result = 0;
    for _ in 0..MAX_RESTARTS {
        // SAFETY: takes no pointer.
        result = unsafe { libc::posix_fallocate(file.0, 0, size) };
        if result != libc::EINTR {
            break;
        }
    }
    Call::PosixFallocate.zero(result)
}

/// Gives anonymous memory its size in bytes. The kernel allocates each page at its first touch: no file
/// system limits this memory, so too large a size, allocated now, would take that of the whole system.
pub fn ftruncate(file: &Descriptor, size: usize) -> Result<(), Error> {
    let size = libc::off_t::try_from(size).map_err(|_| Error::INVALID)?;
    // SAFETY: takes no pointer.
    Call::Ftruncate.checked(unsafe { libc::ftruncate(file.0, size) })
}

/// Gives a name to a file that has none; EEXIST if the name is taken.
pub fn linkat(file: &Descriptor, path: &CStr) -> Result<(), Error> {
    let link = |from: *const c_char, directory, flags| {
        // SAFETY: the paths end with NUL.
        let result = unsafe { libc::linkat(directory, from, libc::AT_FDCWD, path.as_ptr(), flags) };
        Call::Linkat.checked(result)
    };
    // Without CAP_DAC_READ_SEARCH, a kernel before 6.10 answers ENOENT.
    let linked = link(c"".as_ptr(), file.0, libc::AT_EMPTY_PATH);
    if linked.is_ok() || linked == Err(Call::Linkat.failed(Errno::EEXIST)) {
        return linked;
    }
    let source = proc_self_fd(file);
    link(source.as_ptr(), libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW)
}

/// A path that leads to an open file, with its NUL. It needs `/proc`.
#[inline(never)]
pub(super) fn proc_self_fd(file: &Descriptor) -> [c_char; 32] {
    let mut path = [0; 32];
    let template = c"/proc/self/fd/%d".as_ptr();
    // SAFETY: the length is the buffer's, and `%d` takes an int.
    unsafe { libc::snprintf(path.as_mut_ptr(), path.len(), template, file.0) };
    path
}

/// Gives a file a second name; EEXIST if that is taken.
pub fn link(from: &CStr, to: &CStr) -> Result<(), Error> {
    // SAFETY: the paths end with NUL.
    Call::Linkat.checked(unsafe { libc::link(from.as_ptr(), to.as_ptr()) })
}

#[inline(never)]
pub fn unlink(path: &CStr) -> Result<(), Error> {
    // SAFETY: the path ends with NUL.
    Call::Unlink.checked(unsafe { libc::unlink(path.as_ptr()) })
}

#[inline(never)]
pub fn fstat(file: &Descriptor) -> Result<libc::stat, Error> {
    // SAFETY: the buffer has the type that the call fills.
    unsafe { Call::Fstat.filled(|status| libc::fstat(file.0, status)) }
}

#[inline(never)]
pub fn fstatat(path: &CStr, follow_links: bool) -> Result<libc::stat, Error> {
    let flags = match follow_links {
        true => 0,
        false => libc::AT_SYMLINK_NOFOLLOW,
    };
    let call = |status| {
        // SAFETY: the path ends with NUL.
        unsafe { libc::fstatat(libc::AT_FDCWD, path.as_ptr(), status, flags) }
    };
    // SAFETY: the buffer has the type that the call fills.
    unsafe { Call::Fstat.filled(call) }
}

/// Reads the beginning of a file, such as one line of `/proc`. Leaves the rest of the buffer as it is,
/// or all of it if the file cannot be read.
pub fn read_beginning(path: &CStr, to: &mut [u8]) {
    let Ok(file) = open_with(path, libc::O_RDONLY, 0) else {
        return;
    };
    // SAFETY: the length is the buffer's.
    unsafe { libc::read(file.0, to.as_mut_ptr().cast(), to.len()) };
}

pub fn fchmod(file: &Descriptor, mode: u32) -> Result<(), Error> {
    // SAFETY: takes no pointer.
    Call::Fchmod.checked(unsafe { libc::fchmod(file.0, mode) })
}

pub fn fchown(file: &Descriptor, uid: u32, gid: u32) -> Result<(), Error> {
    // SAFETY: takes no pointer.
    Call::Fchown.checked(unsafe { libc::fchown(file.0, uid, gid) })
}

/// Whether the file has data at this offset, and no hole, which a read of a mapping would fill.
pub fn has_data(file: &Descriptor, at: usize) -> bool {
    let Ok(at) = libc::off_t::try_from(at) else {
        return false;
    };
    // SAFETY: takes no pointer.
    unsafe { libc::lseek(file.0, at, libc::SEEK_DATA) == at }
}

/// Sets an extended attribute, if the file system has them.
pub fn fsetxattr(file: &Descriptor, name: &CStr, value: &[u64]) {
    let data = value.as_ptr().cast::<c_void>();
    // SAFETY: the name ends with NUL, the length is the value's.
    unsafe { libc::fsetxattr(file.0, name.as_ptr(), data, size_of_val(value), 0) };
}

/// The value of an extended attribute that consists of exactly `N` numbers.
pub fn fgetxattr<const N: usize>(file: &Descriptor, name: &CStr) -> Option<[u64; N]> {
    let mut value = [0; N];
    let size = size_of_val(&value);
    let data = value.as_mut_ptr().cast::<c_void>();
    // SAFETY: the name ends with NUL, the length is the buffer's.
    let length = unsafe { libc::fgetxattr(file.0, name.as_ptr(), data, size) };
    (usize::try_from(length) == Ok(size)).then_some(value)
}

/// A lock on a file or on one byte of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Other processes may hold it too, but not exclusively.
    Shared,
    /// No other process holds it.
    Exclusive,
}

/// Locks a file; EWOULDBLOCK at once if another open file has a lock that excludes this one.
#[inline(never)]
pub fn flock(file: &Descriptor, lock: Lock) -> Result<(), Error> {
    let operation = match lock {
        Lock::Shared => libc::LOCK_SH,
        Lock::Exclusive => libc::LOCK_EX,
    };
    // SAFETY: takes no pointer.
    Call::Flock.checked(unsafe { libc::flock(file.0, operation | libc::LOCK_NB) })
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

/// Locks one byte of a file; EAGAIN at once if another open file has a lock that excludes this one. The
/// lock belongs to the open file (`F_OFD_SETLK`): the kernel releases it when the last descriptor of that
/// is closed, however the process ends.
pub fn fcntl_setlk(file: &Descriptor, at: i64, lock: Lock) -> Result<(), Error> {
    let kind = match lock {
        Lock::Shared => libc::F_RDLCK,
        Lock::Exclusive => libc::F_WRLCK,
    };
    let lock = byte(at, kind);
    // SAFETY: the pointer is valid.
    Call::Fcntl.checked(unsafe { libc::fcntl(file.0, libc::F_OFD_SETLK, &raw const lock) })
}

/// Unlocks all bytes, even if another process has a descriptor of the open file.
pub fn fcntl_unlck(file: &Descriptor) {
    let mut lock = byte(0, libc::F_UNLCK);
    // To the end of the file.
    lock.l_len = 0;
    // SAFETY: the pointer is valid.
    unsafe { libc::fcntl(file.0, libc::F_OFD_SETLK, &raw const lock) };
}

/// Whether another open file has locked the byte; true, too, if the kernel does not say.
pub fn fcntl_getlk(file: &Descriptor, at: i64) -> bool {
    let mut lock = byte(at, libc::F_WRLCK);
    // SAFETY: the pointer is valid.
    let result = unsafe { libc::fcntl(file.0, libc::F_OFD_GETLK, &raw mut lock) };
    result < 0 || c_int::from(lock.l_type) != libc::F_UNLCK
}

/// Whether both describe one file.
pub fn is_same_file(one: &libc::stat, other: &libc::stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

pub fn is_regular(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFREG
}

pub fn is_symbolic_link(status: &libc::stat) -> bool {
    status.st_mode & libc::S_IFMT == libc::S_IFLNK
}
