//! Helpers of tests that measure durations and of tests that take long. The tests of `core` use
//! them too.
#![allow(dead_code)]

use std::io::Write;
use std::time::{Duration, Instant};
use std::{env, io};

/// Whether all samples are wanted, rather than those that fit into a newcomer's two minutes.
pub fn all() -> bool {
    env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// The steps of a sweep: 0, 1, 2 … with `SHMCOMM_TEST_ALL`, else 0, `every`, 2 `every` …
pub fn spread(every: usize) -> impl Iterator<Item = u64> {
    (0..).step_by(if all() { 1 } else { every })
}

/// Same as [`spread`], for a sweep whose steps wait for sleeping processes: each eighth with
/// `SHMCOMM_TEST_ALL`, and all with `SHMCOMM_TEST_EVERY`, which takes many minutes.
pub fn spread_of_waits(every: usize) -> impl Iterator<Item = u64> {
    (0..).step_by(match (env::var_os("SHMCOMM_TEST_EVERY"), all()) {
        (Some(_), _) => 1,
        (None, true) => 8,
        (None, false) => every,
    })
}

/// The result of a call, and its duration.
pub fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = call();
    (result, begin.elapsed())
}

/// Measures until one measurement is within the limit. Returns its result.
///
/// A busy machine spoils a measurement now and then. The measurement is repeated, so that the limit
/// can stay the one that the library promises.
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

/// Shows every few seconds that a long test still runs.
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
