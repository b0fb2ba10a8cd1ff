//! Finding objects: all there are, or those that are named.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{fs, io};

use shmcomm::info::Info;
use shmcomm::inspect::{self, Contents, Creator, Format, Object, SemaphoreSet};
use shmcomm::key::Key;
use shmcomm::{Errno, Error, Name, semaphore};

use crate::arguments::Kind;
use crate::contents;
use crate::entry::{self, Entry, Semaphore, State, Sysv};
use crate::failure::Failure;
use crate::scene::Scene;
use crate::text::escaped;
use crate::verdict::{self, Use};

/// The directory of shm_open(3).
pub const DIRECTORY: &str = "/dev/shm";

/// All objects of this machine: POSIX objects, System V segments, sets of semaphores.
pub fn all(scene: &mut Scene) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for name in posix_names()? {
        match object(Name::Posix(&name), scene) {
            Ok(entry) => entries.push(entry),
            // Removed meanwhile, or no regular file.
            Err(_) => continue,
        }
    }
    entries.extend(segments(scene)?);
    let mut sets = Vec::new();
    inspect::for_each_semaphore_set(|set| sets.push(set))?;
    entries.extend(sets.iter().map(|set| semaphore_set(set, scene)));
    Ok(entries)
}

/// All System V segments.
pub fn segments(scene: &mut Scene) -> Result<Vec<Entry>, Failure> {
    let mut segments = Vec::new();
    inspect::for_each_segment(|info| segments.push(info))?;
    Ok(segments.iter().map(|info| segment(info, scene)).collect())
}

/// The names in the directory of POSIX objects, in order.
pub fn posix_names() -> Result<Vec<Vec<u8>>, Failure> {
    let directory = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        directory => directory.map_err(|error| Failure::of(DIRECTORY, error))?,
    };
    let names = directory
        .flatten()
        .map(|entry| entry.file_name().into_vec());
    let mut names: Vec<_> = names.collect();
    names.sort();
    Ok(names)
}

/// The objects of these names, with an error message for each that there is not. A System V key may be that
/// of a segment and of a set of semaphores.
pub fn named(names: &[OsString], scene: &mut Scene) -> Result<(Vec<Entry>, Vec<String>), Failure> {
    let (mut entries, mut absent) = (Vec::new(), Vec::new());
    for text in names {
        let name = Name::parse(text.as_bytes())?;
        let before = entries.len();
        let error = match name {
            Name::Posix(_) | Name::File(_) => match object(name, scene) {
                Ok(entry) => {
                    entries.push(entry);
                    None
                }
                Err(error) => Some(error),
            },
            Name::SysvPrivate | Name::Anonymous => {
                let reason = "it stands for no object that has a name";
                return Err(Failure::of(&escaped(text.as_bytes()), reason));
            }
            _ => {
                let found = inspect::segment(name).map(|info| entries.push(segment(&info, scene)));
                if let Ok(set) = find_set(name) {
                    entries.push(semaphore_set(&set, scene));
                }
                found.err()
            }
        };
        if let Some(error) = error.filter(|_| entries.len() == before) {
            absent.push(failed(text, error)?);
        }
    }
    Ok((entries, absent))
}

/// The message that there is none; another error is a failure.
fn failed(name: &OsStr, error: Error) -> Result<String, Failure> {
    let name = escaped(name.as_bytes());
    match error.errno() {
        Errno::ENOENT | Errno::EIDRM => Ok(format!("{name}: there is none")),
        // A removed id.
        Errno::EINVAL if name.starts_with("sysv:id:") => Ok(format!("{name}: there is none")),
        Errno::EINVAL => Err(Failure::of(&name, "it is no regular file")),
        _ => Err(Failure::of(&name, error)),
    }
}

fn find_set(name: Name<'_>) -> Result<SemaphoreSet, Error> {
    let id = inspect::semaphore_id(name)?;
    let mut found = Err(Error::INVALID);
    inspect::for_each_semaphore_set(|set| {
        if set.id == id {
            found = Ok(set);
        }
    })?;
    found
}

