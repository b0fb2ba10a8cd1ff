//! What a failure means, in the terms of the person who reads it, and what to do about it.

use core::ffi::{c_int, c_void};

use crate::error::{Call, Errno, Error};
use crate::key::Key;
use crate::stale::{self, Creator, State};
use crate::sys::{self, SharedPath};
use crate::sysv::{self, Info};
use crate::text::Text;

/// A call of layer 1, with what it was called with.
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

/// Prints one line about a failure to stderr; `key` and `path` are those of this process. Looks at
/// what is there now.
#[inline(never)]
pub fn print(attempt: Attempt, error: Error, key: Option<Key>, path: &SharedPath) {
    let (name, id) = match attempt {
        Attempt::Create(_) => ("create_shm", key.and_then(|key| sysv::get(key, 0, 0).ok())),
        Attempt::Get => ("get_shm", None),
        Attempt::Attach(id) => ("shm_at", Some(id)),
        Attempt::Detach(_) => ("shm_dt", None),
        Attempt::Destroy(id) => ("destory_shm", Some(id)),
    };
    let facts = Facts {
        attempt,
        error,
        key,
        path,
        id,
        info: match id {
            Some(id) => sysv::info_unchecked(id),
            None => Err(Call::Shmctl.failed(Errno::EINVAL)),
        },
    };
    let mut text = Text::new();
    text.text("shmcomm: ");
    text.text(name);
    text.text(": ");
    facts.expand(facts.meaning(), &mut text);
    text.print_line();
}

/// All that an explanation may speak of.
struct Facts<'a> {
    attempt: Attempt,
    error: Error,
    key: Option<Key>,
    path: &'a SharedPath,
    id: Option<c_int>,
    info: Result<Info, Error>,
}

impl Facts<'_> {
    /// What the failure means; [`Self::expand`] knows what `%` and a letter stand for.
    fn meaning(&self) -> &'static str {
        match (self.error.call(), self.error.errno(), self.attempt) {
            (Call::Ftok, Errno::ENOENT, _) => {
                "no key, since the path \"%p\" does not exist. Create it, start the program where it \
             exists, or set COMM_PATH_NAME to a path that does"
            }
            (Call::Ftok, Errno::EACCES, _) => {
                "no key, since uid %u may not search a directory on the way to \"%p\". Permit that \
             (chmod +x), or set COMM_PATH_NAME to another path"
            }
            (Call::Ftok, _, _) => {
                "no key, since the path \"%p\" cannot be followed (errno %e). Correct it, or set \
             COMM_PATH_NAME to another one"
            }
            (Call::Shmget, Errno::EEXIST, _) => match stale::state(&self.info) {
                State::Absent => {
                    "there was a segment with key %k, and it is gone by now. Call again"
                }
                State::Unattached(Creator::Dead) => {
                    "there is already %S. It is left over from a program that has ended: set \
                 COMM_RECLAIM=1 to have it replaced, or remove it with \"ipcrm -m %i\""
                }
                State::Foreign => {
                    "there is already %S. It is another user's: choose another key by COMM_PATH_NAME \
                 or COMM_PROJ_ID"
                }
                State::Attached | State::Unattached(_) | State::Unknown => {
                    "there is already %S. It may be in use: share it through get_shm, end the programs \
                 that use it, or choose another key by COMM_PATH_NAME or COMM_PROJ_ID"
                }
            },
            (Call::Shmget, Errno::EINVAL, Attempt::Create(_)) => {
                "%z bytes is not a possible size. It is from 1 up to the limit in \
             /proc/sys/kernel/shmmax"
            }
            (Call::Shmget, Errno::EINVAL, _) => {
                "there is no segment with key %k. Start the program that creates it first, or set \
             COMM_WAIT_MS to wait for it; both need the same path, here \"%p\", and project id"
            }
            (Call::Shmget, Errno::ENOSPC, _) => {
                "no room for %z bytes with key %k: all programs together have reached a limit in \
             /proc/sys/kernel, shmmni (segments) or shmall (pages). \"ipcs -m\" lists what there \
             is, \"ipcrm -m ID\" removes what is left over"
            }
            (Call::Shmget | Call::Shmat, Errno::ENOMEM, _) => {
                "there is not enough memory or address space. Use a smaller segment, or end programs \
             that hold memory; \"ipcs -m\" lists all segments"
            }
            (Call::Shmat | Call::Shmctl, Errno::EINVAL | Errno::EIDRM, _) => match self.id {
                Some(0..) => {
                    "there is no segment with id %i. It may have been removed; \"ipcs -m\" lists all \
                 segments"
                }
                _ => {
                    "%i is no id, but what create_shm and get_shm return when they fail. Check what \
                 they return"
                }
            },
            (Call::Shmat, Errno::EACCES, _) => {
                "uid %u may not read and write %S. Its owner can permit that by its mode"
            }
            (Call::Shmctl, Errno::EPERM | Errno::EACCES, _) => {
                "uid %u may not remove %S. Only its owner, its creator and root may"
            }
            (Call::Shmdt, Errno::EINVAL, _) => {
                "no segment is attached at %d. Detach exactly the address that shm_at returned, once"
            }
            _ => "this is not expected (errno %e)",
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
        match (name, self.attempt, &self.info) {
            (Some(b'S'), _, Ok(_)) => self.expand(
                "a segment with id %i (key %k, size %s bytes, mode 0%m, owner uid %o, \
                 creator pid %c (%C), age %a s, attached %n times)",
                text,
            ),
            (Some(b'S'), _, Err(_)) => self.expand("the segment with id %i", text),
            (Some(b'd'), Attempt::Detach(address), _) => text.hex(address.addr() as u64, 1),
            (Some(b'z'), Attempt::Create(size), _) => text.signed(size.into()),
            (Some(b'e'), ..) => text.signed(self.error.errno().raw().into()),
            (Some(b'i'), ..) => text.signed(self.id.unwrap_or(-1).into()),
            (Some(b'k'), ..) => text.hex(u64::from(self.key.map_or(0, Key::raw) as u32), 8),
            (Some(b'p'), ..) => self.path.bytes().for_each(|byte| text.push(byte)),
            (Some(b'u'), ..) => text.signed(sys::effective_uid().into()),
            (Some(name), _, Ok(info)) => match name {
                b's' => text.signed(info.size() as i64),
                b'm' => text.digits(info.mode().into(), 8, 3),
                b'o' => text.signed(info.uid().into()),
                b'c' => text.signed(info.creator_pid().into()),
                b'C' => text.text(match stale::creator(info) {
                    Creator::Dead => "ended",
                    Creator::Alive => "running",
                    Creator::Unknown => "unknown",
                }),
                b'a' => text.signed(
                    sys::wall_clock_ms()
                        .div_euclid(1000)
                        .saturating_sub(info.change_time()),
                ),
                b'n' => text.signed(info.attached() as i64),
                _ => {}
            },
            _ => {}
        }
    }
}
