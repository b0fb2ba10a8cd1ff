//! Every wait on a channel ends: by a message, by its timeout, by a signal where that is asked for, or
//! because the other side is gone.

use std::thread;
use std::time::Duration;

use crate::support::channel::{ChannelDriver, failed, goes_on, output_of, rest, resume};
use crate::support::{timed, within};

/// In which a waiter learns of a death, a close or a removal.
const NOTICED: Duration = Duration::from_millis(100);
/// What a scheduler and the start of a process may add to a timeout.
const SLACK: Duration = Duration::from_millis(50);

#[test]
fn a_signal_ends_a_wait_where_that_is_asked_for() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    for shared in ["", "h"] {
        let receive = |flags: &str, timeout: &str| {
            let flags = format!("rc{flags}{shared}");
            let (output, time) = timed(|| {
                driver.run(&[
                    "open", name, "4096", &flags, "0600", "alarm", "100", "recv", timeout, "recv",
                    "0",
                ])
            });
            (output.replace("open: ok\n", ""), time)
        };
        let none = failed("recv", libc::EAGAIN);
        let (output, time) = receive("i", "-1");
        assert_eq!(output, failed("recv", libc::EINTR) + &none);
        assert!(time >= Duration::from_millis(100));
        let (output, time) = receive("", "450");
        assert_eq!(output, failed("recv", libc::ETIMEDOUT) + &none);
        assert!(time >= Duration::from_millis(450), "{time:?}");

        let flags = format!("s{shared}i");
        let send = [
            "open", name, "0", &flags, "0", "sendn", "1", "4080", "0", "alarm", "100", "send", "x",
            "-1", "stat",
        ];
        let output = driver.run(&send);
        let interrupted = failed("send", libc::EINTR);
        let unchanged = "messages 1 sent 1 received 0";
        assert!(
            output.contains(&interrupted) && output.contains(unchanged),
            "{output}"
        );
        driver.run(&["remove", name]);
    }
}

#[test]
fn a_timeout_ends_a_wait() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let least = Duration::from_millis(300);
    within(least + SLACK, 5, || {
        let receive = ["open", name, "4096", "rc", "0600", "recv", "300"];
        let (output, time) = timed(|| driver.run(&receive));
        let late = failed("recv", libc::ETIMEDOUT);
        assert_eq!(output, format!("open: ok\n{late}"));
        assert!(time >= least, "{time:?}");
        ((), time)
    });
    within(SLACK, 5, || {
        let (output, time) = timed(|| driver.run(&["open", name, "0", "r", "0", "recv", "0"]));
        let none = failed("recv", libc::EAGAIN);
        assert_eq!(output, format!("open: ok\n{none}"));
        ((), time)
    });
}

#[test]
fn a_peer_that_closed_is_reported_where_the_other_would_wait() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    // All that it sent comes first.
    within(NOTICED, 5, || {
        let receiver = driver.start(&[
            "open", name, "4096", "rc", "0600", "pause", "recv", "-1", "recv", "-1",
        ]);
        driver.run(&["open", name, "0", "s", "0", "send", "last", "0"]);
        let (output, time) = goes_on(receiver);
        let gone = failed("recv", libc::EPIPE);
        assert_eq!(output, format!("recv: \"last\"\n{gone}"));
        ((), time)
    });
    within(NOTICED, 5, || {
        let sender = driver.start(&[
            "open", name, "0", "s", "0", "sendn", "1", "4080", "0", "pause", "send", "x", "-1",
        ]);
        driver.run(&["open", name, "0", "r", "0"]);
        let (output, time) = goes_on(sender);
        assert_eq!(output, failed("send", libc::EPIPE));
        driver.run(&["open", name, "0", "r", "0", "small", "4080"]);
        ((), time)
    });
    // A new one makes it usable again.
    let sender = resume(driver.start(&[
        "open", name, "0", "s", "0", "sendn", "1", "4080", "0", "pause", "send", "again", "-1",
    ]));
    let received = driver.run(&["open", name, "0", "r", "0", "small", "4080", "recv", "5000"]);
    assert_eq!(received, "open: ok\nsmall: ok\nrecv: \"again\"\n");
    assert_eq!(rest(sender), "send: ok\n");
}

