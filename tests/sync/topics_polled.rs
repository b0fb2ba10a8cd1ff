//! The descriptor of a topic's reader is readable while there is a message or a loss to report, and no
//! event is lost.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::survivors::EVERY;
use crate::support::channel::{ChannelDriver, failed, output_of, rest, resume};
use crate::support::driver::Driver;
use crate::support::ptrace::kill_between;
use crate::support::{self, NOBODY};

#[test]
fn it_is_readable_until_a_read_finds_nothing() {
    let driver = ChannelDriver::of_topics();
    // Readable at first, and after each message until EAGAIN.
    let output = driver.output(
        "open NAME 8 4 sc 0600 fd open NAME 0 0 r 0 fd poll 0 read 0 poll 0 other write a write b \
         other poll 0 read 0 poll 0 peek 0 release poll 0 read 0 poll 0 poll 50 read 1 poll 0",
    );
    let (again, late) = (
        failed("read", libc::EAGAIN),
        failed("read", libc::ETIMEDOUT),
    );
    let writer = failed("fd", libc::EINVAL);
    let (readable, quiet) = ("poll: 1\n", "poll: 0\n");
    let expected = format!(
        "open: ok\n{writer}open: ok\nfd: ok\n{readable}{again}{quiet}write: ok\nwrite: ok\n{readable}\
         read: \"a\" lost 0\n{readable}peek: \"b\" lost 0\nrelease: ok\n{readable}{again}{quiet}{quiet}\
         {late}{quiet}"
    );
    assert_eq!(output, expected);
}

#[test]
fn each_message_of_another_process_is_an_event() {
    let driver = ChannelDriver::of_topics();
    let name = &driver.posix();
    for mode in ["0600", "0644"] {
        driver.output(&format!("open NAME 64 16 sc {mode}"));
        let poll = ["open", name, "0", "0", "rh", "0", "polln", "3000"];
        let readers: Vec<_> = (0..2).map(|_| driver.spawn(&poll)).collect();
        thread::sleep(Duration::from_millis(100));
        // In bursts, with pauses in which the readers wait.
        let bursts = "writen 50 8 sleepms 1 ".repeat(60);
        driver.output(&format!("open NAME 0 0 s 0 {}", bursts.trim_end()));
        for reader in readers {
            assert_eq!(output_of(reader), "open: ok\npolln: 3000, errno 0\n");
        }
        driver.object.remove();
    }
}

/// A writer is killed at each instruction of a write while a reader waits for its descriptor.
#[test]
fn the_loss_of_the_writer_is_reported_once() {
    let driver = ChannelDriver::of_topics();
    let open = [
        "open",
        &driver.posix(),
        "8",
        "4",
        "rc",
        "0600",
        "fd",
        "read",
        "0",
        "pause",
    ];
    let wait = ["polln", "9", "read", "0", "poll", "0", "poll", "150"];
    let mut written = [false; 2];
    for instructions in support::spread(EVERY) {
        let reader = resume(driver.start(&[&open[..], &wait].concat()));
        let mut victim = driver.process("open NAME 0 0 s 0 mark write one");
        let returned = kill_between(victim.stdout(Stdio::null()), instructions).unwrap();
        let output = rest(reader);
        let loss = format!(
            "errno {}\n{}poll: 0\n",
            libc::EPIPE,
            failed("read", libc::EAGAIN)
        );
        let [none, one] = [0, 1].map(|count| format!("polln: {count}, {loss}poll: 0\n"));
        assert!(
            output == one || (output == none && !returned),
            "{instructions}: {output}"
        );
        written[usize::from(output == one)] = true;
        driver.remove();
        if returned {
            break;
        }
    }
    assert_eq!(written, [true; 2]);
}

#[test]
fn a_reader_that_may_only_read_has_none() {
    if !support::is_root() {
        return support::skip("only root can become another user");
    }
    let driver = Driver::build_for_all_users("topic.c");
    let name = driver.posix();
    driver.run(&["open", &name, "8", "4", "sc", "0644"]);
    let mut command = driver.command(&["open", &name, "0", "0", "r", "0", "fd", "read", "0"]);
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let refused = failed("fd", libc::EACCES) + &failed("read", libc::EAGAIN);
    assert_eq!(support::stdout(&output), format!("open: ok\n{refused}"));
}
