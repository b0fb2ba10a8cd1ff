//! The segments of `shmcomm.h`.
#![allow(non_camel_case_types)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{self, NonNull};

use libc::{gid_t, key_t, mode_t, pid_t, uid_t};
use shmcomm_core::info::{HugePages, Info};
use shmcomm_core::segment::{self, Options};
use shmcomm_core::{Error, Name, Segment};

use crate::{errno, heap};

/// Make the segment if there is none.
pub const SHMC_CREATE: c_int = 1;
/// With SHMC_CREATE: fail with EEXIST if there is one.
pub const SHMC_EXCL: c_int = 2;
/// Attach for reading only: a write to the memory faults (SIGSEGV).
pub const SHMC_RDONLY: c_int = 4;
/// With SHMC_CREATE: replace a segment that is provably left over, which is one of the caller's own
/// that nobody has attached and whose creator has ended. When in doubt, it stays: it is opened, or
/// with SHMC_EXCL refused. Of objects and
/// files, only those that this library made can be told; they must lie on a file system with
/// extended attributes (tmpfs has them from Linux 6.6 on).
pub const SHMC_RECLAIM: c_int = 8;
/// Make all pages present now, so that no first touch takes a fault later.
pub const SHMC_PREFAULT: c_int = 16;
/// Use huge pages if there are any, else transparent ones, else normal ones;
/// shmc_segment_stat says which.
pub const SHMC_HUGE: c_int = 32;
/// Keep the memory from being swapped, as shmc_segment_lock.
pub const SHMC_LOCKED: c_int = 64;
/// Of shmc_channel_open and shmc_sem_open: a signal handler that runs in the waiting thread ends the
/// wait with EINTR. A handler that runs in the moment before the thread falls asleep does not: at the
/// beginning, and each 80 ms when a channel's waiter looks for its peer. A program that must not miss
/// it has the handler repeat the signal, as with alarm(2).
pub const SHMC_INTR: c_int = 2048;

/// In shmc_segment_info: normal pages.
pub const SHMC_PAGES_NORMAL: c_int = 0;
/// In shmc_segment_info: transparent huge pages, where the kernel can give them.
pub const SHMC_PAGES_TRANSPARENT: c_int = 1;
/// In shmc_segment_info: huge pages.
pub const SHMC_PAGES_HUGE: c_int = 2;

/// An open segment. It belongs to the process that opened it and to its children, each of which
/// closes its own.
pub struct shmc_segment(Segment);

/// What shmc_segment_stat tells.
#[repr(C)]
pub struct shmc_segment_info {
    /// True size in bytes.
    pub size: usize,
    /// Permission bits.
    pub mode: mode_t,
    /// Owner.
    pub uid: uid_t,
    /// Group.
    pub gid: gid_t,
    /// System V key; 0 for a private segment, for one that is removed, and for other memory.
    pub key: key_t,
    /// System V id; -1 for other memory.
    pub id: c_int,
    /// The process that made it; 0 if that is not known.
    pub creator_pid: pid_t,
    /// The last process that attached or detached; 0 if that is not known.
    pub last_pid: pid_t,
    /// How many times it is attached; -1 if that is not known (all but System V).
    pub attached: i64,
    /// Last attach, or last access of a file, in seconds since 1970; 0: never.
    pub atime: i64,
    /// Last detach, likewise.
    pub dtime: i64,
    /// Creation or last change of owner or mode, likewise.
    pub ctime: i64,
    /// 1 if it has no name any more, and goes with its last user.
    pub removed: c_int,
    /// 1 if it is kept from being swapped.
    pub locked: c_int,
    /// SHMC_PAGES_NORMAL, SHMC_PAGES_TRANSPARENT or SHMC_PAGES_HUGE.
    pub pages: c_int,
}

impl From<Info> for shmc_segment_info {
    fn from(info: Info) -> Self {
        Self {
            size: info.size,
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            key: info.key.map_or(0, |key| key.raw()),
            id: info.id.unwrap_or(-1),
            creator_pid: info.creator_pid,
            last_pid: info.last_pid,
            attached: info.attached.map_or(-1, |attached| attached as i64),
            atime: info.attach_time,
            dtime: info.detach_time,
            ctime: info.change_time,
            removed: info.removed.into(),
            locked: info.locked.into(),
            pages: match info.huge_pages {
                HugePages::None => SHMC_PAGES_NORMAL,
                HugePages::Transparent => SHMC_PAGES_TRANSPARENT,
                HugePages::Huge => SHMC_PAGES_HUGE,
            },
        }
    }
}

