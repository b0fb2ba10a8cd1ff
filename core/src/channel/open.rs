//! How an end of a channel is opened, and the channel made if need be.

use core::sync::atomic::Ordering::Relaxed;

use super::memory::{HEADER, MAGIC, Memory, at};
use super::{Channel, End};
use crate::endpoint::{self, Endpoint, Side};
use crate::error::{Call, Errno, Error};
use crate::name::Name;
use crate::object::{self, Creation, Place, Unnamed};
use crate::ring::{Consumer, Producer};
use crate::sys::{self, Access, Descriptor};

/// The least capacity, in bytes.
const SMALLEST: usize = 4096;
/// The capacity where none is asked for.
const DEFAULT_CAPACITY: usize = 1 << 20;

/// How a channel is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which end.
    pub side: Side,
    /// So many bytes of messages and their lengths at once; 0 for what is there, or a megabyte.
    pub capacity: usize,
    /// The permission bits of a new channel.
    pub mode: u32,
    /// Make it if there is none.
    pub create: bool,
    /// With `create`: fail if there is one.
    pub exclusive: bool,
    /// Several may hold this end at once.
    pub shared: bool,
}

impl Options {
    /// Opens an end of a channel, which is made if need be; `posix:` and `file:` names.
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
        let channel = self.open_between_forks(place)?;
        channel.came(self.side).store(1, Relaxed);
        Ok(channel)
    }

    /// Opens it while no other thread forks: the child may have the file open, and this end with it,
    /// if it was not yet known as one that children close.
    fn open_between_forks(&self, place: Place<'_>) -> Result<Channel, Error> {
        /// A millisecond each; the fork may be waiting for what this thread holds.
        const TRIES: u32 = 20;

        let mut options = *self;
        for _ in 0..TRIES {
            if let Some(forks) = endpoint::forks() {
                let channel = options.find_or_make(place)?;
                if endpoint::forks() == Some(forks) {
                    return Ok(channel);
                }
                options.exclusive = false;
            }
            sys::sleep_ms(1);
        }
        options.find_or_make(place)
    }

    #[inline(never)]
    fn find_or_make(&self, place: Place<'_>) -> Result<Channel, Error> {
        let creation = Creation {
            create: self.create,
            exclusive: self.exclusive,
            reclaim: false,
        };
        let find = || {
            let (file, size) = object::open(place, Access::ReadWrite, self.create)?;
            self.take(file, size)
        };
        creation.find_or_make(place, find, || self.take(self.make(place)?, self.size()?))
    }

    /// The size of a new channel's object.
    fn size(&self) -> Result<usize, Error> {
        let asked = match self.capacity {
            0 => DEFAULT_CAPACITY,
            asked => asked.max(SMALLEST),
        };
        asked
            .checked_next_power_of_two()
            .and_then(|capacity| capacity.checked_add(HEADER))
            .filter(|size| isize::try_from(*size).is_ok())
            .ok_or(Error::INVALID)
    }

    fn make(&self, place: Place<'_>) -> Result<Descriptor, Error> {
        let size = self.size()?;
        let Unnamed { file, stand_in } = Unnamed::make(place, size, self.mode)?;
        let memory = Memory::new(&file, size.wrapping_sub(HEADER))?;
        memory.view().long(at::MAGIC).store(MAGIC, Relaxed);
        stand_in.publish(&file, place)?;
        Ok(file)
    }

    fn take(&self, file: Descriptor, size: usize) -> Result<Channel, Error> {
        let capacity = size.saturating_sub(HEADER);
        if capacity < SMALLEST || !capacity.is_power_of_two() {
            return Err(Call::Mmap.failed(Errno::EBADMSG));
        }
        if self.capacity > capacity {
            return Err(Error::INVALID);
        }
        let memory = Memory::new(&file, capacity)?;
        if memory.view().long(at::MAGIC).load(Relaxed) != MAGIC {
            return Err(Call::Mmap.failed(Errno::EBADMSG));
        }
        let endpoint = Endpoint::claim(file, self.side, self.shared)?;
        let registered = sys::register_for_barriers();
        let mut channel = Channel {
            end: match self.side {
                Side::Sender => End::Sender(Producer::default()),
                Side::Receiver => End::Receiver(Consumer::default()),
            },
            memory,
            calm: 0,
            waited_at: 0,
            registered,
            endpoint,
        };
        if !registered {
            channel.always_fence();
        }
        match channel.endpoint.is_shared() {
            false => channel.resume()?,
            true => channel.unlock_for_dead(),
        }
        Ok(channel)
    }
}
