//! Several processes share a segment. Only a call removes it.

use std::io::{BufRead, BufReader, Read};

use crate::support::Child;
use crate::support::segment::{SegmentDriver, failed};

#[test]
fn one_process_reads_what_another_writes() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&[
            "open",
            &name,
            "100",
            "cx",
            "0600",
            "put",
            "how are you",
            "close",
        ]);
        let read = driver.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: how are you\n", "{name}");
        let read = driver.run(&["open", &name, "100", "r", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: how are you\n", "{name}");
        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        driver.assert_absent(&name);
    }
}

#[test]
fn a_child_shares_memory_without_a_name() {
    let driver = SegmentDriver::new();
    for name in ["anon:", "sysv:private"] {
        let open = ["open", name, "100", "c", "0600", "id", "put", "before"];
        let share = ["child", "show", "put", "after"];
        let output = driver.run(&[&open[..], &share].concat());
        let mut lines = output.lines();
        assert_eq!(lines.next(), Some("open: ok"), "{output}");
        let id = lines.next().unwrap().strip_prefix("id: ").unwrap();
        assert_eq!(lines.next(), Some("show: before"), "{output}");
        if name == "sysv:private" {
            let id = format!("sysv:id:{id}");
            let read = driver.run(&["open", &id, "100", "", "0", "show", "remove", &id]);
            assert_eq!(read, "open: ok\nshow: after\nremove: ok\n");
        }
        let removed = driver.run(&["remove", name]);
        assert_eq!(removed, failed("remove", libc::EINVAL));
    }
}

#[test]
fn the_creator_chooses_the_mode() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let made = [
            "umask", "077", "open", &name, "1", "c", "0646", "stat", "chmod", "0604", "stat",
        ];
        let made = driver.run(&made);
        assert!(made.contains(" mode 0646 "), "{name}: {made}");
        assert!(made.contains(" mode 0604 "), "{name}: {made}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn only_a_call_removes_a_segment() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "kept"]);
        driver.run(&["open", &name, "0", "", "0", "close"]);
        driver.run(&["open", &name, "0", "", "0", "child", "close"]);
        driver.run(&["open", &name, "0", "c", "0", "child"]);
        let (mut reader, _) = driver.start(&["open", &name, "0", "r", "0", "pause"]);
        reader.kill();
        let kept = driver.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(kept, "open: ok\nshow: kept\n", "{name}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_childs_close_leaves_its_parent_attached() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let (parent, _) = driver.start(&["open", &name, "64", "cx", "0600", "pause"]);
        let both = [
            "open", &name, "0", "", "0", "put", "there", "child", "close",
        ];
        driver.run(&both);
        drop(parent);
        let read = driver.run(&["open", &name, "0", "", "0", "show", "remove", &name]);
        assert_eq!(read, "open: ok\nshow: there\nremove: ok\n");
    }
}

#[test]
fn a_removed_segment_lives_until_its_last_user_detaches() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        let user = ["open", &name, "64", "cx", "0600", "put", "old", "pause"];
        let rest = ["show", "stat", "close", "open", &name, "0", "", "0", "show"];
        let mut command = driver.command(&[&user[..], &rest].concat());
        let mut child = Child::start(&mut command);
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let mut line = String::new();
        while line != "pause\n" {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "{name}");
        }

        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        driver.assert_absent(&name);
        driver.run(&["open", &name, "64", "cx", "0600", "put", "new"]);
        std::io::Write::write_all(child.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        let mut after = String::new();
        output.read_to_string(&mut after).unwrap();
        let lines: Vec<_> = after.lines().collect();
        assert_eq!(lines[0], "show: old", "{after}");
        assert!(
            lines[1].contains(" key 0x0 ") && lines[1].contains(" removed 1 "),
            "{after}"
        );
        assert_eq!(
            lines[2..],
            ["close: ok", "open: ok", "show: new"],
            "{after}"
        );
        driver.run(&["remove", &name]);
    }
}
