//! System V shared memory segments: `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`.

use core::ffi::{c_int, c_void};

use crate::error::{Call, Errno, Error};
use crate::key::Key;
use crate::sys;

/// Make the segment if there is none.
pub const CREATE: c_int = libc::IPC_CREAT;
/// With [`CREATE`]: fail if there is one already.
pub const EXCLUSIVE: c_int = libc::IPC_EXCL;

/// What the kernel knows about a segment, see `shmctl(2)`.
#[derive(Clone, Copy)]
pub struct Info(libc::shmid_ds);

impl Info {
    /// Its key; 0 for a private one and for one that is removed but still attached.
    pub fn key(&self) -> Key {
        Key::from_raw(self.0.shm_perm.__key)
    }

    /// Its size in bytes, as asked for at its creation.
    pub fn size(&self) -> usize {
        self.0.shm_segsz
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        u32::from(self.0.shm_perm.mode) & 0o777
    }

    /// User id of the owner.
    pub fn uid(&self) -> u32 {
        self.0.shm_perm.uid
    }

    /// Group id of the owner.
    pub fn gid(&self) -> u32 {
        self.0.shm_perm.gid
    }

    /// The process that made it; 0 if it lives in another pid namespace.
    pub fn creator_pid(&self) -> i32 {
        self.0.shm_cpid
    }

    /// The last process that attached or detached; 0 if there was none.
    pub fn last_pid(&self) -> i32 {
        self.0.shm_lpid
    }

    /// How many times it is attached.
    pub fn attached(&self) -> u64 {
        self.0.shm_nattch
    }

    /// Last attach, in seconds since 1970; 0 if there was none.
    pub fn attach_time(&self) -> i64 {
        self.0.shm_atime
    }

    /// Last detach, likewise.
    pub fn detach_time(&self) -> i64 {
        self.0.shm_dtime
    }

    /// Creation or last change by `IPC_SET`, likewise.
    pub fn change_time(&self) -> i64 {
        self.0.shm_ctime
    }

    /// May not be swapped.
    pub fn locked(&self) -> bool {
        u32::from(self.0.shm_perm.mode) & sys::SHM_LOCKED != 0
    }

    /// Removed, and only kept until the last process detaches.
    pub fn removed(&self) -> bool {
        u32::from(self.0.shm_perm.mode) & sys::SHM_DEST != 0
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, creator_pid: i32, change_time: i64) -> Self {
        self.0.shm_cpid = creator_pid;
        self.0.shm_ctime = change_time;
        self
    }
}

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

/// What the kernel knows about this segment; EACCES without permission to read it.
pub fn info(id: c_int) -> Result<Info, Error> {
    Call::Shmctl.of(sys::shm_stat(id)).map(Info)
}

/// As [`info`], and also for a segment that this process may not read, where the kernel allows that
/// (Linux 4.17 and later).
pub fn info_unchecked(id: c_int) -> Result<Info, Error> {
    match info(id) {
        Err(error) if error.errno() == Errno::EACCES => {
            sys::shm_stat_any(id).map(Info).map_err(|_| error)
        }
        result => result,
    }
}

/// Changes the permission bits.
pub fn change_mode(id: c_int, mode: u32) -> Result<(), Error> {
    change(id, |ds| ds.shm_perm.mode = mode as libc::c_ushort)
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
            (before.size(), before.mode(), before.attached()),
            (100, 0o600, 0)
        );
        assert_eq!(before.creator_pid() as u32, std::process::id());
        let pending = info(id).unwrap();
        assert_eq!((pending.attached(), pending.removed()), (1, true));
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
        let any = sys::shm_stat_any(id).map(Info);
        let info = info(id);
        remove(id).unwrap();
        let what = |info: Info| (info.creator_pid(), info.mode(), info.size());
        assert_eq!(what(any.unwrap()), what(info.unwrap()));
    }
}
