//! Calls of the system that the standard library lacks.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The user that this process acts for.
pub fn geteuid() -> u32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::geteuid() }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// Major and minor number of a device, as `/proc` has them.
pub fn device(device: u64) -> (u32, u32) {
    (libc::major(device), libc::minor(device))
}

/// Names of users, each looked up once.
#[derive(Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// The name, or the number if there is none.
    pub fn name(&mut self, uid: u32) -> &str {
        let name = || user_name(uid).unwrap_or_else(|| uid.to_string());
        self.0.entry(uid).or_insert_with(name)
    }
}

fn user_name(uid: u32) -> Option<String> {
    let mut buffer = vec![0; 16384];
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = std::ptr::null_mut();
    // SAFETY: the pointers are valid, and the length is the buffer's.
    let result = unsafe {
        libc::getpwuid_r(
            uid,
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the call has filled the entry, whose name ends with NUL in the buffer.
    let name = unsafe { CStr::from_ptr((*found).pw_name) };
    Some(crate::text::escaped(name.to_bytes()))
}

/// Size and use of a file system, in bytes.
pub fn statvfs(path: &Path) -> Option<(u64, u64)> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut status = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with NUL, and the buffer has the type that the call fills.
    let status = unsafe {
        if libc::statvfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return None;
        }
        status.assume_init()
    };
    let block = status.f_frsize;
    let used = status.f_blocks.saturating_sub(status.f_bfree);
    Some((status.f_blocks * block, used * block))
}

/// The limit of locked memory of this process in bytes; `None`: there is none.
pub fn memlock() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is valid.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// SIGINT and SIGTERM, which [`Self::wait`] receives from now on.
pub struct Interrupts(libc::sigset_t);

impl Interrupts {
    pub fn new() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the first call fills the set; this process has one thread.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            Self(set.assume_init())
        }
    }

    /// Waits for this time. Returns whether a signal has ended the wait.
    pub fn wait(&self, time: Duration) -> bool {
        let time = libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: the pointers are valid.
        unsafe { libc::sigtimedwait(&self.0, std::ptr::null_mut(), &time) > 0 }
    }
}

/// The unit of the times in `/proc/PID/stat`.
pub fn ticks_per_second() -> i64 {
    // SAFETY: takes no pointer.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1)
}
