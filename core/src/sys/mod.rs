//! Every system and libc call, its C return value turned into a `Result`. Nothing else calls the
//! kernel.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::error::{Call, Errno};

/// The mode bit of a segment that is removed but still attached, see `shmctl(2)`.
pub const SHM_DEST: u32 = 0o1000;
/// As `SHM_STAT`, without asking for read permission; Linux 4.17.
const SHM_STAT_ANY: c_int = 15;
/// As many slots as ids of segments are spread over; an id is its slot plus a multiple of this.
const IPCMNI: c_int = 32768;

unsafe extern "C" {
    static stderr: *mut libc::FILE;
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

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

fn errno() -> Errno {
    // SAFETY: points at this thread's errno.
    Errno::from_raw(unsafe { *libc::__errno_location() })
}

pub fn set_errno(errno: Errno) {
    // SAFETY: points at this thread's errno.
    unsafe { *libc::__errno_location() = errno.raw() }
}

/// A return value that says nothing but whether the call failed.
#[inline]
fn checked(result: c_int) -> Result<(), Errno> {
    not_negative(result).map(drop)
}

/// A return value such as an id, a key or a descriptor.
#[inline]
fn not_negative(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result) }
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

pub fn shm_stat(id: c_int) -> Result<libc::shmid_ds, Errno> {
    let mut ds = MaybeUninit::uninit();
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    checked(unsafe { libc::shmctl(id, libc::IPC_STAT, ds.as_mut_ptr()) })?;
    // SAFETY: filled, since the call succeeded.
    Ok(unsafe { ds.assume_init() })
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

/// As `perror(3)`, but `errno` is the failure's before and after.
pub fn perror(call: Call, errno: Errno) {
    // SAFETY: points at this thread's errno, and the name ends with NUL.
    unsafe {
        let place = libc::__errno_location();
        *place = errno.raw();
        libc::perror(call.name().as_ptr());
        *place = errno.raw();
    }
}

/// The system's description of an error, in `text`.
pub fn strerror(errno: Errno, text: &mut [u8]) -> Option<&str> {
    // SAFETY: the buffer is as long as said.
    match unsafe { libc::strerror_r(errno.raw(), text.as_mut_ptr().cast(), text.len()) } {
        0 => CStr::from_bytes_until_nul(text).ok()?.to_str().ok(),
        _ => None,
    }
}

/// Writes to the C library's `stderr`, in order with what the program writes there.
pub fn print_error(text: &[u8]) {
    // SAFETY: the text is as long as said, and the C library set `stderr` up.
    unsafe { libc::fwrite(text.as_ptr().cast(), 1, text.len(), stderr) };
}

/// Passes on the value of an environment variable, unless this is a setuid program or the like.
pub fn with_variable<T>(name: &CStr, read: impl FnOnce(&CStr) -> T) -> Option<T> {
    // SAFETY: the name ends with NUL.
    let value = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment, which nobody may change meanwhile (getenv(3)).
    Some(read(unsafe { CStr::from_ptr(value) }))
}

pub fn effective_uid() -> u32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether there is such a process, dead but not yet reaped ones included.
pub fn process_exists(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let sent = checked(unsafe { libc::kill(pid, 0) });
    sent != Err(Errno::ESRCH)
}

/// Milliseconds since 1970.
pub fn wall_clock_ms() -> i64 {
    clock_ms(libc::CLOCK_REALTIME)
}

/// Milliseconds since boot, suspension included: what `/proc/PID/stat` counts from.
pub fn boot_clock_ms() -> i64 {
    clock_ms(libc::CLOCK_BOOTTIME)
}

/// Milliseconds for timeouts: never set.
pub fn monotonic_clock_ms() -> i64 {
    clock_ms(libc::CLOCK_MONOTONIC)
}

fn clock_ms(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid; these clocks always exist.
    unsafe { libc::clock_gettime(clock, &mut time) };
    let milliseconds = time.tv_nsec.div_euclid(1_000_000);
    time.tv_sec
        .saturating_mul(1000)
        .saturating_add(milliseconds)
}

/// Sleeps that long, or less if a signal comes.
pub fn sleep_ms(milliseconds: i64) {
    let time = libc::timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: (milliseconds % 1000).wrapping_mul(1_000_000),
    };
    // SAFETY: the pointer is valid; the time that remains is not asked for.
    unsafe { libc::nanosleep(&time, ptr::null_mut()) };
}

