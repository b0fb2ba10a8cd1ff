//! `COMM_RECLAIM`: `create_shm` replaces a stale segment. Without the variable it replaces nothing.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use super::driver::Driver;
use crate::support;

#[test]
fn a_stale_segment_is_replaced_only_on_demand() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let id = driver.id();
    for variable in ["", "COMM_RECLAIM=0"] {
        let output = driver.run(variable, &["create", "8"]);
        assert_eq!(support::stdout(&output), "create: -2\n");
        assert_eq!(driver.id(), id);
    }
    driver.assert_replaced("its creator has exited");
    driver.run("", &["get", "destroy", "create", "4"]);
    driver.assert_replaced("it is smaller than the new one");
}

#[test]
fn a_segment_of_a_creator_that_was_killed_is_replaced() {
    let driver = Driver::new();
    let mut creator = driver.start(&["create", "64", "at", "pause"]);
    driver.assert_kept("its creator is attached");
    creator.0.kill().unwrap();
    // Killed, but not reaped.
    let killed = Instant::now();
    while support::segment(driver.sandbox.key()).unwrap().attached != 0 {
        assert!(killed.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(1));
    }
    driver.assert_replaced("its creator is a zombie");
}

#[test]
fn a_segment_of_a_living_creator_stays() {
    let driver = Driver::new();
    let mut creator = driver.start(&["create", "64", "at", "dt", "pause"]);
    driver.assert_kept("its creator lives, though not attached");
    creator.kill();
    driver.assert_replaced("its creator has exited");
}

#[test]
fn a_segment_that_another_process_has_attached_stays() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let mut user = driver.start(&["get", "at", "pause"]);
    driver.assert_kept("a user is attached");
    user.kill();
    driver.assert_replaced("no process is attached");
}

#[test]
fn a_segment_of_another_owner_stays() {
    if !support::is_root() {
        return support::skip("only root can change the owner of a segment");
    }
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    support::give_to_nobody(driver.id());
    driver.assert_kept("it belongs to another user");
}

/// Runs a script as process 1 of a pid namespace with a `/proc` of its own.
fn in_pid_namespace(driver: &Driver, script: &str) -> Option<String> {
    let namespaces = ["--pid", "--fork", "--mount-proc"];
    let output = in_namespaces(driver, &namespaces, script)?;
    Some(support::stdout(&output) + &support::stderr(&output))
}

/// Also `None` if the script may not choose the next pid.
fn in_namespaces(driver: &Driver, namespaces: &[&str], script: &str) -> Option<Output> {
    let (sandbox, program) = (&driver.sandbox, &driver.program);
    let output = support::in_namespaces(sandbox, namespaces, script, program, &[])?;
    let stderr = support::stderr(&output);
    if stderr.contains("ns_last_pid") {
        support::skip(stderr.trim());
        return None;
    }
    Some(output)
}

#[test]
fn a_process_that_got_the_creators_pid_is_not_taken_for_it() {
    let driver = Driver::new();
    let script = r#"
        "$0" create 64 & creator=$!
        wait $creator
        sleep 4
        echo $((creator - 1)) > /proc/sys/kernel/ns_last_pid || exit
        sleep 60 & other=$!
        COMM_RECLAIM=1 "$0" create 8
        kill $other
        [ $other = $creator ] && echo the same pid
    "#;
    let Some(output) = in_pid_namespace(&driver, script) else {
        return;
    };
    assert_eq!(output, "create: an id\ncreate: an id\nthe same pid\n");
}

#[test]
fn a_segment_from_another_pid_namespace_stays() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let script = r#"COMM_RECLAIM=1 "$0" create 8"#;
    if let Some(output) = in_pid_namespace(&driver, script) {
        assert_eq!(output, "create: -2\nshmget: File exists\n");
    }
}

/// Runs `create` with `COMM_RECLAIM=1` in namespaces where the kernel reports other facts about
/// processes. The segment of a living creator that has detached must stay.
fn assert_kept_in(driver: &Driver, unshare: &[&str], before: &str) {
    let script = format!("{before} COMM_RECLAIM=1 \"$0\" create 8");
    let Some(output) = in_namespaces(driver, unshare, &script) else {
        return;
    };
    let stderr = support::stderr(&output);
    if stderr.contains("mount:") {
        return support::skip(stderr.trim());
    }
    assert_eq!(stderr, "shmget: File exists\n", "{before}");
    assert!(
        support::stdout(&output).ends_with("create: -2\n"),
        "{before}"
    );
}

#[test]
fn a_creator_that_cannot_be_looked_up_is_not_taken_for_dead() {
    let driver = Driver::new();
    let _creator = driver.start(&["create", "64", "pause"]);
    let hide = "mount -t tmpfs none /proc &&";
    assert_kept_in(&driver, &["--mount"], hide);
}

#[test]
fn the_boot_clock_shows_that_a_creator_started_before_its_segment() {
    let driver = Driver::new();
    // Same as after a suspend of 100000 seconds, which only this clock counts.
    let namespace = [
        "--time",
        "--boottime",
        "100000",
        "--pid",
        "--mount-proc",
        "--fork",
    ];
    let before = format!(
        "exec 3<>{}; \"$0\" create 64 pause <&3 & sleep 1;",
        driver.fifo().display()
    );
    assert_kept_in(&driver, &namespace, &before);
}

#[test]
fn a_proc_of_another_pid_namespace_is_not_believed() {
    let driver = Driver::new();
    // A zombie with the pid that the creator has in its own namespace.
    let mut zombie = Command::new("true").spawn().unwrap();
    let before = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid || exit; exec 3<>{}; \"$0\" create 64 pause <&3 & \
         [ $! = {} ] || exit; sleep 1;",
        zombie.id() - 1,
        driver.fifo().display(),
        zombie.id(),
    );
    assert_kept_in(&driver, &["--pid", "--fork", "--kill-child"], &before);
    zombie.wait().unwrap();
}
