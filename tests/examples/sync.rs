//! The examples of layer 3: the semaphore and the channel.

use std::os::unix::process::ExitStatusExt;

use super::run::*;
use crate::support;
use crate::support::make::{Group, STRICT, Tour};

#[test]
fn one_process_goes_on_when_the_other_is_killed_with_the_semaphore() {
    let Some(tour) = Tour::new() else { return };
    let name = format!("sysv:{}#83", tour.0.path().display());
    for _ in 0..5 {
        let (status, output) = Run::of(tour.named("semaphore", Some(&name))).finish();
        assert!(status.success(), "{status}\n{output}");
        let count = |text: &str| output.matches(text).count();
        assert_eq!(count("child: wrote c, the buffer is "), 3, "{output}");
        assert_eq!(
            count("child: has the semaphore, and is killed\n"),
            1,
            "{output}"
        );
        let told = "parent: the child was killed; the semaphore is 1 again\n";
        assert_eq!(count(told), 1, "{output}");
        let last = output.lines().last().unwrap();
        let text = last
            .strip_prefix("parent: wrote P, the buffer is ")
            .expect(&output);
        let letters = |letter| text.matches(letter).count();
        assert_eq!(
            (letters('c'), letters('p'), letters('P')),
            (3, 3, 1),
            "{output}"
        );
        // SAFETY: takes no buffer.
        let left = unsafe { libc::semget(tour.key(83), 0, 0) };
        assert_eq!(left, -1, "{output}");
    }
}

#[test]
fn a_signal_ends_a_wait_for_the_semaphore() {
    let Some(tour) = Tour::new() else { return };
    let hold = support::preload("hold.c");
    let name = format!("sysv:{}#83", tour.0.path().display());
    for signal in [libc::SIGINT, libc::SIGTERM] {
        for all in [true, false] {
            let mut command = tour.named("semaphore", Some(&name));
            command.env("LD_PRELOAD", &hold);
            let mut group = Group::start(command);
            group.wait_for("child: wrote c");
            // Now the parent waits, or is about to.
            std::thread::sleep(std::time::Duration::from_millis(200));
            if all {
                group.signal_all(signal);
            } else {
                group.signal_first(signal);
            }
            let (status, output) = group.finish();
            assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
            let stopped = format!("parent: stops, because of signal {signal}\n");
            assert!(output.contains(&stopped), "{output}");
            assert!(!output.contains("parent: the child was killed"), "{output}");
            // SAFETY: takes no buffer.
            let left = unsafe { libc::semget(tour.key(83), 0, 0) };
            assert_eq!(left, -1, "{output}");
        }
    }
}

/// The names of the two channels of `channel-server` and `channel-client`. Neither channel may
/// remain.
struct Channels([support::ObjectName; 2]);

impl Channels {
    fn new() -> Self {
        Self([support::ObjectName::new(), support::ObjectName::new()])
    }

    fn names(&self) -> [String; 2] {
        [self.0[0].name(), self.0[1].name()]
    }

    fn program(&self, tour: &Tour, program: &str) -> Group {
        let mut command = tour.program(program);
        command.args(self.names());
        Group::start(command)
    }

    fn assert_removed(&self, output: &str) {
        let left = self.0.iter().filter(|channel| channel.path().exists());
        assert_eq!(left.count(), 0, "{output}");
    }
}

/// The two programs, each with the line that it prints before it waits for the other.
const SERVER: (&str, &str) = ("channel-server", "server: waits for letters");

const CLIENT: (&str, &str) = ("channel-client", "client: sent A, 1 of 5");

/// Long enough for a program that has just printed a line to begin its wait.
fn let_it_wait() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

