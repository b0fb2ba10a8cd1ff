//! This process, and the state of others.

use core::ffi::{CStr, c_int};

use super::file::{fstatat, read_beginning};
use crate::error::{Call, Errno, Error};

pub fn geteuid() -> u32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::geteuid() }
}

pub fn getpid() -> i32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::getpid() }
}

/// Calls these functions at each `fork(2)` from now on, before anything else runs there.
///
/// glibc's `pthread_atfork` lies in `libc_nonshared.a` and needs `__dso_handle`, which a library
/// without start files lacks. So this calls the function that glibc's version calls.
pub fn pthread_atfork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> Result<(), Error> {
    unsafe extern "C" {
        #[cfg_attr(not(target_env = "gnu"), link_name = "pthread_atfork")]
        fn __register_atfork(
            before: Option<extern "C" fn()>,
            in_parent: Option<extern "C" fn()>,
            in_child: Option<extern "C" fn()>,
            #[cfg(target_env = "gnu")] unloaded_with: *const u8,
        ) -> c_int;
        #[cfg(target_env = "gnu")]
        static __dso_handle: u8;
    }
    // SAFETY: the functions live until the object they are registered with is unloaded.
    let result = unsafe {
        __register_atfork(
            Some(before),
            Some(in_parent),
            Some(in_child),
            #[cfg(target_env = "gnu")]
            &raw const __dso_handle,
        )
    };
    Call::PthreadAtfork.zero(result)
}

// Start files define it in a program, and in a plugin that contains the static library: dlclose(3) of
// that plugin then unregisters the handlers. The shared library has no start files and is never unloaded,
// so this weak definition serves it. Only assembly can make a weak one.
#[cfg(target_env = "gnu")]
core::arch::global_asm!(
    ".pushsection .rodata.__dso_handle, \"a\"",
    ".weak __dso_handle",
    ".hidden __dso_handle",
    "__dso_handle: .byte 0",
    ".popsection",
);

