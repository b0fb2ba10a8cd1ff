//! Who this process is, and what becomes of others.

use core::ffi::{CStr, c_int};

use super::{checked, read_beginning, status_of_path};
use crate::error::Errno;

pub fn effective_uid() -> u32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::geteuid() }
}

pub fn pid() -> i32 {
    // SAFETY: takes no argument, cannot fail.
    unsafe { libc::getpid() }
}

/// Calls these functions at each `fork(2)` from now on, before anything else runs there.
///
/// glibc's `pthread_atfork` lies in `libc_nonshared.a` and needs `__dso_handle`, which a library without
/// start files lacks. So this calls what that one calls.
pub fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> Result<(), Errno> {
    unsafe extern "C" {
        #[cfg_attr(target_env = "gnu", link_name = "__register_atfork")]
        fn pthread_atfork(
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
        pthread_atfork(
            Some(before),
            Some(in_parent),
            Some(in_child),
            #[cfg(target_env = "gnu")]
            &raw const __dso_handle,
        )
    };
    match result {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
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

/// The calling thread.
pub fn thread_id() -> i32 {
    // SAFETY: takes no argument, cannot fail. Not the function, which old C libraries lack.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// A number that no other process guesses or repeats.
pub fn random() -> u64 {
    let mut number = 0_u64;
    // SAFETY: the buffer is as long as said; 8 bytes come whole (getrandom(2)).
    unsafe { libc::getrandom((&raw mut number).cast(), size_of::<u64>(), 0) };
    number
}

/// What tells the pid namespace and the time namespace of this process from others, 0 where the kernel
/// has no time namespaces; `None` where that cannot be determined, as without `/proc`.
pub fn namespaces() -> Option<[u64; 2]> {
    let pid = status_of_path(c"/proc/self/ns/pid", true).ok()?.st_ino;
    // The pid namespace is there: only a kernel without time namespaces has no such entry.
    let time = match status_of_path(c"/proc/self/ns/time", true) {
        Ok(status) => status.st_ino,
        Err(Errno::ENOENT) => 0,
        Err(_) => return None,
    };
    Some([pid, time])
}

const BOOT_ID_LENGTH: usize = 36;

/// What tells this boot from others; `None` where it cannot be read.
pub fn boot_id() -> Option<[u8; BOOT_ID_LENGTH]> {
    let mut id = [0; BOOT_ID_LENGTH];
    read_beginning(c"/proc/sys/kernel/random/boot_id", &mut id);
    // Whole or not at all: it is text, and ends by a digit.
    (id.last() != Some(&0)).then_some(id)
}

/// Whether there is such a process or thread, dead but not yet reaped ones included.
pub fn process_exists(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let sent = checked(unsafe { libc::kill(pid, 0) });
    sent != Err(Errno::ESRCH)
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

    let path = stat_path(pid);
    // SAFETY: the path ends with NUL.
    let path = unsafe { CStr::from_ptr(path.as_ptr().cast()) };
    let mut text = [0; STAT_LENGTH + 1];
    read_beginning(path, text.get_mut(..STAT_LENGTH).unwrap_or_default());
    // SAFETY: what was read is followed by at least one NUL.
    parse_process_stat(unsafe { CStr::from_ptr(text.as_ptr().cast()) })
}

/// `/proc/PID/stat` with its NUL: not by snprintf(3), which no signal handler may call.
fn stat_path(pid: i32) -> [u8; 24] {
    let mut digits = [0; PID_LENGTH];
    let mut rest = pid.unsigned_abs();
    let mut unused = PID_LENGTH;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
        unused = unused.wrapping_sub(1);
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(unused..).unwrap_or_default();
    let mut path = [0; 24];
    let text = [b"/proc/", digits, b"/stat"];
    for (to, from) in path.iter_mut().zip(text.into_iter().flatten()) {
        *to = *from;
    }
    path
}

/// Not by sscanf(3), for the same reason.
fn parse_process_stat(text: &CStr) -> Option<ProcessStat> {
    let text = text.to_bytes();
    // The name in parentheses may hold anything, also parentheses and blanks.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text
        .get(name_end..)?
        .split(|byte| *byte == b' ' || *byte == b'\n')
        .skip(1);
    let state = *fields.next()?.first()?;
    let threads = parse_count(fields.nth(16)?)?;
    let ticks = parse_count(fields.nth(1)?)?;
    // A field that nothing follows may be cut.
    fields.next()?;
    // SAFETY: takes no pointer.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ProcessStat {
        state,
        threads,
        start_ms: ticks.checked_mul(1000)?.checked_div(ticks_per_second)?,
    })
}

/// A number of 0 or more in decimal.
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
            let path = stat_path(pid);
            let path = CStr::from_bytes_until_nul(&path).unwrap();
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
