//! What the benchmarks of shmcomm share, and those of them that need no peer.

pub mod compile;
pub mod distance;
pub mod dynamic;
mod layer1;
mod layer2;
mod locks;
mod machine;
pub mod process;
pub mod scratch;
pub mod shared;
pub mod table;
mod topics;

use std::process::{Command, ExitCode, Output};
use std::time::Duration;
use std::{env, error, io, result};

use distance::Raw;
use scratch::Scratch;

/// Why a benchmark cannot go on.
pub type Error = Box<dyn error::Error>;
/// With any [`Error`].
pub type Result<T> = result::Result<T, Error>;

/// A name on the command line, and what it measures and prints.
pub type Section = (&'static str, fn(&Run) -> Result<()>);

/// The sections that need no peer.
pub const SECTIONS: [Section; 4] = [
    ("layer1", layer1::measure),
    ("layer2", layer2::measure),
    ("locks", locks::measure),
    ("topics", topics::measure),
];

/// One run of a benchmark: its settings, and what its sections share.
pub struct Run {
    /// Rounds of each measurement.
    pub rounds: usize,
    /// How long idle processes are watched.
    pub idle: Duration,
    /// Part of the names of the systems to measure.
    pub only: String,
    /// Files and names of this run.
    pub scratch: Scratch,
    /// Raw round trips of the whole run.
    pub raw: Raw,
}

/// Runs the sections that the command line names, or all of them.
pub fn main(sections: &[Section]) -> ExitCode {
    match run_sections(sections) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_sections(sections: &[Section]) -> Result<()> {
    let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    let usage = format!(
        "arguments: [--rounds N] [--idle SECONDS] [--only PART-OF-A-NAME] [{}]...",
        names.join("|")
    );
    let (mut rounds, mut idle, mut only, mut chosen) = (11, 5.0, String::new(), Vec::new());
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(&*usage);
        match &*argument {
            "--rounds" => rounds = value()?.parse()?,
            "--idle" => idle = value()?.parse()?,
            "--only" => only = value()?,
            name if names.contains(&name) => chosen.push(argument),
            _ => return Err(usage.into()),
        }
    }
    process::catch_interrupts();
    let run = Run {
        rounds,
        idle: Duration::try_from_secs_f64(idle)?,
        only,
        scratch: Scratch::new()?,
        raw: Raw::default(),
    };
    compile::build()?;
    machine::print()?;
    run.raw.measure()?;
    for (name, measure) in sections {
        if chosen.is_empty() || chosen.iter().any(|one| one == name) {
            measure(&run)?;
        }
    }
    run.raw.measure()?;
    run.raw.print();
    Ok(())
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into())
}

/// Whether a program can be found.
pub fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

/// Why the call that has just failed did.
#[cold]
pub fn failed<T>(call: &str) -> Result<T> {
    Err(format!("{call}: {}", io::Error::last_os_error()).into())
}

/// The result of a call, unless it is negative, which is a failure.
#[inline]
pub fn checked<T: PartialOrd + Default>(call: &str, value: T) -> Result<T> {
    if value < T::default() {
        return failed(call);
    }
    Ok(value)
}
