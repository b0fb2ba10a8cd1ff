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

/// Nanoseconds for timeouts: never set.
pub fn monotonic_clock_ns() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec)
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
