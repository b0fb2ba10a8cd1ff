//! A descriptor for poll(2), epoll(7) or select(2) that other processes make readable.
//!
//! It is an inotify(7) queue for the object itself. A process that has the object open pokes all its
//! watches by reading one byte of it: that needs no second name or socket, works between users and
//! namespaces, and leaves nothing behind. The close of the file is an event too, so that the kernel
//! reports a death.
//!
//! The kernel reports the close of a dying process before it releases the locks of the file. An owner that
//! finds a lock still held after a close must look again: [`Watch::looks`] says how often.

use core::ffi::c_int;

use crate::error::{Call, Errno, Error};
use crate::fork::{self, Registered};
use crate::sys::{self, Descriptor};

/// How often to look for a dead process after a file was closed, a millisecond apart: as long as a death
/// may take to be noticed. In 4,000 kills the first look found it.
const MAX_LOOKS: u32 = 100;

/// A descriptor that watches an object. Children of this process close it.
pub struct Watch {
    queue: Registered,
    /// How often the owner has to look, yet, for a process that has died or closed.
    pub looks: u32,
    /// The last loss that the owner reported: its errno, and the number of opens of the lost end.
    reported: Option<(Errno, u32)>,
}

impl Watch {
    /// Watches an object. The descriptor is readable at first. EMFILE if there are too many open files or
    /// inotify queues. EOPNOTSUPP without `/proc` and where a sandbox or the file system has no inotify(7).
    fn new(object: &Descriptor) -> Result<Self, Error> {
        let mut watch = Self::open(object).map_err(|error| match error.errno {
            Errno::ENOENT | Errno::ENOSYS | Errno::EPERM => error.call.failed(Errno::EOPNOTSUPP),
            _ => error,
        })?;
        poke(object);
        if !watch.drain() {
            return Err(Call::InotifyAddWatch.failed(Errno::EOPNOTSUPP));
        }
        poke(object);
        // A process may have gone before.
        watch.looks = 1;
        Ok(watch)
    }

    #[inline(never)]
    fn open(object: &Descriptor) -> Result<Self, Error> {
        let events = libc::IN_ACCESS | libc::IN_ATTRIB | libc::IN_CLOSE_WRITE;
        let queue = fork::undisturbed(|| Registered::new(sys::inotify_init1()?))?;
        sys::inotify_add_watch(queue.file(), object, events)?;
        Ok(Self {
            queue,
            looks: 0,
            reported: None,
        })
    }

    /// Makes the descriptor unreadable, unless many different events have happened. Returns whether it was
    /// readable.
    pub fn drain(&mut self) -> bool {
        let events = sys::inotify_read(self.queue.file());
        let has = |mask| events & mask != 0;
        let looks = match () {
            () if has(libc::IN_CLOSE_WRITE | libc::IN_Q_OVERFLOW) => MAX_LOOKS,
            // The object may have been removed.
            () if has(libc::IN_ATTRIB) => 1,
            () => 0,
        };
        self.looks = self.looks.max(looks);
        events != 0
    }

    /// Whether this loss is another one than the last, which the owner then reports.
    pub fn report(&mut self, errno: Errno, opens: u32) -> bool {
        let loss = Some((errno, opens));
        self.looks = 0;
        core::mem::replace(&mut self.reported, loss) != loss
    }
}

/// The number of the descriptor that watches this object, which the first call opens.
pub fn descriptor(watch: &mut Option<Watch>, object: &Descriptor) -> Result<c_int, Error> {
    let opened = match watch.take() {
        Some(opened) => opened,
        None => Watch::new(object)?,
    };
    Ok(watch.insert(opened).queue.file().raw())
}

/// Makes all watches of this object readable.
pub fn poke(object: &Descriptor) {
    sys::pread_first(object);
}
