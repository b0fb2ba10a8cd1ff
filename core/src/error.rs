//! The error of every call: which call failed, and with which `errno`.

use core::ffi::{CStr, c_int};
use core::fmt;

/// A value of `errno`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Errno(c_int);

impl Errno {
    /// Permission denied by the mode bits.
    pub const EACCES: Self = Self(libc::EACCES);
    /// The call would have to wait.
    pub const EAGAIN: Self = Self(libc::EAGAIN);
    /// An object holds a value that this library does not store.
    pub const EBADMSG: Self = Self(libc::EBADMSG);
    /// Another process uses it, or is about to remove it.
    pub const EBUSY: Self = Self(libc::EBUSY);
    /// The calling thread already holds the lock.
    pub const EDEADLK: Self = Self(libc::EDEADLK);
    /// The name is taken.
    pub const EEXIST: Self = Self(libc::EEXIST);
    /// It was removed while in use.
    pub const EIDRM: Self = Self(libc::EIDRM);
    /// A signal handler ran.
    pub const EINTR: Self = Self(libc::EINTR);
    /// An argument is out of its range, or names nothing.
    pub const EINVAL: Self = Self(libc::EINVAL);
    /// A path has too many symbolic links.
    pub const ELOOP: Self = Self(libc::ELOOP);
    /// A message is larger than the channel or the topic can hold, or than the buffer.
    pub const EMSGSIZE: Self = Self(libc::EMSGSIZE);
    /// A path is too long.
    pub const ENAMETOOLONG: Self = Self(libc::ENAMETOOLONG);
    /// It is a directory, or an old kernel has no files without a name.
    pub const EISDIR: Self = Self(libc::EISDIR);
    /// The system has no such call, or a sandbox refuses it.
    pub const ENOSYS: Self = Self(libc::ENOSYS);
    /// Two paths are on different mounts.
    pub const EXDEV: Self = Self(libc::EXDEV);
    /// Nothing has that name.
    pub const ENOENT: Self = Self(libc::ENOENT);
    /// Not enough memory or address space.
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    /// A limit of the system is reached, or a file system is full.
    pub const ENOSPC: Self = Self(libc::ENOSPC);
    /// The file system, or this environment, cannot do that.
    pub const EOPNOTSUPP: Self = Self(libc::EOPNOTSUPP);
    /// The peer has closed its end of a channel, or died.
    pub const EPIPE: Self = Self(libc::EPIPE);
    /// Too many open files.
    pub const EMFILE: Self = Self(libc::EMFILE);
    /// A semaphore can count no further event.
    pub const EOVERFLOW: Self = Self(libc::EOVERFLOW);
    /// The caller may not do that.
    pub const EPERM: Self = Self(libc::EPERM);
    /// A value would leave its range.
    pub const ERANGE: Self = Self(libc::ERANGE);
    /// The message was overwritten while it was read.
    pub const ESTALE: Self = Self(libc::ESTALE);
    /// The file system is mounted for reading only.
    pub const EROFS: Self = Self(libc::EROFS);
    /// No such process.
    pub const ESRCH: Self = Self(libc::ESRCH);
    /// The timeout has passed.
    pub const ETIMEDOUT: Self = Self(libc::ETIMEDOUT);
    /// Another process holds a lock that excludes this one.
    pub const EWOULDBLOCK: Self = Self(libc::EWOULDBLOCK);

    /// Any value of `errno`.
    pub const fn from_raw(errno: c_int) -> Self {
        Self(errno)
    }

    /// The value as C knows it.
    pub const fn raw(self) -> c_int {
        self.0
    }
}

impl core::error::Error for Errno {}

/// Each call, with its name.
macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident = $name:literal,)*) => {
        /// The call that failed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Call {
            $($(#[$doc])* $call,)*
        }

        impl Call {
            /// Its name, for `perror(3)`.
            pub const fn name(self) -> &'static CStr {
                match self {
                    $(Self::$call => $name,)*
                }
            }
        }
    };
}

calls! {
    /// `ftok(3)`
    Ftok = c"ftok",
    /// `shmget(2)`
    Shmget = c"shmget",
    /// `shmat(2)`
    Shmat = c"shmat",
    /// `shmdt(2)`
    Shmdt = c"shmdt",
    /// `shmctl(2)`
    Shmctl = c"shmctl",
    /// No system call: the library refuses an argument.
    Arguments = c"arguments",
    /// No system call: a mutex determines the error from its words and the caller.
    Mutex = c"mutex",
    /// No system call: a channel determines the error from what is in it.
    Channel = c"channel",
    /// No system call: a topic determines the error from what is in it.
    Topic = c"topic",
    /// No system call: a semaphore determines the error from its object.
    Semaphore = c"semaphore",
    /// `open(2)`
    Open = c"open",
    /// `memfd_create(2)`
    MemfdCreate = c"memfd_create",
    /// `posix_fallocate(3)`
    PosixFallocate = c"posix_fallocate",
    /// `ftruncate(2)`
    Ftruncate = c"ftruncate",
    /// `linkat(2)`, `link(2)`
    Linkat = c"linkat",
    /// `unlink(2)`
    Unlink = c"unlink",
    /// `rename(2)`, `renameat2(2)`
    Rename = c"rename",
    /// `fstat(2)`, `fstatat(2)`
    Fstat = c"fstat",
    /// `fchmod(2)`
    Fchmod = c"fchmod",
    /// `fchown(2)`
    Fchown = c"fchown",
    /// `flock(2)`
    Flock = c"flock",
    /// `mmap(2)`
    Mmap = c"mmap",
    /// `munmap(2)`
    Munmap = c"munmap",
    /// `mprotect(2)`
    Mprotect = c"mprotect",
    /// `madvise(2)`
    Madvise = c"madvise",
    /// `mlock(2)`
    Mlock = c"mlock",
    /// `munlock(2)`
    Munlock = c"munlock",
    /// `msync(2)`
    Msync = c"msync",
    /// `pthread_atfork(3)`
    PthreadAtfork = c"pthread_atfork",
    /// `fcntl(2)`
    Fcntl = c"fcntl",
    /// `futex(2)`
    Futex = c"futex",
    /// `inotify_init1(2)`
    InotifyInit = c"inotify_init1",
    /// `inotify_add_watch(2)`
    InotifyAddWatch = c"inotify_add_watch",
    /// `semget(2)`
    Semget = c"semget",
    /// `semtimedop(2)`
    Semtimedop = c"semtimedop",
    /// `semctl(2)`
    Semctl = c"semctl",
}

impl Call {
    /// The error of this call.
    pub const fn failed(self, errno: Errno) -> Error {
        Error { call: self, errno }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().to_str().unwrap_or_default())
    }
}

/// A call that failed, and why.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Error {
    pub(crate) call: Call,
    pub(crate) errno: Errno,
}

impl Error {
    /// The library refuses an argument.
    pub const INVALID: Self = Call::Arguments.failed(Errno::EINVAL);

    /// Another process has created or removed the name meanwhile: the open starts again.
    pub(crate) const RACED: Self = Call::Linkat.failed(Errno::EAGAIN);

    /// Which call failed.
    pub const fn call(&self) -> Call {
        self.call
    }

    /// The `errno` it failed with.
    pub const fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.errno)
    }
}

impl core::error::Error for Error {}
