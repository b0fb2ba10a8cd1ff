//! System V segments: what the kernel knows about one, and changes of it.

use core::ffi::c_int;

use crate::error::{Call, Errno, Error};
use crate::info::{HugePages, Info};
use crate::key::Key;
use crate::sys;

/// What the kernel knows about this segment; EACCES without permission to read it.
pub fn info(id: c_int) -> Result<Info, Error> {
    sys::shmctl_stat(id).map(|ds| info_of(id, &ds))
}

/// Same as [`info`], and without permission to read it, if the kernel allows that (Linux 4.17).
#[inline(never)]
pub fn info_unchecked(id: c_int) -> Result<Info, Error> {
    match info(id) {
        Err(error) if error.errno == Errno::EACCES => {
            let any = sys::shmctl_stat_any(id).map_err(|_| error);
            any.map(|ds| info_of(id, &ds))
        }
        info => info,
    }
}

/// Calls `each` with every segment of this IPC namespace that the kernel lets this process see.
pub fn for_each_segment(mut each: impl FnMut(Info)) -> Result<(), Error> {
    let (highest, _) = sys::shmctl_info()?;
    for (id, ds) in (0..=highest).filter_map(|slot| sys::shmctl_stat_slot(slot).ok()) {
        each(info_of(id, &ds));
    }
    Ok(())
}

/// Whether a call has failed because there is no such segment any more.
pub fn is_gone(error: Error) -> bool {
    matches!(error.errno, Errno::EINVAL | Errno::EIDRM)
}

/// The error of a call with an id that `shmget(2)` found: if the segment was removed since, there
/// is none with its key.
pub fn absent_if_gone(error: Error) -> Error {
    match error.call {
        Call::Shmat | Call::Shmctl if is_gone(error) => Call::Shmget.failed(Errno::ENOENT),
        _ => error,
    }
}

#[inline(never)]
fn info_of(id: c_int, ds: &libc::shmid_ds) -> Info {
    #[allow(clippy::useless_conversion, reason = "u16 or u32, by target")]
    let mode = u32::from(ds.shm_perm.mode);
    Info {
        size: ds.shm_segsz,
        mode: mode & 0o777,
        uid: ds.shm_perm.uid,
        gid: ds.shm_perm.gid,
        key: Some(key_of(&ds.shm_perm)),
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

/// The key, 0 for a private segment and for a removed one.
#[cfg(not(target_env = "musl"))]
pub fn key_of(perm: &libc::ipc_perm) -> Key {
    Key::from_raw(perm.__key)
}

#[cfg(target_env = "musl")]
#[allow(
    deprecated,
    reason = "the libc crate has no other name for it on musl yet"
)]
pub fn key_of(perm: &libc::ipc_perm) -> Key {
    Key::from_raw(perm.__ipc_perm_key)
}

/// Changes the permission bits.
pub fn chmod(id: c_int, mode: u32) -> Result<(), Error> {
    change(id, |ds| ds.shm_perm.mode = mode as _)
}

/// Changes the owner.
pub fn chown(id: c_int, uid: u32, gid: u32) -> Result<(), Error> {
    change(id, |ds| (ds.shm_perm.uid, ds.shm_perm.gid) = (uid, gid))
}

/// Changes what `IPC_SET` can change; all else stays as it is.
fn change(id: c_int, change: impl FnOnce(&mut libc::shmid_ds)) -> Result<(), Error> {
    let mut ds = sys::shmctl_stat(id)?;
    change(&mut ds);
    sys::shmctl_set(id, &ds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_segment_keeps_its_memory_until_the_last_detach() {
        let id = sys::shmget(libc::IPC_PRIVATE, 100, 0o600).unwrap();
        let before = info(id);
        let address = sys::shmat(id, 0);
        sys::shmctl_rmid(id).unwrap();

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
        unsafe { sys::shmdt(address.cast()) }.unwrap();
        assert_eq!(
            info(id).err().map(|error| error.errno()),
            Some(Errno::EINVAL)
        );
    }

    #[test]
    fn info_unchecked_names_the_same_segment() {
        let id = sys::shmget(libc::IPC_PRIVATE, 123, 0o640).unwrap();
        let any = sys::shmctl_stat_any(id).map(|ds| info_of(id, &ds));
        let info = info(id);
        sys::shmctl_rmid(id).unwrap();
        assert_eq!(any.unwrap(), info.unwrap());
    }
}
