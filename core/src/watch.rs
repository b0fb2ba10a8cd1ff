//! A descriptor for poll(2), epoll(7) or select(2) that other processes make readable.
//!
//! It is an inotify(7) queue for the object itself. A process that has the object open pokes all its
//! watches by reading one byte of it: that needs no second name or socket, works between users and
//! namespaces, and leaves nothing behind. The close of the file is an event too, so that the kernel
//! reports a death.
//!
//! The kernel reports the close of a dying process before it releases the locks of the file. An owner that
//! finds a lock still held after [`Seen::Closed`] must look again.

use core::ffi::c_int;

use crate::error::{Call, Errno, Error};
use crate::fork::{self, Registered};
use crate::sys::{self, Descriptor};

/// A descriptor that watches an object. Children of this process close it.
pub struct Watch(Registered);

/// The most important event that made a watch readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// None.
    Nothing,
    /// A process poked the object.
    Poke,
    /// The object may have been removed.
    Links,
    /// A process that could write has closed the object, or died; or events were lost.
    Closed,
}

impl Watch {
    /// Watches an object. EMFILE if there are too many open files or inotify queues. EOPNOTSUPP without
    /// `/proc` and where a sandbox or the file system has no inotify(7).
    pub fn new(object: &Descriptor) -> Result<Self, Error> {
        let watch = Self::open(object).map_err(|error| match error.errno {
            Errno::ENOENT | Errno::ENOSYS | Errno::EPERM => error.call.failed(Errno::EOPNOTSUPP),
            _ => error,
        })?;
        poke(object);
        match watch.drain() {
            Seen::Nothing => Err(Call::InotifyAddWatch.failed(Errno::EOPNOTSUPP)),
            _ => Ok(watch),
        }
    }

    #[inline(never)]
    fn open(object: &Descriptor) -> Result<Self, Error> {
        let events = libc::IN_ACCESS | libc::IN_ATTRIB | libc::IN_CLOSE_WRITE;
        let queue = fork::undisturbed(|| Registered::new(sys::inotify_init1()?))?;
        sys::inotify_add_watch(queue.file(), object, events)?;
        Ok(Self(queue))
    }

    /// Its number.
    pub fn raw(&self) -> c_int {
        self.0.file().raw()
    }

    /// Makes it unreadable, unless many different events have happened. Returns what made it readable.
    pub fn drain(&self) -> Seen {
        let events = sys::inotify_read(self.0.file());
        let has = |mask| events & mask != 0;
        match events {
            0 => Seen::Nothing,
            _ if has(libc::IN_CLOSE_WRITE | libc::IN_Q_OVERFLOW) => Seen::Closed,
            _ if has(libc::IN_ATTRIB) => Seen::Links,
            _ => Seen::Poke,
        }
    }
}

/// Makes all watches of this object readable.
pub fn poke(object: &Descriptor) {
    sys::pread_first(object);
}
