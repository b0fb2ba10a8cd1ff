//! A process that is killed at any instruction of any call leaves a channel that the next process
//! uses at once. No message is lost after its send has returned. Only the message that was being
//! received may arrive twice.
//!
//! With `SHMCOMM_TEST_ALL` the tests kill at every instruction, otherwise at samples spread over
//! the call.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::survivors::{EVERY, NEXT, at_once, received};
use crate::support::channel::{ChannelDriver, failed};
use crate::support::ptrace::{kill_between, stop_between};
use crate::support::{self, Child, Link, Progress, Sandbox, timed};

/// A call during which a process is killed, at each instruction in turn.
struct Killed {
    /// Arguments of a process that runs before the victim.
    before: &'static str,
    /// Arguments of the victim, with the mark before the call.
    victim: &'static str,
    /// Messages that must arrive afterwards, in order.
    kept: &'static [&'static str],
    /// The message that may arrive or not, because the call had not returned.
    open: Open,
}

#[derive(Clone, Copy)]
enum Open {
    /// The message being sent arrives last, if at all.
    Sending(&'static str),
    /// The message being received arrives first, if it arrives again.
    Receiving(&'static str),
    Nothing,
}

fn kill_at_each_instruction(what: &str, killed: &Killed, shared: bool) {
    static TOTAL: AtomicU64 = AtomicU64::new(0);

    let driver = ChannelDriver::new();
    let with_flags = |words: &str| words.replace("FLAGS", if shared { "h" } else { "" });
    let (mut kills, mut with, mut without) = (0, 0, 0);
    let attempt = |instructions| {
        if !killed.before.is_empty() {
            driver.output(&with_flags(killed.before));
        }
        let mut victim = driver.process(&with_flags(killed.victim));
        let returned = kill_between(victim.stdout(Stdio::null()), instructions).unwrap();
        let (output, took) = timed(|| driver.output(&with_flags(NEXT)));
        let mut messages = received(&output);
        assert_eq!(
            messages.pop(),
            Some("next"),
            "{what}, {instructions}: {output}"
        );
        let there = match killed.open {
            Open::Sending(message) if messages.last() == Some(&message) => messages.pop(),
            Open::Receiving(message) if messages.first() == Some(&message) => {
                Some(messages.remove(0))
            }
            _ => None,
        }
        .is_some();
        assert_eq!(messages, killed.kept, "{what}, {instructions}: {output}");
        driver.remove();
        if returned {
            match killed.open {
                Open::Sending(_) => {
                    assert!(there, "{what}: the message was sent and lost: {output}")
                }
                Open::Receiving(_) => {
                    assert!(!there, "{what}: the message was received and arrives again")
                }
                Open::Nothing => {}
            }
        }
        ((returned, there), took)
    };
    let mut progress = Progress::new(what);
    for instructions in support::spread(EVERY) {
        progress.at(format_args!("instruction {instructions}"));
        let (returned, there) = at_once(|| attempt(instructions));
        if returned {
            break;
        }
        kills += 1;
        *if there { &mut with } else { &mut without } += 1;
    }
    // The store that decides lies inside the call, not at its start or end.
    let least = if support::all() {
        50
    } else {
        50 / EVERY as u64
    };
    assert!(kills > least, "{what}: {kills} kills");
    if !matches!(killed.open, Open::Nothing) {
        assert!(
            with > 0 && without > 0,
            "{what}: {with} with the message, {without} without it"
        );
    }
    let total = TOTAL.fetch_add(kills, Ordering::Relaxed) + kills;
    println!("{what}, shared {shared}: killed at {kills} instructions ({total} in all)");
}

macro_rules! killed_in {
    ($($name:ident: $killed:expr;)*) => {
        $(#[test]
        fn $name() {
            let killed = $killed;
            kill_at_each_instruction(stringify!($name), &killed, false);
            kill_at_each_instruction(stringify!($name), &killed, true);
        })*
    };
}

killed_in! {
    send: Killed {
        before: "",
        victim: "open NAME 4096 scFLAGS 0600 send one 0 mark send two 0",
        kept: &["one"],
        open: Open::Sending("two"),
    };
    reserve: Killed {
        before: "",
        victim: "open NAME 4096 scFLAGS 0600 send one 0 mark reserve two 8 0",
        kept: &["one"],
        open: Open::Nothing,
    };
    commit: Killed {
        before: "",
        victim: "open NAME 4096 scFLAGS 0600 send one 0 reserve two 8 0 mark commit 3",
        kept: &["one"],
        open: Open::Sending("two"),
    };
    receive: Killed {
        before: "open NAME 4096 scFLAGS 0600 send one 0 send two 0 send three 0",
        victim: "open NAME 0 rFLAGS 0 recv 0 mark recv 0",
        kept: &["three"],
        open: Open::Receiving("two"),
    };
    peek: Killed {
        before: "open NAME 4096 scFLAGS 0600 send one 0 send two 0 send three 0",
        victim: "open NAME 0 rFLAGS 0 recv 0 mark peek 0",
        kept: &["two", "three"],
        open: Open::Nothing,
    };
    release: Killed {
        before: "open NAME 4096 scFLAGS 0600 send one 0 send two 0 send three 0",
        victim: "open NAME 0 rFLAGS 0 recv 0 peek 0 mark release",
        kept: &["three"],
        open: Open::Receiving("two"),
    };
    send_at_the_seam: Killed {
        before: "open NAME 4096 scFLAGS 0600 sendn 1 4056 0 close open NAME 0 rFLAGS 0 small 4096 \
            close open NAME 0 sFLAGS 0 send one 0",
        victim: "open NAME 0 sFLAGS 0 mark send two-goes-over-the-seam-of-the-ring 0",
        kept: &["one"],
        open: Open::Sending("two-goes-over-the-seam-of-the-ring"),
    };
    close_the_sending_end: Killed {
        before: "",
        victim: "open NAME 4096 scFLAGS 0600 send one 0 mark close",
        kept: &["one"],
        open: Open::Nothing,
    };
    close_the_receiving_end: Killed {
        before: "open NAME 4096 scFLAGS 0600 send one 0 send two 0",
        victim: "open NAME 0 rFLAGS 0 recv 0 peek 0 mark close",
        kept: &["two"],
        open: Open::Nothing,
    };
}

/// Kills a sender at each instruction while its receiver sleeps. The receiver gets the messages of
/// this sender and of the next one.
#[test]
fn killed_while_it_sends_to_a_sleeping_receiver() {
    let driver = ChannelDriver::new();
    let mut kills = 0;
    let mut progress = Progress::new("send to a sleeping receiver");
    for instructions in support::spread(EVERY) {
        progress.at(format_args!("instruction {instructions}"));
        let receive = "open NAME 4096 rc 0600 pause recv 5000 recv 5000 recv 5000 recv 5000";
        let mut receiver = Child::start(&mut driver.process(receive));
        let mut lines = BufReader::new(receiver.0.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "pause"));
        std::io::Write::write_all(receiver.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        let send = "open NAME 0 s 0 send one 0 sleepms 2 mark send two 0";
        let returned =
            kill_between(driver.process(send).stdout(Stdio::null()), instructions).unwrap();
        assert_eq!(
            driver.output("open NAME 0 s 0 send next 0 send last 0"),
            "open: ok\nsend: ok\nsend: ok\n"
        );
        // On a busy machine the receiver may notice the death before the next sender opens.
        let noticed = failed("recv", libc::EPIPE);
        let mut next = || {
            let mut lines = (&mut lines).map(Result::unwrap);
            lines.find(|line| *line != noticed.trim_end()).unwrap()
        };
        assert_eq!(next(), "recv: \"one\"");
        let second = next();
        let third = match second.as_str() {
            "recv: \"two\"" => "recv: \"next\"",
            "recv: \"next\"" if !returned => "recv: \"last\"",
            other => panic!("{instructions}: {other}"),
        };
        assert_eq!(next(), third);
        driver.remove();
        if returned {
            break;
        }
        kills += 1;
    }
    assert!(kills > 50 / EVERY, "{kills} kills");
    println!("send to a sleeping receiver: killed at {kills} instructions");
}

/// Stops a sender at each instruction of a send: its receiver neither hangs nor sees half a message.
#[test]
fn stopped_while_it_sends() {
    let driver = ChannelDriver::new();
    let send = "open NAME 4096 sc 0600 send one 0 mark send two 0";
    let mut with = 0;
    let attempt = |instructions| {
        let (mut output, mut took) = (String::new(), Duration::ZERO);
        let mut victim = driver.process(send);
        let returned = stop_between(victim.stdout(Stdio::null()), instructions, || {
            let receive = "open NAME 0 r 0 recv 0 recv 0 recv 0 recv 1";
            (output, took) = timed(|| driver.output(receive));
        });
        driver.remove();
        ((returned.unwrap(), output), took)
    };
    for instructions in support::spread(EVERY) {
        let (returned, output) = at_once(|| attempt(instructions));
        if returned {
            assert!(instructions > 50 && with > 0, "{instructions}, {with}");
            println!("stopped at {instructions} instructions");
            break;
        }
        let again = format!("recv: errno {}", libc::EAGAIN);
        let late = format!("recv: errno {}", libc::ETIMEDOUT);
        let lines: Vec<_> = output.lines().collect();
        match lines[..] {
            ["open: ok", "recv: \"one\"", second, third, last] => {
                assert_eq!(
                    (third, last),
                    (&again[..], &late[..]),
                    "{instructions}: {output}"
                );
                assert!(second == again || second == "recv: \"two\"", "{output}");
                with += u32::from(second != again);
            }
            _ => panic!("{instructions}: {output}"),
        }
    }
}

/// The kernel returns the unit of a process that is killed at any instruction of a semaphore call.
#[test]
fn killed_while_it_holds_a_semaphore() {
    let sandbox = Sandbox::new();
    let program = support::program("semaphore-holder.c", &["-O2"], Link::Static);
    let name = format!("sysv:{}#1", sandbox.path().display());
    let command = |calls: &[&str]| {
        let mut command = sandbox.command(&program);
        command.arg(&name).args(calls);
        command
    };
    for calls in [&["wait"][..], &["wait", "post"]] {
        for instructions in support::spread(EVERY) {
            let returned = kill_between(&mut command(calls), instructions).unwrap();
            support::run(&mut command(&["free"]));
            if returned {
                assert!(instructions > 20, "{instructions}");
                println!("{calls:?}: killed at {instructions} instructions");
                break;
            }
        }
    }
}
