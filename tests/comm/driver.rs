//! The driver of `comm-driver.c`: a program that calls the five functions, in a sandbox.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{self, Child, Link, Sandbox};

pub struct Driver {
    pub sandbox: Sandbox,
    pub program: PathBuf,
}

impl Driver {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let program = support::program("comm-driver.c", &[], Link::Static);
        Self { sandbox, program }
    }

    pub fn command(&self, variable: &str, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
        command.args(arguments);
        command
    }

    pub fn run(&self, variable: &str, arguments: &[&str]) -> Output {
        support::run(&mut self.command(variable, arguments))
    }

    /// Starts a process and waits until it reaches `pause`.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut child = Child::start(&mut self.command("", arguments));
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "pause"), "{arguments:?}");
        child
    }

    /// A FIFO: a reader that opens it read-write never finds its end.
    pub fn fifo(&self) -> PathBuf {
        let fifo = self.sandbox.join("fifo");
        let _ = support::run(Command::new("mkfifo").arg(&fifo));
        fifo
    }

    pub fn id(&self) -> i32 {
        support::segment(self.sandbox.key()).expect("a segment").id
    }

    /// Asserts that `create` with `COMM_RECLAIM=1` leaves the segment alone.
    pub fn assert_kept(&self, why: &str) {
        let id = self.id();
        let output = self.run("COMM_RECLAIM=1", &["create", "8", "errno"]);
        assert_eq!(support::stdout(&output), "create: -2\nerrno: 17\n", "{why}");
        assert_eq!(support::stderr(&output), "shmget: File exists\n", "{why}");
        assert_eq!(self.id(), id, "{why}");
    }

    /// Asserts that `create` with `COMM_RECLAIM=1` replaces the segment.
    pub fn assert_replaced(&self, why: &str) {
        let id = self.id();
        let output = self.run("COMM_RECLAIM=1", &["create", "8"]);
        assert_eq!(support::stdout(&output), "create: an id\n", "{why}");
        assert_eq!(support::stderr(&output), "", "{why}");
        let segment = support::segment(self.sandbox.key()).unwrap();
        assert_eq!((segment.id == id, segment.size), (false, 8), "{why}");
    }

    /// Runs the program under strace. Returns its output and the number of its shmget calls.
    pub fn traced(
        &self,
        variable: &str,
        inject: &str,
        arguments: &[&str],
    ) -> Option<(Output, usize)> {
        if !support::has("strace") {
            return None;
        }
        let log = self.sandbox.join("calls");
        let mut command = self.sandbox.command("strace");
        command.arg("-o").arg(&log);
        command.args(["-e", "trace=shmget,nanosleep,clock_nanosleep", "-e", inject]);
        command.args(["-E", variable, "--"]).arg(&self.program);
        let output = support::run(command.args(arguments));
        let calls = fs::read_to_string(log).unwrap().matches("shmget(").count();
        Some((output, calls))
    }

    pub fn assert_explained(&self, arguments: &[&str], parts: &[&str]) {
        assert_explained(&mut self.command("", arguments), parts);
    }

    pub fn assert_path_explained(&self, path: &Path, parts: &[&str]) {
        let mut command = self.command("", &["create", "8", "errno"]);
        assert_explained(command.env("COMM_PATH_NAME", path), parts);
    }
}

/// Asserts that the last line on stderr is an explanation with all these parts, and that without
/// `COMM_EXPLAIN` only that line is missing.
pub fn assert_explained(command: &mut Command, parts: &[&str]) {
    let plain = support::run(command.env_remove("COMM_EXPLAIN"));
    let output = support::run(command.env("COMM_EXPLAIN", "1"));
    assert_eq!(support::stdout(&plain), support::stdout(&output));
    let stderr = support::stderr(&output);
    let line = stderr
        .strip_prefix(&support::stderr(&plain))
        .expect("the same text before the explanation");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("shmcomm: "), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
}
