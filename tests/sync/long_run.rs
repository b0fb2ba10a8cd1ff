//! Two processes exchange messages while one of them is killed every few milliseconds. Each message
//! arrives once, in order, as it was sent.
//!
//! The test takes four seconds, with `SHMCOMM_TEST_ALL` half a minute, or the seconds in
//! `SHMCOMM_LONG_RUN_SECONDS`.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use crate::support::driver::Driver;
use crate::support::{self, Link, Progress};

struct Side(Child);

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_lost_or_doubled_while_either_side_is_killed() {
    let seconds = env::var("SHMCOMM_LONG_RUN_SECONDS");
    let usual = if support::all() { 30 } else { 4 };
    let seconds = seconds.map_or(usual, |seconds| seconds.parse().expect("seconds"));
    let driver = Driver::build("longrun.c", Link::Static);
    let start = |side: &str| {
        let mut command = driver.command(&[side, &driver.posix()]);
        Side(command.stdout(Stdio::piped()).spawn().unwrap())
    };

    let mut random = xorshift(u64::from(std::process::id()));
    let (mut sender, mut receiver) = (start("send"), start("recv"));
    let (begin, mut kills) = (Instant::now(), 0_u32);
    let mut progress = Progress::new("either side is killed");
    while begin.elapsed() < Duration::from_secs(seconds) {
        progress.at(format_args!("{kills} kills"));
        thread::sleep(Duration::from_micros(random() % 10_000));
        let (side, victim) = match random() % 2 {
            0 => ("send", &mut sender),
            _ => ("recv", &mut receiver),
        };
        if victim.0.try_wait().unwrap().is_some() {
            let mut output = String::new();
            std::io::Read::read_to_string(victim.0.stdout.as_mut().unwrap(), &mut output).unwrap();
            panic!("after {kills} kills: {side}: {output}");
        }
        *victim = start_after(victim, || start(side));
        kills += 1;
    }
    drop((sender, receiver));
    let output = driver.run(&["rest", &driver.posix()]);
    let counts: Vec<_> = output.split_whitespace().collect();
    let ["sent", sent, "received", received] = counts[..] else {
        panic!("{output}");
    };
    assert_eq!(sent, received, "after {kills} kills");
    assert!(sent.parse::<u64>().unwrap() > 1000, "{output}");
    println!("{sent} messages, {kills} kills");
}

fn xorshift(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Kills a side, and starts the next one after its death.
fn start_after(victim: &mut Side, start: impl FnOnce() -> Side) -> Side {
    victim.0.kill().unwrap();
    victim.0.wait().unwrap();
    start()
}
