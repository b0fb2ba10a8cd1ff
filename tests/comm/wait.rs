//! `COMM_WAIT_MS`: `get_shm` waits for the segment to appear.

use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::driver::Driver;
use crate::support::{self, Sandbox, timed, within};

#[test]
fn a_client_waits_for_its_server() {
    let driver = Driver::new();
    within(Duration::from_millis(100), 5, || {
        let mut client = driver.command("COMM_WAIT_MS=20000", &["get", "at", "show", "destroy"]);
        let client = client.stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(200));
        driver.run("", &["create", "64", "at"]);
        let (output, time) = timed(|| client.wait_with_output().unwrap());
        assert_eq!(
            support::stdout(&output),
            "get: an id\nat: an address\nshow: \ndestroy: 0\n"
        );
        ((), time)
    });
}

#[test]
fn a_client_waits_for_the_path_too() {
    let driver = Driver::new();
    let later = Sandbox::new();
    let aside = driver.sandbox.join("aside");
    fs::rename(later.path(), &aside).unwrap();
    let mut client = driver.command("COMM_WAIT_MS=20000", &["get", "destroy"]);
    client
        .env("COMM_PATH_NAME", later.path())
        .stdout(Stdio::piped());
    let client = client.spawn().unwrap();
    thread::sleep(Duration::from_millis(100));
    fs::rename(aside, later.path()).unwrap();
    let mut server = driver.command("", &["create", "64"]);
    support::run(server.env("COMM_PATH_NAME", later.path()));
    let output = client.wait_with_output().unwrap();
    assert_eq!(support::stdout(&output), "get: an id\ndestroy: 0\n");
}

#[test]
fn waiting_ends_when_its_time_is_over() {
    let driver = Driver::new();
    within(Duration::from_millis(400), 5, || {
        let (output, time) = timed(|| driver.run("COMM_WAIT_MS=300", &["get", "errno"]));
        assert_eq!(support::stdout(&output), "get: -2\nerrno: 22\n");
        assert_eq!(support::stderr(&output), "shmget: Invalid argument\n");
        assert!(time >= Duration::from_millis(300), "{time:?}");
        ((), time)
    });
}

#[test]
fn waiting_sleeps_in_between_and_goes_on_after_a_signal() {
    let driver = Driver::new();
    let Some((_, calls)) = driver.traced("COMM_WAIT_MS=300", "signal=none", &["get"]) else {
        return;
    };
    assert!((3..=70).contains(&calls), "{calls}");
    let signals = "inject=nanosleep,clock_nanosleep:error=EINTR:when=1..5";
    let begin = Instant::now();
    driver
        .traced("COMM_WAIT_MS=300", signals, &["get"])
        .unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_segment_that_is_removed_while_it_is_judged_blocks_nobody() {
    let driver = Driver::new();
    let taken = "inject=shmget:error=EEXIST:when=1";
    let create = ["create", "8", "destroy"];
    let Some((output, _)) = driver.traced("COMM_RECLAIM=1", taken, &create) else {
        return;
    };
    assert_eq!(support::stdout(&output), "create: an id\ndestroy: 0\n");
    let (output, _) = driver
        .traced("COMM_EXPLAIN=1", taken, &["create", "8"])
        .unwrap();
    assert!(
        support::stderr(&output).contains("has just gone"),
        "{output:?}"
    );
}

#[test]
fn get_waits_only_for_a_segment_that_may_appear() {
    let driver = Driver::new();
    let file = driver.sandbox.join("file");
    fs::write(&file, "").unwrap();
    let mut command = driver.command("COMM_WAIT_MS=600000", &["get", "errno"]);
    let output = support::run(command.env("COMM_PATH_NAME", file.join("below a file")));
    assert_eq!(support::stdout(&output), "get: -1\nerrno: 20\n");
}
