//! A process that waits for its descriptor learns of everything that its peer did before it was killed, at
//! any instruction, and of the death; the next peer wakes it again. A process that is killed while it
//! prepares to wait leaves a usable channel.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

use super::survivors::{EVERY, NEXT, at_once, received};
use crate::support::channel::{ChannelDriver, failed};
use crate::support::ptrace::{kill_after_stops, kill_between};
use crate::support::{Child, Progress, spread_of_waits, timed};

/// A process that polls, and what it prints.
struct Poller {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Poller {
    /// Starts it, and returns when it polls or is about to.
    fn start(driver: &ChannelDriver, words: &str) -> Self {
        let mut child = Child::start(&mut driver.process(words));
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "pause"), "{words}");
        child.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.child.kill();
    }
}

/// Waits in polls for so long that a lost event is noticed.
const PATIENCE: &str = "10000";

const RECEIVER: &str = "open NAME 4096 rcFLAGS 0600 fd recv 0 pause await PATIENCE await PATIENCE \
    await PATIENCE await PATIENCE await PATIENCE";
/// One message fills the ring.
const SENDER: &str = "open NAME 4096 scFLAGS 0600 sendn 1 4080 0 fd pause awaitroom x PATIENCE \
    awaitroom y PATIENCE";

fn words(text: &str, flags: &str) -> String {
    text.replace("FLAGS", flags).replace("PATIENCE", PATIENCE)
}

/// Kills a sender while the receiver polls. `may_send`: the message `two` may arrive. Returns whether the call
/// had returned, whether `two` arrived, and the time until the death was reported.
fn kill_sender(
    driver: &ChannelDriver,
    flags: &str,
    victim: &str,
    instructions: u64,
) -> ((bool, bool), Duration) {
    let mut receiver = Poller::start(driver, &words(RECEIVER, flags));
    let mut victim = driver.process(&words(victim, flags));
    let returned = kill_between(victim.stdout(Stdio::null()), instructions).unwrap();
    let begin = Instant::now();
    let lost = failed("await", libc::EPIPE);
    assert_eq!(receiver.next(), "await: \"one\"");
    let mut line = receiver.next();
    let two = line == "await: \"two\"";
    if two {
        line = receiver.next();
    }
    assert_eq!(line, lost.trim_end(), "{instructions}");
    let took = begin.elapsed();
    driver.output(&words("open NAME 0 sFLAGS 0 send last 0", flags));
    assert_eq!(receiver.next(), "await: \"last\"", "{instructions}");
    driver.remove();
    ((returned, two), took)
}

/// Kills a receiver while the sender, which has filled the ring, polls. Returns whether the call had
/// returned, whether the message was received, and the time until the sender was told.
fn kill_receiver(
    driver: &ChannelDriver,
    flags: &str,
    victim: &str,
    instructions: u64,
) -> ((bool, bool), Duration) {
    let mut sender = Poller::start(driver, &words(SENDER, flags));
    let mut victim = driver.process(&words(victim, flags));
    let returned = kill_between(victim.stdout(Stdio::null()), instructions).unwrap();
    let (line, took) = timed(|| sender.next());
    let received = line == "awaitroom: ok";
    if !received {
        let lost = failed("awaitroom", libc::EPIPE);
        assert_eq!(line, lost.trim_end(), "{instructions}");
        driver.output(&words("open NAME 0 rFLAGS 0 recv 0", flags));
    }
    assert_eq!(sender.next(), "awaitroom: ok", "{instructions}");
    driver.remove();
    ((returned, received), took)
}

type Kill = fn(&ChannelDriver, &str, &str, u64) -> ((bool, bool), Duration);

/// Kills at each instruction of the call after the mark, or at samples. `decides`: the call decides whether
/// the message arrives.
fn sweep(kill: Kill, victim: &str, decides: bool, every: usize) {
    let driver = ChannelDriver::new();
    for flags in ["", "h"] {
        let (mut kills, mut with) = (0, 0);
        let mut progress = Progress::new(victim);
        for instructions in spread_of_waits(every) {
            progress.at(format_args!("instruction {instructions}"));
            let (returned, arrived) = at_once(|| kill(&driver, flags, victim, instructions));
            if returned {
                assert!(arrived || !decides, "{victim}: lost");
                break;
            }
            kills += 1;
            with += u64::from(arrived);
        }
        assert!(kills > 2 && (!decides || with < kills), "{with} of {kills}");
        println!("{victim}, {flags}: killed at {kills} instructions");
    }
}

