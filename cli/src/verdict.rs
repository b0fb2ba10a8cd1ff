//! The state of an object, and the reason in one sentence.

use shmcomm::info::Info;
use shmcomm::inspect::{self, Creator};

use crate::entry::{self, Channel, State, Topic};
use crate::text::count;

/// The key that a program uses if it does not notice that its ftok(3) has failed.
const FAILED_KEY: i32 = -1;
/// The project id of most hand-written `comm.c`.
const COMM_ID: i32 = 0x66;

/// What is known about the processes of an object.
pub struct Use<'a> {
    pub is_ours: bool,
    pub user: &'a str,
    pub creator_pid: i32,
    pub creator: Creator,
    /// Number of processes that are seen to use it; `None` if the system does not say.
    pub users: Option<u64>,
}

impl Use<'_> {
    fn creator(&self) -> String {
        match self.creator_pid {
            0 => "its creator".to_owned(),
            pid => format!("its creator {pid}"),
        }
    }
}

/// Number of messages that a channel or a topic holds.
pub fn messages(channel: Option<&Channel>, topic: Option<&Topic>) -> u64 {
    channel.map_or(0, |channel| channel.messages) + topic.map_or(0, Topic::messages)
}

/// What the processes at the ends of a channel do; `None` if there are none.
fn exchange(channel: &Channel) -> Option<String> {
    let reason = match (channel.sender.held, channel.receiver.held) {
        (true, true) => "processes send and receive",
        (true, false) => "a process sends, and none receives",
        (false, true) => "a process receives, and none sends",
        (false, false) => return None,
    };
    Some(reason.to_owned())
}

/// The same for a topic.
fn publication(topic: &Topic) -> Option<String> {
    let readers = topic.readers.unwrap_or(0);
    match (topic.writer.held, readers) {
        (true, 0) => Some("a process writes, and none reads".to_owned()),
        (true, _) => Some(format!("a process writes; readers: {readers}")),
        (false, 0) => None,
        (false, _) => Some(format!("no process writes; readers: {readers}")),
    }
}

/// The state of a segment, of a channel or of a topic.
pub fn object(used: &Use<'_>, channel: Option<&Channel>, topic: Option<&Topic>) -> (State, String) {
    let ends = channel.and_then(exchange);
    if let Some(reason) = ends.or_else(|| topic.and_then(publication)) {
        return (State::Used, reason);
    }
    match used.users {
        Some(users @ 1..) => return (State::Used, format!("{} on it", count(users, "handle"))),
        _ if !used.is_ours => return (State::Foreign, format!("it belongs to {}", used.user)),
        None => return (State::Unknown, "/proc/locks cannot be read".to_owned()),
        Some(0) => {}
    }
    let messages = match messages(channel, topic) {
        0 => String::new(),
        messages => format!("; it holds {}", count(messages, "message")),
    };
    let creator = used.creator();
    match used.creator {
        Creator::Alive => (
            State::Idle,
            format!("{creator} runs, and no process uses it{messages}"),
        ),
        Creator::Dead => (
            State::Stale,
            format!("{creator} has exited, and no process uses it{messages}"),
        ),
        Creator::Unknown if used.creator_pid == 0 => {
            let reason = "no process is seen to use it, and its creator is not recorded";
            (State::Unknown, format!("{reason}{messages}"))
        }
        Creator::Unknown => {
            let reason = format!("{creator} is in another pid namespace, or /proc is hidden");
            (State::Unknown, format!("{reason}{messages}"))
        }
    }
}

/// The state of a System V segment.
pub fn segment(info: &Info, user: &str) -> (State, String) {
    let attached = count(info.attached.unwrap_or(0), "time");
    let creator = match info.creator_pid {
        0 => "its creator is in another pid namespace".to_owned(),
        pid => format!(
            "its creator {pid} {}",
            match inspect::segment_creator(info) {
                Creator::Alive => "runs",
                Creator::Dead => "has exited",
                Creator::Unknown => "cannot be looked up",
            }
        ),
    };
    match inspect::segment_state(info) {
        _ if info.attached != Some(0) => {
            let removed = match info.removed {
                true => "; it is removed, and its last detach frees it",
                false => "",
            };
            (State::Used, format!("attached {attached}{removed}"))
        }
        inspect::State::Foreign => (State::Foreign, format!("it belongs to {user}; {creator}")),
        inspect::State::Unattached(Creator::Dead) => {
            let reason = format!("attached {attached}, and {creator}");
            (State::Stale, reason + comm_hint(info))
        }
        inspect::State::Unattached(Creator::Alive) => {
            (State::Idle, format!("attached {attached}, and {creator}"))
        }
        _ => (
            State::Unknown,
            format!("attached {attached}, and {creator}"),
        ),
    }
}

/// What its key and mode say about a stale segment.
fn comm_hint(info: &Info) -> &'static str {
    match info.key.map_or(0, |key| key.raw()) {
        FAILED_KEY => "; its key is that of a program whose ftok failed unnoticed",
        key if key >> 24 == COMM_ID && info.mode & 0o600 == 0o600 => {
            "; its key is one of a comm.c, whose create_shm fails until it is removed: COMM_RECLAIM=1 lets \
             create_shm replace it"
        }
        _ => "",
    }
}

/// The state of a set of semaphores. The kernel does not say which processes use it.
pub fn semaphore(semaphore: &entry::Semaphore) -> (State, String) {
    match semaphore.waiters {
        Some(waiters @ 1..) => {
            let waiters = count(waiters.into(), "process");
            (State::Used, format!("{waiters} waiting"))
        }
        _ => (
            State::Unknown,
            "System V does not say which processes use a semaphore".to_owned(),
        ),
    }
}
