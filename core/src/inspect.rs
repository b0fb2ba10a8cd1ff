//! Looking at shared memory without using it, and removing what is stale: for tools.
//!
//! A look opens an object read-only. It takes no lock and no end of a channel, writes nothing, and calls
//! no read(2), so no process that uses the object, waits for it or polls it notices.
//!
//! ```
//! use shmcomm::inspect::{self, Contents, Object, Reclaimed};
//! use shmcomm::{Name, Side, channel};
//!
//! # let text = format!("posix:/shmcomm-look-{}", std::process::id());
//! # let name = Name::parse(text.as_bytes()).unwrap();
//! # if false {
//! let name = Name::parse(b"posix:/talk").unwrap();
//! # }
//! let create = channel::Options { create: true, ..channel::Options::new(Side::Sender) };
//! let sender = create.open(name)?;
//! let object = Object::open(name)?;
//! let Contents::Channel(look) = object.contents()? else { panic!() };
//! assert!(look.end(Side::Sender)?.is_held && !look.end(Side::Receiver)?.is_held);
//! assert!(matches!(inspect::reclaim(name, false)?, Reclaimed::Kept(_)));
//! # shmcomm::segment::remove(name)?;
//! # Ok::<(), shmcomm::Error>(())
//! ```

use core::ffi::c_int;

use crate::channel::look as channel;
use crate::error::{Call, Errno, Error};
use crate::info::Info;
use crate::key::Key;
use crate::name::Name;
use crate::object::{self, Found, ObjectName, StaleObject};
use crate::semaphore;
use crate::stale;
use crate::sys::{self, Access, Descriptor, Path};
use crate::sysv;
use crate::topic::look as topic;

pub use crate::stale::{Creator, State};

/// The object of a `posix:` or `file:` name, opened to look at it.
pub struct Object {
    file: Descriptor,
    status: libc::stat,
}

/// What an object holds.
pub enum Contents<'a> {
    /// A channel.
    Channel(channel::Look<'a>),
    /// A topic.
    Topic(topic::Look<'a>),
    /// A channel or a topic that another version of this library created.
    OtherVersion(Format),
    /// A channel or a topic that no end can be opened of: EBADMSG.
    Damaged(Format),
    /// A semaphore with this number of events.
    Semaphore(u32),
    /// No format of this library: a segment, or the object of another program.
    Other,
}

/// What an object was made for that cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A channel.
    Channel,
    /// A topic.
    Topic,
}

impl Object {
    /// Opens the object; EINVAL if it is no regular file.
    pub fn open(name: Name<'_>) -> Result<Self, Error> {
        let mut path = Path::empty();
        let name = ObjectName::new(name, &mut path)?;
        let file = sys::open(name.path, Access::Read, name.is_file)?;
        let status = sys::fstat(&file)?;
        match sys::is_regular(&status) {
            true => Ok(Self { file, status }),
            false => Err(Error::INVALID),
        }
    }

    /// What the kernel knew about it when it was opened. The creator is the recorded one, 0 if no call of this
    /// library recorded it.
    pub fn info(&self) -> Info {
        let status = &self.status;
        Info {
            size: usize::try_from(status.st_size).unwrap_or(0),
            mode: status.st_mode & 0o777,
            uid: status.st_uid,
            gid: status.st_gid,
            creator_pid: stale::recorded_pid(&self.file),
            attach_time: status.st_atime,
            change_time: status.st_ctime,
            removed: status.st_nlink == 0,
            ..Info::default()
        }
    }

    /// Device and inode number: what the same object has in `/proc`.
    pub fn identity(&self) -> (u64, u64) {
        #[allow(clippy::useless_conversion, reason = "u32 or u64, by target")]
        (self.status.st_dev.into(), self.status.st_ino.into())
    }

    /// Whether its creator is alive.
    pub fn creator(&self) -> Creator {
        stale::object_creator(&self.file)
    }

    /// Whether its name was removed, or has passed to another object, since it was opened.
    pub fn is_removed(&self) -> bool {
        object::is_removed(&self.file)
    }

    /// What it holds.
    pub fn contents(&self) -> Result<Contents<'_>, Error> {
        let size = usize::try_from(self.status.st_size).unwrap_or(0);
        contents(&self.file, size)
    }
}

fn contents(file: &Descriptor, size: usize) -> Result<Contents<'_>, Error> {
    match topic::find(file, size)? {
        Found::This(look) => return Ok(Contents::Topic(look)),
        Found::OtherVersion => return Ok(Contents::OtherVersion(Format::Topic)),
        Found::Damaged => return Ok(Contents::Damaged(Format::Topic)),
        Found::Other => {}
    }
    Ok(match channel::find(file, size)? {
        Found::This(look) => Contents::Channel(look),
        Found::OtherVersion => Contents::OtherVersion(Format::Channel),
        Found::Damaged => Contents::Damaged(Format::Channel),
        Found::Other => match semaphore::look(file, size)? {
            Some(value) => Contents::Semaphore(value),
            None => Contents::Other,
        },
    })
}

/// A set of System V semaphores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SemaphoreSet {
    /// The System V id.
    pub id: c_int,
    /// The key; 0 for a private one.
    pub key: Key,
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Creation, or last change of owner or mode, in seconds since 1970.
    pub change_time: i64,
    /// Number of semaphores in the set.
    pub count: u64,
    /// What this library's semaphore is; `None` for the set of another program, and without permission to
    /// read it.
    pub semaphore: Option<Semaphore>,
}