#[test]
fn a_sender_is_killed_while_the_receiver_polls() {
    let open = "open NAME 0 sFLAGS 0 send one 0 sleepms 2";
    sweep(
        kill_sender,
        &format!("{open} mark send two 0"),
        true,
        3 * EVERY,
    );
    let reserved = format!("{open} reserve two 8 0 mark commit 3");
    sweep(kill_sender, &reserved, true, 3 * EVERY);
}

#[test]
fn a_sender_is_killed_in_close_while_the_receiver_polls() {
    let open = "open NAME 0 sFLAGS 0 send one 0 sleepms 2";
    sweep(kill_sender, &format!("{open} mark close"), false, 4 * EVERY);
}

#[test]
fn a_sender_is_killed_while_it_asks_for_its_descriptor() {
    let open = "open NAME 0 sFLAGS 0 send one 0 sleepms 2";
    sweep(kill_sender, &format!("{open} mark fd"), false, 24 * EVERY);
}

#[test]
fn a_receiver_is_killed_while_the_sender_polls() {
    let open = "open NAME 0 rFLAGS 0 sleepms 2";
    sweep(
        kill_receiver,
        &format!("{open} mark recv 0"),
        true,
        3 * EVERY,
    );
    let peeked = format!("{open} peek 0 mark release");
    sweep(kill_receiver, &peeked, true, 3 * EVERY);
}

#[test]
fn a_receiver_is_killed_in_close_while_the_sender_polls() {
    let open = "open NAME 0 rFLAGS 0 peek 0 sleepms 2";
    sweep(
        kill_receiver,
        &format!("{open} mark close"),
        false,
        2 * EVERY,
    );
}

#[test]
fn a_receiver_is_killed_while_it_asks_for_its_descriptor() {
    let open = "open NAME 0 rFLAGS 0 sleepms 2";
    sweep(kill_receiver, &format!("{open} mark fd"), false, 24 * EVERY);
}

/// The receiver may have met the opener or not. The next sender reaches it.
#[test]
fn a_sender_is_killed_while_it_opens_and_the_receiver_polls() {
    let driver = ChannelDriver::new();
    let lost = failed("await", libc::EPIPE);
    for stops in 0.. {
        let mut receiver = Poller::start(&driver, &words(RECEIVER, ""));
        let mut victim = driver.process("mark open NAME 0 s 0");
        let further = stops * 61 % 280;
        let ended = kill_after_stops(victim.stdout(Stdio::null()), stops, further).unwrap();
        driver.output("open NAME 0 s 0 send last 0");
        let mut line = receiver.next();
        if line == lost.trim_end() {
            line = receiver.next();
        }
        assert_eq!(line, "await: \"last\"", "{stops}");
        driver.remove();
        if ended {
            assert!(stops > 20, "{stops}");
            break;
        }
    }
}

/// A process is killed while it makes its descriptor, or makes it unreadable. The next one finds a usable
/// channel.
#[test]
fn a_process_is_killed_while_it_prepares_to_poll() {
    let driver = ChannelDriver::new();
    let receiver = "open NAME 4096 rcFLAGS 0600";
    let calls = [
        (format!("{receiver} mark fd"), 24 * EVERY),
        (format!("{receiver} fd mark recv 0"), 6 * EVERY),
        (format!("{receiver} fd recv 0 mark recv 0"), 6 * EVERY),
    ];
    for (victim, every) in &calls {
        for flags in ["", "h"] {
            for instructions in spread_of_waits(*every) {
                let returned = at_once(|| {
                    let mut victim = driver.process(&words(victim, flags));
                    victim.stdout(Stdio::null());
                    let returned = kill_between(&mut victim, instructions).unwrap();
                    let (output, took) = timed(|| driver.output(&words(NEXT, flags)));
                    assert_eq!(received(&output), ["next"], "{instructions}: {output}");
                    driver.remove();
                    (returned, took)
                });
                if returned {
                    assert!(instructions > 50, "{instructions}");
                    break;
                }
            }
        }
    }
}
