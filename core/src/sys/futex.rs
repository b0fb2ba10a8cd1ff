//! Sleeping on a word of shared memory, `futex(2)`.

use core::ffi::c_int;
use core::ptr;

use super::clock::timespec;
use crate::error::{Call, Error};

/// Sleeps while the word is as expected, at most until this time of the monotonic clock, in
/// nanoseconds. The kernel checks the address.
pub fn futex_wait(word: *const u32, expected: u32, until_ns: Option<i64>) -> Result<(), Error> {
    let until = until_ns.map(timespec);
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel checks the address of the word; the time is valid or NULL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT_BITSET,
            expected,
            until,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    Call::Futex.checked(result as c_int)
}

/// Wakes at most this number of sleepers, and returns the number of those woken.
pub fn futex_wake(word: *const u32, how_many: c_int) -> Result<c_int, Error> {
    // SAFETY: the kernel checks the address.
    let result = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, how_many) };
    Call::Futex.not_negative(result as c_int)
}
