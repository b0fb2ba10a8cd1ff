//! A look changes nothing, is noticed by no process, and survives whatever it finds.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};

use shmcomm::Side;

use crate::support::*;

/// The commands that look.
fn looks(object: &Object) -> Vec<Vec<String>> {
    let name = object.text();
    let commands: [&[&str]; 8] = [
        &["ls", "--all"],
        &["ls"],
        &["info"],
        &["who"],
        &["check"],
        &["check"],
        &["clean"],
        &["watch", "-n", "0.01", "-c", "2"],
    ];
    let named = |(index, command): (usize, &&[&str])| {
        let mut command: Vec<_> = command.iter().map(ToString::to_string).collect();
        if index > 0 && index != 4 {
            command.push(name.clone());
        }
        command
    };
    commands.iter().enumerate().map(named).collect()
}

/// All that stat(2) says, without the access time, and all bytes.
fn state(object: &Object) -> (Vec<i64>, Vec<u8>) {
    let status = fs::metadata(object.path()).unwrap();
    let numbers = vec![
        status.ino() as i64,
        status.size() as i64,
        status.blocks() as i64,
        status.mode().into(),
        status.uid().into(),
        status.mtime(),
        status.mtime_nsec(),
        status.ctime(),
        status.ctime_nsec(),
        status.nlink() as i64,
    ];
    (numbers, fs::read(object.path()).unwrap())
}

/// The events of inotify(7) that the commands cause on an object.
fn events(object: &Object, look: impl FnOnce()) -> u32 {
    let path = CString::new(object.path().as_os_str().as_bytes()).unwrap();
    let mut buffer = [0_u32; 4096];
    // SAFETY: the path ends with NUL, and the length is the buffer's.
    let length = unsafe {
        let inotify = libc::inotify_init1(libc::IN_NONBLOCK);
        assert!(libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_ALL_EVENTS) >= 0);
        look();
        let length = libc::read(inotify, buffer.as_mut_ptr().cast(), size_of_val(&buffer));
        libc::close(inotify);
        length
    };
    let words = usize::try_from(length).unwrap_or(0) / 4;
    // An event of a file has four words and no name; the second is its mask.
    buffer[..words]
        .chunks(4)
        .fold(0, |all, event| all | event[1])
}

#[test]
fn a_look_changes_nothing_and_wakes_no_poller() {
    let [channel, topic] = [(); 2].map(|()| Object::new());
    let mut sender = channel.channel(Side::Sender);
    for length in [1, 5000, 0, 200] {
        sender.send(&vec![7; length], 0).unwrap();
    }
    let mut writer = topic.topic(Side::Sender);
    writer.write(b"message").unwrap();
    let _reader = topic.topic(Side::Receiver);
    for object in [&channel, &topic] {
        let before = state(object);
        let seen = events(object, || {
            for command in looks(object) {
                output(&mut tool(&command));
            }
        });
        assert_eq!(
            seen & !(libc::IN_OPEN | libc::IN_CLOSE_NOWRITE),
            0,
            "{seen:#x}"
        );
        assert_ne!(seen, 0);
        assert_eq!(state(object), before);
    }
}

/// No lock is taken, so that a claim, a reclaim or an attach at the same moment succeeds.
#[test]
fn a_look_takes_no_lock() {
    if !has_tool("strace") {
        return;
    }
    let [channel, topic] = [(); 2].map(|()| Object::new());
    channel.stale_channel(&[b"message"]);
    topic.stale_topic(&[b"message"]);
    for (object, command) in [&channel, &topic].into_iter().flat_map(|object| {
        looks(object)
            .into_iter()
            .map(move |command| (object, command))
    }) {
        let mut strace = std::process::Command::new("strace");
        strace.args([
            "-f",
            "-e",
            "trace=flock,fcntl,openat,open,pread64,read,mmap",
            TOOL,
        ]);
        let (_, calls, status) = output(strace.args(&command));
        if status == 1 && calls.contains("ptrace") {
            return skip("this user may not trace");
        }
        let path = object.path();
        let own = path.to_str().unwrap();
        for call in calls.lines() {
            let locks =
                call.contains("flock(") || call.contains("OFD_SETLK") || call.contains("F_SETLK");
            let writes = call.contains(own) && call.contains("O_RDWR");
            let maps_writable = call.contains("MAP_SHARED") && call.contains("PROT_WRITE");
            assert!(!locks && !writes && !maps_writable, "{command:?}: {call}");
        }
    }
}