fn name_of(name: Name<'_>) -> String {
    match name {
        Name::Posix(name) => format!("posix:/{}", escaped(name)),
        Name::File(path) => format!("file:{}", escaped(path)),
        Name::SysvId(id) => format!("sysv:id:{id}"),
        Name::SysvKey(key) => format!("sysv:0x{:08x}", key.raw()),
        _ => String::new(),
    }
}

/// A POSIX object or a file.
pub fn object(name: Name<'_>, scene: &mut Scene) -> Result<Entry, Error> {
    let opened = match Object::open(name) {
        Err(error) if error.errno() == Errno::EACCES => return unreadable(name, error, scene),
        opened => opened?,
    };
    let info = opened.info();
    let identity = opened.identity();
    let users = scene.locks.of(identity);
    let contents = opened.contents();
    let found = match &contents {
        Ok(Contents::Channel(look)) => {
            contents::channel(look, scene.is_thorough).map(|channel| (Some(channel), None))
        }
        Ok(Contents::Topic(look)) => {
            contents::topic(look, users, scene.is_thorough).map(|topic| (None, Some(topic)))
        }
        _ => Ok((None, None)),
    };
    let is_recorded = info.creator_pid != 0;
    let kind = match &contents {
        Ok(Contents::Other) if !is_recorded => Kind::Object,
        Ok(Contents::Other) => Kind::Segment,
        Ok(Contents::Semaphore(_)) => Kind::Semaphore,
        Ok(
            Contents::Topic(_)
            | Contents::OtherVersion(Format::Topic)
            | Contents::Damaged(Format::Topic),
        ) => Kind::Topic,
        _ => Kind::Channel,
    };
    let user = scene.users.name(info.uid).to_owned();
    let creator = opened.creator();
    let (state, reason) = match (&contents, &found) {
        (Ok(Contents::OtherVersion(_)), _) => (
            State::Unknown,
            format!("another version of this library created the {}", kind.name()),
        ),
        (Ok(Contents::Damaged(_)), _) | (Err(_), _) | (_, Err(_)) => (
            State::Damaged,
            match kind {
                Kind::Topic => {
                    "its words are not those of a topic: it cannot be opened, or its newest message not read"
                }
                _ => {
                    "its words are not those of a channel: no end of it can be opened, or no message received"
                }
            }
            .to_owned(),
        ),
        (_, Ok((channel, topic))) => {
            let used = Use {
                is_ours: info.uid == scene.euid,
                user: &user,
                creator_pid: info.creator_pid,
                creator,
                users,
            };
            verdict::object(&used, channel.as_ref(), topic.as_ref())
        }
    };
    let (channel, topic) = found.unwrap_or_default();
    Ok(Entry {
        name: name_of(name),
        kind,
        size: Some(info.size as u64),
        mode: format!("{:04o}", info.mode),
        uid: info.uid,
        gid: info.gid,
        user,
        changed: info.change_time,
        state,
        reason,
        creator: is_recorded.then(|| creator_of(info.creator_pid, creator)),
        sysv: None,
        channel,
        topic,
        semaphore: match contents {
            Ok(Contents::Semaphore(value)) => Some(Semaphore {
                counts: Some("events"),
                value: Some(value),
                waiters: None,
                set: None,
            }),
            _ => None,
        },
        holders: Vec::new(),
        identity: Some(identity),
        is_ours: kind != Kind::Object,
    })
}

