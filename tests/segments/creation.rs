//! A name is absent or whole, at whichever system call its creator is killed. One of several
//! exclusive creators succeeds.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;

use crate::support;
use crate::support::ptrace::{Step, kill_after};
use crate::support::segment::{
    SegmentDriver, assert_no_new_temporary_names, failed, temporary_names,
};

#[test]
fn only_one_of_several_creators_succeeds_exclusively() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        for _ in 0..10 {
            let creator = |_| driver.command(&["open", &name, "64", "cx", "0600"]);
            let outputs = support::outputs_of((0..8).map(creator));
            let made = outputs
                .iter()
                .filter(|output| *output == "open: ok\n")
                .count();
            assert_eq!(made, 1, "{name}: {outputs:?}");
            let refused = failed("open", libc::EEXIST);
            assert_eq!(
                outputs.iter().filter(|output| **output == refused).count(),
                7
            );
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn several_creators_share_one_segment() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "c", "0600", "size", "stat", "pause"];
        let children = driver.start_several(8, &open);
        for (_, output) in &children {
            assert!(
                output.starts_with("open: ok\nsize: 64\n"),
                "{name}: {output}"
            );
        }
        let made = children
            .iter()
            .filter(|(_, output)| output.contains("creator self"));
        assert_eq!(made.count(), 1, "{name}");
        driver.run(&["remove", &name]);
    }
}

fn has_unnamed_files(directory: &Path) -> bool {
    let mut options = fs::OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE);
    options.open(directory).is_ok()
}

/// Kills a creator at each system call, and lets the next process open the same name.
fn kill_at_each_system_call(
    driver: &SegmentDriver,
    name: &str,
    flags: &str,
    environment: &[(&str, &Path)],
) {
    let mut kills = 0;
    for steps in 0.. {
        let mut command = driver.command(&["open", name, "5000", flags, "0600", "close"]);
        command
            .envs(environment.iter().copied())
            .stdout(Stdio::null());
        if kill_after(&mut command, steps, Step::SystemCall).unwrap() {
            break;
        }
        kills += 1;
        if environment.is_empty() && flags == "cx" && has_unnamed_files(driver.sandbox.path()) {
            let left = temporary_names(driver.sandbox.path());
            assert!(left.is_empty(), "{name}, {steps} steps: {left:?}");
        }
        let next = [
            "open", name, "5000", "c", "0600", "size", "put", "x", "show", "remove", name,
        ];
        let next = driver.run(&next);
        let expected = "open: ok\nsize: 5000\nshow: x\nremove: ok\n";
        assert_eq!(next, expected, "{name}, killed after {steps} steps");
        driver.assert_absent(name);
    }
    assert!(kills > 20, "{kills}");
    println!("{name} {flags}: killed at {kills} system calls");
}

#[test]
fn a_name_is_absent_or_whole_wherever_its_creator_is_killed() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        kill_at_each_system_call(&driver, &name, "cx", &[]);
        kill_at_each_system_call(&driver, &name, "cpR", &[]);
    }
}

#[test]
fn a_file_system_without_unnamed_files_suffices() {
    let driver = SegmentDriver::shared();
    let library = support::preload("no_tmpfile.c");
    let preload = [("LD_PRELOAD", library.as_path())];
    for name in [driver.posix(), driver.file()] {
        let directory = driver.path(&name).parent().unwrap().to_owned();
        let before = temporary_names(&directory);
        let mut open =
            driver.command(&["open", &name, "64", "cx", "0640", "stat", "remove", &name]);
        let output = support::stdout(&support::run(open.envs(preload)));
        assert!(output.contains("size 64 mode 0640"), "{output}");
        assert_no_new_temporary_names(&before, &directory);
        let mut twice = driver.command(&["open", &name, "64", "cx", "0640", "open", &name, "64"]);
        let twice = support::stdout(&support::run(twice.args(["cx", "0640"]).envs(preload)));
        assert_eq!(twice, format!("open: ok\n{}", failed("open", libc::EEXIST)));
        driver.run(&["remove", &name]);

        kill_at_each_system_call(&driver, &name, "cx", &preload);
        // The names that the killed creators left block no process. This test removes them.
        for left in temporary_names(&directory).difference(&before) {
            let path = directory.join(left);
            // Another test's creator may have removed it.
            if let Ok(metadata) = fs::metadata(&path) {
                assert_eq!(metadata.mode() & 0o077, 0);
                let _ = fs::remove_file(path);
            }
        }
    }
}