#[test]
fn watching_takes_no_end() {
    let object = Object::new();
    object.stale_channel(&[]);
    let mut watch = tool(["watch", "-n", "0.01", &object.text()]);
    let mut watch = Child(watch.stdout(std::process::Stdio::null()).spawn().unwrap());
    for _ in 0..20 {
        drop([Side::Sender, Side::Receiver].map(|side| object.channel(side)));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(watch.0.try_wait().unwrap(), None);
    // No process uses it, so it may be reclaimed although it is watched.
    object.wait_until_unused();
    assert_eq!(run(["clean", "--yes", &object.text()]).2, 0);
    assert!(!object.path().exists());
}

fn write(object: &Object, bytes: &[u8], at: u64) {
    let file = OpenOptions::new().write(true).open(object.path()).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn set_size(object: &Object, size: u64) {
    let file = OpenOptions::new().write(true).open(object.path()).unwrap();
    file.set_len(size).unwrap();
}

/// The verdict of `check`.
fn verdict(object: &Object) -> String {
    let (stdout, stderr, _) = run(["check", &object.text()]);
    assert_eq!(stderr, "");
    stdout
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

fn assert_damaged(object: &Object, what: &str) {
    assert_eq!(verdict(object), "damaged", "{what}");
    for command in looks(object) {
        assert!(
            (0..=2).contains(&output(&mut tool(&command)).2),
            "{command:?}"
        );
    }
    for arguments in [&["clean", "--yes"][..], &["clean", "--yes", "--messages"]] {
        let (_, _, status) = output(tool(arguments).arg(object.text()));
        assert_eq!(status, 1, "{what}");
    }
    assert!(object.path().exists(), "{what}");
}

type Damage = (&'static str, fn(&Object));

#[test]
fn a_damaged_channel_is_said_to_be_damaged() {
    // docs/architecture.md: offsets of positions, and of the second record.
    const TAIL: u64 = 64;
    const HEAD: u64 = 128;
    const RECORD: u64 = 4096 + 8;
    let damages: [Damage; 7] = [
        ("the ring's start", |object| write(object, &[1], 8)),
        ("a position beyond the ring", |object| {
            write(object, &[0xff; 7], TAIL + 1)
        }),
        ("a head beyond the tail", |object| {
            write(object, &[0xff], HEAD + 1)
        }),
        ("a length", |object| write(object, &[0xff; 4], RECORD + 4)),
        ("no length", |object| write(object, &[0; 8], RECORD)),
        ("a shorter file", |object| set_size(object, 6000)),
        ("a longer file", |object| set_size(object, 100_000)),
    ];
    for (what, damage) in damages {
        let object = Object::new();
        object.stale_channel(&[b"", b"message", b"message"]);
        assert_eq!(verdict(&object), "stale");
        damage(&object);
        assert_damaged(&object, what);
    }
}

#[test]
fn a_damaged_topic_is_said_to_be_damaged() {
    // docs/architecture.md: offsets of words, and of the second message, whose slot has 128 bytes.
    const INTENT: u64 = 64;
    const LAST: u64 = 128;
    const SECOND: u64 = 4096 + 128;
    let damages: [Damage; 9] = [
        ("where the slots start", |object| write(object, &[1], 8)),
        ("the longest message", |object| {
            write(object, &[0xff; 8], 16)
        }),
        ("no message", |object| write(object, &[0; 8], 16)),
        ("a depth", |object| write(object, &[8], 24)),
        ("a large depth", |object| write(object, &[0xff; 8], 24)),
        ("an intent too far", |object| write(object, &[4], INTENT)),
        ("an intent too early", |object| write(object, &[3], LAST)),
        ("a length", |object| write(object, &[101], SECOND)),
        ("a shorter file", |object| set_size(object, 4096)),
    ];
    for (what, damage) in damages {
        let object = Object::new();
        object.stale_topic(&[b"", b"message"]);
        assert_eq!(verdict(&object), "stale");
        damage(&object);
        assert_damaged(&object, what);
    }
}

#[test]
fn a_topic_whose_writer_died_amid_a_message_is_not_damaged() {
    let object = Object::new();
    object.stale_topic(&[b"message"]);
    write(&object, &[2], 64);
    assert_eq!(verdict(&object), "stale");
}

#[test]
fn an_object_of_another_version_is_left_alone() {
    let [channel, topic] = [(); 2].map(|()| Object::new());
    channel.stale_channel(&[]);
    topic.stale_topic(&[]);
    for object in [&channel, &topic] {
        write(object, &[0x7f], 6);
        assert_eq!(verdict(object), "unknown");
        assert_eq!(run(["clean", "--yes", "--messages", &object.text()]).2, 1);
        assert!(object.path().exists());
    }
}

#[test]
fn a_foreign_object_is_looked_at_without_filling_its_holes() {
    let object = Object::new();
    let file = File::create(object.path()).unwrap();
    for size in [0, 1, 4095, 4096, 8192, 69632, 1 << 40] {
        file.set_len(size).unwrap();
        assert_eq!(verdict(&object), "unknown", "{size}");
        assert_eq!(run(["info", &object.text()]).2, 0);
        assert_eq!(fs::metadata(object.path()).unwrap().blocks(), 0, "{size}");
    }
}

#[test]
fn a_watched_file_that_shrinks_is_a_failure() {
    let [channel, topic] = [(); 2].map(|()| Object::new());
    channel.stale_channel(&[]);
    topic.stale_topic(&[]);
    [&channel, &topic]
        .into_iter()
        .for_each(shrink_while_watched);
}

fn shrink_while_watched(object: &Object) {
    let mut watch = tool(["watch", "-n", "0.01", &object.text()]);
    let mut watch = Child(watch.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(watch.0.stdout.take().unwrap());
    // It has looked.
    output.read_line(&mut String::new()).unwrap();
    set_size(object, 0);
    output.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(watch.0.wait().unwrap().code(), Some(2));
}

/// The file loses and gets back its pages while it is looked at: no SIGBUS.
#[test]
fn a_file_that_shrinks_meanwhile_is_survived() {
    let [channel, topic] = [(); 2].map(|()| Object::new());
    channel.stale_channel(&[&[7; 1000], &[7; 20000]]);
    topic.stale_topic(&[b"message"]);
    [&channel, &topic]
        .into_iter()
        .for_each(look_while_it_shrinks);
}

fn look_while_it_shrinks(object: &Object) {
    let bytes = fs::read(object.path()).unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(object.path()).unwrap();
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                file.set_len(0).unwrap();
                file.write_all_at(&bytes, 0).unwrap();
            }
        });
        let _done = Done(&is_done);
        let rounds = if measure::all() { 1000 } else { 50 };
        for _ in 0..rounds {
            let (_, stderr, status) = run(["check", &object.text()]);
            assert!((0..=2).contains(&status), "{status}: {stderr}");
        }
    });
}
