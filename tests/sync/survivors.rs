//! What the tests of survival ask of the processes that come after a killed one.

use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use crate::support;
use crate::support::Link;
use crate::support::driver::Driver;

/// The driver of `channel.c`.
pub struct Survivors(Driver);

impl Deref for Survivors {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.0
    }
}

impl Survivors {
    pub fn new() -> Self {
        Self(Driver::build("channel.c", Link::Static))
    }

    /// These arguments, with the object's name.
    pub fn process(&self, words: &str) -> Command {
        let words = words.replace("NAME", &self.posix());
        self.command(&words.split(' ').collect::<Vec<_>>())
    }

    pub fn output(&self, words: &str) -> String {
        support::stdout(&support::run(&mut self.process(words)))
    }

    pub fn remove(&self) {
        assert_eq!(self.output("remove NAME"), "remove: ok\n");
        assert!(!self.object.path().exists());
    }
}

/// What a fresh process receives, with nothing to wait for, and that it can go on.
pub const NEXT: &str = "open NAME 4096 rcFLAGS 0600 recv 0 recv 0 recv 0 recv 0 close \
    open NAME 0 sFLAGS 0 send next 0 close open NAME 0 rFLAGS 0 recv 0 recv 0";

/// The messages that it received, the last of them its own.
pub fn received(output: &str) -> Vec<&str> {
    assert_eq!(output.matches("open: ok\n").count(), 3, "{output}");
    assert!(output.contains("send: ok\n"), "{output}");
    output
        .lines()
        .filter_map(|line| line.strip_prefix("recv: \"")?.strip_suffix('"'))
        .collect()
}

/// Attempts what the next process must have done within 200 ms.
pub fn at_once<T>(attempt: impl FnMut() -> (T, Duration)) -> T {
    support::within(Duration::from_millis(200), 5, attempt)
}

/// Between two samples of a sweep that does not take every instruction.
pub const EVERY: usize = 16;
