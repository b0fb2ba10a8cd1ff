//! What the system knows about a segment.

use core::ffi::c_int;

use crate::key::Key;

/// What the system knows about a segment: `shmctl(2)` with `IPC_STAT`, `fstat(2)`. What a kind of
/// memory does not have is `None` or 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Info {
    /// The true size in bytes.
    pub size: usize,
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// The System V key; 0 for a private segment, and once it is removed.
    pub key: Option<Key>,
    /// The System V id.
    pub id: Option<c_int>,
    /// The process that made it; 0 where that is not known, as of another pid namespace.
    pub creator_pid: i32,
    /// The last process that attached or detached; 0 where that is not known.
    pub last_pid: i32,
    /// How many times it is attached.
    pub attached: Option<u64>,
    /// Last attach, or access of a file, in seconds since 1970; 0 if there was none.
    pub attach_time: i64,
    /// Last detach, likewise.
    pub detach_time: i64,
    /// Creation or last change of owner or mode, likewise.
    pub change_time: i64,
    /// It has no name any more, and goes with its last user.
    pub removed: bool,
    /// It is kept from being swapped.
    pub locked: bool,
    /// Which pages it got from the [`Segment`](crate::Segment) that was asked.
    pub huge_pages: HugePages,
}

/// Which pages a segment got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HugePages {
    /// Normal ones.
    #[default]
    None,
    /// Transparent huge pages are asked for, and the kernel gives them where it can.
    Transparent,
    /// Huge pages.
    Huge,
}
