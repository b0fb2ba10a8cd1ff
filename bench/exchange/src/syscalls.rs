//! System calls per message, counted by strace in a run of this program's own.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::{Result, run};

use crate::peers::SYSTEMS;
use crate::workload::{Job, Until, Work, default_ring};

/// Gives such a run the number of the system, that of the work, and the other run's directory.
const COUNT: &str = "SHMCOMM_BENCH_COUNT";

/// The works whose calls are counted, and how many messages each exchanges.
pub const WORKS: [(Work, u64); 3] = [
    (Work::OneWay, 10_240),
    (Work::Busy, 2000),
    (Work::Asleep, 200),
];
/// Counts of each, the least of which holds: what else runs on the cores makes busy sides sleep, and
/// never makes fewer calls.
const COUNTS: usize = 2;
/// The call that a process makes before and after its messages.
const MARK: &str = "getppid(";
const MESSAGE: usize = 64;

/// The system calls that both sides make for a message.
pub fn per_message(system: usize, work: usize, scratch: &Scratch) -> Result<f64> {
    let log = scratch.directory().join("strace");
    let mut least = f64::INFINITY;
    for _ in 0..COUNTS {
        let directory = scratch.directory().display();
        run(Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .arg(env::current_exe()?)
            .env(COUNT, format!("{system} {work} {directory}"))
            .stdout(Stdio::null()))?;
        scratch.clear();
        let calls = between_marks(&fs::read_to_string(&log)?) as f64;
        least = least.min(calls / WORKS[work].1 as f64);
    }
    Ok(least)
}

/// The calls that processes made between their two marks.
fn between_marks(log: &str) -> usize {
    let mut inside: Vec<&str> = Vec::new();
    let mut calls = 0;
    for line in log.lines() {
        let Some((pid, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if call.starts_with(MARK) {
            match inside.iter().position(|&other| other == pid) {
                Some(index) => drop(inside.swap_remove(index)),
                None => inside.push(pid),
            }
        } else if inside.contains(&pid) && !call.starts_with(['<', '-', '+']) {
            calls += 1;
        }
    }
    calls
}

/// Does the work of a run under strace, if this is one.
pub fn work_if_asked() -> Option<Result<()>> {
    Some(work(&env::var(COUNT).ok()?))
}

fn work(asked: &str) -> Result<()> {
    let mut words = asked.splitn(3, ' ');
    let mut word = || words.next().ok_or("no work");
    let system = &SYSTEMS[word()?.parse::<usize>()?];
    let (work, messages) = WORKS[word()?.parse::<usize>()?];
    // Names that the other run does not use.
    let scratch = Scratch::within(PathBuf::from(word()?), 1 << 30);
    // A round trip is two messages.
    let until = Until::Messages(if work == Work::OneWay {
        messages
    } else {
        messages / 2
    });
    let ring = default_ring(MESSAGE);
    (system.run)(&Job {
        scratch: &scratch,
        work,
        message: MESSAGE,
        ring,
        until,
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_between_the_marks_of_each_process_are_counted() {
        let log = "1 read(0) = 0\n1 getppid() = 9\n2 read(0) = 0\n1 futex(0 <unfinished ...>\n\
                   2 getppid() = 9\n1 <... futex resumed>) = 0\n2 write(1) = 0\n\
                   2 --- SIGALRM ---\n1 getppid() = 9\n1 write(1) = 0\n2 getppid() = 9\n";
        assert_eq!(between_marks(log), 2);
    }
}
