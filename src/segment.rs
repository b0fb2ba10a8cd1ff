//! The segments of `shmcomm.h`.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};
use core::ptr::{self, NonNull};

use libc::{gid_t, key_t, mode_t, pid_t, uid_t};
use shmcomm_core::info::{HugePages, Info};
use shmcomm_core::segment::{self, Options};
use shmcomm_core::{Error, Name, Segment};

use crate::open::{SHMC_CREATE, SHMC_EXCL, parse};
use crate::{errno, heap};

/// Attach for reading only: a write to the memory is SIGSEGV.
pub const SHMC_RDONLY: c_int = 0x4;
/// Replace a stale segment (with SHMC_CREATE): owned by the caller, attached by
/// no process, its creator exited. If any of this is uncertain, the segment is
/// kept: the call opens it, or with SHMC_EXCL fails with EEXIST.
///
/// An object or a file is replaced only if this library created it, on a file
/// system with extended attributes (tmpfs has them since Linux 6.6).
/// shmc_sem_open takes this flag for posix: and file: names.
pub const SHMC_RECLAIM: c_int = 0x8;
/// Make all pages present now, so that no later access takes a page fault.
pub const SHMC_PREFAULT: c_int = 0x10;
/// Use huge pages if there are any, else transparent huge pages, else normal
/// ones. shmc_segment_stat reports which.
pub const SHMC_HUGE: c_int = 0x20;
/// Lock the memory, like shmc_segment_lock.
pub const SHMC_LOCKED: c_int = 0x40;
/// shmc_segment_info.pages: normal pages.
pub const SHMC_PAGES_NORMAL: c_int = 0;
/// shmc_segment_info.pages: transparent huge pages, where the kernel has them.
pub const SHMC_PAGES_TRANSPARENT: c_int = 1;
/// shmc_segment_info.pages: huge pages.
pub const SHMC_PAGES_HUGE: c_int = 2;

/// An open segment.
pub struct shmc_segment(Segment);

/// The state of a segment (shmc_segment_stat). Times are seconds since 1970.
#[repr(C)]
pub struct shmc_segment_info {
    /// True size in bytes.
    pub size: usize,
    /// Permission bits.
    pub mode: mode_t,
    /// User id of the owner.
    pub uid: uid_t,
    /// Group id of the owner.
    pub gid: gid_t,
    /// System V key; 0 if it is private or removed, and for other memory.
    pub key: key_t,
    /// System V id; -1 for other memory.
    pub id: c_int,
    /// Process that created it; 0: unknown.
    pub creator_pid: pid_t,
    /// Last process that attached or detached it; 0: unknown.
    pub last_pid: pid_t,
    /// Number of attachments; -1: unknown, for all but System V.
    pub attached: i64,
    /// Last attach, or last access to a file; 0: never.
    pub atime: i64,
    /// Last detach; 0: never.
    pub dtime: i64,
    /// Creation, or last change of owner or mode.
    pub ctime: i64,
    /// 1: its name is removed, and its last user frees it.
    pub removed: c_int,
    /// 1: its memory is locked, so it is not swapped.
    pub locked: c_int,
    /// One of SHMC_PAGES_NORMAL, SHMC_PAGES_TRANSPARENT, SHMC_PAGES_HUGE.
    pub pages: c_int,
    /// 0; room for later fields.
    pub reserved: [u64; 4],
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
            reserved: [0; 4],
        }
    }
}

/// Opens a segment and attaches it, at an address that the kernel chooses.
///
/// name: any name. "anon:" and "sysv:private" are created at each open, with or
/// without SHMC_CREATE.
/// size: bytes. A new segment has this size; an existing one must have at least
/// this size, and 0 accepts any. The whole segment is attached.
/// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_RDONLY, SHMC_RECLAIM,
/// SHMC_PREFAULT, SHMC_HUGE, SHMC_LOCKED.
/// mode: the exact permission bits of a new segment, whatever the umask; 0600
/// lets only the owner use it.
///
/// A new segment is filled with zeros. No process sees a segment half created,
/// even if its creator is killed. posix: and file: memory is allocated at once,
/// so a full file system is ENOSPC here and not SIGBUS later.
///
/// Memory other than System V counts as a file: if a new segment is larger than
/// RLIMIT_FSIZE, the kernel sends SIGXFSZ, which kills the process unless it is
/// ignored or handled; the call then fails with EFBIG.
///
/// Returns the segment; on failure NULL with errno:
///   EINVAL   the name or a flag is invalid, or mode is beyond 0777; SHMC_EXCL
///            or SHMC_RECLAIM without SHMC_CREATE; SHMC_CREATE with sysv:id:;
///            size is 0 for a new segment, beyond a limit, or larger than the
///            existing segment; the existing object is empty or no regular file
///   EINVAL, EIDRM  a sysv:id: segment that was removed
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such segment, and SHMC_CREATE is not set; or the path
///            for the key or the file does not exist
///   EEXIST   SHMC_EXCL, and the segment exists
///   EACCES   the mode does not permit it; or SHMC_CREATE found a POSIX object
///            of another user, who may have planted it
///   ELOOP    the POSIX name is a symbolic link; a file: path is one and
///            SHMC_CREATE or SHMC_RECLAIM would create or replace through it;
///            or the path has too many of them
///   ENOSPC   the file system is full, or no System V segment is allowed
///   ENOMEM   not enough memory or address space, or more locked than allowed
///   EPERM    SHMC_LOCKED, and locking is not permitted; or a sandbox denies a
///            call
///   EAGAIN   SHMC_LOCKED, and not all memory could be locked; or memory is
///            short
///   EFAULT   SHMC_PREFAULT, and another process has shrunk the object
///   EBUSY    other processes created and removed it at every attempt, or one
///            holds its flock(2)
///   EMFILE, ENFILE  too many open files
///   ENOSYS   the kernel or a sandbox lacks a call that this memory needs
///   EFBIG, EISDIR, ENOTDIR, EROFS  as in open(2) and posix_fallocate(3)
///   EDQUOT, EINTR, EIO, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, ETXTBSY from the
///            file system, as in open(2), posix_fallocate(3), mmap(2)
///
/// Follows shmget(2), shmat(2), shm_open(3), mmap(2).
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

