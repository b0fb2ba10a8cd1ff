//! Time.

use core::ptr;

/// Milliseconds since 1970.
pub fn wall_clock_ms() -> i64 {
    clock_ns(libc::CLOCK_REALTIME) / 1_000_000
}

/// Milliseconds since boot, suspension included: the clock of `/proc/PID/stat`.
pub fn boot_clock_ms() -> i64 {
    clock_ns(libc::CLOCK_BOOTTIME) / 1_000_000
}

/// Nanoseconds of a clock that nobody sets: for timeouts.
pub fn monotonic_clock_ns() -> i64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

fn clock_ns(which: libc::clockid_t) -> i64 {
    let mut time = timespec(0);
    // SAFETY: the pointer is valid; these clocks always exist.
    unsafe { libc::clock_gettime(which, &mut time) };
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// A number of nanoseconds, not negative.
pub fn timespec(ns: i64) -> libc::timespec {
    libc::timespec {
        tv_sec: ns / 1_000_000_000,
        tv_nsec: ns % 1_000_000_000,
    }
}

/// Sleeps, until a signal handler runs.
pub fn sleep_ms(ms: i64) {
    sleep_ns(ms.saturating_mul(1_000_000));
}

/// The same in nanoseconds.
pub fn sleep_ns(ns: i64) {
    // SAFETY: the pointer is valid, and NULL refuses the time that remains.
    unsafe { libc::nanosleep(&timespec(ns), ptr::null_mut()) };
}
