//! What a failure means, in the reader's terms, and what to do about it.

use core::ffi::{c_int, c_void};

use crate::error::{Call, Errno, Error};
use crate::info::Info;
use crate::key::Key;
use crate::stale::{self, Creator, State};
use crate::sys::{self, SharedPath};
use crate::sysv;
use crate::text::Text;

/// A call of layer 1, with its argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// `create_shm` with a size in bytes, as the caller gave it.
    Create(c_int),
    /// `get_shm`
    Get,
    /// `shm_at` with an id.
    Attach(c_int),
    /// `shm_dt` with an address.
    Detach(*const c_void),
    /// `destory_shm` with an id.
    Destroy(c_int),
}

/// Prints one line about a failure to stderr, with facts that it determines now; `key` and `path` are
/// those of this process.
#[inline(never)] // Its stack must not be in use during perror(3), which needs much.
pub(crate) fn print(attempt: Attempt, error: Error, key: Option<Key>, path: &SharedPath) {
    let name = match attempt {
        Attempt::Create(_) => "create_shm",
        Attempt::Get => "get_shm",
        Attempt::Attach(_) => "shm_at",
        Attempt::Detach(_) => "shm_dt",
        Attempt::Destroy(_) => "destory_shm",
    };
    let id = match (attempt, key) {
        (Attempt::Attach(id) | Attempt::Destroy(id), _) => id,
        (_, Some(key)) => sys::shmget(key.raw(), 0, 0).unwrap_or(-1),
        (_, None) => -1,
    };
    let facts = Facts {
        attempt,
        error,
        path,
        key: key.map_or(0, Key::raw),
        id,
        info: sysv::info_unchecked(id),
    };
    let mut text = Text::new();
    text.text("shmcomm: ");
    text.text(name);
    text.text(": ");
    facts.expand(facts.meaning(), &mut text);
    text.print_line();
}

/// The facts for an explanation.
struct Facts<'a> {
    attempt: Attempt,
    error: Error,
    path: &'a SharedPath,
    key: libc::key_t,
    /// The segment of that id or of the key; -1 if there is none.
    id: c_int,
    info: Result<Info, Error>,
}