pub fn gettid() -> i32 {
    // SAFETY: takes no argument, cannot fail. Not the function, which old C libraries lack.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// A number that no other process guesses or repeats.
pub fn getrandom() -> u64 {
    let mut number = 0_u64;
    // SAFETY: the length is the number's; 8 bytes are never split (getrandom(2)).
    unsafe { libc::getrandom((&raw mut number).cast(), size_of::<u64>(), 0) };
    number
}

/// The inode numbers of the pid namespace and the time namespace of this process, the second 0 if the
/// kernel has none; `None` if they cannot be determined, for example without `/proc`.
pub fn namespaces() -> Option<[u64; 2]> {
    let pid = fstatat(c"/proc/self/ns/pid", true).ok()?.st_ino;
    // `/proc` is readable: an entry is missing only if the kernel has no time namespaces.
    let time = match fstatat(c"/proc/self/ns/time", true) {
        Ok(status) => status.st_ino,
        Err(error) if error.errno == Errno::ENOENT => 0,
        Err(_) => return None,
    };
    Some([pid, time])
}

const BOOT_ID_LENGTH: usize = 36;

/// The id of this boot; `None` if it cannot be read.
pub fn boot_id() -> Option<[u8; BOOT_ID_LENGTH]> {
    let mut id = [0; BOOT_ID_LENGTH];
    read_beginning(c"/proc/sys/kernel/random/boot_id", &mut id);
    // Text of a fixed length: the last byte is set only if all was read.
    (id.last() != Some(&0)).then_some(id)
}

/// Whether the kernel still knows this process or thread: it runs, or waits to be reaped.
pub fn process_exists(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || Errno::last() != Errno::ESRCH
}

/// Fields of `/proc/PID/stat`, see `proc_pid_stat(5)`.
pub struct ProcessStat {
    /// One letter; `Z` after its first thread has exited.
    pub state: u8,
    /// The number of its threads.
    pub threads: i64,
    /// When it started, in milliseconds after boot.
    pub start_ms: i64,
}

/// The longest pid in decimal, with a sign.
const PID_LENGTH: usize = 11;
/// More than a line of `/proc/PID/stat` has.
const STAT_LENGTH: usize = 1023;

/// Looks a process up in `/proc`; `None` if that shows the processes of another namespace.
pub fn process_stat(pid: i32) -> Option<ProcessStat> {
    let mut own = [0; PID_LENGTH];
    read_beginning(c"/proc/self/stat", &mut own);
    let shown = own.split(|byte| *byte == b' ').next().and_then(parse_count);
    if shown != Some(getpid().into()) {
        return None;
    }

    let (path, begin) = stat_path(pid);
    // SAFETY: the path ends with NUL.
    let path = unsafe { CStr::from_ptr(path.get(begin..)?.as_ptr().cast()) };
    let mut text = [0; STAT_LENGTH + 1];
    read_beginning(path, text.get_mut(..STAT_LENGTH).unwrap_or_default());
    // SAFETY: what was read is followed by at least one NUL.
    parse_process_stat(unsafe { CStr::from_ptr(text.as_ptr().cast()) })
}

/// The longest path of [`stat_path`], with its NUL.
const PATH_LENGTH: usize = b"/proc//stat\0".len() + PID_LENGTH;

/// `/proc/PID/stat` with its NUL, at the end of the array, and where it begins; without snprintf(3),
/// which no signal handler may call.
fn stat_path(pid: i32) -> ([u8; PATH_LENGTH], usize) {
    let mut path = [0; PATH_LENGTH];
    let mut begin = PATH_LENGTH;
    let mut prepend = |byte| {
        begin = begin.wrapping_sub(1);
        if let Some(to) = path.get_mut(begin) {
            *to = byte;
        }
    };
    b"/stat\0".iter().rev().for_each(|byte| prepend(*byte));
    let mut rest = pid.unsigned_abs();
    loop {
        prepend(b'0'.wrapping_add((rest % 10) as u8));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    b"/proc/".iter().rev().for_each(|byte| prepend(*byte));
    (path, begin)
}

/// Without sscanf(3), for the same reason.
fn parse_process_stat(text: &CStr) -> Option<ProcessStat> {
    let text = text.to_bytes();
    // The name in parentheses may itself contain parentheses and blanks.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let fields = text
        .get(name_end..)?
        .split(|byte| *byte == b' ' || *byte == b'\n');
    let (mut state, mut threads, mut ticks) = (0, 0, 0);
    // The name, which ends here, is the second field.
    for (number, field) in (2..).zip(fields) {
        match number {
            3 => state = *field.first()?,
            20 => threads = parse_count(field)?,
            22 => ticks = parse_count(field)?,
            // All before it is whole.
            23 => {
                // SAFETY: takes no pointer.
                let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
                let start_ms = ticks.checked_mul(1000)?.checked_div(ticks_per_second)?;
                return Some(ProcessStat {
                    state,
                    threads,
                    start_ms,
                });
            }
            _ => {}
        }
    }
    None
}

/// A number of 0 or more in decimal.
#[inline(never)]
fn parse_count(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(i64::from(digit))
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
    fn a_pid_is_written_in_decimal() {
        for pid in [0, 7, 10, 4711, 32767, 4_194_303, i32::MAX] {
            let (path, begin) = stat_path(pid);
            let path = CStr::from_bytes_with_nul(&path[begin..]).unwrap();
            assert_eq!(path.to_str().unwrap(), format!("/proc/{pid}/stat"));
        }
    }

    #[test]
    fn a_text_that_breaks_off_is_refused() {
        for length in 0..STAT.find(" 2953216").unwrap() {
            let cut = CString::new(&STAT[..length]).unwrap();
            assert!(parse_process_stat(&cut).is_none(), "{cut:?}");
        }
    }
}
