//! Opens an end of a channel and creates the channel if there is none.

use core::sync::atomic::Ordering::Relaxed;

use super::endpoint::Endpoint;
use super::memory::{Layout, Memory};
use super::ring_end::RingEnd;
use super::wait::Sleep;
use super::{Channel, Side};
use crate::error::Error;
use crate::fork::{self, Registered};
use crate::name::Name;
use crate::object::{self, Creation, Place, StandIn, Unnamed};
use crate::sys::{self, Access};

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
    /// A signal handler that runs in the waiting thread ends a wait with EINTR.
    pub interruptible: bool,
}

impl Options {
    /// Opens an end of a channel: `posix:` and `file:` names.
    #[inline(never)]
    pub fn open(&self, name: Name<'_>) -> Result<Channel, Error> {
        let place = match name {
            Name::Posix(name) => Place::Posix(name),
            Name::File(path) => Place::File(path),
            _ => return Err(Error::INVALID),
        };
        if self.mode & !0o777 != 0 || (self.exclusive && !self.create) {
            return Err(Error::INVALID);
        }
        let creation = Creation {
            create: self.create,
            exclusive: self.exclusive,
            reclaim: false,
        };
        creation.find_or_make(place, || self.find(place), || self.make(place))
    }

    #[inline(never)]
    fn find(&self, place: Place<'_>) -> Result<Channel, Error> {
        let (file, memory) = fork::undisturbed(|| self.open_file(place))?;
        memory.check()?;
        self.claim(file, memory)
    }

    #[inline(never)]
    fn open_file(&self, place: Place<'_>) -> Result<(Registered, Memory), Error> {
        let (file, size) = object::open(place, Access::ReadWrite, self.create)?;
        let file = Registered::new(file)?;
        let layout = Layout::of(size, sys::page_size())?;
        if self.capacity > layout.capacity {
            return Err(Error::INVALID);
        }
        let memory = Memory::map(file.file(), layout)?;
        Ok((file, memory))
    }

    #[inline(never)]
    fn make(&self, place: Place<'_>) -> Result<Channel, Error> {
        let capacity = match self.capacity {
            0 => DEFAULT_CAPACITY,
            asked => asked,
        };
        let layout = Layout::new(capacity, sys::page_size())?;
        let (file, memory, stand_in) = fork::undisturbed(|| self.make_file(place, layout))?;
        memory.init();
        let channel = self.claim(file, memory)?;
        // The name comes last, when nothing else can fail.
        stand_in.publish(channel.ring.endpoint().file(), place)?;
        Ok(channel)
    }

    #[inline(never)]
    fn make_file(
        &self,
        place: Place<'_>,
        layout: Layout,
    ) -> Result<(Registered, Memory, StandIn), Error> {
        let Unnamed { file, stand_in } = Unnamed::make(place, layout.file_size(), self.mode)?;
        let file = Registered::new(file)?;
        let memory = Memory::map(file.file(), layout)?;
        Ok((file, memory, stand_in))
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
        };
        channel.sleep.register(channel.ring.view());
        channel.ring.resume()?;
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
        let name = format!("shmcomm-test-{}-last-holder", sys::pid());
        let options = Options {
            side: Side::Sender,
            capacity: 0,
            mode: 0o600,
            create: true,
            exclusive: false,
            shared: false,
            interruptible: false,
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
        object::remove(Place::Posix(name.as_bytes())).unwrap();
        assert_eq!([busy, still_busy], [Some(Errno::EBUSY); 2]);
        assert_eq!(opened, Ok(sys::pid() as u32));
    }
}