/// A peer of yesterday is nobody's: a pair may start in either order each time.
#[test]
fn a_new_handle_waits_for_a_new_peer() {
    let driver = ChannelDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "4096", "sc", "0600", "send", "one", "0"]);
        driver.run(&["open", &name, "4096", "rc", "0600", "recv", "0"]);
        let receive = ["open", &name, "4096", "rc", "0600", "recv", "300"];
        let late = failed("recv", libc::ETIMEDOUT);
        assert_eq!(driver.run(&receive), format!("open: ok\n{late}"));
        let receiver = driver.spawn(&["open", &name, "4096", "rc", "0600", "recv", "-1"]);
        thread::sleep(Duration::from_millis(200));
        driver.run(&["open", &name, "4096", "sc", "0600", "send", "two", "0"]);
        assert_eq!(output_of(receiver), "open: ok\nrecv: \"two\"\n");

        let fill = "sendn";
        let send = [
            "open", &name, "4096", "sc", "0600", fill, "1", "4080", "0", "send", "x", "300",
        ];
        let late = failed("send", libc::ETIMEDOUT);
        assert_eq!(driver.run(&send), format!("open: ok\nsendn: 1\n{late}"));
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_removed_channel_without_a_peer_is_reported() {
    let driver = ChannelDriver::new();
    for name in driver.names() {
        let removed = failed("recv", libc::EIDRM);
        within(NOTICED, 5, || {
            let receiver = driver.start(&[
                "open", &name, "4096", "rc", "0600", "pause", "recv", "-1", "recv", "0",
            ]);
            driver.run(&["remove", &name]);
            let again = failed("recv", libc::EAGAIN);
            let (output, time) = goes_on(receiver);
            assert_eq!(output, format!("{removed}{again}"));
            ((), time)
        });
        let full = failed("send", libc::EIDRM);
        within(NOTICED, 5, || {
            let sender = driver.start(&[
                "open", &name, "4096", "sc", "0600", "sendn", "1", "4080", "0", "pause", "send",
                "x", "-1",
            ]);
            driver.run(&["remove", &name]);
            let (output, time) = goes_on(sender);
            assert_eq!(output, full);
            ((), time)
        });

        // Whoever holds the other end can still send.
        let receiver = driver.start(&[
            "open", &name, "4096", "rc", "0600", "pause", "recv", "5000", "recv", "-1",
        ]);
        let sender = driver.start(&["open", &name, "0", "s", "0", "pause", "send", "last", "0"]);
        driver.run(&["remove", &name]);
        let waiting = resume(receiver);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(goes_on(sender).0, "send: ok\n");
        assert_eq!(rest(waiting), format!("recv: \"last\"\n{removed}"));
    }
}

#[test]
fn a_death_ends_the_others_waiting() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let gone_within = |victim: &[&str], waiter: &[&str], last: &str| {
        within(NOTICED, 5, || {
            let mut victim = driver.start(victim);
            let waiter = resume(driver.start(waiter));
            thread::sleep(Duration::from_millis(50));
            victim.kill();
            let (output, time) = timed(|| rest(waiter));
            assert_eq!(output, failed(last, libc::EPIPE));
            ((), time)
        });
        driver.run(&["remove", name]);
    };
    let sender = ["open", name, "4096", "sc", "0600", "pause"];
    let receiver = ["open", name, "0", "r", "0", "pause", "recv", "-1"];
    gone_within(&sender, &receiver, "recv");
    let receiver = ["open", name, "4096", "rc", "0600", "pause"];
    let sender = [
        "open", name, "0", "s", "0", "sendn", "1", "4080", "0", "pause", "send", "x", "-1",
    ];
    gone_within(&receiver, &sender, "send");
}

#[test]
fn a_full_channel_goes_on_when_there_is_room() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let open = [
        "open", name, "4096", "sc", "0600", "sendn", "1", "4080", "0", "pause", "send", "next",
        "5000",
    ];
    let sender = resume(driver.start(&open));
    thread::sleep(Duration::from_millis(200));
    let receive = [
        "open", name, "0", "rc", "0600", "small", "4096", "recv", "5000",
    ];
    assert_eq!(
        driver.run(&receive),
        "open: ok\nsmall: ok\nrecv: \"next\"\n"
    );
    assert_eq!(rest(sender), "send: ok\n");
}

#[test]
fn a_stopped_side_does_not_stop_the_other() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let sender = driver.start(&[
        "open", name, "0", "sc", "0600", "reserve", "x", "8", "0", "pause",
    ]);
    // SAFETY: a child of this test.
    unsafe { libc::kill(sender.pid(), libc::SIGSTOP) };
    within(Duration::from_millis(300) + SLACK, 5, || {
        let receive = ["open", name, "0", "r", "0", "recv", "0", "recv", "300"];
        let (output, time) = timed(|| driver.run(&receive));
        let none = failed("recv", libc::EAGAIN);
        let late = failed("recv", libc::ETIMEDOUT);
        assert_eq!(output, format!("open: ok\n{none}{late}"));
        ((), time)
    });
}
