//! What tests of durations and tests that take long share; also used by the tests of `core`.
#![allow(dead_code)]

use std::io::Write;
use std::time::{Duration, Instant};
use std::{env, io};

/// Whether all samples are wanted, rather than those that fit into a newcomer's two minutes.
pub fn all() -> bool {
    env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// The steps of a sweep: 0, 1, 2 … with `SHMCOMM_TEST_ALL`, else every so many-th of them.
pub fn spread(every: usize) -> impl Iterator<Item = u64> {
    (0..).step_by(if all() { 1 } else { every })
}

/// What a call returns, and how long it takes.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = call();
    (result, begin.elapsed())
}

/// Measures until one measurement is within the limit; what that one returned.
///
/// A busy machine spoils a measurement now and then. Repeating it keeps the limit what the library
/// promises; a wider limit would test nothing.
pub fn within<T>(limit: Duration, attempts: u32, mut measure: impl FnMut() -> (T, Duration)) -> T {
    let mut times = Vec::new();
    for _ in 0..attempts {
        let (result, time) = measure();
        if time <= limit {
            return result;
        }
        times.push(time);
    }
    panic!("not within {limit:?} in {attempts} attempts: {times:?}");
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Shows every few seconds that a long test goes on.
pub struct Progress {
    what: String,
    shown: Instant,
}

impl Progress {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            shown: Instant::now(),
        }
    }

    /// Called at each step.
    pub fn at(&mut self, step: impl std::fmt::Display) {
        const EVERY: Duration = Duration::from_secs(5);
        if self.shown.elapsed() >= EVERY {
            self.shown = Instant::now();
            // Not eprintln!, whose output is not shown for a test that passes.
            let _ = writeln!(io::stderr(), "{}: {step}", self.what);
        }
    }
}
