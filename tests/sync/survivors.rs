//! Processes that use a channel after another one was killed.

use std::time::Duration;

use crate::support;
use crate::support::channel::ChannelDriver;

impl ChannelDriver {
    pub fn remove(&self) {
        assert_eq!(self.output("remove NAME"), "remove: ok\n");
        assert!(!self.object.path().exists());
    }
}

/// Arguments of a fresh process: it receives all messages without a wait, then sends one and
/// receives it.
pub const NEXT: &str = "open NAME 4096 rcFLAGS 0600 recv 0 recv 0 recv 0 recv 0 close \
    open NAME 0 sFLAGS 0 send next 0 close open NAME 0 rFLAGS 0 recv 0 recv 0";

/// The messages that this process received; the last one is its own.
pub fn received(output: &str) -> Vec<&str> {
    assert_eq!(output.matches("open: ok\n").count(), 3, "{output}");
    assert!(output.contains("send: ok\n"), "{output}");
    output
        .lines()
        .filter_map(|line| line.strip_prefix("recv: \"")?.strip_suffix('"'))
        .collect()
}

/// Makes attempts until the next process is done within 200 ms.
pub fn at_once<T>(attempt: impl FnMut() -> (T, Duration)) -> T {
    support::within(Duration::from_millis(200), 5, attempt)
}

/// The distance of two samples of a sweep, in instructions.
pub const EVERY: usize = 16;
