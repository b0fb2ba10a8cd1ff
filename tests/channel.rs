//! What a channel promises while everybody lives: order, wholeness, waiting, who may hold an end.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::driver::Driver;
use support::{Child, Link};

impl Driver {
    fn new() -> Self {
        Self::build("channel.c", Link::Static)
    }

    fn names(&self) -> [String; 2] {
        [self.posix(), self.file()]
    }

    /// Starts a process and waits until it has come to `pause`.
    fn start(&self, arguments: &[&str]) -> Paused {
        let mut child = Child::start(&mut self.command(arguments));
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let paused = (&mut output).lines().any(|line| line.unwrap() == "pause");
        assert!(paused, "{arguments:?}");
        Paused { child, output }
    }

    fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A process that waits for a line.
struct Paused {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Paused {
    fn pid(&self) -> i32 {
        self.child.0.id() as i32
    }

    fn kill(&mut self) {
        self.child.kill();
    }
}

/// Lets it go on.
fn resume(mut paused: Paused) -> Paused {
    let stdin = paused.child.0.stdin.as_mut().unwrap();
    stdin.write_all(b"\n").unwrap();
    paused
}

/// What it prints until it ends.
fn rest(mut paused: Paused) -> String {
    let mut text = String::new();
    paused.output.read_to_string(&mut text).unwrap();
    text
}

/// Lets it go on, and says what it prints and how long that takes.
fn goes_on(paused: Paused) -> (String, Duration) {
    let begin = Instant::now();
    let text = rest(resume(paused));
    (text, begin.elapsed())
}

fn output_of(child: std::process::Child) -> String {
    support::stdout(&child.wait_with_output().unwrap())
}

fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}

#[test]
fn messages_stay_until_they_are_received() {
    let driver = Driver::new();
    for name in driver.names() {
        let sent = driver.run(&[
            "open", &name, "0", "sc", "0600", "send", "one", "0", "close",
        ]);
        assert_eq!(sent, "open: ok\nsend: ok\nclose: ok\n");
        let more = [
            "open", &name, "0", "s", "0", "send", "", "0", "send", "three", "0",
        ];
        assert_eq!(driver.run(&more), "open: ok\nsend: ok\nsend: ok\n");
        let first = driver.run(&["open", &name, "0", "r", "0", "recv", "0", "stat"]);
        assert!(first.starts_with("open: ok\nrecv: \"one\"\n"), "{first}");
        assert!(
            first.contains("messages 2 sent 3 received 1 sender 0 receiver 1"),
            "{first}"
        );
        let rest = driver.run(&[
            "open", &name, "0", "r", "0", "recv", "0", "recv", "0", "recv", "0",
        ]);
        let empty = failed("recv", libc::EAGAIN);
        assert_eq!(
            rest,
            format!("open: ok\nrecv: \"\"\nrecv: \"three\"\n{empty}")
        );
        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        let gone = driver.run(&["open", &name, "0", "r", "0"]);
        assert_eq!(gone, failed("open", libc::ENOENT));
    }
}

#[test]
fn messages_are_written_and_read_in_place() {
    let driver = Driver::new();
    for name in driver.names() {
        let open = ["open", &name, "4096", "sc", "0600"];
        let rest = [
            "reserve", "given up", "8", "0", "reserve", "kept", "100", "0", "commit", "4",
        ];
        let sent = driver.run(&[&open[..], &rest, &["commit", "4"]].concat());
        let twice = failed("commit", libc::EINVAL);
        assert_eq!(
            sent,
            format!("open: ok\nreserve: ok\nreserve: ok\ncommit: ok\n{twice}")
        );
        let peeks = ["peek", "0", "peek", "0", "release", "release", "peek", "0"];
        let read = driver.run(&[&["open", &name, "0", "r", "0"][..], &peeks].concat());
        let (twice, none) = (
            failed("release", libc::EINVAL),
            failed("peek", libc::EAGAIN),
        );
        let peeked = "peek: \"kept\"\n";
        assert_eq!(
            read,
            format!("open: ok\n{peeked}{peeked}release: ok\n{twice}{none}")
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_channel_holds_what_it_says() {
    let driver = Driver::new();
    for name in driver.names() {
        let longest = (4096 - 16).to_string();
        let open = ["open", &name, "4096", "sc", "0600"];
        let too_long = ["sendn", "1", "4081", "0", "reserve", "x", "4081", "0"];
        let fill = [
            "sendn", "1", &longest, "0", "sendn", "9", "0", "0", "send", "x", "0", "stat",
        ];
        let sent = driver.run(&[&open[..], &too_long, &fill].concat());
        let (large, full) = (
            failed("reserve", libc::EMSGSIZE),
            failed("send", libc::EAGAIN),
        );
        let expected = format!("open: ok\nsendn: 0\n{large}sendn: 1\nsendn: 0\n{full}");
        assert!(sent.starts_with(&expected), "{sent}");
        assert!(
            sent.contains("capacity 4096 used 4088 messages 1 "),
            "{sent}"
        );
        let receive = [
            "open", &name, "0", "r", "0", "small", "4079", "small", "4080", "recv", "0",
        ];
        let (small, none) = (
            failed("small", libc::EMSGSIZE),
            failed("recv", libc::EAGAIN),
        );
        let received = driver.run(&receive);
        assert_eq!(received, format!("open: ok\n{small}small: ok\n{none}"));
        driver.run(&["remove", &name]);

        for (length, count) in [("0", 511), ("8", 255), ("100", 36)] {
            let sent = driver.run(&[
                "open", &name, "4000", "sc", "0600", "sendn", "9999", length, "0",
            ]);
            assert_eq!(sent, format!("open: ok\nsendn: {count}\n"), "{length}");
            let received = driver.run(&["open", &name, "0", "r", "0", "recvn", "0"]);
            assert_eq!(
                received,
                format!("open: ok\nrecvn: {count}, errno {}\n", libc::EAGAIN)
            );
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn either_side_may_come_first_and_make_it() {
    let driver = Driver::new();
    for name in driver.names() {
        for (first, second) in [("sc", "rc"), ("rc", "sc")] {
            let arguments = |flags: &str| -> Vec<String> {
                let act = if flags == "sc" {
                    ["send", "hello"]
                } else {
                    ["recv", "5000"]
                };
                let timeout = if flags == "sc" { "5000" } else { "pause" };
                let words = ["open", &name, "0", flags, "0600", act[0], act[1], timeout];
                words.map(str::to_owned).to_vec()
            };
            let run = |flags| {
                let words = arguments(flags);
                driver.spawn(&words.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let first = run(first);
            thread::sleep(Duration::from_millis(50));
            let second = run(second);
            let both = output_of(first) + &output_of(second);
            assert!(both.contains("recv: \"hello\"\n"), "{both}");
            assert!(both.contains("send: ok\n"), "{both}");
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn capacity_is_as_asked_or_larger() {
    let driver = Driver::new();
    for name in driver.names() {
        let made = driver.run(&["open", &name, "5000", "sc", "0600", "stat"]);
        assert!(made.contains("capacity 8192 "), "{made}");
        for capacity in ["0", "1", "8192"] {
            let opened = driver.run(&["open", &name, capacity, "rc", "0600", "stat"]);
            assert!(opened.contains("capacity 8192 "), "{opened}");
        }
        let larger = driver.run(&["open", &name, "8193", "rc", "0600"]);
        assert_eq!(larger, failed("open", libc::EINVAL));
        let exclusive = driver.run(&["open", &name, "0", "rcx", "0600"]);
        assert_eq!(exclusive, failed("open", libc::EEXIST));
        driver.run(&["remove", &name]);
        let default = driver.run(&["open", &name, "0", "scx", "0600", "stat"]);
        assert!(default.contains("capacity 1048576 "), "{default}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn an_end_is_held_by_one_or_shared() {
    let driver = Driver::new();
    for name in driver.names() {
        for side in ["s", "r"] {
            let create = format!("{side}c");
            let shared = format!("{side}h");
            let open = |flags: &str| driver.run(&["open", &name, "0", flags, "0600"]);
            let busy = failed("open", libc::EBUSY);

            let mut holder = driver.start(&["open", &name, "0", &create, "0600", "pause"]);
            assert_eq!(open(side), busy);
            assert_eq!(open(&shared), busy);
            holder.child.0.kill().unwrap();
            // Free at once, though the dead one is not reaped yet.
            let begin = Instant::now();
            while open(side) == busy {
                assert!(begin.elapsed() < Duration::from_millis(200));
            }
            holder.kill();

            let holder = driver.start(&["open", &name, "0", &shared, "0600", "pause"]);
            assert_eq!(open(side), busy);
            assert_eq!(open(&shared), "open: ok\n");
            drop(holder);
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn a_dead_holders_end_is_free_although_its_child_lives() {
    let driver = Driver::new();
    for name in driver.names() {
        for side in ["sc", "rc"] {
            let open = ["open", &name, "0", side, "0600", "sleeper", "5", "pause"];
            let mut holder = driver.start(&open);
            holder.kill();
            let again = driver.run(&["open", &name, "0", side, "0600"]);
            assert_eq!(again, "open: ok\n", "{side}");
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn a_child_cannot_use_an_inherited_handle_but_its_own() {
    let driver = Driver::new();
    let name = &driver.object.name();
    let refused = |call| failed(call, libc::EPERM);
    let sender = [
        "open", name, "0", "sc", "0600", "child", "send", "x", "0", "reserve", "x", "1",
    ];
    let rest = [
        "0", "commit", "1", "stat", "close", "open", name, "0", "s", "0",
    ];
    let output = driver.run(&[&sender[..], &rest].concat());
    let calls = ["send", "reserve", "commit", "stat"].map(refused).concat();
    // The parent still has the sending end.
    let busy = failed("open", libc::EBUSY);
    assert_eq!(output, format!("open: ok\n{calls}close: ok\n{busy}"));
    let receiver = [
        "open", name, "0", "r", "0", "child", "recv", "0", "peek", "0", "release",
    ];
    let output = driver.run(&[&receiver[..], &["close", "open", name, "0", "s", "0"]].concat());
    let calls = ["recv", "peek", "release"].map(refused).concat();
    assert_eq!(output, format!("open: ok\n{calls}close: ok\nopen: ok\n"));
}

#[test]
fn waiting_ends_by_a_message_by_time_or_because_the_other_is_gone() {
    let driver = Driver::new();
    let name = &driver.object.name();
    let timed = |arguments: &[&str]| {
        let begin = Instant::now();
        (driver.run(arguments), begin.elapsed())
    };
    // Before a first one has come, it waits.
    let (output, time) = timed(&["open", name, "4096", "rc", "0600", "recv", "300"]);
    assert_eq!(
        output,
        format!("open: ok\n{}", failed("recv", libc::ETIMEDOUT))
    );
    assert!(
        time >= Duration::from_millis(300) && time < Duration::from_secs(10),
        "{time:?}"
    );
    let (output, time) = timed(&["open", name, "0", "r", "0", "recv", "0"]);
    assert_eq!(
        output,
        format!("open: ok\n{}", failed("recv", libc::EAGAIN))
    );
    assert!(time < Duration::from_secs(10), "{time:?}");

    // The sender has closed: after what it has sent, a receiver that was there is told.
    let receiver = driver.start(&["open", name, "0", "r", "0", "pause", "recv", "-1", "recv", "-1"]);
    driver.run(&["open", name, "0", "s", "0", "send", "last", "0"]);
    let (output, time) = goes_on(receiver);
    let gone = failed("recv", libc::EPIPE);
    assert_eq!(output, format!("recv: \"last\"\n{gone}"));
    assert!(time < Duration::from_secs(10), "{time:?}");

    // The receiver is gone: a sender that has met it is told when the channel is full.
    let fill = [
        "open", name, "0", "s", "0", "sendn", "1", "4080", "0", "pause", "send", "x", "-1",
    ];
    let sender = driver.start(&fill);
    driver.run(&["open", name, "0", "r", "0"]);
    let (output, _) = goes_on(sender);
    assert_eq!(output, failed("send", libc::EPIPE));

    // A new one makes it usable again.
    let waiting = driver.spawn(&["open", name, "0", "s", "0", "send", "again", "-1"]);
    let received = driver.run(&["open", name, "0", "r", "0", "small", "4080", "recv", "5000"]);
    assert_eq!(received, "open: ok\nsmall: ok\nrecv: \"again\"\n");
    assert_eq!(output_of(waiting), "open: ok\nsend: ok\n");
}

/// A peer of yesterday is nobody's: a pair may start in either order each time.
#[test]
fn a_new_handle_waits_for_a_new_peer() {
    let driver = Driver::new();
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
    let driver = Driver::new();
    for name in driver.names() {
        let removed = failed("recv", libc::EIDRM);
        let receiver = driver.start(&[
            "open", &name, "4096", "rc", "0600", "pause", "recv", "-1", "recv", "0",
        ]);
        driver.run(&["remove", &name]);
        let again = failed("recv", libc::EAGAIN);
        let (output, _) = goes_on(receiver);
        assert_eq!(output, format!("{removed}{again}"));

        // What was sent before is received, and whoever holds the other end can still send.
        let receiver = driver.start(&[
            "open", &name, "4096", "rc", "0600", "pause", "recv", "5000", "recv", "-1",
        ]);
        let sender = driver.start(&["open", &name, "0", "s", "0", "pause", "send", "last", "0"]);
        driver.run(&["remove", &name]);
        let waiting = resume(receiver);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(goes_on(sender).0, "send: ok\n");
        assert_eq!(rest(waiting), format!("recv: \"last\"\n{removed}"));

        let full = failed("send", libc::EIDRM);
        let sender = driver.start(&[
            "open", &name, "4096", "sc", "0600", "sendn", "1", "4080", "0", "pause", "send", "x", "-1",
        ]);
        driver.run(&["remove", &name]);
        assert_eq!(goes_on(sender).0, full);
    }
}

#[test]
fn a_death_ends_the_others_waiting() {
    let driver = Driver::new();
    let name = &driver.object.name();
    let mut sender = driver.start(&["open", name, "4096", "sc", "0600", "pause"]);
    let receiver = driver.spawn(&["open", name, "0", "r", "0", "recv", "-1"]);
    thread::sleep(Duration::from_millis(200));
    sender.kill();
    let killed = Instant::now();
    assert_eq!(
        output_of(receiver),
        format!("open: ok\n{}", failed("recv", libc::EPIPE))
    );
    assert!(
        killed.elapsed() < Duration::from_secs(2),
        "{:?}",
        killed.elapsed()
    );

    let mut receiver = driver.start(&["open", name, "0", "r", "0", "pause"]);
    let open = [
        "open", name, "0", "s", "0", "sendn", "1", "4080", "0", "send", "x", "-1",
    ];
    let sender = driver.spawn(&open);
    thread::sleep(Duration::from_millis(200));
    receiver.kill();
    let told = failed("send", libc::EPIPE);
    assert_eq!(output_of(sender), format!("open: ok\nsendn: 1\n{told}"));
}

#[test]
fn a_full_channel_goes_on_when_there_is_room() {
    let driver = Driver::new();
    let name = &driver.object.name();
    let open = [
        "open", name, "4096", "sc", "0600", "sendn", "1", "4080", "0", "send", "next", "5000",
    ];
    let sender = driver.spawn(&open);
    thread::sleep(Duration::from_millis(200));
    let receive = [
        "open", name, "0", "rc", "0600", "small", "4096", "recv", "5000",
    ];
    assert_eq!(
        driver.run(&receive),
        "open: ok\nsmall: ok\nrecv: \"next\"\n"
    );
    assert_eq!(output_of(sender), "open: ok\nsendn: 1\nsend: ok\n");
}

#[test]
fn a_stopped_side_does_not_stop_the_other() {
    let driver = Driver::new();
    let name = &driver.object.name();
    let sender = driver.start(&[
        "open", name, "0", "sc", "0600", "reserve", "x", "8", "0", "pause",
    ]);
    // SAFETY: a child of this test.
    unsafe { libc::kill(sender.pid(), libc::SIGSTOP) };
    let begin = Instant::now();
    let receive = ["open", name, "0", "r", "0", "recv", "0", "recv", "300"];
    let (none, late) = (
        failed("recv", libc::EAGAIN),
        failed("recv", libc::ETIMEDOUT),
    );
    assert_eq!(driver.run(&receive), format!("open: ok\n{none}{late}"));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn several_share_an_end_and_nothing_is_lost() {
    let driver = Driver::new();
    let name = &driver.object.name();
    driver.run(&["open", name, "1000000", "sch", "0600"]);
    let senders: Vec<_> = (0..4)
        .map(|_| driver.spawn(&["open", name, "0", "sh", "0", "sendn", "2000", "24", "5000"]))
        .collect();
    for sender in senders {
        assert_eq!(output_of(sender), "open: ok\nsendn: 2000\n");
    }
    let receivers: Vec<_> = (0..4)
        .map(|_| driver.spawn(&["open", name, "0", "rh", "0", "recvn", "1000"]))
        .collect();
    let received: u32 = receivers
        .into_iter()
        .map(|receiver| {
            let text = output_of(receiver);
            let count = text.split("recvn: ").nth(1).expect(&text).split(',').next();
            count.unwrap().parse::<u32>().unwrap()
        })
        .sum();
    assert_eq!(received, 8000);
}

#[test]
fn what_is_no_channel_is_refused() {
    let driver = Driver::new();
    let name = &driver.object.name();
    for (flags, errno) in [
        ("", libc::EINVAL),
        ("sr", libc::EINVAL),
        ("sx", libc::EINVAL),
        ("s", libc::ENOENT),
    ] {
        let open = driver.run(&["open", name, "0", flags, "0600"]);
        assert_eq!(open, failed("open", errno), "{flags:?}");
    }
    for bad in ["anon:", "sysv:private", "sysv:/", "nothing"] {
        let open = driver.run(&["open", bad, "0", "sc", "0600"]);
        assert_eq!(open, failed("open", libc::EINVAL), "{bad}");
    }
    for size in [0, 1, 4096, 8192, 12288, 4096 + 8192 + 1] {
        std::fs::write(driver.object.path(), vec![0; size]).unwrap();
        let open = driver.run(&["open", name, "0", "sc", "0600"]);
        assert_eq!(open, failed("open", libc::EBADMSG), "{size}");
    }
    let nothing = driver.run(&[
        "send", "x", "0", "recv", "0", "commit", "0", "release", "stat",
    ]);
    let refused =
        ["send", "recv", "commit", "release", "stat"].map(|call| failed(call, libc::EINVAL));
    assert_eq!(nothing, refused.concat());
    std::fs::remove_file(driver.object.path()).unwrap();
    let wrong_end = [
        "open", name, "0", "sc", "0600", "recv", "0", "peek", "0", "release", "close",
    ];
    let refused = ["recv", "peek", "release"].map(|call| failed(call, libc::EINVAL));
    assert_eq!(
        driver.run(&wrong_end),
        format!("open: ok\n{}close: ok\n", refused.concat())
    );
}

#[test]
fn a_fork_in_another_thread_takes_no_end_along() {
    let driver = Driver::build("forks.c", Link::Static);
    assert_eq!(driver.run(&[&driver.posix(), "2000"]), "");
}