/// Opens a segment and attaches it, at an address of the kernel's choice.
///
/// name: which memory, by the grammar at the top of this header.
/// size: bytes; a new segment's size, or what an existing one must at least have. 0 takes an
/// existing one as it is. The whole segment is attached, however large it is.
/// flags: 0 or any of SHMC_CREATE, SHMC_EXCL, SHMC_RDONLY, SHMC_RECLAIM, SHMC_PREFAULT, SHMC_HUGE,
/// SHMC_LOCKED.
/// mode: permission bits of a new segment, exactly, whatever the umask (0600: the owner alone).
///
/// "anon:" and "sysv:private" are always new, with or without SHMC_CREATE. A new segment is filled with zeros. The memory of a
/// posix: or file: name is allocated at once: a full file system is ENOSPC now, not SIGBUS later. A posix: or file: name is there
/// whole or not at all, at whatever moment its creator is killed; a sysv: segment is whole from the
/// moment it is there.
///
/// Memory other than sysv: counts as a file: a new segment larger than RLIMIT_FSIZE gets the process
/// SIGXFSZ, which ends it, or EFBIG where that signal is ignored or handled.
///
/// Returns the segment; NULL on failure, with errno:
///   EINVAL        the name, a flag, or a mode beyond 0777; SHMC_EXCL or SHMC_RECLAIM without
///                 SHMC_CREATE; SHMC_CREATE of a sysv:id:; size 0 for a new segment, or beyond a
///                 limit; the existing one is smaller, is empty, or is no regular file
///   ENAMETOOLONG  a path or POSIX name that is too long
///   ENOENT        there is no such segment, or no such path for the key or file
///   EEXIST        SHMC_EXCL, and there is one
///   EACCES        the mode does not permit it; or SHMC_CREATE found a POSIX object of another
///                 user's, which may be planted
///   ELOOP         the POSIX name is a symbolic link; a file: path is one, and SHMC_CREATE or
///                 SHMC_RECLAIM would create or replace through it; a path has too many of them
///   ENOTDIR, EISDIR, EROFS, EFBIG   as open(2) and posix_fallocate(3)
///   ENOSPC        no memory or blocks left on the file system, or no System V segment allowed
///   ENOMEM        not enough memory or address space, or more locked than is allowed
///   EPERM         SHMC_LOCKED, and not allowed to lock; or a sandbox refuses a call
///   EAGAIN        SHMC_LOCKED, and not all memory could be locked; or memory is short now
///   EFAULT        SHMC_PREFAULT, and another process has made the object smaller
///   ENOSYS        the kernel, or a sandbox, lacks a call that this memory needs
///   EDQUOT, EINTR, EIO, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, ETXTBSY
///                 from the file system, as open(2), posix_fallocate(3), mmap(2)
///   EMFILE, ENFILE  too many open files
///   EINVAL, EIDRM a sysv:id: that is gone
///   EBUSY         others made and removed it the whole time, or somebody holds its flock(2)
///
/// Thread-safe. Not async-signal-safe. A child of fork(2) has the segment too; exec(2) detaches.
/// Follows shmget(2), shmat(2), shm_open(3), mmap(2).
///
/// # Safety
///
/// name is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_open(
    name: *const c_char,
    size: usize,
    flags: c_int,
    mode: mode_t,
) -> *mut shmc_segment {
    errno::handle(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { parse(name) }?;
        open(name, size, flags, mode).map(shmc_segment)
    })
}

fn open(name: Name<'_>, size: usize, flags: c_int, mode: mode_t) -> Result<Segment, Error> {
    const ALL: c_int = SHMC_CREATE
        | SHMC_EXCL
        | SHMC_RDONLY
        | SHMC_RECLAIM
        | SHMC_PREFAULT
        | SHMC_HUGE
        | SHMC_LOCKED;
    if flags & !ALL != 0 {
        return Err(Error::INVALID);
    }
    let has = |flag| flags & flag != 0;
    let options = Options {
        size,
        mode,
        create: has(SHMC_CREATE),
        exclusive: has(SHMC_EXCL),
        read_only: has(SHMC_RDONLY),
        reclaim: has(SHMC_RECLAIM),
        prefault: has(SHMC_PREFAULT),
        huge_pages: has(SHMC_HUGE),
        locked: has(SHMC_LOCKED),
    };
    options.open(name)
}

/// # Safety
///
/// The name is NULL or a string that outlives the result.
pub unsafe fn parse<'a>(name: *const c_char) -> Result<Name<'a>, Error> {
    if name.is_null() {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    Ok(Name::parse(name.to_bytes())?)
}

/// The segment's first byte, on a page boundary; valid until shmc_segment_close. NULL for NULL.
///
/// Thread-safe and async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_addr(segment: *const shmc_segment) -> *mut c_void {
    // SAFETY: the caller's promise.
    match unsafe { segment.as_ref() } {
        Some(segment) => segment.0.as_ptr().cast(),
        None => ptr::null_mut(),
    }
}

/// The segment's true size in bytes when it was opened, whoever made it: so much is attached. 0 for
/// NULL.
///
/// Thread-safe and async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_size(segment: *const shmc_segment) -> usize {
    // SAFETY: the caller's promise.
    unsafe { segment.as_ref() }.map_or(0, |segment| segment.0.size())
}