/// What `/proc/PID/stat` says of a process, see `proc_pid_stat(5)`.
pub struct ProcessStat {
    /// One letter; `Z` when its first thread has ended.
    pub state: u8,
    /// How many threads it has.
    pub threads: i64,
    /// When it started, in milliseconds after boot.
    pub start_ms: i64,
}

/// As many bytes as a pid needs in decimal, and more than a line of `/proc/PID/stat` has.
const PID_LENGTH: usize = 11;
const STAT_LENGTH: usize = 1023;

/// Looks a process up in `/proc`; `None` where that does not show the processes of this namespace.
pub fn process_stat(pid: i32) -> Option<ProcessStat> {
    let mut link = [0; PID_LENGTH + 1];
    // SAFETY: the path ends with NUL; a byte of the buffer is left for another.
    unsafe { libc::readlink(c"/proc/self".as_ptr(), link.as_mut_ptr(), PID_LENGTH) };
    // SAFETY: the number ends with NUL.
    if unsafe { libc::atoi(link.as_ptr()) != libc::getpid() } {
        return None;
    }

    let mut path = [0; 24];
    // SAFETY: the length is the buffer's, and `%d` takes an int.
    unsafe {
        libc::snprintf(
            path.as_mut_ptr(),
            path.len(),
            c"/proc/%d/stat".as_ptr(),
            pid,
        )
    };
    let mut text: [c_char; STAT_LENGTH + 1] = [0; STAT_LENGTH + 1];
    // SAFETY: the path ends with NUL.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    // SAFETY: the length leaves a NUL at the end; a descriptor of -1 is refused.
    unsafe { libc::read(file, text.as_mut_ptr().cast(), STAT_LENGTH) };
    // SAFETY: opened above; a descriptor of -1 is refused.
    unsafe { libc::close(file) };
    // SAFETY: what was read is followed by at least one NUL.
    parse_process_stat(unsafe { CStr::from_ptr(text.as_ptr()) })
}

fn parse_process_stat(text: &CStr) -> Option<ProcessStat> {
    let (mut state, mut threads, mut ticks) = (0, 0_i64, 0_i64);
    // SAFETY: the text ends with NUL, and the pointers are to a char and to two 64-bit integers.
    let found = unsafe {
        // The name in parentheses may hold anything, also parentheses and blanks.
        let name_end = libc::strrchr(text.as_ptr(), c_int::from(b')'));
        if name_end.is_null() {
            return None;
        }
        libc::sscanf(
            name_end,
            c") %c%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%ld%*s%ld".as_ptr(),
            &raw mut state,
            &raw mut threads,
            &raw mut ticks,
        )
    };
    if found != 3 {
        return None;
    }
    // SAFETY: takes no pointer.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ProcessStat {
        state,
        threads,
        start_ms: ticks.checked_mul(1000)?.checked_div(ticks_per_second)?,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    const STAT: &str = "4711 (a) Z (b)) S 1 4711 4711 0 -1 4194560 104 0 0 0 0 0 0 0 20 0 3 0 \
        81234 2953216 331 18446744073709551615";

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_fields() {
        let text = CString::new(STAT).unwrap();
        let stat = parse_process_stat(&text).unwrap();
        assert_eq!((stat.state, stat.threads), (b'S', 3));
        // SAFETY: takes no pointer.
        let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        assert_eq!(stat.start_ms, 81234 * 1000 / ticks_per_second);
    }

    #[test]
    fn a_text_that_breaks_off_is_refused() {
        for length in 0..STAT.find("81234").unwrap() {
            let cut = CString::new(&STAT[..length]).unwrap();
            assert!(parse_process_stat(&cut).is_none(), "{cut:?}");
        }
    }
}