/// An object that this user may not read: what its directory says about it.
fn unreadable(name: Name<'_>, error: Error, scene: &mut Scene) -> Result<Entry, Error> {
    let path = match name {
        Name::Posix(name) => Path::new(DIRECTORY).join(OsStr::from_bytes(name)),
        Name::File(path) => Path::new(OsStr::from_bytes(path)).to_owned(),
        _ => return Err(error),
    };
    let status = fs::symlink_metadata(path).map_err(|_| error)?;
    if !status.is_file() {
        return Err(error);
    }
    Ok(Entry {
        name: name_of(name),
        kind: Kind::Object,
        size: Some(status.size()),
        mode: format!("{:04o}", status.mode() & 0o777),
        uid: status.uid(),
        gid: status.gid(),
        user: scene.users.name(status.uid()).to_owned(),
        changed: status.ctime(),
        state: State::Foreign,
        reason: "this user may not read it".to_owned(),
        creator: None,
        sysv: None,
        channel: None,
        topic: None,
        semaphore: None,
        holders: Vec::new(),
        identity: Some((status.dev(), status.ino())),
        is_ours: false,
    })
}

fn creator_of(pid: i32, creator: Creator) -> entry::Creator {
    entry::Creator {
        pid,
        alive: match creator {
            Creator::Dead => Some(false),
            Creator::Alive => Some(true),
            Creator::Unknown => None,
        },
    }
}

fn sysv(id: i32, key: Option<Key>, scene: &Scene) -> (String, Sysv) {
    let key = key.filter(|key| key.raw() != 0);
    let path = key.and_then(|key| scene.path_of(key));
    let name = name_of(key.map_or(Name::SysvId(id), Name::SysvKey));
    let sysv = Sysv {
        id,
        key: key.map(|key| format!("0x{:08x}", key.raw())),
        project_id: path.as_ref().map(|(_, id)| *id),
        path: path.map(|(path, _)| path),
        attached: None,
        last_pid: None,
        removed: false,
        locked: false,
    };
    (name, sysv)
}

/// A System V segment.
fn segment(info: &Info, scene: &mut Scene) -> Entry {
    let user = scene.users.name(info.uid).to_owned();
    let (state, reason) = verdict::segment(info, &user);
    let (name, sysv) = sysv(info.id.unwrap_or(-1), info.key, scene);
    Entry {
        name,
        kind: Kind::Segment,
        size: Some(info.size as u64),
        mode: format!("{:04o}", info.mode),
        uid: info.uid,
        gid: info.gid,
        user,
        changed: info.change_time,
        state,
        reason,
        creator: (info.creator_pid != 0)
            .then(|| creator_of(info.creator_pid, inspect::segment_creator(info))),
        sysv: Some(Sysv {
            attached: info.attached,
            last_pid: Some(info.last_pid).filter(|pid| *pid != 0),
            removed: info.removed,
            locked: info.locked,
            ..sysv
        }),
        channel: None,
        topic: None,
        semaphore: None,
        holders: Vec::new(),
        identity: None,
        is_ours: true,
    }
}

/// A set of System V semaphores.
fn semaphore_set(set: &SemaphoreSet, scene: &mut Scene) -> Entry {
    let (name, sysv) = sysv(set.id, Some(set.key), scene);
    let semaphore = Semaphore {
        counts: set.semaphore.map(|it| match it.kind {
            semaphore::Kind::Units => "units",
            semaphore::Kind::Events => "events",
        }),
        value: set.semaphore.map(|it| it.value.unsigned_abs()),
        waiters: set.semaphore.map(|it| it.waiters.unsigned_abs()),
        set: Some(set.count),
    };
    let (state, reason) = verdict::semaphore(&semaphore);
    Entry {
        name,
        kind: Kind::Semaphore,
        size: None,
        mode: format!("{:04o}", set.mode),
        uid: set.uid,
        gid: set.gid,
        user: scene.users.name(set.uid).to_owned(),
        changed: set.change_time,
        state,
        reason,
        creator: None,
        sysv: Some(sysv),
        channel: None,
        topic: None,
        is_ours: semaphore.counts.is_some(),
        semaphore: Some(semaphore),
        holders: Vec::new(),
        identity: None,
    }
}
