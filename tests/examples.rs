//! The C programs of `c-examples/`, built and run as a reader of theirs does it, by `make`.

mod support;

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use support::{ROOT, Sandbox, library, run, stderr, stdout};

/// Longer than any conversation, also where all tests run at once.
const PATIENCE: Duration = Duration::from_secs(50);
const STRICT: &str = "CFLAGS=-O2 -Wall -Wextra -Werror -pedantic";

#[test]
fn make_run_shows_a_whole_conversation() {
    let Some(tour) = Tour::new() else { return };
    let (status, output) = Group::start(tour.make(["run"])).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_conversation(&output);
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_client_that_comes_first_waits_for_its_server() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let mut client = tour.0.command(tour.0.join("client"));
    client.env("COMM_WAIT_MS", PATIENCE.as_millis().to_string());
    let client = Group::start(client);
    thread::sleep(Duration::from_millis(300));
    let server = Group::start(tour.0.command(tour.0.join("server")));
    let (status, output) = client.finish();
    assert!(status.success(), "{status}\n{output}");
    let (status, output) = server.finish();
    assert!(status.success(), "{status}\n{output}");
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_client_without_a_server_fails() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let output = tour.0.command(tour.0.join("client")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "shmget: Invalid argument\n");
}

#[test]
fn ctrl_c_leaves_no_segment() {
    let Some(tour) = Tour::new() else { return };
    for moment in ["server: created", "client: appended"] {
        let mut make = Group::start(tour.make(["run"]));
        make.wait_for(moment);
        make.signal_all(libc::SIGINT);
        let (status, output) = make.finish();
        assert!(!status.success(), "{output}");
        assert!(output.contains("server: stopped by a signal"), "{output}");
        assert_eq!(tour.0.segments(), [], "{output}");
    }
}

#[test]
fn a_signal_lets_both_clean_up() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut server = Group::start(tour.0.command(tour.0.join("server")));
        server.wait_for("server: created");
        let mut client = Group::start(tour.0.command(tour.0.join("client")));
        client.wait_for("client: appended");
        for (program, says) in [(client, "client: detached"), (server, "server: removed")] {
            program.signal_first(signal);
            let (status, output) = program.finish();
            assert_eq!(status.code(), Some(1), "{status}\n{output}");
            assert!(output.contains("stopped by a signal"), "{output}");
            assert!(output.contains(says), "{output}");
        }
        assert_eq!(tour.0.segments(), []);
    }
}

#[test]
fn terminating_make_leaves_no_segment() {
    let Some(tour) = Tour::new() else { return };
    let mut make = Group::start(tour.make(["run"]));
    make.wait_for("client: appended");
    make.signal_first(libc::SIGTERM);
    let (status, output) = make.finish();
    assert!(!status.success(), "{output}");
    assert_eq!(tour.0.segments(), [], "{output}");
}

#[test]
fn a_server_whose_output_nobody_reads_leaves_no_segment() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let mut command = tour.0.command(tour.0.join("server"));
    let mut server = support::Child::start(command.stderr(Stdio::null()));
    let mut line = String::new();
    let mut output = BufReader::new(server.0.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("server: created"), "{line}");
    drop(output);
    assert_eq!(server.0.wait().unwrap().code(), Some(1));
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn make_run_replaces_what_a_killed_server_left() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let left = tour.leave_segment();

    // A server that is slow to start, so that a client in a hurry meets what lies there.
    let slow_server = tour.0.join("slow-server");
    let server = tour.0.join("server");
    fs::write(
        &slow_server,
        format!("#!/bin/sh\nsleep 1\nexec '{}'\n", server.display()),
    )
    .unwrap();
    run(Command::new("chmod").arg("+x").arg(&slow_server));
    let mut command = tour.0.command("sh");
    command.arg(tour_file("run.sh")).arg(&slow_server);
    command
        .arg(tour.0.join("client"))
        .env("COMM_RECLAIM", "1")
        .env("COMM_WAIT_MS", "5000");
    let (status, output) = Group::start(command).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_conversation(&output);
    assert!(!output.contains(&format!("segment {left}")), "{output}");
    assert_eq!(tour.0.segments(), []);

    tour.leave_segment();
    let (status, output) = Group::start(tour.make(["run"])).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn make_run_does_not_touch_what_is_in_use() {
    let Some(tour) = Tour::new() else { return };
    let id = tour.new_segment(100);
    let before = tour.0.segments();
    let (status, output) = Group::start(tour.make(["run"])).finish();
    assert!(!status.success(), "{output}");
    assert!(output.contains("shmget: File exists"), "{output}");
    let explanation = format!("shmcomm: create_shm: there is already a segment with id {id} ");
    assert!(output.contains(&explanation), "{output}");
    assert!(!output.contains("client:"), "{output}");
    assert_eq!(tour.0.segments(), before);
}

