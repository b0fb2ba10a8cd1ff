//! System V keys and shared memory.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::error::{Call, Errno, Error};

/// The mode bit of a segment that is removed but still attached, see `shmctl(2)`.
pub const SHM_DEST: u32 = 0o1000;
/// The mode bit of a segment that may not be swapped.
pub const SHM_LOCKED: u32 = 0o2000;
/// Same as `SHM_STAT`, without read permission; Linux 4.17.
const SHM_STAT_ANY: c_int = 15;
/// The number of slots: the id of a segment is its slot plus a multiple of this.
const IPCMNI: c_int = 32768;

/// A path that a thread may pass to the system while another thread stores the same path again.
pub struct SharedPath([AtomicU8; Self::SIZE]);

impl SharedPath {
    /// One byte more than the system takes: a path that is too long stays too long.
    pub const SIZE: usize = libc::PATH_MAX as usize + 1;

    pub const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; Self::SIZE])
    }

    /// Stores the path, cut if it does not fit; the last byte stays 0.
    #[inline(never)]
    pub fn store(&self, path: impl Iterator<Item = u8>) {
        let room = self.0.iter().take(Self::SIZE.saturating_sub(1));
        for (to, byte) in room.zip(path.chain([0])) {
            to.store(byte, Relaxed);
        }
    }

    pub fn bytes(&self) -> impl Iterator<Item = u8> {
        let bytes = self.0.iter().map(|byte| byte.load(Relaxed));
        bytes.take_while(|byte| *byte != 0)
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// The longest path of a current directory, with its NUL.
pub const DIRECTORY_SIZE: usize = libc::PATH_MAX as usize;

/// The current directory; `None` if it has no path, or none that fits.
pub fn getcwd(buffer: &mut [u8; DIRECTORY_SIZE]) -> Option<&CStr> {
    // SAFETY: the length is the buffer's.
    let path = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if path.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(buffer).ok()
}

#[inline]
pub fn ftok(path: &CStr, id: c_int) -> Result<libc::key_t, Error> {
    // SAFETY: the path ends with NUL.
    checked_key(unsafe { libc::ftok(path.as_ptr(), id) })
}

#[inline]
pub fn ftok_shared(path: &SharedPath, id: c_int) -> Result<libc::key_t, Error> {
    // SAFETY: the path ends with NUL, since its last byte is never written.
    checked_key(unsafe { libc::ftok(path.as_ptr(), id) })
}

#[inline]
fn checked_key(key: libc::key_t) -> Result<libc::key_t, Error> {
    match key {
        -1 => Err(Call::Ftok.has_failed()),
        _ => Ok(key),
    }
}

#[inline]
pub fn shmget(key: libc::key_t, size: usize, flags: c_int) -> Result<c_int, Error> {
    // SAFETY: takes no pointer.
    Call::Shmget.not_negative(unsafe { libc::shmget(key, size, flags) })
}

/// Attaches a segment at an address of the kernel's choice.
#[inline]
pub fn shmat(id: c_int, flags: c_int) -> Result<*mut c_void, Error> {
    // SAFETY: the kernel chooses the address, so no mapping is replaced.
    let address = unsafe { libc::shmat(id, ptr::null(), flags) };
    match address.addr() {
        usize::MAX => Err(Call::Shmat.has_failed()),
        _ => Ok(address),
    }
}

/// Detaches the segment that is attached at this address.
///
/// # Safety
///
/// Nothing in this process uses the memory any more.
#[inline]
pub unsafe fn shmdt(address: *const c_void) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    Call::Shmdt.checked(unsafe { libc::shmdt(address) })
}

/// Removes a segment: its key is free at once, its memory when the last process detaches.
#[inline]
pub fn shmctl_rmid(id: c_int) -> Result<(), Error> {
    // SAFETY: IPC_RMID reads no buffer.
    Call::Shmctl.checked(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) })
}

