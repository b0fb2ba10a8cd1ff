//! What each command prints about a topic.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use shmcomm::Side;

use crate::output::{masks, row, user};
use crate::support::*;

fn own() -> i32 {
    std::process::id() as i32
}

#[test]
fn ls_shows_a_topic_and_who_uses_it() {
    let object = Object::new();
    let mut writer = object.topic(Side::Sender);
    for _ in 0..5 {
        writer.write(b"message").unwrap();
    }
    let expected = |held: &str| {
        let head = "NAME KIND SIZE MODE OWNER USED AGE HELD-BY STATE";
        let row = format!("NAME topic 4608 0600 USER 5 AGE {held} used");
        (format!("{head}\n{row}"), String::new(), 0)
    };
    let shown = || {
        let (stdout, stderr, status) = run(["ls", "--kind", "topic", &object.text()]);
        let (head, line) = stdout.trim_end().split_once('\n').unwrap();
        let line = masked(&row(line), &masks(&object, &[(own(), "PID")]));
        (format!("{head}\n{line}"), stderr, status)
    };
    assert_becomes(expected("writer:PID,reader:-"), shown);
    let _readers = [(); 2].map(|()| object.topic(Side::Receiver));
    assert_becomes(expected("writer:PID,reader:PID"), shown);
    drop(writer);
    assert_becomes(expected("writer:-,reader:PID"), shown);
}

#[test]
fn info_shows_everything_about_a_topic() {
    let object = Object::new();
    let dead = object.stale_topic(&[b"hello", b""]);
    let _readers = [(); 2].map(|()| object.topic(Side::Receiver));
    // SAFETY: takes no argument.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let expected = format!(
        "\
name:           NAME
kind:           topic
state:          used: no process writes; readers: 2
size:           4608 (4.5K)
mode:           0600
owner:          {} (uid {uid}, gid {gid})
changed:        AGE
creator:        DEAD has exited
max message:    100 (100)
depth:          4 messages
written:        2 messages
writing end:    free; 1 open, last by DEAD
readers:        2 handles; sleep word 0x0
reader:         OWN
",
        user()
    );
    let line = |line: &str| match line.starts_with("changed: ") {
        true => "changed:        AGE\n".to_owned(),
        false => format!("{line}\n"),
    };
    assert_becomes((expected, 0), || {
        let (stdout, _, status) = run(["info", &object.text()]);
        let masked = masked(&stdout, &masks(&object, &[(dead, "DEAD"), (own(), "OWN")]));
        (masked.lines().map(line).collect(), status)
    });
}

#[test]
fn who_tells_the_writer_from_the_readers() {
    let object = Object::new();
    let roles = || {
        let (stdout, _, status) = run(["who", &object.text()]);
        let rows = stdout.lines().skip(1).map(|line| {
            let cells: Vec<_> = line.split(' ').collect();
            (cells[1].to_owned(), cells[2].to_owned())
        });
        (rows.collect::<Vec<_>>(), status)
    };
    let role = |role: &str| (own().to_string(), role.to_owned());
    let _writer = object.topic(Side::Sender);
    assert_becomes((vec![role("writer")], 0), roles);
    let _reader = object.topic(Side::Receiver);
    assert_becomes((vec![role("writer"), role("reader")], 0), roles);
}

#[test]
fn check_has_a_verdict_on_a_topic() {
    let [used, stale, full] = [(); 3].map(|()| Object::new());
    let _writer = used.topic(Side::Sender);
    let dead = [stale.stale_topic(&[]), full.stale_topic(&[&[7][..]; 6])];
    let unused = |pid: i32| format!("stale its creator {pid} has exited, and no process uses it");
    for (object, expected) in [
        (&used, "used a process writes, and none reads".to_owned()),
        (&stale, unused(dead[0])),
        (&full, unused(dead[1]) + "; it holds 4 messages"),
    ] {
        assert_becomes(expected, || {
            let (stdout, ..) = run(["check", &object.text()]);
            let (_, verdict) = stdout.lines().nth(1).unwrap().split_once(' ').unwrap();
            verdict.to_owned()
        });
    }
    let _reader = used.topic(Side::Receiver);
    assert_becomes(true, || {
        let (stdout, ..) = run(["check", &used.text()]);
        stdout.ends_with("used a process writes; readers: 1\n")
    });
}

#[test]
fn clean_keeps_messages_unless_they_are_named() {
    let [empty, full, used] = [(); 3].map(|()| Object::new());
    empty.stale_topic(&[]);
    full.stale_topic(&[b"message"]);
    used.stale_topic(&[b"message"]);
    let _reader = used.topic(Side::Receiver);
    let action = |object: &Object, arguments: &[&str]| {
        let (stdout, ..) = output(tool(["clean"]).args(arguments).arg(object.text()));
        let mut cells = stdout.lines().nth(1).unwrap().split(' ').skip(1);
        cells.next().unwrap().to_owned()
    };
    for (object, arguments, expected) in [
        (&empty, &[][..], "would-remove"),
        (&empty, &["--yes"], "removed"),
        (&full, &[], "kept"),
        (&full, &["--yes"], "kept"),
        (&full, &["--messages"], "would-remove"),
        (&full, &["--messages", "--yes"], "removed"),
        (&used, &["--messages"], "kept"),
        (&used, &["--messages", "--yes"], "kept"),
    ] {
        let exists = object.path().exists();
        assert_eq!(action(object, arguments), expected, "{arguments:?}");
        assert_eq!(object.path().exists(), exists && expected != "removed");
    }
}

#[test]
fn watch_shows_the_rate_of_a_topic() {
    let object = Object::new();
    let mut writer = object.topic(Side::Sender);
    let _reader = object.topic(Side::Receiver);
    let mut watch = tool(["watch", "-n", "0.05", &object.text()]);
    let mut watch = Child(watch.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut is_idle = true;
    for line in lines.take(100) {
        let line = line.unwrap();
        assert!(line.contains("/s  writer held  readers "), "{line}");
        is_idle &= line.starts_with("written 0/s");
        if !is_idle && line.ends_with("readers 1") {
            break;
        }
        writer.write(b"message").unwrap();
    }
    assert!(!is_idle);
}