#[test]
fn a_server_without_a_client_gives_up() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let (status, output) = Group::start(tour.hurried("server")).finish();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("server: gave up: no client has written AAAAA within 60 seconds\n"),
        "{output}"
    );
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_server_reads_no_further_than_the_segment() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let mut server = Group::start(tour.hurried("server"));
    server.wait_for("server: created");
    Attached::new(tour.0.segments()[0].id).fill(b'B', Attached::SIZE);
    let (status, output) = server.finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    let full = format!("server: read \"{}\"\n", "B".repeat(Attached::SIZE));
    assert!(output.contains(&full), "{output}");
    assert!(output.contains("server: gave up"), "{output}");
}

#[test]
fn a_client_writes_no_further_than_the_segment() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let segment = Attached::new(tour.new_segment(Attached::SIZE));
    for (room, appended) in [(0, 0), (1, 0), (2, 1), (4, 3)] {
        let filled = Attached::SIZE - room;
        segment.fill(0, Attached::SIZE);
        segment.fill(b'B', filled);
        let (status, output) = Group::start(tour.hurried("client")).finish();
        assert_eq!(status.code(), Some(1), "{status}\n{output}");
        let letters = output.matches("client: appended").count();
        assert_eq!(letters, appended, "{output}");
        assert!(output.contains("client: no room left"), "{output}");
    }
}

#[test]
fn a_server_that_looks_late_sees_the_end_all_the_same() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all"]));
    let mut server = Group::start(tour.hurried("server"));
    server.wait_for("server: created");
    Attached::new(tour.0.segments()[0].id).fill(b'A', 8);
    let (status, output) = server.finish();
    assert!(status.success(), "{status}\n{output}");
    assert!(output.contains("server: read \"AAAAAAAA\"\n"), "{output}");
}

#[test]
fn make_static_needs_no_shared_library() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["static", STRICT]));
    for program in ["server", "client"] {
        assert!(!tour.0.join(program).exists());
    }
    let mut command = tour.0.command("sh");
    command.arg(tour_file("run.sh"));
    for program in ["server-static", "client-static"] {
        let program = tour.0.join(program);
        let bytes = fs::read(&program).unwrap();
        let soname = b"libshmcomm.so";
        assert!(!bytes.windows(soname.len()).any(|bytes| bytes == soname));
        command.arg(program);
    }
    let (status, output) = Group::start(command).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_conversation(&output);
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn the_programs_build_without_a_warning() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all", STRICT]));
    for compiler in ["gcc", "clang"] {
        if support::has(compiler) {
            run(&mut tour.make(["clean"]));
            let output = run(&mut tour.make(["all", STRICT, &format!("CC={compiler}")]));
            let commands = stdout(&output);
            let calls = |line: &&str| line.starts_with(&format!("{compiler} "));
            assert_eq!(commands.lines().filter(calls).count(), 2, "{commands}");
            assert_eq!(stderr(&output), "");
        }
    }
}

