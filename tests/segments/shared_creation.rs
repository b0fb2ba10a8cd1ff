//! A System V segment exists before its creator has prepared it, so another process may open it
//! meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use crate::support::driver::Driver;
use crate::support::{self, Child, Link};

/// A creator that has created its segment and has not locked it yet.
struct Creator {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Creator {
    fn start(mut command: Command) -> Self {
        let mut child = Child::start(&mut command);
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut creator = Self { child, lines };
        assert_eq!(creator.line(), "locking");
        creator
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn fail(mut self) {
        let mut input = self.child.0.stdin.take().unwrap();
        input.write_all(b"\n").unwrap();
        assert_eq!(self.line(), format!("open: errno {}", libc::EPERM));
        assert!(self.child.0.wait().unwrap().success());
    }
}

#[test]
fn a_creation_that_fails_removes_the_segment_unless_another_process_uses_it() {
    let driver = Driver::build("segment.c", Link::Shared);
    let no_lock = support::preload("no_lock.c");
    let name = driver.sysv();
    let creator = || {
        let mut command = driver.command(&["open", &name, "64", "cl", "0600"]);
        command.env("LD_PRELOAD", &no_lock);
        Creator::start(command)
    };

    creator().fail();
    assert_eq!(driver.sandbox.segments(), []);

    let creator = creator();
    let open = ["open", &name, "0", "", "0", "pause"];
    let mut user = Child::start(&mut driver.command(&open));
    let mut lines = BufReader::new(user.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "pause"));
    creator.fail();
    // The segment keeps its key: later openers share it with its user.
    let segment = support::segment(driver.sandbox.key()).expect("a segment");
    assert_eq!(segment.attached, 1);
    driver.run(&["remove", &name]);
}
