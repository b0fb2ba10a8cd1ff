//! Helpers: the tool, objects that are removed when a test ends, processes that have exited.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::{env, fs, io, thread};

use shmcomm::{Channel, Name, Segment, Side, Topic, channel, segment, topic};

#[path = "../../../tests/support/measure.rs"]
pub mod measure;
#[path = "../../../tests/support/one_core.rs"]
mod one_core;
#[path = "../../../tests/support/ptrace.rs"]
#[allow(dead_code)]
pub mod ptrace;

pub const TOOL: &str = env!("CARGO_BIN_EXE_shmcomm");
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A command of the tool.
pub fn tool<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut tool = Command::new(TOOL);
    tool.args(arguments).env_remove("NO_COLOR");
    tool.stdin(Stdio::null());
    tool
}

/// What it prints, and its exit status.
pub fn run<const N: usize>(arguments: [&str; N]) -> (String, String, i32) {
    output(&mut tool(arguments))
}

pub fn output(command: &mut Command) -> (String, String, i32) {
    text(&command.output().unwrap())
}

pub fn text(output: &Output) -> (String, String, i32) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let status = output.status.code().unwrap_or(-1);
    (text(&output.stdout), text(&output.stderr), status)
}

/// The same with an input.
pub fn with_input(command: &mut Command, input: &[u8]) -> (String, String, i32) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        text(&child.wait_with_output().unwrap())
    })
}

/// Reports that a test does not run here; with `SHMCOMM_TEST_ALL` a missing tool is a failure.
pub fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("").to_owned();
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}

/// A unique object in `/dev/shm`, removed when the test ends.
pub struct Object(String);

