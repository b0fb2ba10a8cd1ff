//! The programs of `c-examples/`, built by `make` in a sandbox and run in process groups.
#![allow(dead_code)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::support::{self, ROOT, Sandbox, library, run};

/// Longer than any conversation, even if all tests run at once.
pub const PATIENCE: Duration = Duration::from_secs(50);
pub const STRICT: &str = "CFLAGS=-O2 -Wall -Wextra -Werror -pedantic";

pub fn tour_file(name: &str) -> PathBuf {
    Path::new(ROOT).join("c-examples").join(name)
}

/// The files of the examples with this extension.
pub fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(tour_file("")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|is| is == extension))
        .collect()
}

/// The names of the programs: each has one source.
fn programs() -> impl Iterator<Item = OsString> {
    let sources = files("c").into_iter();
    sources.map(|source| source.file_stem().unwrap().to_owned())
}

/// A sandbox that `make` builds the examples into.
pub struct Tour(pub Sandbox);

impl Tour {
    /// A sandbox in which nothing is built yet.
    pub fn empty() -> Option<Self> {
        support::has("make").then(|| Self(Sandbox::new()))
    }

    /// A sandbox in which `make all` has nothing to do.
    pub fn new() -> Option<Self> {
        let tour = Self::empty()?;
        for program in programs() {
            fs::hard_link(built().join(&program), tour.0.join(&program)).unwrap();
        }
        Some(tour)
    }

    /// A command whose processes sleep a fifth of the requested seconds, unless `SHMCOMM_TEST_ALL`
    /// is set.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.0.command(program);
        if !support::all() {
            command.env("LD_PRELOAD", support::preload("pace.c"));
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

/// A directory with all programs that `make` builds. They are built once in a run.
fn built() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let tour = Tour(Sandbox::new());
        run(&mut tour.make(["all", STRICT]));
        let built = Path::new(support::TEMPORARY).join("examples");
        fs::create_dir_all(&built).unwrap();
        for program in programs() {
            fs::rename(tour.0.join(&program), built.join(&program)).unwrap();
        }
        built
    });
    &BUILT
}

/// A command in its own process group, with the lines that its processes print. All of them are
/// killed when the test ends, also if it fails.
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

    /// The pid of the first process, which is also the number of the group.
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

    /// Waits until all its processes exit. Returns the status of the first one and the output of
    /// all.
    pub fn finish(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        while self.next_line(end).is_some() {}
        let status = self.first.wait().unwrap();
        assert!(!self.signal_all(0), "a process still runs\n{}", self.output);
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

    /// Returns whether there was a process to signal.
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
