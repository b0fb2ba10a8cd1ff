//! On what a benchmark runs.

use std::process::Command;
use std::{fs, thread};

use crate::{Result, compile, run};

/// Prints commit, kernel, processor and the tools' versions, as a list.
pub fn print() -> Result<()> {
    let cores = thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or(std::env::consts::ARCH, |(_, model)| model);
    println!("- Linux {}\n- {cores} cores of {processor}", kernel.trim());
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty"])
        .current_dir(compile::root());
    for (what, tool) in [
        ("commit ", &mut git),
        ("", Command::new("rustc").arg("--version")),
        ("", compile::cc().arg("--version")),
        ("", Command::new("valgrind").arg("--version")),
    ] {
        if let Ok(output) = run(tool) {
            let output = String::from_utf8_lossy(&output.stdout);
            println!("- {what}{}", output.lines().next().unwrap_or_default());
        }
    }
    Ok(())
}
