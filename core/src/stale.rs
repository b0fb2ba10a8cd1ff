//! Is what lies there left over from a process that is gone?

use crate::error::{Errno, Error};
use crate::info::Info;
use crate::place;
use crate::sys::{self, Descriptor, ProcessStat};
use crate::sysv;
use core::ffi::{CStr, c_int};

/// In which state a segment or an object is found. Only [`Self::is_left_over`] may be replaced; what
/// cannot be told counts as in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There is none (any more).
    Absent,
    /// It belongs to another user.
    Foreign,
    /// It belongs to this user, and somebody is attached.
    Attached,
    /// It belongs to this user, and nobody is attached.
    Unattached(Creator),
    /// The kernel does not say.
    Unknown,
}

/// What became of the process that made a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creator {
    /// It has ended.
    Dead,
    /// A process of its number runs, and may be it.
    Alive,
    /// It cannot be told: another pid namespace, or no `/proc`.
    Unknown,
}

impl State {
    /// Nobody uses it, and nobody will who made it.
    pub fn is_left_over(self) -> bool {
        self == Self::Unattached(Creator::Dead)
    }
}

/// The state of the segment, from what [`sysv::info`] says of it.
pub fn state(info: &Result<Info, Error>) -> State {
    match info {
        Ok(info) if info.uid != sys::effective_uid() => State::Foreign,
        Ok(info) if info.attached != Some(0) => State::Attached,
        Ok(info) => State::Unattached(creator(info)),
        Err(error) => match error.errno() {
            Errno::EINVAL | Errno::EIDRM => State::Absent,
            Errno::EACCES => State::Foreign,
            _ => State::Unknown,
        },
    }
}

/// Removes the segment if it is left over; whether it is gone.
pub fn clear(id: c_int) -> bool {
    match state(&sysv::info(id)) {
        State::Absent => true,
        state if state.is_left_over() => match sysv::remove(id) {
            Ok(()) => true,
            // Another process may have been first.
            Err(error) => matches!(error.errno(), Errno::EINVAL | Errno::EIDRM),
        },
        _ => false,
    }
}

/// What became of the segment's creator.
pub fn creator(info: &Info) -> Creator {
    fate(info.creator_pid, |stat| {
        started_after(stat, info.change_time)
    })
}

/// What became of a process, given how to tell it from a later one of the same pid.
fn fate(pid: i32, is_another: impl FnOnce(&ProcessStat) -> bool) -> Creator {
    if pid <= 0 {
        return Creator::Unknown;
    }
    if !sys::process_exists(pid) {
        return Creator::Dead;
    }
    match sys::process_stat(pid) {
        Some(stat) if has_ended(&stat) || is_another(&stat) => Creator::Dead,
        Some(_) => Creator::Alive,
        None => Creator::Unknown,
    }
}

/// Whether there is certainly no such process any more, but for one that waits to be reaped.
pub(crate) fn process_has_ended(pid: i32) -> bool {
    fate(pid, |_| false) == Creator::Dead
}

/// Whether the thread that had this id at this time, in milliseconds after boot, has ended: it is
/// still to be reaped, or another has its id.
pub(crate) fn thread_has_ended(tid: i32, at_ms: i64) -> bool {
    sys::process_stat(tid)
        .is_some_and(|stat| matches!(stat.state, b'Z' | b'X') || stat.start_ms > at_ms)
}

/// Where an object says who made it: an extended attribute, `xattr(7)`. Without it, because the
/// file system has none or because somebody else made the object, the creator is unknown. Its value
/// is [`this_process`]; a value of another length is not this library's.
const CREATOR: &CStr = c"user.shmcomm.creator";

/// What [`record_creator`] records; `None` where this process cannot be told from others. To be asked
/// for before an object is made: it may need a descriptor.
pub(crate) fn this_process() -> Option<[u64; 4]> {
    place::this_process()
}

/// Records in the object which process made it, where the file system can.
pub(crate) fn record_creator(file: &Descriptor, creator: Option<[u64; 4]>) {
    if let Some(creator) = creator {
        let _ = sys::set_attribute(file, CREATOR, &creator);
    }
}

/// The pid that an object has on record, 0 if none; whoever may write to it could have put it there.
pub(crate) fn recorded_pid(file: &Descriptor) -> i32 {
    sys::attribute::<4>(file, CREATOR).map_or(0, |[pid, ..]| i32::try_from(pid).unwrap_or(0))
}

/// The state of an object. Where it is unattached, this process holds the exclusive lock on it from
/// then on.
pub(crate) fn object_state(file: &Descriptor, owner: u32) -> State {
    if owner != sys::effective_uid() {
        return State::Foreign;
    }
    match sys::lock_exclusive(file) {
        Ok(()) => {}
        Err(Errno::EWOULDBLOCK) => return State::Attached,
        Err(_) => return State::Unknown,
    }
    State::Unattached(match sys::attribute(file, CREATOR) {
        // In another pid or time namespace the pid and the start mean another process.
        Some([pid, start_ms, pid_namespace, time_namespace])
            if sys::namespaces() == Some([pid_namespace, time_namespace]) =>
        {
            fate(i32::try_from(pid).unwrap_or(0), |stat| {
                stat.start_ms as u64 != start_ms
            })
        }
        _ => Creator::Unknown,
    })
}

/// Whether all its threads have ended, and it only waits to be reaped.
fn has_ended(stat: &ProcessStat) -> bool {
    matches!(stat.state, b'Z' | b'X') && stat.threads <= 1
}

/// Whether it started after this time, in seconds since 1970. A clock that was set backwards since
/// then makes this say no.
fn started_after(stat: &ProcessStat, time: i64) -> bool {
    /// Times of segments are in whole seconds, and a leap second moves the clock.
    const MARGIN_MS: i64 = 2000;

    let age_ms = sys::boot_clock_ms().wrapping_sub(stat.start_ms);
    let start_ms = sys::wall_clock_ms().wrapping_sub(age_ms);
    start_ms > time.wrapping_mul(1000).wrapping_add(MARGIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_when_no_thread_of_it_is_left() {
        for (state, threads, ended) in [
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
            assert_eq!(has_ended(&stat), ended);
        }
    }

    #[test]
    fn this_process_runs_and_started_before_now() {
        let id = sysv::get(crate::key::Key::PRIVATE, 1, sysv::CREATE | 0o600).unwrap();
        let info = sysv::info(id);
        let cleared = clear(id);
        let _ = sysv::remove(id);
        let info = info.unwrap();
        assert_eq!(creator(&info), Creator::Alive);
        assert!(!cleared);
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