#[test]
fn make_builds_once_and_clean_leaves_nothing() {
    let Some(tour) = Tour::new() else { return };
    run(&mut tour.make(["all", "static"]));
    let again = stdout(&run(&mut tour.make(["all", "static"])));
    assert!(!again.contains("-o "), "{again}");
    run(&mut tour.make(["clean"]));
    assert_eq!(fs::read_dir(tour.0.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_compiler_is_one_line() {
    let Some(tour) = Tour::new() else { return };
    let output = tour.make(["CC=/nonexistent"]).output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("there is no C compiler \"/nonexistent\": install one"),
        "{message}"
    );
}

#[test]
fn a_missing_cargo_is_one_line() {
    let Some(tour) = Tour::new() else { return };
    // Any program serves as the compiler that is there; nothing gets to call it.
    let programs = tour.0.join("programs");
    fs::create_dir(&programs).unwrap();
    symlink("/bin/sh", programs.join("cc")).unwrap();
    let make = stdout(&run(Command::new("sh").args(["-c", "command -v make"])));
    let output = tour
        .make_without_library(make.trim_end())
        .arg("CC=cc")
        .env("PATH", &programs)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("there is no cargo to build the library with: install Rust from https://"),
        "{message}"
    );
}

/// Stands before the C library; see [`Tour::hurried`].
const HURRY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

unsigned sleep(unsigned seconds)
{
    poll(0, 0, 50 * (int)seconds);
    return 0;
}

void *shmat(int id, const void *address, int flags)
{
    void *(*next)(int, const void *, int) = dlsym(RTLD_NEXT, "shmat");
    size_t page = sysconf(_SC_PAGESIZE);

    address = mmap(0, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return next(id, address, flags | SHM_REMAP);
}
"#;

/// The examples, built into a sandbox.
struct Tour(Sandbox);

impl Tour {
    fn new() -> Option<Self> {
        support::has("make").then(|| Self(Sandbox::new()))
    }

    fn make<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut make = self.make_without_library("make");
        make.arg(format!("LIBRARY={}", library().display()));
        make.args(arguments);
        make
    }

    fn make_without_library(&self, make: &str) -> Command {
        let mut make = self.0.command(make);
        make.args(["--no-print-directory", "-C"]).arg(tour_file(""));
        make.arg(format!("OUT={}", self.0.path().display()));
        for variable in ["MAKEFLAGS", "MAKELEVEL", "CPPFLAGS", "LDFLAGS", "LDLIBS"] {
            make.env_remove(variable);
        }
        make
    }

    /// One of the programs, such that a second is a twentieth of one, and that a byte behind the
    /// segment cannot be touched.
    fn hurried(&self, program: &str) -> Command {
        let source = self.0.join("hurry.c");
        let hurry = self.0.join("hurry.so");
        fs::write(&source, HURRY).unwrap();
        run(support::cc()
            .args(["-shared", "-fPIC", "-o"])
            .arg(&hurry)
            .arg(source)
            .arg("-ldl"));
        let mut command = self.0.command(self.0.join(program));
        command.env("LD_PRELOAD", hurry);
        command
    }

    /// A segment that is in use, since this process has created it; returns its id.
    fn new_segment(&self, size: usize) -> i32 {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: takes no buffer.
        let id = unsafe { libc::shmget(self.0.key(), size, flags) };
        assert_ne!(id, -1);
        id
    }

    /// Kills a server in the middle of its work; returns the id of the segment that it leaves.
    fn leave_segment(&self) -> i32 {
        let mut server = Group::start(self.0.command(self.0.join("server")));
        server.wait_for("server: created");
        server.signal_all(libc::SIGKILL);
        server.finish();
        let [left] = &self.0.segments()[..] else {
            panic!("{:?}", self.0.segments());
        };
        left.id
    }
}

fn tour_file(name: &str) -> PathBuf {
    Path::new(ROOT).join("c-examples").join(name)
}

/// Both have said all that they say, and what the server read grew up to what it waits for.
fn assert_conversation(output: &str) {
    let says = |line: &str| {
        output
            .lines()
            .position(|said| said.starts_with(line))
            .unwrap_or_else(|| panic!("no \"{line}\" in\n{output}"))
    };
    assert!(says("server: created segment") < says("client: found segment"));
    assert!(says("client: appended A, 5 of 5") < says("client: detached"));
    assert!(says("server: read \"AAAAA\"") < says("server: removed segment"));
    let read: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("server: read "))
        .collect();
    assert!(read.is_sorted_by_key(|text| text.len()), "{output}");
    let mut different = read.clone();
    different.dedup();
    assert!(different.len() >= 4, "{output}");
    assert_eq!(read[0], "\"\"", "{output}");
}

/// A command in a process group of its own, with the lines that its processes print. When the test
/// ends, however it ends, they all are gone.
struct Group {
    first: Child,
    lines: Receiver<String>,
    output: String,
    ended: bool,
}

impl Group {
    fn start(mut command: Command) -> Self {
        let (reader, writer) = io::pipe().unwrap();
        command.stdin(Stdio::null());
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

    fn wait_for(&mut self, start: &str) {
        let end = Instant::now() + PATIENCE;
        while let Some(line) = self.next_line(end) {
            if line.starts_with(start) {
                return;
            }
        }
        panic!("no \"{start}\" in\n{}", self.output);
    }

    /// Waits for all of its processes to end; the status of the first one, and all that they said.
    fn finish(mut self) -> (ExitStatus, String) {
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
    fn signal_all(&self, signal: i32) -> bool {
        // SAFETY: takes no pointer. The group keeps its number while a process of it is left.
        unsafe { libc::kill(-(self.first.id() as i32), signal) == 0 }
    }

    fn signal_first(&self, signal: i32) {
        // SAFETY: takes no pointer. The process has not been waited for.
        assert_eq!(unsafe { libc::kill(self.first.id() as i32, signal) }, 0);
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

/// A segment that this process has attached.
struct Attached(*mut u8);

impl Attached {
    const SIZE: usize = 4096;

    fn new(id: i32) -> Self {
        // SAFETY: at an address of the kernel's choice.
        let address = unsafe { libc::shmat(id, std::ptr::null(), 0) };
        assert_ne!(address.addr(), usize::MAX);
        Self(address.cast())
    }

    fn fill(&self, byte: u8, count: usize) {
        assert!(count <= Self::SIZE);
        // SAFETY: so many bytes are attached.
        unsafe { self.0.write_bytes(byte, count) };
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: it is attached, and used no more.
        unsafe { libc::shmdt(self.0.cast()) };
    }
}
