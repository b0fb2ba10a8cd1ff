//! `clean` removes what is provably stale, and nothing else, at whatever moment it is killed.

use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::{fs, thread};

use shmcomm::{Errno, Side, segment};

use crate::support::ptrace::{Step, kill_after};
use crate::support::*;

/// The action of the only row, its reason, and the exit status.
fn clean(arguments: &[&str], name: &str) -> (String, String, i32) {
    let (stdout, stderr, status) = output(tool(["clean"]).args(arguments).arg(name));
    assert_eq!(stderr, "", "{name}");
    let mut cells = stdout
        .lines()
        .nth(1)
        .unwrap()
        .splitn(3, ' ')
        .map(str::to_owned);
    assert_eq!(cells.next().as_deref(), Some(name));
    (cells.next().unwrap(), cells.next().unwrap(), status)
}

#[test]
fn without_yes_nothing_is_removed() {
    let (object, segment) = (Object::new(), SysvSegment::stale());
    object.stale_channel(&[]);
    let sysv = run(["ls", &segment.name()]).0;
    let sysv = sysv
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    for name in [&object.text(), &sysv] {
        let (action, _, status) = clean(&[], name);
        assert_eq!((action.as_str(), status), ("would-remove", 0), "{name}");
    }
    assert!(object.path().exists() && segment.exists());
    for name in [&object.text(), &sysv] {
        let (action, _, status) = clean(&["--yes"], name);
        assert_eq!((action.as_str(), status), ("removed", 0), "{name}");
        let (action, _, status) = clean(&["--yes"], name);
        assert_eq!((action.as_str(), status), ("absent", 0), "{name}");
    }
    assert!(!object.path().exists() && !segment.exists());
}

#[test]
fn what_is_used_or_of_a_living_creator_stays() {
    let [held, idle, foreign, link, target] = [(); 5].map(|()| Object::new());
    held.stale_channel(&[]);
    let _receiver = held.channel(Side::Receiver);
    idle.idle_segment();
    fs::write(foreign.path(), "of another library").unwrap();
    target.stale_segment();
    symlink(target.path(), link.path()).unwrap();
    let sysv = SysvSegment::new();
    let link = format!("file:{}", link.path().display());
    for (name, expected) in [
        (held.text(), "a process uses it"),
        (idle.text(), "its creator runs"),
        (foreign.text(), "its creator is unknown"),
        (sysv.name(), "its creator runs"),
        (link, "it is a symbolic link"),
    ] {
        let (action, reason, status) = clean(&["--yes", "--messages"], &name);
        let found = (action.as_str(), reason.as_str(), status);
        assert_eq!(found, ("kept", expected, 1), "{name}");
    }
    for object in [&held, &idle, &foreign, &target] {
        assert!(object.path().exists());
    }
    assert!(sysv.exists());
}

#[test]
fn messages_are_kept_unless_they_are_named() {
    let object = Object::new();
    object.stale_channel(&[b"message"]);
    for arguments in [&["--yes"][..], &[]] {
        let (action, reason, status) = clean(arguments, &object.text());
        assert_eq!((action.as_str(), status), ("kept", 1));
        assert!(reason.contains("--messages"), "{reason}");
    }
    assert_eq!(clean(&["--messages"], &object.text()).0, "would-remove");
    assert_eq!(clean(&["--messages", "--yes"], &object.text()).0, "removed");
    assert!(!object.path().exists());
}

/// A sender that is killed right after it published leaves a message that no counter counts.
#[test]
fn an_uncounted_message_is_one() {
    let object = Object::new();
    object.stale_channel(&[b"message"]);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(object.path())
        .unwrap();
    // Tail and number of sent messages.
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 16], 64).unwrap();
    assert_eq!(clean(&["--yes"], &object.text()).0, "kept");
}

/// Without names it takes what this library created in /dev/shm. A System V segment must be named: any program
/// may have left it for another one.
#[test]
fn without_names_system_v_stays() {
    let segment = SysvSegment::stale();
    let (stdout, _, status) = run(["clean"]);
    let kept = |line: &str| {
        line.starts_with("sysv:") && line.contains(" kept ") && line.contains("Name it")
    };
    assert!(stdout.lines().any(kept), "{stdout}");
    assert_eq!(status, 1);
    assert!(segment.exists());
}

/// The name is absent or whole, and the next user needs no repair.
#[test]
fn killed_at_each_system_call_it_leaves_the_name_absent_or_whole() {
    let (mut absent, mut whole) = (0, 0);
    for steps in measure::spread(7) {
        let object = Object::new();
        object.stale_segment();
        let mut command = tool(["clean", "--yes", &object.text()]);
        command.stdout(std::process::Stdio::null());
        let has_ended = match kill_after(&mut command, steps, Step::SystemCall) {
            Err(error) if steps == 0 => return skip(&error.to_string()),
            ended => ended.unwrap(),
        };
        let opened = segment::Options::default().open(object.name());
        match opened {
            Ok(segment) if segment.size() == 100 => whole += 1,
            Ok(segment) => panic!("{} bytes", segment.size()),
            Err(error) if error.errno() == Errno::ENOENT => absent += 1,
            Err(error) => panic!("{steps}: {error}"),
        }
        drop(object.segment());
        if has_ended {
            break;
        }
    }
    assert!(absent > 0 && whole > 0, "{absent} {whole}");
    remove_what_killed_tools_left();
}

/// A tool that was killed between its rename and its unlink leaves a temporary name. The next creation that needs one
/// removes it; here the test does.
fn remove_what_killed_tools_left() {
    let entries = fs::read_dir("/dev/shm").unwrap().flatten();
    for left in entries.filter(|it| {
        it.file_name()
            .to_string_lossy()
            .starts_with(".shmcomm-old-")
    }) {
        let name = format!("posix:/{}", left.file_name().to_string_lossy());
        output(&mut tool(["clean", "--yes", &name]));
    }
}

/// Tools clean a name again and again, while processes create an object with it, exit, and others open it.
#[test]
fn no_object_in_use_is_ever_removed() {
    let object = Object::new();
    let rounds = if measure::all() { 10_000 } else { 300 };
    let (is_done, cleaned) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut progress = measure::Progress::new("rounds");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Relaxed) {
                    let (stdout, stderr, _) = run(["clean", "--yes", &object.text()]);
                    assert_eq!(stderr, "");
                    cleaned.fetch_add(u64::from(stdout.contains(" removed ")), Relaxed);
                }
            });
        }
        let _done = Done(&is_done);
        let mut kept = 0_u64;
        for round in 0..rounds {
            progress.at(round);
            in_dead_process(|| drop(object.segment()));
            // Creates it, too, if a tool was faster.
            let segment = object.segment();
            let opened = segment.info().unwrap();
            kept += u64::from(opened.creator_pid != std::process::id() as i32);
            segment.write(0, b"alive");
            thread::sleep(std::time::Duration::from_micros(round % 4 * 500));
            assert!(!segment.info().unwrap().removed, "round {round}");
            let named = fs::metadata(object.path()).unwrap();
            assert_eq!((named.nlink(), named.size()), (1, 100));
            let again = object.segment();
            let mut text = [0; 5];
            again.read(0, &mut text);
            assert_eq!(&text, b"alive", "round {round}");
            drop((segment, again));
            if opened.creator_pid == std::process::id() as i32 {
                segment::remove(object.name()).unwrap();
            }
        }
        assert!(kept > 0, "tools were always faster");
    });
    assert!(cleaned.load(Relaxed) > 0, "no tool was ever faster");
}
