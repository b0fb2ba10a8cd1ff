//! Opens an end of a channel and creates the channel if there is none.

use core::sync::atomic::Ordering::Relaxed;

use super::endpoint::Endpoint;
use super::memory::{Layout, Memory};
use super::ring_end::RingEnd;
use super::wait::Sleep;
use super::{Channel, Side, origin};
use crate::error::Error;
use crate::fork::{self, Registered};
use crate::name::Name;
use crate::object::{self, ObjectName, OpenMode, Opened, TemporaryLink, Unpublished};
use crate::sys::{self, Access, Path};

/// The capacity of a new channel if the caller asks for none.
const DEFAULT_CAPACITY: usize = 1 << 20;

/// How a channel is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The end to open.
    pub side: Side,
    /// Bytes of messages and their lengths that the channel holds. 0: that of an existing channel, or
    /// a megabyte.
    pub capacity: usize,
    /// The permission bits of a new channel.
    pub mode: u32,
    /// Create the channel if there is none.
    pub create: bool,
    /// With `create`: fail if there is one.
    pub exclusive: bool,
    /// Several handles may hold this end at once.
    pub shared: bool,
    /// Keep the record of the [`Origin`](super::Origin) that an earlier sender left. Any other sender
    /// erases it, since its messages have no number there.
    pub keep_origin: bool,
    /// A signal handler that runs in the waiting thread ends a wait with EINTR.
    pub interruptible: bool,
}

impl Options {
    /// An existing channel's end, which one handle holds at a time; a new channel has the mode 0600.
    pub const fn new(side: Side) -> Self {
        Self {
            side,
            capacity: 0,
            mode: 0o600,
            create: false,
            exclusive: false,
            shared: false,
            keep_origin: false,
            interruptible: false,
        }
    }

    /// Opens an end of a channel: `posix:` and `file:` names.
    #[inline(never)]
    pub fn open(&self, name: Name<'_>) -> Result<Channel, Error> {
        let mut path = Path::empty();
        let name = ObjectName::new(name, &mut path)?;
        if self.mode & !0o777 != 0 || (self.exclusive && !self.create) {
            return Err(Error::INVALID);
        }
        object::until_settled(|| self.open_once(name))
    }

    fn open_once(&self, name: ObjectName<'_>) -> Result<Channel, Error> {
        let (file, memory, link) = fork::undisturbed(|| self.open_file(name))?;
        match link {
            None => memory.check()?,
            Some(_) => memory.init(),
        }
        let channel = self.claim(file, memory)?;
        // The name comes last, when nothing else can fail.
        if let Some(link) = link {
            link.publish(channel.ring.endpoint().file())?;
        }
        Ok(channel)
    }

    /// A new channel has a link to publish.
    fn open_file<'a>(
        &self,
        name: ObjectName<'a>,
    ) -> Result<(Registered, Memory, Option<TemporaryLink<'a>>), Error> {
        let capacity = match self.capacity {
            0 => DEFAULT_CAPACITY,
            asked => asked,
        };
        let new = Layout::new(capacity, sys::page_size());
        let mode = OpenMode {
            access: Access::ReadWrite,
            create: self.create,
            exclusive: self.exclusive,
            reclaim: false,
            size: new.map_or(0, Layout::file_size),
            mode: self.mode,
        };
        let (file, layout, link) = match object::open(name, mode)? {
            Opened::Found(file, size) => (file, Layout::of(size, sys::page_size())?, None),
            Opened::Fresh(Unpublished { file, link }) => (file, new?, Some(link)),
        };
        if self.capacity > layout.capacity {
            return Err(Error::INVALID);
        }
        let file = Registered::new(file)?;
        let memory = Memory::map(file.file(), layout)?;
        Ok((file, memory, link))
    }

    /// Claims the end and continues where its last holder left off.
    fn claim(&self, file: Registered, memory: Memory) -> Result<Channel, Error> {
        let view = memory.view();
        let endpoint = Endpoint::claim(
            file,
            self.side,
            self.shared,
            view.last_holder(self.side),
            view.opens(self.side.other()),
        )?;
        let mut channel = Channel {
            ring: RingEnd::new(memory, endpoint),
            sleep: Sleep::new(self.interruptible),
            watch: None,
        };
        channel.sleep.register(channel.ring.view());
        channel.ring.resume()?;
        if self.side == Side::Sender && !self.keep_origin {
            origin::erase(channel.ring.view().origin());
        }
        channel.ring.view().opens(self.side).fetch_add(1, Relaxed);
        Ok(channel)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::error::Errno;

    #[test]
    fn a_dead_holders_end_is_waited_for_and_a_living_ones_is_not() {
        let name = format!("shmcomm-test-{}-last-holder", sys::getpid());
        let options = Options {
            create: true,
            ..Options::new(Side::Sender)
        };
        let open = || options.open(Name::Posix(name.as_bytes()));
        let holder = open().unwrap();
        let busy = open().err().map(|error| error.errno());
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let last_holder = holder.ring.view().last_holder(Side::Sender);
        last_holder.store(child.id(), Relaxed);
        let still_busy = open().err().map(|error| error.errno());
        let opened = std::thread::scope(|scope| {
            scope.spawn(move || {
                sys::sleep_ms(20);
                drop(holder);
            });
            open().map(|opened| opened.ring.view().last_holder(Side::Sender).load(Relaxed))
        });
        crate::segment::remove(Name::Posix(name.as_bytes())).unwrap();
        assert_eq!([busy, still_busy], [Some(Errno::EBUSY); 2]);
        assert_eq!(opened, Ok(sys::getpid() as u32));
    }
    /// A child of a raw clone(2) runs no fork handler, so it keeps the file of the end open.
    #[test]
    fn a_closed_end_is_free_although_a_child_has_its_file_open() {
        let name = format!("shmcomm-test-{}-cloned", sys::getpid());
        let options = Options {
            create: true,
            ..Options::new(Side::Sender)
        };
        let open = || options.open(Name::Posix(name.as_bytes()));
        let holder = open().unwrap();
        // SAFETY: the child has a copy of the memory, and makes system calls alone.
        let child = unsafe {
            let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
            if child == 0 {
                libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::syscall(libc::SYS_ppoll, 0, 0, 0, 0, 0);
                }
            }
            child as i32
        };
        drop(holder);
        let reopened = open().map(drop);
        // SAFETY: the child has not been waited for.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, core::ptr::null_mut(), 0);
        }
        crate::segment::remove(Name::Posix(name.as_bytes())).unwrap();
        assert_eq!(reopened, Ok(()));
    }
}
