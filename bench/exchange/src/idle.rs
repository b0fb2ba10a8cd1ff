//! What two processes take that wait for each other and get nothing.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmcomm_bench::Result;

use crate::workload::Idle;

/// Until a process has opened its ends and sleeps.
const SETTLE: Duration = Duration::from_millis(300);

/// Per second, of the process of the two that takes more.
#[derive(Clone, Copy, Default)]
pub struct Rest {
    pub wake_ups: f64,
    /// Part of the time, in percent.
    pub processor: f64,
}

#[derive(Clone, Copy)]
struct Usage {
    wake_ups: u64,
    nanoseconds: u64,
}

/// Of all these, at the same time.
pub fn measure(waiting: &[Idle], time: Duration) -> Result<Vec<Rest>> {
    sleep(SETTLE);
    let usages = || -> Result<Vec<[Usage; 2]>> {
        let pids = waiting.iter().map(|idle| idle.pair.pids());
        pids.map(|[first, second]| Ok([usage(first)?, usage(second)?]))
            .collect()
    };
    let (start, before) = (Instant::now(), usages()?);
    sleep(time);
    let (seconds, after) = (start.elapsed().as_secs_f64(), usages()?);
    let rest = |(before, after): (&[Usage; 2], &[Usage; 2])| {
        let mut most = Rest::default();
        for (before, after) in before.iter().zip(after) {
            let wake_ups = (after.wake_ups - before.wake_ups) as f64 / seconds;
            let busy = (after.nanoseconds - before.nanoseconds) as f64 / 1e9 / seconds;
            most.wake_ups = most.wake_ups.max(wake_ups);
            most.processor = most.processor.max(100.0 * busy);
        }
        most
    };
    Ok(before.iter().zip(&after).map(rest).collect())
}

fn usage(pid: libc::pid_t) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let wake_ups = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        .ok_or("no count of switches")?;
    let schedule = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = schedule.split(' ').next().unwrap_or_default();
    Ok(Usage {
        wake_ups: wake_ups.trim().parse()?,
        nanoseconds: nanoseconds.parse()?,
    })
}
