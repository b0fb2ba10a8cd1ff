//! Is a segment or an object stale: unused, and its creator dead?

use core::ffi::{CStr, c_int};

use crate::error::{Errno, Error};
use crate::info::Info;
use crate::sys::{self, Descriptor, Lock, ProcessStat};
use crate::sysv;

/// The state of a segment or an object. Only a [stale](Self::is_stale) one may be replaced; in doubt it
/// counts as in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There is none (any more).
    Absent,
    /// It belongs to another user.
    Foreign,
    /// It belongs to this user, and a process uses it.
    Attached,
    /// It belongs to this user, and no process uses it.
    Unattached(Creator),
    /// The kernel does not say.
    Unknown,
}

/// Whether the creator is alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creator {
    /// It has exited.
    Dead,
    /// A process with its pid runs, and may be the creator.
    Alive,
    /// Undetermined: another pid namespace, or no `/proc`.
    Unknown,
}

impl State {
    /// Whether no process uses it and its creator has exited.
    pub fn is_stale(self) -> bool {
        self == Self::Unattached(Creator::Dead)
    }
}

/// The state of the segment, from [`sysv::info`].
pub fn state(info: &Result<Info, Error>) -> State {
    match info {
        Ok(info) if info.uid != sys::geteuid() => State::Foreign,
        Ok(info) if info.attached != Some(0) => State::Attached,
        Ok(info) => State::Unattached(creator(info)),
        Err(error) if sysv::is_gone(*error) => State::Absent,
        Err(error) if error.errno == Errno::EACCES => State::Foreign,
        Err(_) => State::Unknown,
    }
}

/// Removes the segment if it is stale. Returns whether it is removed, by whichever process.
pub fn remove_stale(id: c_int) -> bool {
    match state(&sysv::info(id)) {
        State::Absent => true,
        // Another process may have been first.
        state if state.is_stale() => sys::shmctl_rmid(id).err().is_none_or(sysv::is_gone),
        _ => false,
    }
}

/// Whether the segment's creator is alive.
pub fn creator(info: &Info) -> Creator {
    fate(info.creator_pid, |stat| {
        started_after(stat, info.change_time)
    })
}

/// Whether a process is alive; `is_another` distinguishes a later process with the same pid.
#[inline(always)]
fn fate(pid: i32, is_another: impl FnOnce(&ProcessStat) -> bool) -> Creator {
    match running(pid) {
        Ok(stat) if is_another(&stat) => Creator::Dead,
        Ok(_) => Creator::Alive,
        Err(creator) => creator,
    }
}

/// The process that has this pid now, unless it has exited or cannot be determined.
#[inline(never)]
fn running(pid: i32) -> Result<ProcessStat, Creator> {
    if pid <= 0 {
        return Err(Creator::Unknown);
    }
    if !sys::process_exists(pid) {
        return Err(Creator::Dead);
    }
    match sys::process_stat(pid) {
        Some(stat) if has_exited(&stat) => Err(Creator::Dead),
        Some(stat) => Ok(stat),
        None => Err(Creator::Unknown),
    }
}

/// Whether this process has certainly exited; it may wait to be reaped.
pub fn process_has_exited(pid: i32) -> bool {
    running(pid).err() == Some(Creator::Dead)
}

/// Whether the thread that had this id at this time, in milliseconds after boot, has exited: it waits to
/// be reaped, or another thread has its id.
pub fn thread_has_exited(tid: i32, at_ms: i64) -> bool {
    sys::process_stat(tid)
        .is_some_and(|stat| matches!(stat.state, b'Z' | b'X') || stat.start_ms > at_ms)
}

/// The extended attribute, `xattr(7)`, that names an object's creator. If it is missing, because the file
/// system has none or another program created the object, the creator is unknown. Its value is that of
/// [`this_process`](crate::namespace::this_process); a value of another length is not this library's.
const CREATOR: &CStr = c"user.shmcomm.creator";

/// Records the creator in the object, if the file system can.
pub fn record_creator(file: &Descriptor, creator: Option<[u64; 4]>) {
    if let Some(creator) = creator {
        sys::fsetxattr(file, CREATOR, &creator);
    }
}

/// The recorded pid of the creator, 0 if there is none. Any process that may write to the object could have
/// forged it.
pub fn recorded_pid(file: &Descriptor) -> i32 {
    sys::fgetxattr::<4>(file, CREATOR).map_or(0, |[pid, ..]| i32::try_from(pid).unwrap_or(0))
}

/// The state of an object. If no process uses it, `file` holds the exclusive lock on it from then on.
pub fn object_state(file: &Descriptor, owner: u32) -> State {
    if owner != sys::geteuid() {
        return State::Foreign;
    }
    match sys::flock(file, Lock::Exclusive) {
        Ok(()) => {}
        Err(error) if error.errno == Errno::EWOULDBLOCK => return State::Attached,
        Err(_) => return State::Unknown,
    }
    State::Unattached(object_creator(file))
}

/// Whether the recorded creator of the object is alive.
pub fn object_creator(file: &Descriptor) -> Creator {
    match sys::fgetxattr(file, CREATOR) {
        // In another pid or time namespace, pid and start mean another process.
        Some([pid, start_ms, pid_namespace, time_namespace])
            if sys::namespaces() == Some([pid_namespace, time_namespace]) =>
        {
            fate(i32::try_from(pid).unwrap_or(0), |stat| {
                stat.start_ms as u64 != start_ms
            })
        }
        _ => Creator::Unknown,
    }
}

/// Whether all its threads have exited, and it only waits to be reaped.
fn has_exited(stat: &ProcessStat) -> bool {
    matches!(stat.state, b'Z' | b'X') && stat.threads <= 1
}

/// Whether it started after this time, in seconds since 1970; no, if the clock was set backwards since then.
fn started_after(stat: &ProcessStat, time: i64) -> bool {
    /// Times of segments are whole seconds, and a leap second moves the clock.
    const MARGIN_MS: i64 = 2000;

    let age_ms = sys::boot_clock_ms().wrapping_sub(stat.start_ms);
    let start_ms = sys::wall_clock_ms().wrapping_sub(age_ms);
    start_ms > time.wrapping_mul(1000).wrapping_add(MARGIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_exited_when_no_thread_of_it_is_left() {
        for (state, threads, exited) in [
            (b'S', 1, false),
            (b'R', 3, false),
            (b'Z', 3, false),
            (b'Z', 1, true),
            (b'X', 0, true),
        ] {
            let stat = ProcessStat {
                state,
                threads,
                start_ms: 0,
            };
            assert_eq!(has_exited(&stat), exited);
        }
    }

    #[test]
    fn this_process_runs_and_started_before_now() {
        let id = sys::shmget(libc::IPC_PRIVATE, 1, 0o600).unwrap();
        let info = sysv::info(id);
        let removed = remove_stale(id);
        let _ = sys::shmctl_rmid(id);
        let info = info.unwrap();
        assert_eq!(creator(&info), Creator::Alive);
        assert!(!removed);
        let before_this_process = Info {
            change_time: info.change_time - 1_000_000,
            ..info
        };
        assert_eq!(creator(&before_this_process), Creator::Dead);
        let elsewhere = Info {
            creator_pid: 0,
            ..info
        };
        assert_eq!(creator(&elsewhere), Creator::Unknown);
    }
}
