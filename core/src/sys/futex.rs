//! Sleeping on a word of shared memory, `futex(2)`.

use core::ffi::c_int;
use core::ptr;

use super::{checked, not_negative, timespec};
use crate::error::Errno;

/// Sleeps while the word is as expected, at most until this time of the monotonic clock, in
/// nanoseconds. The kernel reads the word, so that the address may be anything.
pub fn futex_wait(word: *const u32, expected: u32, until_ns: Option<i64>) -> Result<(), Errno> {
    let until = until_ns.map(timespec);
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel checks the address of the word; the time is valid or NULL.
    checked(unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT_BITSET,
            expected,
            until,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    } as c_int)
}

/// Wakes at most so many that sleep on the word, and says how many.
pub fn futex_wake(word: *const u32, how_many: c_int) -> Result<c_int, Errno> {
    // SAFETY: the kernel checks the address.
    not_negative(
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, how_many) } as c_int,
    )
}
