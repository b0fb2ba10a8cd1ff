//! Runs a program of `c-examples/` and checks that it leaves nothing.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs, io, iter};

use crate::support;
use crate::support::make::{Group, STRICT, Tour, tour_file};
use crate::support::segments;

/// The programs of layer 2 and the one without a key: each runs on its own.
pub const PROGRAMS: [&str; 7] = [
    "private",
    "writer",
    "reader",
    "posix",
    "mapped-file",
    "status",
    "removal",
];

impl Tour {
    /// One of the programs, in a directory where its default name belongs to the sandbox.
    pub fn program(&self, name: &str) -> Command {
        let program = self.0.join(name);
        let mut command = self.0.command(program);
        command.current_dir(self.work());
        command
    }

    pub fn named(&self, program: &str, name: Option<&String>) -> Command {
        let mut command = self.program(program);
        command.args(name);
        command
    }

    pub fn make_with_segment(&self, target: &str) -> Command {
        let segment = format!("SEGMENT=sysv:{}#2015", self.0.path().display());
        self.make([target, STRICT, &segment])
    }

    /// A `PATH` on which `ipcs` is a script with this text.
    pub fn path_with_ipcs(&self, text: &str) -> OsString {
        let programs = self.0.join("programs");
        fs::create_dir(&programs).unwrap();
        let ipcs = programs.join("ipcs");
        script(&ipcs, text);
        let rest = env::var_os("PATH").unwrap_or_default();
        let rest = env::split_paths(&rest);
        env::join_paths(iter::once(programs).chain(rest)).unwrap()
    }

    /// The directory in which the programs run. The directory above it is the sandbox.
    pub fn work(&self) -> PathBuf {
        let work = self.0.join("work");
        fs::create_dir_all(&work).unwrap();
        work
    }

    pub fn key(&self, id: i32) -> libc::key_t {
        support::ftok(self.0.path(), id)
    }

    /// Leaves a segment for a reader.
    pub fn write(&self) {
        let (status, output) = Run::of(self.program("writer")).finish();
        assert!(status.success(), "{status}\n{output}");
    }

    /// Creates a segment as another program would.
    pub fn make_segment(&self, id: i32, size: usize, byte: u8) {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: takes no buffer.
        let id = unsafe { libc::shmget(self.key(id), size, flags) };
        assert_ne!(id, -1);
        // SAFETY: at an address of the kernel's choice; `size` bytes are attached.
        unsafe {
            let address = libc::shmat(id, std::ptr::null(), 0);
            assert_ne!(address.addr(), usize::MAX);
            address.cast::<u8>().write_bytes(byte, size);
            libc::shmdt(address);
        }
    }
}

/// A running program, and a guard that finds and removes what the program leaves.
pub struct Run {
    pub group: Group,
    pub traces: Traces,
}

impl Run {
    pub fn of(command: Command) -> Self {
        Self::start(command, Stdio::null())
    }

    pub fn with_input(command: Command, input: &str) -> Self {
        // A pipe holds 64 KiB.
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(input.as_bytes()).unwrap();
        drop(writer);
        Self::start(command, reader)
    }

    pub fn start(command: Command, input: impl Into<Stdio>) -> Self {
        let group = Group::start_with(command, input);
        let traces = Traces { pid: group.id() };
        Self { group, traces }
    }

    /// Waits until it exits, and asserts that it left nothing. Returns its status and its output.
    pub fn finish(self) -> (ExitStatus, String) {
        let Self { group, traces } = self;
        let (status, output) = group.finish();
        traces.assert_none(&output);
        (status, output)
    }
}

/// Objects that a program may leave outside the keys of the sandbox.
pub struct Traces {
    pub pid: i32,
}

impl Traces {
    /// Asserts that this program, and others with this output, left no object. Removes those that
    /// they left.
    pub fn assert_none(&self, output: &str) {
        let id = |line: &str| {
            line.split_once("made segment ")?
                .1
                .split_once(',')?
                .0
                .parse()
                .ok()
        };
        let ids: Vec<i32> = output.lines().filter_map(id).collect();
        let mut left = remove_segments(|segment| self.made(segment) || ids.contains(&segment.id));
        let path_of = |word: &str| {
            let word = word.trim_end_matches(',');
            match word.strip_prefix("posix:/") {
                Some(name) => Some(Path::new("/dev/shm").join(name)),
                None => word.starts_with("mapped-file-").then(|| tour_file(word)),
            }
        };
        let paths = output.split_whitespace().filter_map(path_of);
        for path in paths.chain([self.object()]) {
            if fs::remove_file(&path).is_ok() {
                left.push(text(&path));
            }
        }
        assert!(left.is_empty(), "left: {left:?}\n{output}");
    }

    /// Whether this program created the segment, without a key.
    pub fn made(&self, segment: &support::Segment) -> bool {
        segment.key == 0 && segment.creator == self.pid
    }

    pub fn object(&self) -> PathBuf {
        format!("/dev/shm/shmcomm-tour-{}", self.pid).into()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        remove_segments(|segment| self.made(segment));
        let _ = fs::remove_file(self.object());
    }
}

pub fn remove_segments(which: impl Fn(&support::Segment) -> bool) -> Vec<String> {
    let mut found = segments();
    found.retain(which);
    for segment in &found {
        // SAFETY: takes no buffer.
        unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
    found.iter().map(|segment| format!("{segment:?}")).collect()
}

/// A unique name of a POSIX object, which is removed when the test ends.
pub struct Object(pub String);

impl Object {
    pub fn new(name: &str) -> Self {
        Self(format!("shmcomm-test-{}-{name}", std::process::id()))
    }

    /// A name of the maximum length.
    pub fn long() -> Self {
        Self(format!("{:n<255}", Self::new("long").0))
    }

    pub fn name(&self) -> String {
        format!("posix:/{}", self.0)
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

pub fn id_after(start: &str, output: &str) -> i32 {
    let rest = output.split_once(start).unwrap().1;
    let id = rest.split(',').next().unwrap();
    id.parse().unwrap()
}

pub fn lines_of<'a>(program: &str, output: &'a str) -> impl Iterator<Item = &'a str> {
    let start = format!("{program}: ");
    output.lines().filter(move |line| line.starts_with(&start))
}

pub fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().into()
}
