//! Sleep until a word of shared memory changes, instead of `sleep(1)` in a loop.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::{Acquire, Release}};
//! use shmcomm::futex;
//!
//! static READY: AtomicU32 = AtomicU32::new(0);
//! std::thread::spawn(|| {
//!     READY.store(1, Release); // first change the word …
//!     futex::wake(&READY, 1)   // … then wake
//! });
//! while READY.load(Acquire) == 0 {
//!     futex::wait(&READY, 0, -1)?;
//! }
//! # Ok::<(), shmcomm::Error>(())
//! ```

use core::ffi::c_int;
use core::sync::atomic::AtomicU32;

use crate::deadline::Deadline;
use crate::error::{Errno, Error};
use crate::sys;

/// Sleeps while the word is `expected`, until another thread or process wakes this one; for at most this
/// number of milliseconds (-1 for ever, 0 not at all), then ETIMEDOUT. It may return early: look at the
/// word again.
pub fn wait(word: &AtomicU32, expected: u32, timeout_ms: c_int) -> Result<(), Error> {
    wait_at(word.as_ptr(), expected, timeout_ms)
}

/// Same as [`wait`], with an address that the kernel checks: EFAULT if there is no memory, EINVAL if the
/// address is not aligned.
pub fn wait_at(word: *const u32, expected: u32, timeout_ms: c_int) -> Result<(), Error> {
    wait_until(word, expected, Deadline::after_ms(timeout_ms))
}

pub(crate) fn wait_until(word: *const u32, expected: u32, deadline: Deadline) -> Result<(), Error> {
    loop {
        match sys::futex_wait(word, expected, deadline.at_ns()) {
            Err(error) if error.errno == Errno::EINTR => {}
            Err(error) if error.errno == Errno::EWOULDBLOCK => return Ok(()),
            result => return result,
        }
    }
}

/// Sleeps once while the word is `expected`; ETIMEDOUT after this number of nanoseconds.
pub(crate) fn sleep(word: &AtomicU32, expected: u32, nanoseconds: i64) -> Result<(), Error> {
    let until = sys::monotonic_clock_ns().saturating_add(nanoseconds);
    sys::futex_wait(word.as_ptr(), expected, Some(until))
}

/// Wakes at most `how_many` waiters of the word and returns their number.
pub fn wake(word: &AtomicU32, how_many: c_int) -> Result<c_int, Error> {
    wake_at(word.as_ptr(), how_many)
}

/// Same as [`wake`], with an address that the kernel checks.
pub fn wake_at(word: *const u32, how_many: c_int) -> Result<c_int, Error> {
    match how_many {
        ..0 => Err(Error::INVALID),
        // The kernel would wake one.
        0 => Ok(0),
        _ => sys::futex_wake(word, how_many),
    }
}

#[cfg(test)]
mod tests {
    use core::ptr;
    use std::time::{Duration, Instant};

    use super::*;

    fn errno<T>(result: Result<T, Error>) -> Option<Errno> {
        result.err().map(|error| error.errno())
    }

    #[test]
    fn a_word_that_differs_ends_a_wait_at_once() {
        let word = AtomicU32::new(1);
        assert_eq!(wait(&word, 2, -1), Ok(()));
        assert_eq!(wait(&word, 2, 0), Ok(()));
    }

    #[test]
    fn a_wait_ends_in_time() {
        let word = AtomicU32::new(1);
        assert_eq!(errno(wait(&word, 1, 0)), Some(Errno::ETIMEDOUT));
        // A busy machine may delay one of them.
        let in_time = (0..5).any(|_| {
            let start = Instant::now();
            assert_eq!(errno(wait(&word, 1, 50)), Some(Errno::ETIMEDOUT));
            let waited = start.elapsed();
            assert!(waited >= Duration::from_millis(50), "{waited:?}");
            waited < Duration::from_millis(100)
        });
        assert!(in_time);
    }

    #[test]
    fn an_address_without_an_aligned_word_is_refused() {
        let words = [0_u32; 2];
        let between = ptr::from_ref(&words).cast::<u8>().wrapping_add(1).cast();
        let high = ptr::without_provenance(usize::MAX & !7);
        assert_eq!(errno(wait_at(between, 0, 0)), Some(Errno::EINVAL));
        assert_eq!(errno(wake_at(between, 1)), Some(Errno::EINVAL));
        let efault = Some(Errno::from_raw(libc::EFAULT));
        assert_eq!(errno(wait_at(ptr::null(), 0, 0)), efault);
        assert_eq!(errno(wait_at(high, 0, 0)), efault);
        assert_eq!(errno(wake_at(high, 1)), efault);
    }

    #[test]
    fn a_wake_reports_the_number_of_waiters_that_it_woke() {
        let word = AtomicU32::new(7);
        assert_eq!(wake(&word, 0), Ok(0));
        assert_eq!(errno(wake(&word, -1)), Some(Errno::EINVAL));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(wait(&word, 7, 30_000), Ok(())));
            }
            let mut woken = 0;
            while woken < 3 {
                let now = wake(&word, 2).unwrap();
                assert!(now <= 2);
                woken += now;
                std::thread::yield_now();
            }
            assert_eq!(woken, 3);
        });
    }
}