impl Object {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With this at the end of its name.
    pub fn with(end: &str) -> Self {
        const PREFIX: &str = "shmcomm-tool-";
        static COUNT: AtomicU32 = AtomicU32::new(0);

        for left in fs::read_dir("/dev/shm").unwrap().flatten() {
            let name = left.file_name().to_string_lossy().into_owned();
            let pid = name
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.split('-').next());
            if pid.and_then(|pid| pid.parse().ok()).is_some_and(has_exited) {
                let _ = fs::remove_file(left.path());
            }
        }
        let number = COUNT.fetch_add(1, Relaxed);
        Self(format!("{PREFIX}{}-{number:03}{end}", std::process::id()))
    }

    pub fn text(&self) -> String {
        format!("posix:/{}", self.0)
    }

    pub fn name(&self) -> Name<'_> {
        Name::Posix(self.0.as_bytes())
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.0)
    }

    /// One end of a channel, created if need be.
    pub fn channel(&self, side: Side) -> Channel {
        let options = channel::Options {
            create: true,
            capacity: 65536,
            ..channel::Options::new(side)
        };
        options.open(self.name()).unwrap()
    }

    /// A writer or a reader of a topic, which the writer creates if need be.
    pub fn topic(&self, side: Side) -> Topic {
        let options = topic::Options {
            create: side == Side::Sender,
            max_message: 100,
            depth: 4,
            ..topic::Options::new(side)
        };
        options.open(self.name()).unwrap()
    }

    pub fn segment(&self) -> Segment {
        let options = segment::Options {
            create: true,
            size: 100,
            ..Default::default()
        };
        options.open(self.name()).unwrap()
    }

    /// Waits until no process uses it. A child that another test forked at the wrong moment has this process's
    /// descriptors until it exits.
    pub fn wait_until_unused(&self) {
        use std::os::fd::AsRawFd;
        wait_until("no user", || {
            let file = fs::File::open(self.path()).unwrap();
            // SAFETY: takes no pointer.
            unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
        });
    }

    /// A segment that no process uses, of this process.
    pub fn idle_segment(&self) {
        drop(self.segment());
        self.wait_until_unused();
    }

    /// A channel with these messages, whose creator has exited.
    pub fn stale_channel(&self, messages: &[&[u8]]) {
        in_dead_process(|| {
            let mut sender = self.channel(Side::Sender);
            for message in messages {
                sender.send(message, 0).unwrap();
            }
        });
    }

    /// A topic with these messages, whose creator has exited. Returns the pid that the creator had.
    pub fn stale_topic(&self, messages: &[&[u8]]) -> i32 {
        in_dead_process(|| {
            let mut writer = self.topic(Side::Sender);
            for message in messages {
                writer.write(message).unwrap();
            }
        })
    }

    pub fn stale_segment(&self) {
        in_dead_process(|| drop(self.segment()));
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn has_exited(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    unsafe { libc::kill(pid, 0) == -1 && *libc::__errno_location() == libc::ESRCH }
}

/// Does this in a child, which exits. It must not allocate: another thread may have held any lock. Returns the
/// pid that the child had.
pub fn in_dead_process(work: impl FnOnce()) -> i32 {
    // SAFETY: the child makes calls of the core alone, which allocate nothing.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        work();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the pointer is valid.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    child
}

/// A System V segment with a unique key, removed when the test ends.
pub struct SysvSegment(pub i32);

impl SysvSegment {
    /// By a process that has exited, as with a `comm.c`.
    pub fn stale() -> Self {
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        in_dead_process(|| {
            let id = Self::create(Self::key(), 0o666);
            // SAFETY: four bytes.
            unsafe { libc::write(pipe[1], (&raw const id).cast(), 4) };
        });
        let mut id = -1;
        // SAFETY: four bytes, and the ends of the pipe are used no more.
        unsafe {
            libc::read(pipe[0], (&raw mut id).cast(), 4);
            for end in pipe {
                libc::close(end);
            }
        }
        assert_ne!(id, -1);
        Self(id)
    }

    /// By this process.
    pub fn new() -> Self {
        Self(Self::create(Self::key(), 0o600))
    }

    /// A key of a comm.c's project id.
    fn key() -> i32 {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Relaxed) & 3;
        0x6600_0000 | ((std::process::id() & 0x3f_ffff) << 2 | number) as i32
    }

    fn create(key: i32, mode: i32) -> i32 {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | mode;
        // SAFETY: takes no pointer.
        unsafe { libc::shmget(key, 4096, flags) }
    }

    pub fn name(&self) -> String {
        format!("sysv:id:{}", self.0)
    }

    pub fn exists(&self) -> bool {
        // SAFETY: all zeros are a valid value.
        let mut info: libc::shmid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: the buffer is of the type that the call fills.
        unsafe { libc::shmctl(self.0, libc::IPC_STAT, &mut info) == 0 }
    }
}

impl Drop for SysvSegment {
    fn drop(&mut self) {
        // SAFETY: takes no buffer.
        unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// A process that is killed when the test ends.
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for up to ten seconds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

/// Replaces each of these texts.
pub fn masked(text: &str, masks: &[(String, &str)]) -> String {
    let mask = |text: String, (from, to): &(String, &str)| text.replace(from.as_str(), to);
    masks.iter().fold(text.to_owned(), mask)
}

/// Whether a program is installed. If it is not, reports that the test skips a part.
pub fn has_tool(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(name).is_file());
    if !found {
        assert!(!measure::all(), "{name} is not installed");
        skip(&format!("{name} is not installed"));
    }
    found
}

pub fn is_root() -> bool {
    // SAFETY: takes no argument.
    unsafe { libc::geteuid() == 0 }
}

/// Stops other threads when it is dropped, also if an assertion fails.
pub struct Done<'a>(pub &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Asserts that both become equal. A process that another test starts at the same moment has this process's
/// descriptors until its exec, and is a holder until then.
pub fn assert_becomes<T: PartialEq + std::fmt::Debug>(expected: T, mut found: impl FnMut() -> T) {
    for _ in 0..50 {
        if found() == expected {
            return;
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(found(), expected);
}
