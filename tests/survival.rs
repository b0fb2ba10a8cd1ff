//! A process that is killed at any instruction of any call leaves a channel that the next process
//! uses at once: nothing lost whose send had returned, nothing doubled but what was being received.
//!
//! At every instruction with `SHMCOMM_TEST_ALL`, otherwise at samples spread over the call.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::driver::Driver;
use support::ptrace::{Step, count_behind, kill_after, kill_behind, kill_between, stop_between};
use support::{Child, Link, Progress, Sandbox, timed};

impl Driver {
    fn new() -> Self {
        Self::build("channel.c", Link::Static)
    }

    /// These arguments, with the object's name.
    fn process(&self, words: &str) -> Command {
        let words = words.replace("NAME", &self.posix());
        self.command(&words.split(' ').collect::<Vec<_>>())
    }

    fn output(&self, words: &str) -> String {
        support::stdout(&support::run(&mut self.process(words)))
    }

    fn remove(&self) {
        assert_eq!(self.output("remove NAME"), "remove: ok\n");
        assert!(!self.object.path().exists());
    }
}

/// What a fresh process receives, with nothing to wait for, and that it can go on.
const NEXT: &str = "open NAME 4096 rcFLAGS 0600 recv 0 recv 0 recv 0 recv 0 close \
    open NAME 0 sFLAGS 0 send next 0 close open NAME 0 rFLAGS 0 recv 0 recv 0";

/// The messages that it received, the last of them its own.
fn received(output: &str) -> Vec<&str> {
    assert_eq!(output.matches("open: ok\n").count(), 3, "{output}");
    assert!(output.contains("send: ok\n"), "{output}");
    output
        .lines()
        .filter_map(|line| line.strip_prefix("recv: \"")?.strip_suffix('"'))
        .collect()
}

/// Attempts what the next process must have done within 200 ms.
fn at_once<T>(attempt: impl FnMut() -> (T, Duration)) -> T {
    support::within(Duration::from_millis(200), 5, attempt)
}

/// Between two samples of a sweep that does not take every instruction.
const EVERY: usize = 16;

/// A call during which a process is killed, at each instruction in turn.
struct Killed {
    /// What another process has done before.
    before: &'static str,
    /// What the victim does; the mark is before the call.
    victim: &'static str,
    /// What must be there after it, in order.
    kept: &'static [&'static str],
    /// What may be there before the others or after them, since the call had not returned.
    open: Open,
}

