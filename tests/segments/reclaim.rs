//! `SHMC_RECLAIM` replaces a provably stale segment, and no other.

use std::{fs, thread};

use crate::support::segment::{SegmentDriver, failed};
use crate::support::{self, NOBODY};

#[test]
fn a_stale_segment_is_replaced_only_on_demand() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "old"]);
        let refused = driver.run(&["open", &name, "8", "cx", "0600"]);
        assert_eq!(refused, failed("open", libc::EEXIST));
        driver.assert_replaced(&name, "its creator has exited");
    }
}

#[test]
fn a_killed_creators_segment_is_replaced() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let (mut creator, _) = driver.start(&["open", &name, "64", "cx", "0600", "pause"]);
        driver.assert_kept(&name, "its creator is attached");
        creator.kill();
        driver.assert_replaced(&name, "its creator was killed");
    }
}

#[test]
fn a_segment_that_its_living_creator_has_closed_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "cx", "0600", "close", "pause"];
        let (mut creator, _) = driver.start(&open);
        driver.assert_kept(&name, "its creator lives");
        creator.kill();
        driver.assert_replaced(&name, "its creator has exited");
    }
}

#[test]
fn a_segment_that_another_process_has_attached_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        for flags in ["", "r"] {
            let (mut user, _) = driver.start(&["open", &name, "0", flags, "0", "pause"]);
            driver.assert_kept(&name, "another process is attached");
            user.kill();
        }
        driver.assert_replaced(&name, "no process is attached");
    }
}

#[test]
fn a_segment_that_its_creators_child_has_attached_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "cx", "0600", "orphan", "pause"];
        let (child, _) = driver.start(&open);
        driver.assert_kept(&name, "the creator's child is attached");
        // The child exits at the end of its standard input.
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
fn a_segment_of_another_user_stays() {
    let driver = SegmentDriver::new();
    if !support::is_root() {
        return support::skip("only root can change the owner of a segment");
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
fn a_segment_of_an_unknown_creator_stays() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        fs::write(driver.path(&name), [b'x'; 64]).unwrap();
        driver.assert_kept(&name, "its creator is unknown");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_segment_from_another_pid_namespace_stays() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        let namespaces = ["--pid", "--fork", "--mount-proc"];
        let script = r#"exec "$0" open "$1" 8 cxR 0600"#;
        let Some(output) = driver.in_namespaces(&namespaces, script, &[name.as_ref()]) else {
            return;
        };
        assert_eq!(
            support::stdout(&output),
            failed("open", libc::EEXIST),
            "{name}"
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn one_of_several_creators_replaces_a_stale_segment() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        for _ in 0..5 {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            let open = ["open", &name, "8", "cxR", "0600", "pause"];
            let children = driver.start_several(4, &open);
            let made = children.iter().filter(|(_, output)| output == "open: ok\n");
            assert_eq!(made.count(), 1, "{name}");
            driver.run(&["remove", &name]);
        }
    }
}
