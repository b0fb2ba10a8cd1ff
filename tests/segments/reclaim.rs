//! `SHMC_RECLAIM` replaces what is provably stale, and nothing else.

use std::{fs, thread};

use crate::support;
use crate::support::NOBODY;
use crate::support::segment::{SegmentDriver, failed};

#[test]
fn what_is_left_over_is_replaced_on_demand_alone() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "old"]);
        let refused = driver.run(&["open", &name, "8", "cx", "0600"]);
        assert_eq!(refused, failed("open", libc::EEXIST));
        driver.assert_replaced(&name, "its creator has ended");
    }
}

#[test]
fn what_a_killed_creator_had_attached_is_replaced() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let (mut creator, _) = driver.start(&["open", &name, "64", "cx", "0600", "pause"]);
        driver.assert_kept(&name, "its creator is attached");
        creator.kill();
        driver.assert_replaced(&name, "its creator was killed");
    }
}

#[test]
fn what_a_living_creator_has_closed_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "cx", "0600", "close", "pause"];
        let (mut creator, _) = driver.start(&open);
        driver.assert_kept(&name, "its creator lives");
        creator.kill();
        driver.assert_replaced(&name, "its creator has ended");
    }
}

#[test]
fn what_another_process_has_attached_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        for flags in ["", "r"] {
            let (mut user, _) = driver.start(&["open", &name, "0", flags, "0", "pause"]);
            driver.assert_kept(&name, "somebody is attached");
            user.kill();
        }
        driver.assert_replaced(&name, "nobody is attached any more");
    }
}

#[test]
fn what_a_creators_child_has_attached_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "cx", "0600", "orphan", "pause"];
        let (child, _) = driver.start(&open);
        driver.assert_kept(&name, "the creator's child is attached");
        // The child ends when its standard input does.
        drop(child);
        for _ in 0..1000 {
            if driver.run(&["open", &name, "8", "cxR", "0600"]) == "open: ok\n" {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(10));
        }
        driver.run(&["remove", &name]);
    }
}

#[test]
fn what_belongs_to_another_user_stays() {
    let driver = SegmentDriver::new();
    if !support::is_root() {
        return support::skip("only root can give something away");
    }
    for name in driver.names() {
        let nobody = NOBODY.to_string();
        let give = ["open", &name, "64", "cx", "0666", "chown", &nobody, &nobody];
        assert_eq!(driver.run(&give), "open: ok\nchown: ok\n");
        let open = driver.run(&["open", &name, "8", "cxR", "0600"]);
        assert_eq!(open, failed("open", libc::EEXIST), "{name}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn what_somebody_else_made_stays() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        fs::write(driver.path(&name), [b'x'; 64]).unwrap();
        driver.assert_kept(&name, "nobody knows who made it");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn what_comes_from_another_pid_namespace_stays() {
    if !support::has("unshare") {
        return;
    }
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        let mut command = driver.sandbox.command("unshare");
        command.args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
        ]);
        command
            .arg(&driver.program)
            .args(["open", &name, "8", "cxR", "0600"]);
        let output = command.output().unwrap();
        if support::stderr(&output).contains("unshare:") {
            return support::skip(support::stderr(&output).trim());
        }
        assert_eq!(
            support::stdout(&output),
            failed("open", libc::EEXIST),
            "{name}"
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn one_of_several_replaces_it() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        for _ in 0..5 {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            let open = ["open", &name, "8", "cxR", "0600", "pause"];
            let children: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| scope.spawn(|| driver.start(&open)))
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let made = children.iter().filter(|(_, output)| output == "open: ok\n");
            assert_eq!(made.count(), 1, "{name}");
            driver.run(&["remove", &name]);
        }
    }
}
