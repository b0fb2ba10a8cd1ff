//! System V keys and shared memory.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::{checked, errno, filled, not_negative};
use crate::error::Errno;

/// The mode bit of a segment that is removed but still attached, see `shmctl(2)`.
pub const SHM_DEST: u32 = 0o1000;
/// The mode bit of a segment that may not be swapped.
pub const SHM_LOCKED: u32 = 0o2000;
/// As `SHM_STAT`, without asking for read permission; Linux 4.17.
const SHM_STAT_ANY: c_int = 15;
/// As many slots as ids of segments are spread over; an id is its slot plus a multiple of this.
const IPCMNI: c_int = 32768;

/// A path that may be passed to the system while another thread stores the very same one.
pub struct SharedPath([AtomicU8; Self::SIZE]);

impl SharedPath {
    /// One byte more than the system takes, so that a path that is too long stays too long.
    pub const SIZE: usize = libc::PATH_MAX as usize + 1;

    pub const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; Self::SIZE])
    }

    /// Stores as much as there is room for; the last byte stays 0.
    #[inline(never)]
    pub fn store(&self, path: impl Iterator<Item = u8>) {
        let room = self.0.iter().take(Self::SIZE.saturating_sub(1));
        for (place, byte) in room.zip(path.chain([0])) {
            place.store(byte, Relaxed);
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

/// As many bytes as the path of the current directory has at most, and a NUL.
pub const DIRECTORY_SIZE: usize = libc::PATH_MAX as usize;

/// The directory that a relative path starts at; `None` if it has no path, or none that fits.
pub fn current_directory(buffer: &mut [u8; DIRECTORY_SIZE]) -> Option<&CStr> {
    // SAFETY: the buffer is as long as said.
    let path = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if path.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(buffer).ok()
}

#[inline]
fn checked_key(key: libc::key_t) -> Result<libc::key_t, Errno> {
    if key == -1 { Err(errno()) } else { Ok(key) }
}

#[inline]
pub fn ftok(path: &CStr, id: c_int) -> Result<libc::key_t, Errno> {
    // SAFETY: the path ends with NUL.
    checked_key(unsafe { libc::ftok(path.as_ptr(), id) })
}

#[inline]
pub fn ftok_shared(path: &SharedPath, id: c_int) -> Result<libc::key_t, Errno> {
    // SAFETY: the path ends with NUL, since its last byte is never written.
    checked_key(unsafe { libc::ftok(path.as_ptr(), id) })
}

#[inline]
pub fn shmget(key: libc::key_t, size: usize, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: takes no pointer.
    not_negative(unsafe { libc::shmget(key, size, flags) })
}

#[inline]
pub fn shmat(id: c_int, flags: c_int) -> Result<*mut c_void, Errno> {
    // SAFETY: at an address of the kernel's choice, so that no mapping is replaced.
    let address = unsafe { libc::shmat(id, ptr::null(), flags) };
    if address.addr() == usize::MAX {
        Err(errno())
    } else {
        Ok(address)
    }
}

/// # Safety
///
/// Nothing may use the memory attached at `address` any more.
#[inline]
pub unsafe fn shmdt(address: *const c_void) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::shmdt(address) })
}

#[inline]
pub fn shm_remove(id: c_int) -> Result<(), Errno> {
    // SAFETY: IPC_RMID reads no buffer.
    checked(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) })
}

/// Changes owner and mode.
pub fn shm_set(id: c_int, ds: &libc::shmid_ds) -> Result<(), Errno> {
    // SAFETY: IPC_SET only reads the buffer.
    checked(unsafe { libc::shmctl(id, libc::IPC_SET, ptr::from_ref(ds).cast_mut()) })
}

pub fn shm_lock(id: c_int) -> Result<(), Errno> {
    // SAFETY: SHM_LOCK reads no buffer.
    checked(unsafe { libc::shmctl(id, libc::SHM_LOCK, ptr::null_mut()) })
}

pub fn shm_unlock(id: c_int) -> Result<(), Errno> {
    // SAFETY: SHM_UNLOCK reads no buffer.
    checked(unsafe { libc::shmctl(id, libc::SHM_UNLOCK, ptr::null_mut()) })
}

pub fn shm_stat(id: c_int) -> Result<libc::shmid_ds, Errno> {
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    unsafe { filled(|ds| libc::shmctl(id, libc::IPC_STAT, ds)) }
}

pub fn shm_stat_any(id: c_int) -> Result<libc::shmid_ds, Errno> {
    let slot = id.rem_euclid(IPCMNI);
    let mut ds = MaybeUninit::uninit();
    // SAFETY: the buffer is of the type that SHM_STAT_ANY fills.
    let found = not_negative(unsafe { libc::shmctl(slot, SHM_STAT_ANY, ds.as_mut_ptr()) })?;
    if found == id {
        // SAFETY: filled, since the call succeeded.
        Ok(unsafe { ds.assume_init() })
    } else {
        Err(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_stays_too_long_and_ends() {
        let path = SharedPath::new();
        path.store([b'x'; SharedPath::SIZE + 9].into_iter());
        assert_eq!(path.bytes().count(), libc::PATH_MAX as usize);
        assert_eq!(ftok_shared(&path, 1), Err(Errno::ENAMETOOLONG));
        path.store(b"/".iter().copied());
        assert_eq!(path.bytes().collect::<Vec<_>>(), b"/");
    }
}