/// Tells what the system knows about the segment now: shmctl(2) with IPC_STAT, fstat(2).
///
/// info: filled on success.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL         segment or info is NULL
///   EACCES         the mode does not permit it any more
///   EINVAL, EIDRM  a System V segment that is gone
///   EIO, ENOMEM, EOVERFLOW  as fstat(2), shmctl(2)
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open; info is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_stat(
    segment: *const shmc_segment,
    info: *mut shmc_segment_info,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(segment), false) = (unsafe { segment.as_ref() }, info.is_null()) else {
        return errno::failed(Error::INVALID);
    };
    match segment.0.info() {
        Ok(found) => {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { info.write(found.into()) };
            0
        }
        Err(error) => errno::failed(error),
    }
}

/// Changes the permission bits: IPC_SET, fchmod(2). Who is attached stays attached.
///
/// mode: permission bits, at most 0777.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL         segment is NULL, or mode is beyond 0777
///   EPERM          neither the owner (or a System V segment's creator) nor privileged
///   EACCES         a System V segment whose mode does not let the caller read it
///   EINVAL, EIDRM  a System V segment that is gone
///   EIO, EROFS, EOVERFLOW  as fchmod(2), shmctl(2)
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_chmod(segment: *mut shmc_segment, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.set_mode(mode)) }
}

/// Changes the owner and the group: IPC_SET, fchown(2).
///
/// Returns 0; -1 on failure, with errno as shmc_segment_chmod, and:
///   EDQUOT  the new owner's quota of disk blocks is used up
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_chown(
    segment: *mut shmc_segment,
    uid: uid_t,
    gid: gid_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.set_owner(uid, gid)) }
}

/// Keeps the memory from being swapped: SHM_LOCK, which holds for a System V segment until
/// shmc_segment_unlock, or mlock(2), which holds for this process and this handle.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL         segment is NULL
///   ENOMEM, EPERM  more than RLIMIT_MEMLOCK allows, or not allowed at all
///   EAGAIN         not all of the memory could be locked
///   EINVAL, EIDRM  a System V segment that is gone
///
/// Not for two threads on the same handle at the same time. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_lock(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, Segment::lock) }
}

/// Lets the memory be swapped again: SHM_UNLOCK, munlock(2).
///
/// Returns 0; -1 on failure, with errno as shmc_segment_lock.
///
/// Not for two threads on the same handle at the same time. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_unlock(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, Segment::unlock) }
}

/// Waits until a file holds what its memory does: msync(2) with MS_SYNC. Nothing to do for memory
/// without a file.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL  segment is NULL
///   EIO     the file cannot be written
///   EDQUOT, ENOMEM, ENOSPC  as msync(2), fsync(2)
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// segment is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_sync(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.sync()) }
}

/// Detaches the segment from this process and frees the handle; the segment itself stays, unless it
/// has been removed and nobody else has it. NULL is fine.
///
/// Returns 0.
///
/// Thread-safe, for a handle that no other thread uses. Not async-signal-safe. In a child of fork(2)
/// it detaches the child alone.
///
/// # Safety
///
/// segment is NULL or open, and not used any more, nor is its memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_close(segment: *mut shmc_segment) -> c_int {
    if let Some(segment) = NonNull::new(segment) {
        // SAFETY: from shmc_segment_open, and the caller's promise.
        drop(unsafe { heap::from_heap(segment) });
    }
    0
}

/// Removes the segment of this name: IPC_RMID, unlink(2). The name is free at once; who has the
/// segment attached keeps it until it detaches. While another process replaces an object by
/// SHMC_RECLAIM, the call waits for it, 200 ms at most. A private segment is removed by its id, which
/// shmc_segment_stat tells: "sysv:id:N".
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL         no name, or "anon:" or "sysv:private", which have nothing to remove
///   ENAMETOOLONG   a path or POSIX name that is too long
///   ENOENT         there is no such segment, or no such path
///   EACCES, EPERM  not permitted
///   EINVAL, EIDRM  a sysv:id: that is gone
///   EISDIR, ENOTDIR, ELOOP, EBUSY, EROFS, EIO, ENOMEM   as unlink(2)
///   ENOSYS         the kernel, or a sandbox, lacks System V shared memory
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// name is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_remove(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    errno::done(unsafe { parse(name) }.and_then(segment::remove))
}

/// The library's version, such as "0.1.0"; a constant string.
///
/// Thread-safe and async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn shmc_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// # Safety
///
/// The segment is NULL or open.
unsafe fn with(
    segment: *mut shmc_segment,
    call: impl FnOnce(&mut Segment) -> Result<(), Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { segment.as_mut() } {
        Some(segment) => errno::done(call(&mut segment.0)),
        None => errno::failed(Error::INVALID),
    }
}
