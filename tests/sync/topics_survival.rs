//! A process that is killed at any instruction of any call leaves a topic that the next writer and
//! every reader use at once: the messages that were published are there, whole, and no other.
//!
//! With `SHMCOMM_TEST_ALL` the tests kill at every instruction, otherwise at samples spread over
//! the call.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use super::survivors::{EVERY, at_once};
use crate::support::channel::ChannelDriver;
use crate::support::ptrace::{kill_after_stops, kill_between};
use crate::support::segment::assert_no_new_temporary_names;
use crate::support::{self, Progress, timed};

/// Arguments of a fresh process: it reads what is kept, writes a message and reads that.
const NEXT: &str = "open NAME 40 4 rhc 0600 read 0 read 0 read 0 read 0 latest open NAME 0 0 s 0 \
    write next other read 0 latest";

/// Kills a process at each instruction of the call after "mark". `kept` are the messages that a reader
/// finds afterwards; if the call writes, `written` is there or not.
fn kill_at_each_instruction(before: &str, victim: &str, kept: &[&str], written: Option<&str>) {
    let driver = ChannelDriver::of_topics();
    let (mut kills, mut with, mut without) = (0, 0, 0);
    let attempt = |instructions| {
        if !before.is_empty() {
            driver.output(before);
        }
        let mut command = driver.process(victim);
        let returned = kill_between(command.stdout(Stdio::null()), instructions).unwrap();
        let (output, took) = timed(|| driver.output(NEXT));
        driver.remove();
        let has_written = check(&output, kept, written, instructions);
        assert!(!returned || written.is_none() || has_written, "{output}");
        ((returned, has_written), took)
    };
    let mut progress = Progress::new(victim);
    for instructions in support::spread(EVERY) {
        progress.at(format_args!("instruction {instructions}"));
        let (returned, has_written) = at_once(|| attempt(instructions));
        if returned {
            break;
        }
        kills += 1;
        *if has_written { &mut with } else { &mut without } += 1;
    }
    let least = if support::all() { 20 } else { 20 / EVERY };
    assert!(kills > least, "{victim}: {kills} kills");
    // The store that decides lies inside the call.
    assert!(
        written.is_none() || (with > 0 && without > 0),
        "{with}, {without}"
    );
    println!("{victim}: killed at {kills} instructions");
}

/// Returns whether the message that may be there is there.
fn check(output: &str, kept: &[&str], written: Option<&str>, instructions: u64) -> bool {
    let mut read: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("read: \"")?.strip_suffix("\" lost 0"))
        .collect();
    assert_eq!(read.pop(), Some("next"), "{instructions}: {output}");
    let has_written = written.is_some() && read.last().copied() == written;
    if has_written {
        read.pop();
    }
    // The call may have taken the room of the oldest message.
    let oldest = usize::from(kept.len() == 4 && read.len() == 3 && written.is_some());
    assert_eq!(read, kept[oldest..], "{instructions}: {output}");
    let latest: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("latest:"))
        .collect();
    let newest = if has_written {
        written
    } else {
        kept.last().copied()
    };
    let expected = newest.map(|newest| format!("latest: \"{newest}\" number "));
    assert!(
        latest[0].starts_with(&expected.unwrap_or("latest: errno 11".into())),
        "{output}"
    );
    assert!(
        latest[1].starts_with("latest: \"next\" number "),
        "{output}"
    );
    has_written
}

#[test]
fn write_and_begin() {
    let open = "open NAME 40 4 sc 0600";
    kill_at_each_instruction("", &format!("{open} mark write one"), &[], Some("one"));
    let full = format!("{open} write a write b write c write d");
    let kept = ["a", "b", "c", "d"];
    let message = "a-message-of-forty-bytes-fills-its-slot.";
    let write = format!("{full} mark write {message}");
    kill_at_each_instruction("", &write, &kept, Some(message));
    kill_at_each_begin(&format!("{full} mark begin {message}"), &kept);
}

/// A message that has begun is never there, and takes the room of the oldest one at some instruction.
fn kill_at_each_begin(victim: &str, kept: &[&str]) {
    let driver = ChannelDriver::of_topics();
    let mut seen = [0, 0];
    for instructions in support::spread(EVERY / 4) {
        let returned = kill_between(driver.process(victim).stdout(Stdio::null()), instructions);
        let output = driver.output(NEXT);
        let has_begun = usize::from(!output.contains("read: \"a\""));
        seen[has_begun] += 1;
        check(&output, &kept[has_begun..], None, instructions);
        driver.remove();
        if returned.unwrap() {
            assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
            return;
        }
    }
}

#[test]
fn publish_and_close() {
    let open = "open NAME 40 4 sc 0600 write a";
    let publish = format!("{open} begin one mark publish 3");
    kill_at_each_instruction("", &publish, &["a"], Some("one"));
    kill_at_each_instruction("", &format!("{open} mark close"), &["a"], None);
}

#[test]
fn read_and_peek() {
    let before = "open NAME 40 4 sc 0600 write a write b";
    let kept = ["a", "b"];
    for call in ["read 0", "latest", "peek 0"] {
        let victim = format!("open NAME 0 0 rh 0 mark {call}");
        kill_at_each_instruction(before, &victim, &kept, None);
    }
    let release = "open NAME 0 0 rh 0 peek 0 mark release";
    kill_at_each_instruction(before, release, &kept, None);
}

/// A reader that is killed while it goes to sleep, wakes, or looks for the writer.
#[test]
fn a_read_that_waits() {
    let before = "open NAME 40 4 sc 0600 write a";
    let victim = "open NAME 0 0 r 0 read 0 mark read 1";
    kill_at_each_instruction(before, victim, &["a"], None);
}

/// Killed at each start and end of a system call of an open, and some instructions further.
#[test]
fn open() {
    let driver = ChannelDriver::of_topics();
    let further = if support::all() { 8 } else { 1 };
    for (flags, before) in [("sc", ""), ("rc", ""), ("sc", "open NAME 40 4 rc 0600")] {
        let victim = format!("mark open NAME 40 4 {flags} 0600");
        let killed = |stops, further| {
            at_once(|| {
                if !before.is_empty() {
                    driver.output(before);
                }
                let mut command = driver.process(&victim);
                let command = command.stdout(Stdio::null());
                let ended = kill_after_stops(command, stops, further).unwrap();
                let (output, took) = timed(|| driver.output(NEXT));
                driver.remove();
                check(&output, &[], None, stops);
                (ended, took)
            })
        };
        for stops in 0.. {
            // About 300 instructions lie between two stops.
            for place in 0..further {
                killed(stops, 20 + (stops * 61 + place * 37) % 280);
            }
            if killed(stops, 0) {
                assert!(stops > 20, "{stops}");
                break;
            }
        }
    }
    // /dev/shm has unnamed files, so no creator needs a temporary name.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}