#[test]
fn channel_server_and_client_start_in_either_order() {
    let Some(tour) = Tour::new() else { return };
    let channels = Channels::new();
    let setting = format!("CHANNELS={}", channels.names().join(" "));
    for [first, second] in [[SERVER, CLIENT], [CLIENT, SERVER]] {
        for delay in [false, true] {
            let make = |name| Group::start(tour.make([&format!("run-{name}"), STRICT, &setting]));
            let mut group = make(first.0);
            if delay {
                group.wait_for(first.1);
                let_it_wait();
            }
            let mut all = String::new();
            for program in [group, make(second.0)] {
                let (status, output) = program.finish();
                assert!(status.success(), "{status}\n{output}");
                all += &output;
            }
            for length in 1..=5 {
                let text = "A".repeat(length);
                for line in [
                    format!("server: received \"{text}\""),
                    format!("client: sent A, {length} of 5"),
                    format!("client: the server has \"{text}\""),
                ] {
                    let times = all.lines().filter(|said| *said == line).count();
                    assert_eq!(times, 1, "{line}\n{all}");
                }
            }
            channels.assert_removed(&all);
        }
    }
}

#[test]
fn a_signal_to_channel_server_or_client_leaves_no_channel() {
    let Some(tour) = Tour::new() else { return };
    let channels = Channels::new();
    for (interrupted, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            for alone in [true, false] {
                let other = (!alone).then(|| {
                    let mut group = channels.program(&tour, other.0);
                    group.wait_for(other.1);
                    let_it_wait();
                    group.signal_first(libc::SIGSTOP);
                    group
                });
                let mut group = channels.program(&tour, interrupted.0);
                group.wait_for(interrupted.1);
                let_it_wait();
                group.signal_first(signal);
                let (status, output) = group.finish();
                assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
                channels.assert_removed(&output);
                if let Some(other) = other {
                    other.signal_first(libc::SIGCONT);
                    let (status, output) = other.finish();
                    assert_eq!(status.code(), Some(1), "{status}\n{output}");
                    channels.assert_removed(&output);
                }
            }
        }
    }
}

#[test]
fn a_second_channel_server_or_client_disturbs_nothing() {
    let Some(tour) = Tour::new() else { return };
    let channels = Channels::new();
    let mut server = channels.program(&tour, SERVER.0);
    server.wait_for(SERVER.1);
    let (status, output) = channels.program(&tour, SERVER.0).finish();
    assert_eq!(status.code(), Some(1), "{status}\n{output}");
    assert!(output.contains("Device or resource busy"), "{output}");
    for program in [channels.program(&tour, CLIENT.0), server] {
        let (status, output) = program.finish();
        assert!(status.success(), "{status}\n{output}");
    }
    channels.assert_removed("");
}

#[test]
fn a_channel_goes_on_with_another_client_when_one_is_killed() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    for _ in 0..5 {
        let (status, output) = Run::of(tour.named("channel-killed", Some(&object.name()))).finish();
        assert!(status.success(), "{status}\n{output}");
        let received: Vec<_> = output
            .lines()
            .filter_map(|line| line.strip_prefix("server: received "))
            .collect();
        let all = ["\"A\"", "\"AA\"", "\"AAA\"", "\"AAAA\"", "\"AAAAA\""];
        assert_eq!(received, all, "{output}");
        assert_eq!(output.matches("client: is killed\n").count(), 1, "{output}");
        assert_eq!(
            output.matches("here is another one\n").count(),
            1,
            "{output}"
        );
        assert!(!object.path().exists(), "{output}");
    }
}

#[test]
fn one_loop_waits_for_a_channel_and_for_input() {
    let Some(tour) = Tour::new() else { return };
    let object = support::ObjectName::new();
    let command = tour.named("channel-poll", Some(&object.name()));
    let (status, output) = Run::with_input(command, "hello\n").finish();
    assert!(status.success(), "{status}\n{output}");
    for line in [
        "you typed hello",
        "received \"one\"",
        "received \"two\"",
        "received \"three\"",
        "the sender has exited",
    ] {
        let line = format!("loop: {line}");
        assert_eq!(
            output.lines().filter(|said| *said == line).count(),
            1,
            "{line}\n{output}"
        );
    }
    assert!(!object.path().exists(), "{output}");
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut group = Group::start(tour.named("channel-poll", Some(&object.name())));
        group.wait_for("loop: received \"one\"");
        group.signal_first(signal);
        let (status, output) = group.finish();
        assert_eq!(status.signal(), Some(signal), "{status}\n{output}");
        assert!(!object.path().exists(), "{output}");
    }
}
