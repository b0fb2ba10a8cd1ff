//! Until when a call may wait, on the monotonic clock.

use core::ffi::c_int;

use crate::sys;

/// How long a process sleeps before it looks on its own: whether the other processes are alive, or one
/// died before it woke a sleeper. That is noticed within 100 ms; 20 ms of them are left for the
/// scheduler. An idle channel wakes its two processes 12.5 times a second, 0.04 to 0.08 % of a core each
/// (docs/benchmarks.md).
pub const SLICE_NS: i64 = 80_000_000;

/// A time in nanoseconds; `None` for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline(Option<i64>);

impl Deadline {
    /// This number of milliseconds from now, same as for `poll(2)`: negative for never, 0 for at once.
    pub fn after_ms(timeout_ms: c_int) -> Self {
        Self(match timeout_ms {
            ..0 => None,
            0 => Some(0),
            _ => {
                let timeout = i64::from(timeout_ms).saturating_mul(1_000_000);
                Some(sys::monotonic_clock_ns().saturating_add(timeout))
            }
        })
    }

    /// This number of nanoseconds from now.
    pub fn after_ns(nanoseconds: i64) -> Self {
        Self(Some(sys::monotonic_clock_ns().saturating_add(nanoseconds)))
    }

    /// The earlier of the two.
    pub fn or_earlier(self, other: Self) -> Self {
        Self(match (self.0, other.0) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        })
    }

    /// The time itself.
    pub fn at_ns(self) -> Option<i64> {
        self.0
    }

    /// The time until then; 0 once it has passed.
    pub fn remaining_ns(self) -> Option<i64> {
        match self.0 {
            None | Some(0) => self.0,
            Some(at) => Some(at.saturating_sub(sys::monotonic_clock_ns()).max(0)),
        }
    }

    /// The time until then, `max` at most.
    pub fn remaining_at_most(self, max: i64) -> i64 {
        self.remaining_ns()
            .map_or(max, |remaining| remaining.min(max))
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining_ns() == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_those_of_poll() {
        assert_eq!(Deadline::after_ms(-1).remaining_ns(), None);
        assert_eq!(Deadline::after_ms(c_int::MIN).at_ns(), None);
        assert!(Deadline::after_ms(0).has_passed());
        let remaining = Deadline::after_ms(c_int::MAX).remaining_ns().unwrap();
        assert!((2_147_400_000_000_000..=2_147_483_647_000_000).contains(&remaining));
    }

    #[test]
    fn never_is_the_latest() {
        let (never, now) = (Deadline::after_ms(-1), Deadline::after_ms(0));
        let later = Deadline::after_ms(1000);
        assert_eq!(never.or_earlier(later), later);
        assert_eq!(later.or_earlier(never), later);
        assert_eq!(later.or_earlier(now), now);
        assert_eq!(never.or_earlier(never), never);
    }
}
