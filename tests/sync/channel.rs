//! What a channel promises while everybody lives: order, wholeness, who may hold an end.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::channel::{ChannelDriver, failed, output_of};
use crate::support::driver::Driver;
use crate::support::{Link, timed, within};

#[test]
fn messages_stay_until_they_are_received() {
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
    for name in driver.names() {
        for side in ["sc", "rc"] {
            let open = ["open", &name, "0", side, "0600", "sleeper", "5", "pause"];
            driver.start(&open).kill();
            let again = driver.run(&["open", &name, "0", side, "0600"]);
            assert_eq!(again, "open: ok\n", "{side}");
            driver.run(&["remove", &name]);
        }
    }
}

/// A child that was forked and has not run yet still has its dead parent's file open.
#[test]
fn a_dead_holders_end_is_waited_for_until_its_child_has_run() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    for side in ["sc", "rc"] {
        let leave_to_child = |ms| {
            let open = ["open", name, "0", side, "0600", "heir", ms, "pause"];
            driver.start(&open).kill();
            timed(|| driver.run(&["open", name, "0", side, "0600"]))
        };
        let busy = failed("open", libc::EBUSY);
        assert_eq!(leave_to_child("40").0, "open: ok\n", "{side}");
        let (output, time) = leave_to_child("400");
        assert_eq!(output, busy, "{side}");
        assert!(time >= Duration::from_millis(100), "{time:?}");
        thread::sleep(Duration::from_millis(400));

        let _holder = driver.start(&["open", name, "0", side, "0600", "pause"]);
        within(Duration::from_millis(50), 5, || {
            let (output, time) = timed(|| driver.run(&["open", name, "0", side, "0600"]));
            assert_eq!(output, busy, "{side}");
            ((), time)
        });
    }
}

#[test]
fn a_child_cannot_use_an_inherited_handle_but_its_own() {
    let driver = ChannelDriver::new();
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

/// A child of a bare clone(2) runs no handler of fork.
#[test]
fn a_child_of_clone_is_refused_too() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    for flags in ["sc", "sch"] {
        let sender = [
            "open", name, "0", flags, "0600", "send", "one", "0", "clone", "send", "x", "0",
            "reserve", "x", "1", "0", "commit", "1", "stat", "close",
        ];
        let refused = |call| failed(call, libc::EPERM);
        let calls = ["send", "reserve", "commit", "stat"].map(refused).concat();
        let expected = format!("open: ok\nsend: ok\n{calls}close: ok\n");
        assert_eq!(driver.run(&sender), expected);
        let receive = ["open", name, "0", "r", "0", "recv", "0", "recv", "0"];
        let none = failed("recv", libc::EAGAIN);
        assert_eq!(
            driver.run(&receive),
            format!("open: ok\nrecv: \"one\"\n{none}")
        );
        driver.run(&["remove", name]);
    }
}

#[test]
fn several_share_an_end_and_nothing_is_lost() {
    let driver = ChannelDriver::new();
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
    let driver = ChannelDriver::new();
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