#[derive(Clone, Copy)]
enum Open {
    /// The message being sent comes last, if at all.
    Sending(&'static str),
    /// The message being received comes first, if it comes again.
    Receiving(&'static str),
    Nothing,
}

fn kill_at_each_instruction(what: &str, killed: &Killed, shared: bool) {
    static TOTAL: AtomicU64 = AtomicU64::new(0);

    let driver = Driver::new();
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
                Open::Sending(_) => assert!(there, "{what}: sent, and lost: {output}"),
                Open::Receiving(_) => assert!(!there, "{what}: received, and there again"),
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
    // The moment lies inside, and not at either end.
    let least = if support::all() {
        50
    } else {
        50 / EVERY as u64
    };
    assert!(kills > least, "{what}: {kills} kills");
    if !matches!(killed.open, Open::Nothing) {
        assert!(
            with > 0 && without > 0,
            "{what}: {with} with, {without} without"
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

/// Kills a sender at each instruction while its receiver sleeps: it gets what was sent, and what the
/// next sender sends.
#[test]
fn send_to_one_that_sleeps() {
    let driver = Driver::new();
    let mut kills = 0;
    let mut progress = Progress::new("send to one that sleeps");
    for instructions in support::spread(EVERY) {
        progress.at(format_args!("instruction {instructions}"));
        let receive = "open NAME 4096 rc 0600 pause recv 5000 recv 5000 recv 5000";
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
        let mut next = || lines.next().unwrap().unwrap();
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
    println!("send to one that sleeps: killed at {kills} instructions");
}

/// Stops a sender at each instruction of a send: its receiver neither hangs nor sees half a message.
#[test]
fn stopped_while_it_sends() {
    let driver = Driver::new();
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

/// What a process had taken of a semaphore is there again, at whatever instruction it is killed.
#[test]
fn killed_with_a_semaphore() {
    let sandbox = Sandbox::new();
    let program = support::build(
        support::cc().arg("-O2").arg(support::source("taker.c")),
        Link::Static,
        &sandbox.join("taker"),
    );
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

/// Unpublished objects that a file system without unnamed files would have.
fn stand_ins() -> usize {
    let names = fs::read_dir("/dev/shm").unwrap();
    names
        .filter(|name| {
            let name = name.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with(".shmcomm-")
        })
        .count()
}

/// After who makes a channel was killed, the next one makes or opens it, and goes on: in what time.
fn assert_usable(driver: &Driver, steps: u64, had_sent: bool) -> Duration {
    let (output, took) = timed(|| driver.output(&NEXT.replace("FLAGS", "")));
    match received(&output).as_slice() {
        ["next"] if !had_sent => {}
        ["one", "next"] => {}
        other => panic!("after {steps} steps: {other:?}"),
    }
    driver.remove();
    took
}

#[test]
fn open_and_close_at_each_system_call() {
    let driver = Driver::new();
    let make = "open NAME 4096 sc 0600 send one 0 close";
    for steps in 0.. {
        let ended = at_once(|| {
            let mut victim = driver.process(make);
            let ended = kill_after(victim.stdout(Stdio::null()), steps, Step::SystemCall).unwrap();
            (ended, assert_usable(&driver, steps, ended))
        });
        if ended {
            assert!(steps > 50, "{steps}");
            println!("open and close: killed at {steps} system calls");
            break;
        }
    }
    assert_eq!(stand_ins(), 0);
}

const OPEN: &str = "mark open NAME 4096 sc 0600";

/// Kills who opens, so many instructions behind the start or end of a system call; whether it had
/// opened before.
fn killed_in_open(driver: &Driver, stops: u64, further: u64) -> bool {
    at_once(|| {
        let mut victim = driver.process(OPEN);
        let ended = kill_behind(victim.stdout(Stdio::null()), stops, further).unwrap();
        (ended, assert_usable(driver, stops, false))
    })
}

#[test]
fn open_behind_each_system_call() {
    let driver = Driver::new();
    let mut progress = Progress::new("open");
    for stops in 0.. {
        progress.at(format_args!("{stops} starts and ends of system calls"));
        // About 300 instructions lie between two of them.
        killed_in_open(&driver, stops, 20 + stops * 61 % 280);
        if killed_in_open(&driver, stops, 0) {
            assert!(stops > 20, "{stops}");
            break;
        }
    }
    assert_eq!(stand_ins(), 0);
}

#[test]
fn open_at_instructions_spread_over_it() {
    const KILLS: u64 = 2000;
    const THREADS: u64 = 4;

    if !support::all() {
        return support::skip("2000 kills take half a minute: set SHMCOMM_TEST_ALL=1");
    }
    // How many instructions there are behind each start and end of a system call.
    let driver = Driver::new();
    let behind: Vec<u64> = (0..)
        .map_while(|stops| {
            let count = count_behind(driver.process(OPEN).stdout(Stdio::null()), stops);
            driver.remove();
            count.unwrap()
        })
        .collect();
    let all = behind[0];
    assert!(all > 1000 && behind.len() > 20, "{behind:?}");

    let kill = |driver: &Driver, instruction: u64| {
        let stops = behind
            .iter()
            .rposition(|&behind| all.saturating_sub(behind) <= instruction)
            .unwrap();
        let further = instruction - all.saturating_sub(behind[stops]);
        let ended = killed_in_open(driver, stops as u64, further);
        // Not every process takes exactly as many.
        let near_the_end = instruction > all / 100 * 98;
        assert!(!ended || near_the_end, "{instruction} of {all}");
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let driver = Driver::new();
                let mut progress = Progress::new("open");
                for number in (thread..KILLS).step_by(THREADS as usize) {
                    progress.at(format_args!("kill {number}"));
                    kill(&driver, number * all / KILLS);
                }
            });
        }
    });
    println!("open: killed at {KILLS} of {all} instructions");
    assert_eq!(stand_ins(), 0);
}
