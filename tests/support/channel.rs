//! The drivers of `channel.c` and `topic.c`, and processes of them that pause.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::driver::Driver;
use super::{Child, Link};

pub struct ChannelDriver(Driver);

impl Deref for ChannelDriver {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.0
    }
}

impl ChannelDriver {
    pub fn new() -> Self {
        Self(Driver::build("channel.c", Link::Static))
    }

    /// The driver of topics.
    pub fn of_topics() -> Self {
        Self(Driver::build("topic.c", Link::Static))
    }

    pub fn names(&self) -> [String; 2] {
        [self.posix(), self.file()]
    }

    /// A process with these arguments, in which NAME stands for the object's name.
    pub fn process(&self, words: &str) -> Command {
        let words = words.replace("NAME", &self.posix());
        let mut command = self.command(&words.split(' ').collect::<Vec<_>>());
        // A process that is single-stepped has bound the functions of the C library before.
        command.env("LD_BIND_NOW", "1");
        command
    }

    pub fn output(&self, words: &str) -> String {
        super::stdout(&super::run(&mut self.process(words)))
    }

    /// Starts a process and waits until it reaches `pause`.
    pub fn start(&self, arguments: &[&str]) -> Paused {
        let mut child = Child::start(&mut self.command(arguments));
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let paused = (&mut output).lines().any(|line| line.unwrap() == "pause");
        assert!(paused, "{arguments:?}");
        Paused { child, output }
    }

    pub fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A process that waits for a line.
pub struct Paused {
    pub child: Child,
    output: BufReader<ChildStdout>,
}

impl Paused {
    pub fn pid(&self) -> i32 {
        self.child.0.id() as i32
    }

    pub fn kill(&mut self) {
        self.child.kill();
    }
}

/// Resumes it.
pub fn resume(mut paused: Paused) -> Paused {
    let stdin = paused.child.0.stdin.as_mut().unwrap();
    stdin.write_all(b"\n").unwrap();
    paused
}

/// Its output until it exits.
pub fn rest(mut paused: Paused) -> String {
    let mut text = String::new();
    paused.output.read_to_string(&mut text).unwrap();
    text
}

/// Resumes it. Returns its output, and the time until it exits.
pub fn goes_on(paused: Paused) -> (String, Duration) {
    let begin = Instant::now();
    let text = rest(resume(paused));
    (text, begin.elapsed())
}

pub fn output_of(child: std::process::Child) -> String {
    super::stdout(&child.wait_with_output().unwrap())
}

pub fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}