/// A semaphore of this library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Semaphore {
    /// What it counts.
    pub kind: semaphore::Kind,
    /// Number of units or events that can be taken now.
    pub value: c_int,
    /// Number of processes that wait.
    pub waiters: c_int,
}

/// Calls `each` with every System V segment of this IPC namespace.
pub fn for_each_segment(each: impl FnMut(Info)) -> Result<(), Error> {
    sysv::for_each_segment(each)
}

/// Number of pages that all System V segments have together.
pub fn segment_pages() -> Result<u64, Error> {
    sys::shmctl_info().map(|(_, pages)| pages)
}

/// Calls `each` with every set of System V semaphores of this IPC namespace.
pub fn for_each_semaphore_set(mut each: impl FnMut(SemaphoreSet)) -> Result<(), Error> {
    let highest = sys::semctl_info()?;
    for (id, ds) in (0..=highest).filter_map(|slot| sys::semctl_stat_slot(slot).ok()) {
        #[allow(clippy::useless_conversion, reason = "u16 or u32, by target")]
        let mode = u32::from(ds.sem_perm.mode) & 0o777;
        each(SemaphoreSet {
            id,
            key: sysv::key_of(&ds.sem_perm),
            mode,
            uid: ds.sem_perm.uid,
            gid: ds.sem_perm.gid,
            change_time: ds.sem_ctime,
            #[allow(clippy::useless_conversion, reason = "u64 on every target so far")]
            count: ds.sem_nsems.into(),
            semaphore: semaphore(id).ok(),
        });
    }
    Ok(())
}

fn semaphore(id: c_int) -> Result<Semaphore, Error> {
    let semaphore = semaphore::Semaphore::open(Name::SysvId(id))?;
    Ok(Semaphore {
        kind: semaphore.kind(),
        value: semaphore.value()?,
        waiters: sys::semctl_getncnt(id, 0)?,
    })
}

/// What the kernel knows about the System V segment of this name. EINVAL for another kind of name.
pub fn segment(name: Name<'_>) -> Result<Info, Error> {
    sysv::info_unchecked(segment_id(name)?).map_err(sysv::absent_if_gone)
}

fn segment_id(name: Name<'_>) -> Result<c_int, Error> {
    match name {
        Name::SysvId(id) => Ok(id),
        _ => sys::shmget(name.key()?.raw(), 0, 0),
    }
}

/// The id of the set of System V semaphores of this name, whichever program's it is.
pub fn semaphore_id(name: Name<'_>) -> Result<c_int, Error> {
    match name {
        Name::SysvId(id) => Ok(id),
        _ => sys::semget(name.key()?.raw(), 0, 0),
    }
}

/// The state of a System V segment.
pub fn segment_state(info: &Info) -> State {
    stale::state(&Ok(*info))
}

/// Whether the creator of a System V segment is alive.
pub fn segment_creator(info: &Info) -> Creator {
    stale::creator(info)
}

/// What [`reclaim`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reclaimed {
    /// It is removed, by this call or by another process.
    Removed,
    /// It is not stale.
    Kept(State),
    /// It is a stale channel or topic that holds messages.
    HoldsMessages,
    /// It is a stale channel or topic that is damaged, or of another version of the format.
    Unreadable,
}

/// Removes the segment or the object of this name if it is stale, as
/// [`segment::Options::reclaim`](crate::segment::Options::reclaim) does before it creates. A channel or a topic
/// that holds messages is kept unless `with_messages`, one that cannot be read is kept. ENOENT if there is none.
pub fn reclaim(name: Name<'_>, with_messages: bool) -> Result<Reclaimed, Error> {
    if !matches!(name, Name::Posix(_) | Name::File(_)) {
        let id = segment_id(name)?;
        return Ok(match stale::remove_stale(id) {
            true => Reclaimed::Removed,
            false => Reclaimed::Kept(stale::state(&sysv::info(id))),
        });
    }
    let mut path = Path::empty();
    let stale = match StaleObject::find(ObjectName::new(name, &mut path)?)? {
        Ok(stale) => stale,
        Err(State::Absent) => return Err(Call::Open.failed(Errno::ENOENT)),
        Err(state) => return Ok(Reclaimed::Kept(state)),
    };
    match messages(&stale.file) {
        Ok(messages) if messages == 0 || with_messages => {}
        Ok(_) => return Ok(Reclaimed::HoldsMessages),
        Err(_) => return Ok(Reclaimed::Unreadable),
    }
    stale.remove()?;
    Ok(match object::is_removed(&stale.file) {
        true => Reclaimed::Removed,
        false => Reclaimed::Kept(State::Unknown),
    })
}

/// Number of messages in a channel or a topic, 0 in anything else; EBADMSG if it cannot be determined.
fn messages(file: &Descriptor) -> Result<u64, Error> {
    let status = sys::fstat(file)?;
    match contents(file, usize::try_from(status.st_size).unwrap_or(0))? {
        Contents::Channel(look) => look.follow_records(),
        Contents::Topic(look) => {
            look.check_newest()?;
            look.state().map(|state| state.written.min(state.depth))
        }
        Contents::OtherVersion(_) | Contents::Damaged(_) => {
            Err(Call::Channel.failed(Errno::EBADMSG))
        }
        Contents::Semaphore(_) | Contents::Other => Ok(0),
    }
}
