//! The server and the client of `c-examples/`, built and run with `make`, as a reader does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use crate::support::make::{Group, PATIENCE, Tour, tour_file};
use crate::support::{self, run, stderr, stdout};

#[test]
fn make_run_shows_a_whole_conversation() {
    let Some(tour) = Tour::new() else { return };
    let (status, output) = Group::start(tour.make(["run"])).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_conversation(&output);
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_client_that_starts_first_waits_for_its_server() {
    let Some(tour) = Tour::new() else { return };
    let mut client = tour.command(tour.0.join("client"));
    client.env("COMM_WAIT_MS", PATIENCE.as_millis().to_string());
    let client = Group::start(client);
    thread::sleep(Duration::from_millis(300));
    let server = Group::start(tour.command(tour.0.join("server")));
    let (status, output) = client.finish();
    assert!(status.success(), "{status}\n{output}");
    let (status, output) = server.finish();
    assert!(status.success(), "{status}\n{output}");
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn a_client_without_a_server_fails() {
    let Some(tour) = Tour::new() else { return };
    let output = tour.command(tour.0.join("client")).output().unwrap();
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
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut server = Group::start(tour.command(tour.0.join("server")));
        server.wait_for("server: created");
        let mut client = Group::start(tour.command(tour.0.join("client")));
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
fn a_server_whose_output_is_not_read_leaves_no_segment() {
    let Some(tour) = Tour::new() else { return };
    let mut command = tour.command(tour.0.join("server"));
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
fn make_run_replaces_a_killed_servers_segment() {
    let Some(tour) = Tour::new() else { return };
    let left = tour.leave_segment();

    // A server that starts slowly: a client that did not wait for it would find the stale segment.
    let slow_server = tour.0.join("slow-server");
    let server = tour.0.join("server");
    fs::write(
        &slow_server,
        format!("#!/bin/sh\nsleep 1\nexec '{}'\n", server.display()),
    )
    .unwrap();
    run(Command::new("chmod").arg("+x").arg(&slow_server));
    let mut command = tour.command("sh");
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
fn make_run_leaves_a_segment_in_use_alone() {
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
fn a_server_that_looks_late_still_sees_the_end() {
    let Some(tour) = Tour::new() else { return };
    let mut server = Group::start(tour.hurried("server"));
    server.wait_for("server: created");
    Attached::new(tour.0.segments()[0].id).fill(b'A', 8);
    let (status, output) = server.finish();
    assert!(status.success(), "{status}\n{output}");
    assert!(output.contains("server: read \"AAAAAAAA\"\n"), "{output}");
}

impl Tour {
    /// One of the programs. Its seconds last 10 ms, and an access after the end of the segment is a
    /// fault.
    fn hurried(&self, program: &str) -> Command {
        let mut command = self.0.command(self.0.join(program));
        command.env("LD_PRELOAD", support::preload("hurry.c"));
        command
    }

    /// Creates a segment, which is in use because this process lives. Returns its id.
    fn new_segment(&self, size: usize) -> i32 {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
        // SAFETY: takes no buffer.
        let id = unsafe { libc::shmget(self.0.key(), size, flags) };
        assert_ne!(id, -1);
        id
    }

    /// Kills a server that has created its segment. Returns the id of the stale segment.
    fn leave_segment(&self) -> i32 {
        let mut server = Group::start(self.command(self.0.join("server")));
        server.wait_for("server: created");
        server.signal_all(libc::SIGKILL);
        server.finish();
        let [left] = &self.0.segments()[..] else {
            panic!("{:?}", self.0.segments());
        };
        left.id
    }
}

/// Asserts that both programs printed all their lines, and that the text that the server read grew
/// until it was complete.
pub fn assert_conversation(output: &str) {
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
        // SAFETY: at least `count` bytes are attached.
        unsafe { self.0.write_bytes(byte, count) };
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: it is attached, and not used afterwards.
        unsafe { libc::shmdt(self.0.cast()) };
    }
}
