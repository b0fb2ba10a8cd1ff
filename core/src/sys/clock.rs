//! Time.

use core::ptr;

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

/// The same in nanoseconds.
pub fn monotonic_clock_ns() -> i64 {
    let time = clock(libc::CLOCK_MONOTONIC);
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// Nanoseconds, not negative, as the system takes them.
pub fn timespec(ns: i64) -> libc::timespec {
    libc::timespec {
        tv_sec: ns / 1_000_000_000,
        tv_nsec: ns % 1_000_000_000,
    }
}

fn clock_ms(which: libc::clockid_t) -> i64 {
    let time = clock(which);
    let milliseconds = time.tv_nsec.div_euclid(1_000_000);
    time.tv_sec
        .saturating_mul(1000)
        .saturating_add(milliseconds)
}

fn clock(which: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid; these clocks always exist.
    unsafe { libc::clock_gettime(which, &mut time) };
    time
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