/// Returns the address of the segment's first byte, on a page boundary; NULL
/// for NULL. It is valid until shmc_segment_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_addr(segment: *const shmc_segment) -> *mut c_void {
    // SAFETY: the caller's promise.
    match unsafe { segment.as_ref() } {
        Some(segment) => segment.0.as_ptr().cast(),
        None => ptr::null_mut(),
    }
}

/// Returns the segment's true size in bytes when it was opened, all of which is
/// attached; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_size(segment: *const shmc_segment) -> usize {
    // SAFETY: the caller's promise.
    unsafe { segment.as_ref() }.map_or(0, |segment| segment.0.size())
}

/// Reads the segment's present state into info.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment or info is NULL
///   EINVAL, EIDRM  the System V segment was removed
///   EACCES         the mode no longer permits it
///   EIO, ENOMEM, EOVERFLOW  as in fstat(2), shmctl(2)
///
/// Follows fstat(2), shmctl(2) with IPC_STAT.
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

/// Changes the permission bits. Processes that have attached the segment keep
/// it.
///
/// mode: at most 0777.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment is NULL, or mode is beyond 0777
///   EINVAL, EIDRM  the System V segment was removed
///   EPERM          the caller is neither privileged nor its owner, nor the
///                  creator of a System V segment
///   EACCES         a System V segment whose mode denies the caller to read it
///   EIO, EROFS, EOVERFLOW  as in fchmod(2), shmctl(2)
///
/// Follows fchmod(2), shmctl(2) with IPC_SET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_chmod(segment: *mut shmc_segment, mode: mode_t) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.set_mode(mode)) }
}

/// Changes the owner and the group.
///
/// Returns 0; on failure -1 with errno as shmc_segment_chmod, and:
///   EDQUOT  the new owner's quota of disk blocks is used up
///
/// Follows fchown(2), shmctl(2) with IPC_SET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_chown(
    segment: *mut shmc_segment,
    uid: uid_t,
    gid: gid_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.set_owner(uid, gid)) }
}

/// Locks the memory, so that it is not swapped: a System V segment until
/// shmc_segment_unlock, other memory for this process and this handle.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment is NULL
///   EINVAL, EIDRM  the System V segment was removed
///   ENOMEM, EPERM  more than RLIMIT_MEMLOCK allows, or not permitted at all
///   EAGAIN         not all of the memory could be locked
///
/// Follows mlock(2), shmctl(2) with SHM_LOCK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_lock(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, Segment::lock) }
}

/// Unlocks the memory, so that it may be swapped.
///
/// Returns 0; on failure -1 with errno as shmc_segment_lock.
///
/// Follows munlock(2), shmctl(2) with SHM_UNLOCK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_unlock(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, Segment::unlock) }
}

/// Waits until the file contains what the memory contains. Does nothing for
/// other memory.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  segment is NULL
///   EIO     the file cannot be written
///   EDQUOT, ENOMEM, ENOSPC  as in msync(2), fsync(2)
///
/// Follows msync(2) with MS_SYNC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_sync(segment: *mut shmc_segment) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(segment, |segment| segment.sync()) }
}

/// Detaches the segment from this process and frees the handle. The segment
/// stays, unless it is removed and this was its last user.
///
/// Returns 0.
///
/// Follows shmdt(2), munmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_segment_close(segment: *mut shmc_segment) -> c_int {
    if let Some(segment) = NonNull::new(segment) {
        // SAFETY: from shmc_segment_open, and the caller's promise.
        drop(unsafe { heap::from_heap(segment) });
    }
    0
}

/// Removes a segment or a channel. Its name is free at once; processes that
/// have attached it keep it until they detach.
///
/// name: any name but "anon:" and "sysv:private". A private segment is removed
/// as "sysv:id:N"; shmc_segment_stat reports its id.
///
/// If another process is replacing the object (SHMC_RECLAIM), the call waits
/// for it, 200 ms at most.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         the name is invalid, or has nothing to remove
///   EINVAL, EIDRM  a sysv:id: segment that was removed
///   ENAMETOOLONG   the path or POSIX name is too long
///   ENOENT         there is no such segment, or no such path
///   EACCES, EPERM  not permitted
///   EBUSY, EIO, EISDIR, ELOOP, ENOMEM, ENOTDIR, EROFS  as in unlink(2)
///   ENOSYS         the kernel or a sandbox lacks System V shared memory
///
/// Follows unlink(2), shm_unlink(3), shmctl(2) with IPC_RMID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_remove(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    errno::done(unsafe { parse(name) }.and_then(segment::remove))
}

/// Calls the core with a segment; NULL is EINVAL.
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
