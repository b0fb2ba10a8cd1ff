//! What the kernel knows about a segment.

use core::ffi::c_int;

use crate::key::Key;

/// What the kernel knows about a segment: `shmctl(2)` with `IPC_STAT`, `fstat(2)`. A field that this
/// kind of memory does not have is `None` or 0.
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
    /// The System V key; 0 for a private segment and for a removed one.
    pub key: Option<Key>,
    /// The System V id.
    pub id: Option<c_int>,
    /// The creator; 0 if it is unknown, for example in another pid namespace.
    pub creator_pid: i32,
    /// The last process that attached or detached; 0 if it is unknown.
    pub last_pid: i32,
    /// The number of attachments.
    pub attached: Option<u64>,
    /// Last attach, or last access of a file, in seconds since 1970; 0: never.
    pub attach_time: i64,
    /// Last detach, in seconds since 1970; 0: never.
    pub detach_time: i64,
    /// Creation, or last change of owner or mode, in seconds since 1970.
    pub change_time: i64,
    /// It has no name any more; the last detach frees it.
    pub removed: bool,
    /// Its memory is never swapped.
    pub locked: bool,
    /// The pages that the [`Segment`](crate::Segment) got when it was opened.
    pub huge_pages: HugePages,
}

/// Kinds of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HugePages {
    /// Normal pages.
    #[default]
    None,
    /// Transparent huge pages, as far as the kernel can provide them.
    Transparent,
    /// Huge pages.
    Huge,
}
