//! Objects are created even if a kernel, a file system or a sandbox refuses some calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::ptrace::{Step, kill_after};
use crate::support::segment::{SegmentDriver, failed, temporary_names};
use crate::support::{self, Sandbox, spread};

/// Sets of calls that a kernel, a file system or a sandbox may refuse.
const REFUSED: [&[&str]; 9] = [
    &["tmpfile=95"],
    &["tmpfile=38"],
    &["tmpfile=1"],
    &["linkat=38"],
    &["linkat=1"],
    &["tmpfile=1", "linkat=1"],
    &["tmpfile=95", "renameat2=38"],
    &["linkat=1", "renameat2=22"],
    &["tmpfile=95", "renameat2=22", "link=1", "linkat=1"],
];

/// The driver's command in a sandbox that refuses these calls.
fn refusing(
    driver: &SegmentDriver,
    launcher: &Path,
    refused: &[&str],
    arguments: &[&str],
) -> Command {
    let mut command = driver.sandbox.command(launcher);
    command.args(refused).arg("--").arg(&driver.program);
    command.args(arguments);
    command
}

fn launcher(sandbox: &Sandbox) -> Option<PathBuf> {
    let launcher = sandbox.join("refuse");
    support::run(
        support::cc()
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&launcher)
            .arg(support::source("refuse.c")),
    );
    let mut tried = Command::new(&launcher);
    tried.args(["linkat=1", "--", "true"]);
    let can = tried.output().unwrap().status.code() != Some(77);
    if !can {
        support::skip("no seccomp(2)");
    }
    can.then_some(launcher)
}

#[test]
fn objects_are_created_whatever_calls_are_refused() {
    let driver = SegmentDriver::new();
    let Some(launcher) = launcher(&driver.sandbox) else {
        return;
    };
    for refused in REFUSED {
        for name in [driver.posix(), driver.file()] {
            let run = |arguments: &[&str]| {
                let mut command = refusing(&driver, &launcher, refused, arguments);
                support::stdout(&support::run(&mut command))
            };
            let open = ["open", &name, "64", "cx", "0640"];
            let stat = ["stat", "remove", &name, "stat"];
            let output = run(&[&open[..], &stat].concat());
            let lines: Vec<_> = output.lines().collect();
            assert_eq!(lines[0], "open: ok", "{refused:?}");
            assert!(lines[1].starts_with("size 64 mode 0640 "), "{output}");
            assert!(lines[1].contains(" removed 0 "), "{refused:?} {output}");
            assert_eq!(lines[2], "remove: ok");
            assert!(lines[3].contains(" removed 1 "), "{refused:?} {output}");

            let twice = run(&[&open[..], &open, &["remove", &name]].concat());
            let refusal = failed("open", libc::EEXIST);
            assert_eq!(twice, format!("open: ok\n{refusal}remove: ok\n"));
        }
        assert_eq!(temporary_names(driver.sandbox.path()), BTreeSet::new());
    }
}

#[test]
fn only_one_of_several_creators_succeeds_exclusively() {
    let driver = SegmentDriver::new();
    let Some(launcher) = launcher(&driver.sandbox) else {
        return;
    };
    let name = driver.file();
    for refused in [REFUSED[0], REFUSED[6], REFUSED[8]] {
        for _ in 0..10 {
            let open = ["open", &name, "64", "cx", "0600"];
            let creator = |_| refusing(&driver, &launcher, refused, &open);
            let outputs = support::outputs_of((0..6).map(creator));
            let made = outputs.iter().filter(|output| *output == "open: ok\n");
            assert_eq!(made.count(), 1, "{refused:?}: {outputs:?}");
            driver.run(&["remove", &name]);
        }
        assert_eq!(temporary_names(driver.sandbox.path()), BTreeSet::new());
    }
}