impl Facts<'_> {
    /// What the failure means; [`Self::fact`] expands `%` and a letter.
    fn meaning(&self) -> &'static str {
        match (self.error.call(), self.error.errno(), self.attempt) {
            (Call::Ftok, Errno::ENOENT, _) => {
                "no key, since the path %p does not exist: create it, or set \
                 COMM_PATH_NAME to another"
            }
            (Call::Ftok, Errno::EACCES, _) => {
                "no key, since uid %u may not search a directory on the way to %p: permit it, or \
                 set COMM_PATH_NAME to another"
            }
            (Call::Ftok, _, _) => {
                "no key, since the path %p cannot be followed (errno %e): mend it, or set \
                 COMM_PATH_NAME to another"
            }
            (Call::Shmget, Errno::EEXIST, _) => match stale::state(&self.info) {
                State::Absent => "the segment with key %k has just gone. Call again",
                State::Unattached(Creator::Dead) => {
                    "there is already %S. It is left over from a program that has ended: set \
                     COMM_RECLAIM=1 to replace it, or remove it by \"ipcrm -m %i\""
                }
                State::Foreign => {
                    "there is already %S. It is another user's: set COMM_PATH_NAME or COMM_PROJ_ID \
                     for another key"
                }
                State::Attached | State::Unattached(_) | State::Unknown => {
                    "there is already %S. It may be in use: share it by get_shm, or set \
                     COMM_PATH_NAME or COMM_PROJ_ID for another key"
                }
            },
            (Call::Shmget, Errno::EINVAL, Attempt::Create(_)) => {
                "a size of %z bytes is not possible: from 1 to the limit in \
                 /proc/sys/kernel/shmmax"
            }
            (Call::Shmget, Errno::EINVAL, _) => {
                "there is no segment with key %k. Start the program that creates it first, or set \
                 COMM_WAIT_MS to wait for it; both need the same path, here %p, and id"
            }
            (Call::Shmget, Errno::ENOSPC, _) => {
                "no room for %z bytes with key %k: shmmni (segments) or shmall (pages) in \
                 /proc/sys/kernel is reached. \"ipcs -m\" lists all there are, \"ipcrm\" removes"
            }
            (Call::Shmget | Call::Shmat, Errno::ENOMEM, _) => {
                "not enough memory or address space for the segment: \"ipcs -m\" lists all there are"
            }
            (Call::Shmat | Call::Shmctl, Errno::EINVAL | Errno::EIDRM, _) => match self.id {
                0.. => "there is no segment with id %i (any more): \"ipcs -m\" lists all there are",
                _ => "%i is no id, but a failure of create_shm or get_shm: check their result",
            },
            (Call::Shmat, Errno::EACCES, _) => {
                "uid %u may not read and write %S. Its owner can permit it"
            }
            (Call::Shmctl, Errno::EPERM | Errno::EACCES, _) => {
                "uid %u may not remove %S. Only its owner, its creator and root may"
            }
            (Call::Shmdt, Errno::EINVAL, _) => {
                "no segment is attached at %d: detach what shm_at returned, once"
            }
            _ => "errno %e is not expected here",
        }
    }

    /// Writes the template, with facts for `%` and a letter.
    fn expand(&self, template: &str, text: &mut Text) {
        let mut bytes = template.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => self.fact(bytes.next(), text),
                _ => text.push(byte),
            }
        }
    }

    fn fact(&self, name: Option<u8>, text: &mut Text) {
        let number = match (name, &self.info) {
            (Some(b'd'), _) => match self.attempt {
                Attempt::Detach(address) => return text.hex(address.addr() as u64, 1),
                _ => return,
            },
            (Some(b'z'), _) => match self.attempt {
                Attempt::Create(size) => size.into(),
                _ => return,
            },
            (Some(b'S'), Ok(_)) => {
                let segment = "a segment with id %i (key %k, size %s bytes, mode %m, \
                               owner uid %o, creator pid %c (%C), age %a s, attached %n times)";
                return self.expand(segment, text);
            }
            (Some(b'S'), Err(_)) => return self.expand("the segment with id %i", text),
            (Some(b'C'), Ok(info)) => {
                return text.text(match stale::creator(info) {
                    Creator::Dead => "ended",
                    Creator::Alive => "running",
                    Creator::Unknown => "unknown",
                });
            }
            (Some(b'p'), _) => return self.path(text),
            (Some(b'k'), _) => return text.hex(u64::from(self.key as u32), 8),
            (Some(b'm'), Ok(info)) => return text.octal(info.mode.into(), 4),
            (Some(b'e'), _) => self.error.errno().raw().into(),
            (Some(b'i'), _) => self.id.into(),
            (Some(b'u'), _) => sys::geteuid().into(),
            (Some(b's'), Ok(info)) => info.size as i64,
            (Some(b'o'), Ok(info)) => info.uid.into(),
            (Some(b'c'), Ok(info)) => info.creator_pid.into(),
            (Some(b'n'), Ok(info)) => info.attached.unwrap_or(0) as i64,
            (Some(b'a'), Ok(info)) => (sys::wall_clock_ms() / 1000).wrapping_sub(info.change_time),
            _ => return,
        };
        text.signed(number);
    }

    /// The path, and for a relative one the current directory.
    #[inline(never)] // Its stack is used for a moment only.
    fn path(&self, text: &mut Text) {
        text.push(b'"');
        self.path.bytes().for_each(|byte| text.push(byte));
        text.push(b'"');
        if self.path.bytes().next() == Some(b'/') {
            return;
        }
        match sys::getcwd(&mut [0; sys::DIRECTORY_SIZE]) {
            Some(directory) => {
                text.text(" in the directory \"");
                text.bytes(directory.to_bytes());
                text.push(b'"');
            }
            None => text.text(" in a directory that has no path (any more)"),
        }
    }
}
