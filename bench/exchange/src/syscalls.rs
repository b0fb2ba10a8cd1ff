//! System calls per message, counted by strace in a run of this program's own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use shmcomm_bench::{Result, run};

use crate::peers::SYSTEMS;
use crate::place::Place;
use crate::workload::{Answers, Until};

/// Says in the environment of such a run what it does, and where the others' files are.
const WORK: &str = "SHMCOMM_BENCH_WORK";
const LIBRARY: &str = "SHMCOMM_BENCH_LIBRARY";
const DIRECTORY: &str = "SHMCOMM_BENCH_DIRECTORY";

/// What a process does before and after its messages, and never else.
const MARK: &str = "getppid(";
const SMALL: usize = 64;
const COUNTS: usize = 2;

/// What the processes do while their calls are counted.
#[derive(Clone, Copy)]
pub enum Work {
    /// Messages in one direction.
    OneWay,
    /// Answers at once.
    Busy,
    /// Answers to one that sleeps.
    Asleep,
}

/// All of them.
pub const WORKS: [Work; 3] = [Work::OneWay, Work::Busy, Work::Asleep];

impl Work {
    fn messages(self) -> u64 {
        match self {
            Self::OneWay => 10_240,
            Self::Busy => 2000,
            Self::Asleep => 200,
        }
    }

    fn done(self, place: &Place, system: usize) -> Result<()> {
        let system = SYSTEMS.get(system).ok_or("no such system")?;
        let until = Until::Messages(self.messages());
        match self {
            Self::OneWay => (system.one_way)(place, SMALL, until).map(drop),
            // Each round trip is two messages.
            Self::Busy | Self::Asleep => {
                let until = Until::Messages(self.messages() / 2);
                (system.round_trip)(place, self.answers(), until).map(drop)
            }
        }
    }

    fn answers(self) -> Answers {
        match self {
            Self::Asleep => Answers::After(Duration::from_millis(1)),
            _ => Answers::AtOnce,
        }
    }
}

/// How many system calls both sides make for a message: the least of a few counts, since what else
/// runs on the cores makes busy sides sleep, and never fewer calls.
pub fn per_message(system: usize, work: Work, library: &Path, place: &Place) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..COUNTS {
        let count = count(system, work, library, place);
        place.clear();
        least = least.min(count?);
    }
    Ok(least)
}

fn count(system: usize, work: Work, library: &Path, place: &Place) -> Result<f64> {
    let log = place.directory().join("strace");
    run(Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .arg(env::current_exe()?)
        .env(WORK, format!("{system} {}", work as usize))
        .env(LIBRARY, library)
        .env(DIRECTORY, place.directory())
        .stdout(Stdio::null()))?;
    let calls = between_marks(&fs::read_to_string(log)?);
    Ok(calls as f64 / work.messages() as f64)
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
    let work = env::var(WORK).ok()?;
    let [library, directory] =
        [LIBRARY, DIRECTORY].map(|name| env::var_os(name).map(PathBuf::from));
    Some(work_as_asked(&work, &library?, directory?))
}

fn work_as_asked(work: &str, library: &Path, directory: PathBuf) -> Result<()> {
    let (system, work) = work.split_once(' ').ok_or("no work")?;
    let (system, work): (usize, usize) = (system.parse()?, work.parse()?);
    let place = Place::within(directory);
    let load = SYSTEMS.get(system).ok_or("no such system")?.load;
    load(library, place.directory())?;
    let work = WORKS.get(work).ok_or("no such work")?;
    work.done(&place, system)
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