#[test]
fn the_next_creator_removes_all_names_of_a_killed_one() {
    let driver = SegmentDriver::new();
    let Some(launcher) = launcher(&driver.sandbox) else {
        return;
    };
    let name = driver.file();
    for refused in [REFUSED[0], REFUSED[4], REFUSED[6]] {
        let (mut kills, mut left) = (0, 0);
        for steps in spread(4) {
            let open = ["open", &name, "5000", "cx", "0600", "close"];
            let mut command = refusing(&driver, &launcher, refused, &open);
            command.stdout(Stdio::null());
            if kill_after(&mut command, steps, Step::SystemCall).unwrap() {
                break;
            }
            kills += 1;
            left += temporary_names(driver.sandbox.path()).len();
            let next = [
                "open", &name, "5000", "c", "0600", "size", "remove", &name, "stat",
            ];
            let mut next = refusing(&driver, &launcher, refused, &next);
            let next = support::stdout(&support::run(&mut next));
            let expected = "open: ok\nsize: 5000\nremove: ok\n";
            assert!(next.starts_with(expected), "{refused:?} {steps}: {next}");
            assert!(next.contains(" removed 1 "), "{refused:?} {steps}: {next}");
            // Only a creator that needs a temporary name looks for old ones.
            let again = ["open", &name, "5000", "cx", "0600", "remove", &name];
            support::run(&mut refusing(&driver, &launcher, refused, &again));
            let remaining = temporary_names(driver.sandbox.path());
            assert_eq!(remaining, BTreeSet::new(), "{refused:?} {steps}");
        }
        assert!(kills > 5 && left > 0, "{refused:?}: {kills} {left}");
    }
}

#[test]
fn a_living_creators_temporary_name_stays() {
    let driver = SegmentDriver::new();
    let Some(launcher) = launcher(&driver.sandbox) else {
        return;
    };
    let living = driver.sandbox.join(".shmcomm-0x0123456789abcdef");
    let dead = driver.sandbox.join(".shmcomm-0x0123456789abcde0");
    let unlike = driver.sandbox.join(".shmcomm-0x0123456789abcdeg");
    let fifo = driver.sandbox.join(".shmcomm-0x0123456789abcde1");
    support::run(Command::new("mkfifo").arg(&fifo));
    for path in [&living, &dead, &unlike] {
        fs::write(path, "").unwrap();
    }
    let lock = fs::File::open(&living).unwrap();
    lock.lock_shared().unwrap();
    let name = driver.file();
    let open = ["open", &name, "64", "cx", "0600", "remove", &name];
    support::run(&mut refusing(&driver, &launcher, REFUSED[0], &open));
    assert!(living.exists() && !dead.exists() && unlike.exists() && fifo.exists());
}

#[test]
fn without_proc_objects_are_created_and_never_replaced() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        let script = r#"
            mount -t tmpfs none /proc || exit 9
            "$0" open "$1" 64 cx 0600 size
            "$0" open "$1" 8 cxR 0600
            "$0" remove "$1"
        "#;
        let Some(output) = driver.in_namespaces(&["--mount"], script, &[name.as_ref()]) else {
            return;
        };
        if output.status.code() == Some(9) {
            return support::skip(support::stderr(&output).trim());
        }
        let in_use = failed("open", libc::EEXIST);
        let expected = format!("open: ok\nsize: 64\n{in_use}remove: ok\n");
        assert_eq!(support::stdout(&output), expected, "{name}");
    }
}

#[test]
fn a_creator_waits_for_another_one_that_publishes() {
    let driver = SegmentDriver::new();
    let Some(launcher) = launcher(&driver.sandbox) else {
        return;
    };
    let name = driver.file();
    let open = ["open", &name, "64", "cx", "0600", "size"];
    let directory = fs::File::open(driver.sandbox.path()).unwrap();
    directory.lock().unwrap();
    let creator = refusing(&driver, &launcher, REFUSED[8], &open)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(!driver.sandbox.join("file").exists());
    directory.unlock().unwrap();
    let output = support::stdout(&creator.wait_with_output().unwrap());
    assert_eq!(output, "open: ok\nsize: 64\n");
}
