//! Readers that are slow, stopped or killed: the writer goes on. What a reader has read and lost is all
//! that was written. No message is torn, and `latest` never goes back.

use std::process::Child;
use std::thread;
use std::time::Duration;

use crate::support;
use crate::support::channel::{ChannelDriver, output_of};

const ALL: &str = "open: ok\nconsume: all, none lost\n";
const SOME_LOST: &str = "open: ok\nconsume: all, some lost\n";

/// Readers of all messages up to this number. Each gives up after five seconds without one.
fn readers(driver: &ChannelDriver, count: usize, last: u64) -> Vec<Child> {
    let (name, last) = (&driver.posix(), &last.to_string());
    let consume = ["open", name, "0", "0", "rh", "0", "consume", last, "5000"];
    let readers = (0..count).map(|_| driver.spawn(&consume)).collect();
    // A reader that is late would start at the oldest message that is kept.
    thread::sleep(Duration::from_millis(100));
    readers
}

fn write(driver: &ChannelDriver, last: u64, length: usize) {
    let output = driver.output(&format!("open NAME 0 0 s 0 stream {last} {length}"));
    assert_eq!(output, "open: ok\nstream: ok\n");
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn what_is_read_and_lost_is_all_that_was_written() {
    let driver = ChannelDriver::of_topics();
    for (length, depth, last) in [
        (8, 4, 400_000),
        (64, 256, 400_000),
        (4000, 8, 100_000),
        (65536, 4, 8_000),
    ] {
        driver.output(&format!("open NAME {length} {depth} sc 0600"));
        let readers = readers(&driver, 3, last);
        write(&driver, last, length);
        for reader in readers {
            let output = output_of(reader);
            assert!(output == ALL || output == SOME_LOST, "{length}: {output}");
        }
        driver.remove();
    }
}

#[test]
fn a_stopped_reader_loses_messages_and_knows_how_many() {
    let driver = ChannelDriver::of_topics();
    let last = 300_000;
    driver.output("open NAME 256 16 sc 0600");
    let mut readers = readers(&driver, 3, last);
    signal(&readers[0], libc::SIGSTOP);
    signal(&readers[1], libc::SIGKILL);
    write(&driver, last, 256);
    signal(&readers[0], libc::SIGCONT);
    let killed = readers.remove(1);
    assert_eq!(output_of(killed), "open: ok\n");
    assert_eq!(output_of(readers.remove(0)), SOME_LOST);
    let output = output_of(readers.remove(0));
    assert!(output == ALL || output == SOME_LOST, "{output}");
}

/// The writer is killed in the middle of long messages, again and again.
#[test]
fn no_message_is_torn_when_writers_are_killed() {
    let driver = ChannelDriver::of_topics();
    let last = 1_500_000;
    driver.output("open NAME 4000 8 sc 0600");
    let readers = readers(&driver, 2, last);
    let kills = if support::all() { 300 } else { 30 };
    let (name, up_to) = (&driver.posix(), &last.to_string());
    for kill in 0..kills {
        let mut writer = driver.spawn(&["open", name, "0", "0", "s", "0", "stream", up_to, "4000"]);
        thread::sleep(Duration::from_micros(1500 + kill * 379 % 1000));
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    write(&driver, last, 4000);
    for reader in readers {
        let output = output_of(reader);
        assert!(output == ALL || output == SOME_LOST, "{output}");
    }
}
