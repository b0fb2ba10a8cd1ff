//! Programs in other languages, and helpers of the interoperation tests.

use std::fs;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{self, Child, Link, Sandbox};

pub const TEXT: &str = "how are you";

/// Not a multiple of a page.
pub const SIZE: &str = "5000";

/// The drivers of both headers, and names of segments.
pub struct Fixture {
    pub sandbox: Sandbox,
    pub segment: PathBuf,
    pub object: Object,
}

impl Fixture {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        let segment = support::program("segment.c", &[], Link::Static);
        Self {
            sandbox,
            segment,
            object: Object::new(),
        }
    }

    /// Two names of one segment: this directory's path, and the key of that path.
    pub fn sysv(&self) -> [String; 2] {
        let path = self.sandbox.path().display();
        [
            format!("sysv:{path}"),
            format!("sysv:{:#x}", self.sandbox.key()),
        ]
    }

    /// Runs the driver of `shmcomm.h`. Returns its output.
    pub fn run(&self, arguments: &[&str]) -> String {
        call(self.sandbox.command(&self.segment).args(arguments))
    }

    /// Starts the driver of `shmcomm.h` and waits until it reaches `pause`.
    pub fn start(&self, arguments: &[&str]) -> Paused {
        Paused::start(self.sandbox.command(&self.segment).args(arguments))
    }

    /// Runs the driver of `comm.h` with the sandbox's key.
    pub fn comm(&self, arguments: &[&str]) -> String {
        let program = self.sandbox.join("comm");
        if !program.exists() {
            let mut cc = support::cc();
            cc.arg(support::source("comm-driver.c"));
            support::build(&mut cc, Link::Static, &program);
        }
        call(self.sandbox.command(program).args(arguments))
    }

    pub fn assert_absent(&self, name: &str) {
        assert_eq!(
            self.run(&["open", name, "0", "", "0"]),
            failed("open", libc::ENOENT)
        );
    }
}

/// A unique name in `/dev/shm`. Its object is removed when the test ends, also if the test fails.
pub struct Object(pub PathBuf);

impl Object {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        const PREFIX: &str = "shmcomm-test-interop-";
        // Objects of killed tests.
        for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(PREFIX).and_then(|id| id.split_once('-'));
            if pid.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("/dev/shm/{PREFIX}{}-{number}", std::process::id()).into())
    }

    pub fn name(&self) -> String {
        format!("posix:/{}", self.0.file_name().unwrap().display())
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A process that waits in `pause` until it is resumed or killed.
pub struct Paused {
    pub child: Child,
    pub lines: Lines<BufReader<ChildStdout>>,
}

impl Paused {
    pub fn start(command: &mut Command) -> Self {
        let mut child = Child::start(command);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let printed: Vec<_> = lines.by_ref().map_while(Result::ok).collect_until("pause");
        assert_eq!(printed.last().unwrap(), "pause", "{command:?}");
        Self { child, lines }
    }

    pub fn pid(&self) -> String {
        self.child.0.id().to_string()
    }

    /// Resumes it until it pauses again or exits. Returns its output.
    pub fn go_on(&mut self) -> String {
        let mut stdin = self.child.0.stdin.as_ref().unwrap();
        stdin.write_all(b"\n").unwrap();
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines.collect_until("pause").join("\n")
    }
}

pub trait CollectUntil: Iterator<Item = String> + Sized {
    /// All lines up to and including this one.
    fn collect_until(mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            match self.next() {
                Some(line) => lines.push(line),
                None => break,
            }
        }
        lines
    }
}

impl<T: Iterator<Item = String>> CollectUntil for T {}

/// Runs a command that must succeed. Returns its output.
pub fn call(command: &mut Command) -> String {
    support::stdout(&support::run(command)).trim_end().into()
}

pub fn failed(what: &str, errno: i32) -> String {
    format!("{what}: errno {errno}")
}

/// Asserts that a line of `name value` pairs contains all these pairs.
pub fn assert_fields(line: &str, expected: &[(&str, &str)]) {
    let words: Vec<_> = line.split_whitespace().collect();
    for (name, value) in expected {
        let pair = words.windows(2).find(|pair| pair[0] == *name);
        assert_eq!(pair.map(|pair| pair[1]), Some(*value), "{name} in {line:?}");
    }
}

pub fn ids() -> (String, String) {
    // SAFETY: take no argument.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    (uid.to_string(), gid.to_string())
}

/// Another program, given as its interpreter and its script in `tests/interop`.
pub struct Other {
    pub interpreter: PathBuf,
    pub script: PathBuf,
}

impl Other {
    pub fn new(interpreter: impl Into<PathBuf>, script: &str) -> Option<Self> {
        let directory = Path::new(support::ROOT).join("tests/interop");
        Some(Self {
            interpreter: interpreter.into(),
            script: directory.join(script),
        })
    }

    pub fn perl(script: &str) -> Option<Self> {
        support::has("perl").then(|| Self::new("perl", script))?
    }

    pub fn python(script: &str) -> Option<Self> {
        support::has("python3").then(|| Self::new("python3", script))?
    }

    /// Python with the packages from PyPI.
    pub fn python_with_packages(script: &str) -> Option<Self> {
        Self::new(packages::python()?, script)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.script).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        call(&mut self.command(arguments))
    }
}

/// The packages from PyPI, in a virtual environment that is kept between runs.
pub mod packages {
    use super::*;

    const PACKAGES: [&str; 2] = ["sysv_ipc==1.2.0", "posix_ipc==1.3.2"];

    /// The Python that has them. If they cannot be installed, reports why and returns `None`.
    pub fn python() -> Option<PathBuf> {
        static RESULT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if !support::has("python3") {
            return None;
        }
        match RESULT.get_or_init(install) {
            Ok(python) => Some(python.clone()),
            Err(reason) => {
                support::skip(reason);
                support::skip_without(&PACKAGES.join(" "));
                None
            }
        }
    }

    fn install() -> Result<PathBuf, String> {
        let directory = Path::new(support::TEMPORARY).join("interop-python");
        let python = directory.join("bin/python");
        let complete = directory.join("complete");
        // Held until this function ends, by one test process at a time.
        let lock = File::create(directory.with_extension("lock")).unwrap();
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0);
        let wanted = PACKAGES.join(" ");
        let installed = fs::read_to_string(&complete).is_ok_and(|found| found == wanted);
        let mut version = Command::new(&python);
        if installed && attempt(version.arg("--version")).is_ok() {
            return Ok(python);
        }
        let _ = fs::remove_dir_all(&directory);
        attempt(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
        pip.args(["--timeout=20", "--retries=1"]);
        attempt(pip.args(PACKAGES))?;
        fs::write(complete, wanted).unwrap();
        Ok(python)
    }

    fn attempt(command: &mut Command) -> Result<(), String> {
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = support::stdout(&output) + &support::stderr(&output);
        Err(format!("{command:?}: {}", said.trim()))
    }
}
