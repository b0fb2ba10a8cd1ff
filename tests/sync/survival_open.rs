//! A process that is killed at any system call or instruction of open or close leaves a channel, or none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::survivors::{NEXT, Survivors, at_once, received};
use crate::support;
use crate::support::ptrace::{Step, count_behind, kill_after, kill_behind};
use crate::support::segment::assert_no_new_temporary_names;
use crate::support::{Progress, timed};

#[test]
fn open_and_close_at_each_system_call() {
    let driver = Survivors::new();
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
    // Those of unpublished objects, on a file system without unnamed files.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

const OPEN: &str = "mark open NAME 4096 sc 0600";

/// Kills who opens, so many instructions behind the start or end of a system call; whether it had
/// opened before.
fn killed_in_open(driver: &Survivors, stops: u64, further: u64) -> bool {
    at_once(|| {
        let mut victim = driver.process(OPEN);
        let ended = kill_behind(victim.stdout(Stdio::null()), stops, further).unwrap();
        (ended, assert_usable(driver, stops, false))
    })
}

#[test]
fn open_behind_each_system_call() {
    let driver = Survivors::new();
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
    // Those of unpublished objects, on a file system without unnamed files.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

#[test]
fn open_at_instructions_spread_over_it() {
    const KILLS: u64 = 2000;
    const THREADS: u64 = 4;

    if !support::all() {
        return support::skip("2000 kills take half a minute: set SHMCOMM_TEST_ALL=1");
    }
    // How many instructions there are behind each start and end of a system call.
    let driver = Survivors::new();
    let behind: Vec<u64> = (0..)
        .map_while(|stops| {
            let count = count_behind(driver.process(OPEN).stdout(Stdio::null()), stops);
            driver.remove();
            count.unwrap()
        })
        .collect();
    let all = behind[0];
    assert!(all > 1000 && behind.len() > 20, "{behind:?}");

    let kill = |driver: &Survivors, instruction: u64| {
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
                let driver = Survivors::new();
                let mut progress = Progress::new("open");
                for number in (thread..KILLS).step_by(THREADS as usize) {
                    progress.at(format_args!("kill {number}"));
                    kill(&driver, number * all / KILLS);
                }
            });
        }
    });
    println!("open: killed at {KILLS} of {all} instructions");
    // Those of unpublished objects, on a file system without unnamed files.
    assert_no_new_temporary_names(&BTreeSet::new(), Path::new("/dev/shm"));
}

/// After who makes a channel was killed, the next one makes or opens it, and goes on: in what time.
fn assert_usable(driver: &Survivors, steps: u64, had_sent: bool) -> Duration {
    let (output, took) = timed(|| driver.output(&NEXT.replace("FLAGS", "")));
    match received(&output).as_slice() {
        ["next"] if !had_sent => {}
        ["one", "next"] => {}
        other => panic!("after {steps} steps: {other:?}"),
    }
    driver.remove();
    took
}