pub fn shmctl_set(id: c_int, ds: &libc::shmid_ds) -> Result<(), Error> {
    // SAFETY: IPC_SET only reads the buffer.
    Call::Shmctl.checked(unsafe { libc::shmctl(id, libc::IPC_SET, ptr::from_ref(ds).cast_mut()) })
}

pub fn shmctl_lock(id: c_int) -> Result<(), Error> {
    // SAFETY: SHM_LOCK reads no buffer.
    Call::Shmctl.checked(unsafe { libc::shmctl(id, libc::SHM_LOCK, ptr::null_mut()) })
}

pub fn shmctl_unlock(id: c_int) -> Result<(), Error> {
    // SAFETY: SHM_UNLOCK reads no buffer.
    Call::Shmctl.checked(unsafe { libc::shmctl(id, libc::SHM_UNLOCK, ptr::null_mut()) })
}

pub fn shmctl_stat(id: c_int) -> Result<libc::shmid_ds, Error> {
    // SAFETY: the buffer has the type that IPC_STAT fills.
    unsafe { Call::Shmctl.filled(|ds| libc::shmctl(id, libc::IPC_STAT, ds)) }
}

/// Same as [`shmctl_stat`], without read permission. EINVAL for an id that is stale.
pub fn shmctl_stat_any(id: c_int) -> Result<libc::shmid_ds, Error> {
    let slot = id.rem_euclid(IPCMNI);
    let mut found = -1;
    let call = |ds| {
        // SAFETY: the buffer has the type that SHM_STAT_ANY fills.
        found = unsafe { libc::shmctl(slot, SHM_STAT_ANY, ds) };
        found
    };
    // SAFETY: as above.
    let ds = unsafe { Call::Shmctl.filled(call) }?;
    match found == id {
        true => Ok(ds),
        false => Err(Call::Shmctl.failed(Errno::EINVAL)),
    }
}

/// The highest slot in use, and the pages that all segments have together.
pub fn shmctl_info() -> Result<(c_int, u64), Error> {
    const SHM_INFO: c_int = 14;

    /// As in `shmctl(2)`.
    #[repr(C)]
    struct ShmInfo {
        used_ids: c_int,
        pages: libc::c_ulong,
        resident: libc::c_ulong,
        swapped: libc::c_ulong,
        unused: [libc::c_ulong; 2],
    }

    let mut highest = -1;
    let call = |info: *mut ShmInfo| {
        // SAFETY: the buffer has the type that SHM_INFO fills.
        highest = unsafe { libc::shmctl(0, SHM_INFO, info.cast()) };
        highest
    };
    // SAFETY: as above.
    let info = unsafe { Call::Shmctl.filled(call) }?;
    Ok((highest, info.pages))
}

/// The id and the state of the segment in a slot. Without read permission too, where the kernel allows that.
pub fn shmctl_stat_slot(slot: c_int) -> Result<(c_int, libc::shmid_ds), Error> {
    const SHM_STAT: c_int = 13;

    let stat = |command| {
        let mut id = -1;
        let call = |ds| {
            // SAFETY: the buffer has the type that both commands fill.
            id = unsafe { libc::shmctl(slot, command, ds) };
            id
        };
        // SAFETY: as above.
        let ds = unsafe { Call::Shmctl.filled(call) }?;
        Ok((id, ds))
    };
    stat(SHM_STAT_ANY).or_else(|_: Error| stat(SHM_STAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_stays_too_long_and_ends() {
        let path = SharedPath::new();
        path.store([b'x'; SharedPath::SIZE + 9].into_iter());
        assert_eq!(path.bytes().count(), libc::PATH_MAX as usize);
        let error = Call::Ftok.failed(Errno::ENAMETOOLONG);
        assert_eq!(ftok_shared(&path, 1), Err(error));
        path.store(b"/".iter().copied());
        assert_eq!(path.bytes().collect::<Vec<_>>(), b"/");
    }
}
