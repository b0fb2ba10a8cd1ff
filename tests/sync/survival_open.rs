//! A process that is killed at any system call or instruction of open or close leaves a usable
//! channel or none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::survivors::{NEXT, at_once, received};
use crate::support::channel::ChannelDriver;
use crate::support::ptrace::{Step, count_after_stops, kill_after, kill_after_stops};
use crate::support::segment::assert_no_new_temporary_names;
use crate::support::{self, Progress, timed};

#[test]
fn killed_at_each_system_call_of_open_and_close() {
    let driver = ChannelDriver::new();
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
    // /dev/shm has unnamed files, so no creator needs a temporary name.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

const OPEN: &str = "mark open NAME 4096 sc 0600";

/// Kills an opener this many instructions after a start or end of a system call. Returns whether it
/// had opened the channel before.
fn killed_in_open(driver: &ChannelDriver, stops: u64, further: u64) -> bool {
    at_once(|| {
        let mut victim = driver.process(OPEN);
        let ended = kill_after_stops(victim.stdout(Stdio::null()), stops, further).unwrap();
        (ended, assert_usable(driver, stops, false))
    })
}

#[test]
fn killed_after_each_system_call_of_open() {
    let driver = ChannelDriver::new();
    let mut progress = Progress::new("open");
    for stops in 0.. {
        progress.at(format_args!("{stops} starts and ends of system calls"));
        // About 300 instructions lie between two stops.
        killed_in_open(&driver, stops, 20 + stops * 61 % 280);
        if killed_in_open(&driver, stops, 0) {
            assert!(stops > 20, "{stops}");
            break;
        }
    }
    // /dev/shm has unnamed files, so no creator needs a temporary name.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

#[test]
fn killed_at_instructions_spread_over_open() {
    const KILLS: u64 = 2000;
    const THREADS: u64 = 4;

    if !support::all() {
        return support::skip("2000 kills take half a minute: set SHMCOMM_TEST_ALL=1");
    }
    // The number of instructions that follow each start and end of a system call.
    let driver = ChannelDriver::new();
    let following: Vec<u64> = (0..)
        .map_while(|stops| {
            let count = count_after_stops(driver.process(OPEN).stdout(Stdio::null()), stops);
            driver.remove();
            count.unwrap()
        })
        .collect();
    let all = following[0];
    assert!(all > 1000 && following.len() > 20, "{following:?}");

    let kill = |driver: &ChannelDriver, instruction: u64| {
        let stops = following
            .iter()
            .rposition(|&following| all.saturating_sub(following) <= instruction)
            .unwrap();
        let further = instruction - all.saturating_sub(following[stops]);
        let ended = killed_in_open(driver, stops as u64, further);
        // The number of instructions differs a little between processes.
        let near_the_end = instruction > all / 100 * 98;
        assert!(!ended || near_the_end, "{instruction} of {all}");
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let driver = ChannelDriver::new();
                let mut progress = Progress::new("open");
                for number in (thread..KILLS).step_by(THREADS as usize) {
                    progress.at(format_args!("kill {number}"));
                    kill(&driver, number * all / KILLS);
                }
            });
        }
    });
    println!("open: killed at {KILLS} of {all} instructions");
    // /dev/shm has unnamed files, so no creator needs a temporary name.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

/// After a creator was killed, the next process creates or opens the channel and uses it. Returns
/// the time that this takes.
fn assert_usable(driver: &ChannelDriver, steps: u64, had_sent: bool) -> Duration {
    let (output, took) = timed(|| driver.output(&NEXT.replace("FLAGS", "")));
    match received(&output).as_slice() {
        ["next"] if !had_sent => {}
        ["one", "next"] => {}
        other => panic!("after {steps} steps: {other:?}"),
    }
    driver.remove();
    took
}
