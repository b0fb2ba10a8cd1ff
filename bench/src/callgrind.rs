//! Instructions, counted by valgrind's callgrind.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::{Program, Result, run};

/// How many instructions a program takes: within all calls of a function, or from its first to its
/// last. `directory` is for a file of valgrind's.
pub fn instructions(
    program: Program<'_>,
    arguments: &[&str],
    function: Option<&str>,
    directory: &Path,
) -> Result<u64> {
    let log = directory.join("callgrind.log");
    let mut valgrind = program.command_under("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={}", log.display()))
        .args(function.map(|function| format!("--toggle-collect={function}")))
        .arg(program.path)
        .args(arguments)
        .stderr(Stdio::null());
    run(&mut valgrind)?;
    let log = fs::read_to_string(log)?;
    let collected = log
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok());
    collected.ok_or_else(|| format!("callgrind counted nothing:\n{log}").into())
}
