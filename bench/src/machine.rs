//! On what a benchmark ran.

use std::process::Command;
use std::{fs, thread};

use crate::{compile, run};

/// Kernel, processor, and the tools' versions, as a line of a list each.
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut lines = vec![
        format!("Linux {}", kernel.trim()),
        format!("{cores} cores of {}", processor()),
    ];
    lines.extend(version(&mut Command::new("rustc")));
    lines.extend(version(&mut compile::cc()));
    lines.extend(version(&mut Command::new("valgrind")));
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or(std::env::consts::ARCH.into(), |(_, model)| model.into())
}

/// The first line of what a tool says about its version; `None` where there is no such tool.
fn version(tool: &mut Command) -> Option<String> {
    let output = run(tool.arg("--version")).ok()?.stdout;
    let output = String::from_utf8_lossy(&output);
    output.lines().next().map(str::to_owned)
}
