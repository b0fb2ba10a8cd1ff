//! System V shared memory segments: `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`.

use core::ffi::{c_int, c_void};

use crate::error::{Call, Errno, Error};
use crate::info::{HugePages, Info};
use crate::key::Key;
use crate::sys;

/// Make the segment if there is none.
pub const CREATE: c_int = libc::IPC_CREAT;
/// With [`CREATE`]: fail if there is one already.
pub const EXCLUSIVE: c_int = libc::IPC_EXCL;

/// The id of the segment with this key; `size` in bytes, `flags` as `shmget(2)` takes them: mode
/// bits, [`CREATE`], [`EXCLUSIVE`].
#[inline]
pub fn get(key: Key, size: usize, flags: c_int) -> Result<c_int, Error> {
    Call::Shmget.of(sys::shmget(key.raw(), size, flags))
}

/// Attaches the segment, writable, at an address of the kernel's choice.
#[inline]
pub fn attach(id: c_int) -> Result<*mut c_void, Error> {
    Call::Shmat.of(sys::shmat(id, 0))
}

/// As [`attach`], for reading only.
pub fn attach_read_only(id: c_int) -> Result<*mut c_void, Error> {
    Call::Shmat.of(sys::shmat(id, libc::SHM_RDONLY))
}

/// Detaches the segment that is attached at this address.
///
/// # Safety
///
/// Nothing in this process may use the memory any more.
#[inline]
pub unsafe fn detach(address: *const c_void) -> Result<(), Error> {
    // SAFETY: the caller gives up the memory.
    Call::Shmdt.of(unsafe { sys::shmdt(address) })
}

/// Removes the segment: its key is free at once, its memory when the last process detaches.
#[inline]
pub fn remove(id: c_int) -> Result<(), Error> {
    Call::Shmctl.of(sys::shm_remove(id))
}

/// The error of a call with an id that [`get`] found: if the id has gone since, there is no segment
/// with its key.
pub(crate) fn absent_if_gone(error: Error) -> Error {
    match (error.call(), error.errno()) {
        (Call::Shmat | Call::Shmctl, Errno::EINVAL | Errno::EIDRM) => {
            Call::Shmget.failed(Errno::ENOENT)
        }
        _ => error,
    }
}

/// What the kernel knows about this segment; EACCES without permission to read it.
pub fn info(id: c_int) -> Result<Info, Error> {
    Call::Shmctl.of(sys::shm_stat(id).map(|ds| info_of(id, &ds)))
}

/// Whether any process is known to have it attached.
pub(crate) fn is_attached(id: c_int) -> bool {
    info(id).is_ok_and(|info| info.attached != Some(0))
}

/// As [`info`], and also for a segment that this process may not read, where the kernel allows that
/// (Linux 4.17 and later).
pub fn info_unchecked(id: c_int) -> Result<Info, Error> {
    let status = match sys::shm_stat(id) {
        Err(Errno::EACCES) => sys::shm_stat_any(id).map_err(|_| Errno::EACCES),
        status => status,
    };
    Call::Shmctl.of(status.map(|ds| info_of(id, &ds)))
}

fn info_of(id: c_int, ds: &libc::shmid_ds) -> Info {
    #[allow(clippy::useless_conversion, reason = "u16 or u32, by target")]
    let mode = u32::from(ds.shm_perm.mode);
    Info {
        size: ds.shm_segsz,
        mode: mode & 0o777,
        uid: ds.shm_perm.uid,
        gid: ds.shm_perm.gid,
        key: Some(Key::from_raw(key_of(&ds.shm_perm))),
        id: Some(id),
        creator_pid: ds.shm_cpid,
        last_pid: ds.shm_lpid,
        attached: Some(ds.shm_nattch),
        attach_time: ds.shm_atime,
        detach_time: ds.shm_dtime,
        change_time: ds.shm_ctime,
        removed: mode & sys::SHM_DEST != 0,
        locked: mode & sys::SHM_LOCKED != 0,
        huge_pages: HugePages::None,
    }
}

#[cfg(not(target_env = "musl"))]
fn key_of(perm: &libc::ipc_perm) -> libc::key_t {
    perm.__key
}

#[cfg(target_env = "musl")]
#[allow(
    deprecated,
    reason = "the libc crate has no other name for it on musl yet"
)]
fn key_of(perm: &libc::ipc_perm) -> libc::key_t {
    perm.__ipc_perm_key
}

/// Changes the permission bits.
pub fn change_mode(id: c_int, mode: u32) -> Result<(), Error> {
    change(id, |ds| ds.shm_perm.mode = mode as _)
}

/// Changes the owner.
pub fn change_owner(id: c_int, uid: u32, gid: u32) -> Result<(), Error> {
    change(id, |ds| (ds.shm_perm.uid, ds.shm_perm.gid) = (uid, gid))
}

/// Changes what `IPC_SET` can change, the rest left as it is.
fn change(id: c_int, change: impl FnOnce(&mut libc::shmid_ds)) -> Result<(), Error> {
    let mut ds = Call::Shmctl.of(sys::shm_stat(id))?;
    change(&mut ds);
    Call::Shmctl.of(sys::shm_set(id, &ds))
}

/// Keeps the segment in memory, so that it is never swapped; see `SHM_LOCK` in `shmctl(2)`.
pub fn lock(id: c_int) -> Result<(), Error> {
    Call::Shmctl.of(sys::shm_lock(id))
}

/// Lets the segment be swapped again.
pub fn unlock(id: c_int) -> Result<(), Error> {
    Call::Shmctl.of(sys::shm_unlock(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_segment_keeps_its_memory_until_the_last_detach() {
        let id = get(Key::PRIVATE, 100, CREATE | 0o600).unwrap();
        let before = info(id);
        let address = attach(id);
        remove(id).unwrap();

        let before = before.unwrap();
        assert_eq!(
            (before.size, before.mode, before.attached),
            (100, 0o600, Some(0))
        );
        assert_eq!(before.creator_pid as u32, std::process::id());
        let pending = info(id).unwrap();
        assert_eq!((pending.attached, pending.removed), (Some(1), true));
        let address = address.unwrap().cast::<u8>();
        // SAFETY: attached above, 100 bytes long.
        unsafe { address.write(7) };
        // SAFETY: as above.
        assert_eq!(unsafe { address.read() }, 7);

        // SAFETY: the memory is not used below.
        unsafe { detach(address.cast()) }.unwrap();
        assert_eq!(
            info(id).err().map(|error| error.errno()),
            Some(Errno::EINVAL)
        );
    }

    #[test]
    fn info_unchecked_names_the_same_segment() {
        let id = get(Key::PRIVATE, 123, CREATE | 0o640).unwrap();
        let any = sys::shm_stat_any(id).map(|ds| info_of(id, &ds));
        let info = info(id);
        remove(id).unwrap();
        assert_eq!(any.unwrap(), info.unwrap());
    }
}
