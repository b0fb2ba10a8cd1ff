//! What the tool says about one object: the keys of its JSON, which stay as they are.

use serde::Serialize;

use crate::arguments::Kind;

/// An object. Numbers are bytes, and seconds since 1970; `null`: it has none, or it is unknown.
#[derive(Serialize, Debug)]
pub struct Entry {
    /// The name as the library takes it, escaped.
    pub name: String,
    pub kind: Kind,
    pub size: Option<u64>,
    /// Permission bits in octal.
    pub mode: String,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    /// Creation, or last change of owner or mode.
    pub changed: i64,
    pub state: State,
    /// Why it has this state.
    pub reason: String,
    pub creator: Option<Creator>,
    pub sysv: Option<Sysv>,
    pub channel: Option<Channel>,
    pub topic: Option<Topic>,
    pub semaphore: Option<Semaphore>,
    /// Processes that use it, as far as they can be seen. The kernel shows none for System V.
    pub holders: Vec<Holder>,
    /// Device and inode number.
    #[serde(skip)]
    pub identity: Option<(u64, u64)>,
    /// Whether this library created it, or a `comm.c` may have.
    #[serde(skip)]
    pub is_ours: bool,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process uses it.
    Used,
    /// No process uses it, and its creator runs.
    Idle,
    /// No process uses it, and its creator has exited.
    Stale,
    /// No end of the channel or of the topic can be opened.
    Damaged,
    /// No process uses it, and it belongs to another user.
    Foreign,
    /// The system does not say.
    Unknown,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Idle => "idle",
            Self::Stale => "stale",
            Self::Damaged => "damaged",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Serialize, Debug)]
pub struct Creator {
    pub pid: i32,
    /// `null`: another pid namespace, or no `/proc`.
    pub alive: Option<bool>,
}

#[derive(Serialize, Debug)]
pub struct Sysv {
    pub id: i32,
    /// The key as `0x` and eight digits; `null` for a private segment and for a removed one.
    pub key: Option<String>,
    /// The path of `--path` that has this key, and the project id.
    pub path: Option<String>,
    pub project_id: Option<i32>,
    pub attached: Option<u64>,
    pub last_pid: Option<i32>,
    pub removed: bool,
    pub locked: bool,
}

#[derive(Serialize, Debug)]
pub struct Channel {
    pub capacity: u64,
    pub used: u64,
    pub messages: u64,
    pub sent: u64,
    pub received: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sender: End,
    pub receiver: End,
    pub always_fenced: bool,
}

#[derive(Serialize, Debug)]
pub struct End {
    pub held: bool,
    /// Number of handles that share it.
    pub sharers: u32,
    pub sleeps: bool,
    pub sleep_word: u32,
    pub lock_word: u32,
    pub opens: u32,
    pub last_pid: i32,
}

#[derive(Serialize, Debug)]
pub struct Topic {
    pub max_message: u64,
    pub depth: u64,
    pub written: u64,
    pub writer: Writer,
    /// Number of handles that read; `null`: `/proc/locks` cannot be read.
    pub readers: Option<u64>,
    pub sleeps: bool,
    pub sleep_word: u32,
    pub always_fenced: bool,
}

impl Topic {
    /// Messages that it holds.
    pub fn messages(&self) -> u64 {
        self.written.min(self.depth)
    }
}

#[derive(Serialize, Debug)]
pub struct Writer {
    pub held: bool,
    pub opens: u32,
    pub last_pid: i32,
}

#[derive(Serialize, Debug)]
pub struct Semaphore {
    /// `units` or `events`; `null` for the set of another program.
    pub counts: Option<&'static str>,
    pub value: Option<u32>,
    /// Known for System V alone.
    pub waiters: Option<u32>,
    /// Number of semaphores in the System V set.
    pub set: Option<u64>,
}

#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    pub pid: i32,
    pub role: Role,
}

/// What a process does with an object.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds the sending end.
    Sender,
    /// Holds the receiving end.
    Receiver,
    /// Holds the writer's end of a topic.
    Writer,
    /// Has a topic open to read it.
    Reader,
    /// Has it open through this library.
    User,
    /// Has it open without this library, or looks at it.
    Opener,
    /// Has it mapped without a descriptor, or attached.
    Mapper,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::User => "user",
            Self::Opener => "opener",
            Self::Mapper => "mapper",
        }
    }
}
