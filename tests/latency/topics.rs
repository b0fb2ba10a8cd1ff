//! Every wait of a topic's reader ends: with a message, at its timeout, with a signal if the handle has
//! SHMC_INTR, or after the writer has closed or died.

use std::thread;
use std::time::Duration;

use crate::support::channel::{ChannelDriver, failed, goes_on, output_of, rest, resume};
use crate::support::{timed, within};

/// A reader notices a death, a close or a removal within this time.
const NOTICED: Duration = Duration::from_millis(100);
/// The scheduler and the start of a process may add this much to a timeout.
const SLACK: Duration = Duration::from_millis(50);

#[test]
fn a_timeout_or_a_signal_ends_a_wait() {
    let driver = ChannelDriver::of_topics();
    let least = Duration::from_millis(300);
    let late = failed("read", libc::ETIMEDOUT);
    within(least + SLACK, 5, || {
        let (output, time) = timed(|| driver.output("open NAME 8 4 rc 0600 read 300 read 0"));
        let again = failed("read", libc::EAGAIN);
        assert_eq!(output, format!("open: ok\n{late}{again}"));
        assert!(time >= least, "{time:?}");
        ((), time)
    });
    let output = driver.output("open NAME 0 0 ri 0 alarm 100 read -1 peek -1");
    let interrupted = failed("read", libc::EINTR) + &failed("peek", libc::EINTR);
    assert_eq!(output, format!("open: ok\n{interrupted}"));
    let (output, time) = timed(|| driver.output("open NAME 0 0 r 0 alarm 100 read 450"));
    assert_eq!(output, format!("open: ok\n{late}"));
    assert!(time >= Duration::from_millis(450), "{time:?}");
}

#[test]
fn a_reader_learns_that_its_writer_has_closed_or_died() {
    let driver = &ChannelDriver::of_topics();
    let name = &driver.posix();
    let gone = failed("read", libc::EPIPE);
    let write = "8 4 sc 0600 write one pause write two close pause";
    let read = "0 0 r 0 read 0 read -1 read -1";
    let words = |words: &'static str| ["open", name].into_iter().chain(words.split(' '));
    for dies in [false, true] {
        within(NOTICED + SLACK, 5, || {
            let mut writer = driver.start(&words(write).collect::<Vec<_>>());
            let reader = driver.spawn(&words(read).collect::<Vec<_>>());
            thread::sleep(SLACK);
            let (messages, _writer) = if dies {
                writer.kill();
                (format!("read: \"one\" lost 0\n{gone}{gone}"), None)
            } else {
                let messages = "read: \"one\" lost 0\nread: \"two\" lost 0\n";
                (format!("{messages}{gone}"), Some(resume(writer)))
            };
            let (output, time) = timed(|| output_of(reader));
            assert_eq!(output, format!("open: ok\n{messages}"));
            driver.object.remove();
            ((), time)
        });
    }
}

#[test]
fn a_reader_waits_for_a_writer_that_it_has_not_met() {
    let driver = ChannelDriver::of_topics();
    let name = &driver.posix();
    driver.output("open NAME 8 4 sc 0600 write old");
    let wait = "0 0 r 0 read 0 pause read 5000 read 5000 sleepms 200 read 0";
    let words = ["open", name].into_iter().chain(wait.split(' '));
    let reader = resume(driver.start(&words.collect::<Vec<_>>()));
    thread::sleep(2 * NOTICED);
    driver.output("open NAME 0 0 s 0 write new");
    thread::sleep(2 * NOTICED);
    driver.output("open NAME 0 0 s 0 write newer");
    let gone = failed("read", libc::EPIPE);
    let (new, newer) = ("read: \"new\" lost 0\n", "read: \"newer\" lost 0\n");
    assert_eq!(rest(reader), format!("{new}{gone}{newer}"));
}

#[test]
fn a_removed_topic_without_a_writer_ends_a_wait() {
    let driver = ChannelDriver::of_topics();
    let name = &driver.posix();
    within(NOTICED + SLACK, 5, || {
        let reader = driver.start(&["open", name, "8", "4", "rc", "0600", "pause", "read", "-1"]);
        driver.object.remove();
        let (output, time) = goes_on(reader);
        assert_eq!(output, failed("read", libc::EIDRM));
        ((), time)
    });
}
