//! The programs of `c-examples/`, made by `make` into a sandbox, and run in process groups.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, ROOT, Sandbox, library, run};

/// Longer than any conversation, also where all tests run at once.
pub const PATIENCE: Duration = Duration::from_secs(50);
pub const STRICT: &str = "CFLAGS=-O2 -Wall -Wextra -Werror -pedantic";

pub fn tour_file(name: &str) -> PathBuf {
    Path::new(ROOT).join("c-examples").join(name)
}

/// The examples, built into a sandbox; another one holds what is no example.
pub struct Tour(pub Sandbox, Sandbox);

impl Tour {
    pub fn new() -> Option<Self> {
        support::has("make").then(|| {
            let tour = Self(Sandbox::new(), Sandbox::new());
            let mut cc = support::cc();
            cc.args(["-shared", "-fPIC", "-o"]).arg(tour.pace());
            run(cc.arg(support::source("pace.c")));
            tour
        })
    }

    fn pace(&self) -> PathBuf {
        self.1.join("pace.so")
    }

    /// A command whose processes sleep a fifth of the seconds that they say, unless all is wanted.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.0.command(program);
        if !support::all() {
            command.env("LD_PRELOAD", self.pace());
        }
        command
    }

    pub fn make<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut make = self.make_without_library("make");
        make.arg(format!("LIBRARY={}", library().display()));
        make.args(arguments);
        make
    }

    pub fn make_without_library(&self, make: &str) -> Command {
        let mut make = self.command(make);
        make.args(["--no-print-directory", "-C"]).arg(tour_file(""));
        make.arg(format!("OUT={}", self.0.path().display()));
        for variable in ["MAKEFLAGS", "MAKELEVEL", "CPPFLAGS", "LDFLAGS", "LDLIBS"] {
            make.env_remove(variable);
        }
        make
    }
}

/// A command in a process group of its own, with the lines that its processes print. When the test
/// ends, however it ends, they all are gone.
pub struct Group {
    first: Child,
    lines: Receiver<String>,
    output: String,
    ended: bool,
}

impl Group {
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    pub fn start_with(mut command: Command, input: impl Into<Stdio>) -> Self {
        let (reader, writer) = io::pipe().unwrap();
        command.stdin(input);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let first = command.process_group(0).spawn().unwrap();
        // Else the output would never end.
        drop(command);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            first,
            lines,
            output: String::new(),
            ended: false,
        }
    }

    /// The process id of the first one, and the number of the group.
    pub fn id(&self) -> i32 {
        self.first.id() as i32
    }

    pub fn wait_for(&mut self, start: &str) {
        let end = Instant::now() + PATIENCE;
        while let Some(line) = self.next_line(end) {
            if line.starts_with(start) {
                return;
            }
        }
        panic!("no \"{start}\" in\n{}", self.output);
    }

    /// Waits for all of its processes to end; the status of the first one, and all that they said.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        while self.next_line(end).is_some() {}
        let status = self.first.wait().unwrap();
        assert!(!self.signal_all(0), "a process is left\n{}", self.output);
        self.ended = true;
        (status, std::mem::take(&mut self.output))
    }

    fn next_line(&mut self, end: Instant) -> Option<String> {
        match self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(line) => {
                self.output += &line;
                self.output += "\n";
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("still running\n{}", self.output),
        }
    }

    /// Whether there was a process to send it to.
    pub fn signal_all(&self, signal: i32) -> bool {
        // SAFETY: takes no pointer. The group keeps its number while a process of it is left.
        unsafe { libc::kill(-self.id(), signal) == 0 }
    }

    pub fn signal_first(&self, signal: i32) {
        // SAFETY: takes no pointer. The process has not been waited for.
        assert_eq!(unsafe { libc::kill(self.id(), signal) }, 0);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.signal_all(libc::SIGKILL);
            let _ = self.first.wait();
        }
    }
}
