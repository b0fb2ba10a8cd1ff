//! What each command prints, with names, pids and times masked.

use shmcomm::Name;
use shmcomm::Side;
use shmcomm::semaphore::{self, New, Semaphore};

use crate::support::*;

pub fn masks(object: &Object, pids: &[(i32, &'static str)]) -> Vec<(String, &'static str)> {
    let mut masks = vec![(object.text(), "NAME")];
    masks.extend(pids.iter().map(|(pid, mask)| (pid.to_string(), *mask)));
    masks
}

/// The user that runs the tests, as the tool names it.
pub fn user() -> String {
    // SAFETY: takes no argument, and the entry stays valid until the next call.
    unsafe {
        let entry = libc::getpwuid(libc::geteuid());
        match entry.is_null() {
            true => libc::geteuid().to_string(),
            false => std::ffi::CStr::from_ptr((*entry).pw_name)
                .to_string_lossy()
                .into_owned(),
        }
    }
}

/// A row of the table with the age masked.
pub fn row(line: &str) -> String {
    let mut cells: Vec<_> = line.split(' ').collect();
    cells[6] = "AGE";
    cells.join(" ").replace(&format!(" {} ", user()), " USER ")
}

#[test]
fn ls_shows_a_channel_and_who_holds_it() {
    let object = Object::new();
    let mut sender = object.channel(Side::Sender);
    sender.send(&[0; 6000], 0).unwrap();
    let pid = std::process::id() as i32;
    let expected = "NAME KIND SIZE MODE OWNER USED AGE HELD-BY STATE\n\
                    NAME channel 69632 0600 USER 10% AGE sender:PID,receiver:- used";
    assert_becomes((expected.to_owned(), String::new(), 0), || {
        let (stdout, stderr, status) = run(["ls", &object.text()]);
        let (head, line) = stdout.trim_end().split_once('\n').unwrap();
        let line = masked(&row(line), &masks(&object, &[(pid, "PID")]));
        (format!("{head}\n{line}"), stderr, status)
    });
}

#[test]
fn ls_lists_all_kinds_and_selects_one() {
    let (channel, segment, foreign) = (Object::new(), Object::new(), Object::new());
    channel.stale_channel(&[]);
    let _held = segment.segment();
    std::fs::write(foreign.path(), "of another library").unwrap();
    let sysv = SysvSegment::new();
    let new = New {
        value: 3,
        ..New::default()
    };
    let semaphore = Semaphore::create(Name::SysvPrivate, new).unwrap();
    let set = format!("sysv:id:{}", semaphore.id().unwrap());
    let listed = |arguments: &[&str]| {
        let (stdout, _, status) = output(&mut tool([&["ls"], arguments].concat()));
        assert_eq!(status, 0);
        let line = |name: &str| {
            let mut lines = stdout
                .lines()
                .filter(|line| line.starts_with(&format!("{name} ")));
            lines
                .next()
                .map(|line| line.split(' ').nth(1).unwrap().to_owned())
        };
        let key = run(["info", "--json", &sysv.name()]).0;
        let key: serde_json::Value = serde_json::from_str(&key).unwrap();
        let key = format!(
            "sysv:{}",
            key["objects"][0]["sysv"]["key"].as_str().unwrap()
        );
        [
            channel.text(),
            segment.text(),
            foreign.text(),
            key,
            set.clone(),
        ]
        .map(|name| line(&name))
    };
    let some = |kind: &str| Some(kind.to_owned());
    let all = [
        some("channel"),
        some("segment"),
        None,
        some("segment"),
        some("semaphore"),
    ];
    let result = std::panic::catch_unwind(|| {
        assert_eq!(listed(&[]), all);
        let mut with_foreign = all.clone();
        with_foreign[2] = some("object");
        assert_eq!(listed(&["--all"]), with_foreign);
        assert_eq!(
            listed(&["--kind", "channel"]),
            [some("channel"), None, None, None, None]
        );
    });
    semaphore::remove(Name::SysvId(semaphore.id().unwrap())).unwrap();
    result.unwrap();
}

#[test]
fn a_semaphore_in_shared_memory_is_an_object_like_others() {
    let object = Object::new();
    let new = New {
        value: 3,
        kind: semaphore::Kind::Events,
        ..New::default()
    };
    in_dead_process(|| drop(Semaphore::create(object.name(), new).unwrap()));
    let row = format!(" semaphore 64 0600 {} 3 ", user());
    let shown = |state: &str| {
        let (stdout, ..) = run(["ls", &object.text()]);
        let line = stdout.lines().nth(1).unwrap().to_owned();
        line.contains(&row) && line.ends_with(state)
    };
    assert!(shown(" - stale"));
    let held = Semaphore::open(object.name()).unwrap();
    let used = format!(" {} used", std::process::id());
    assert_becomes(true, || shown(&used));
    drop(held);
    object.wait_until_unused();
    let (stdout, _, status) = run(["clean", "--yes", &object.text()]);
    assert_eq!(status, 0, "{stdout}");
    assert!(!object.path().exists());
}

#[test]
fn ls_of_nothing_is_1() {
    let object = Object::new();
    let (stdout, stderr, status) = run(["ls", &object.text()]);
    assert_eq!(stdout.lines().count(), 1);
    assert_eq!(
        stderr,
        format!("shmcomm: {}: there is none\n", object.text())
    );
    assert_eq!(status, 1);
}

#[test]
fn info_shows_everything_about_a_channel() {
    let object = Object::new();
    let mut pid = 0;
    let held = {
        pid += in_dead_process(|| {
            let mut sender = object.channel(Side::Sender);
            sender.send(b"hello", 0).unwrap();
            sender.send(b"", 0).unwrap();
        });
        object.channel(Side::Receiver)
    };
    let own = std::process::id() as i32;
    // SAFETY: takes no argument.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let expected = format!(
        "\
name:           NAME
kind:           channel
state:          used: a process receives, and none sends
size:           69632 (68K)
mode:           0600
owner:          {} (uid {uid}, gid {gid})
changed:        AGE ago (created, or owner or mode changed)
creator:        DEAD has exited
capacity:       65536 (64K)
used:           24 (1%)
messages:       2
sent:           2 (24 bytes)
received:       0 (0 bytes)
sending end:    free; 1 open, last by DEAD; sleep word 0x0, lock word 0x0
receiving end:  held; 1 open, last by OWN; sleep word 0x0, lock word 0x0
receiver:       OWN
",
        user()
    );
    let changed = |line: &str| match line.strip_prefix("changed: ") {
        Some(_) => "changed:        AGE ago (created, or owner or mode changed)\n".to_owned(),
        None => format!("{line}\n"),
    };
    assert_becomes((expected, 0), || {
        let (stdout, _, status) = run(["info", &object.text()]);
        let masked = masked(&stdout, &masks(&object, &[(pid, "DEAD"), (own, "OWN")]));
        (masked.lines().map(changed).collect(), status)
    });
    drop(held);
    drop(object);
}

#[test]
fn who_names_roles() {
    let object = Object::new();
    let receiver = tool(["recv", "--create", &object.text()]).spawn().unwrap();
    let receiver = Child(receiver);
    let pid = receiver.0.id();
    wait_until("a receiver", || run(["who", &object.text()]).2 == 0);
    let _sender = object.channel(Side::Sender);
    let _looked_at = std::fs::File::open(object.path()).unwrap();
    let own = std::process::id().to_string();
    let roles = vec![
        (own, "sender".to_owned()),
        (pid.to_string(), "receiver".to_owned()),
    ];
    assert_becomes((roles, 0), || {
        let (stdout, _, status) = run(["who", &object.text()]);
        let role = |line: &str| {
            let cells: Vec<_> = line.split(' ').collect();
            assert!(cells[3].parse::<u64>().unwrap() < 100_000, "{line}");
            (cells[1].to_owned(), cells[2].to_owned())
        };
        (stdout.lines().skip(1).map(role).collect(), status)
    });
}

#[test]
fn who_finds_processes_that_use_no_library() {
    let object = Object::new();
    object.stale_segment();
    let roles = || {
        let (stdout, _, status) = run(["who", &object.text()]);
        let role = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
        (stdout.lines().skip(1).map(role).collect::<Vec<_>>(), status)
    };
    assert_eq!(roles(), (vec![], 1));
    let file = std::fs::File::open(object.path()).unwrap();
    assert_becomes((vec!["opener".to_owned()], 0), roles);
    drop(file);
    let segment = SysvSegment::new();
    // SAFETY: the kernel chooses the address.
    let address = unsafe { libc::shmat(segment.0, std::ptr::null(), 0) };
    let (stdout, ..) = run(["who", &segment.name()]);
    // SAFETY: attached above, and not used.
    unsafe { libc::shmdt(address) };
    let own = format!(" {} mapper ", std::process::id());
    assert!(stdout.contains(&own), "{stdout}");
}

#[test]
fn check_has_a_verdict_and_a_reason() {
    let [used, idle, stale, full] = [(); 4].map(|()| Object::new());
    let _used = used.channel(Side::Sender);
    idle.idle_segment();
    stale.stale_segment();
    full.stale_channel(&[b"kept"]);
    let own = std::process::id();
    for (object, verdict, expected) in [
        (
            &used,
            "used a process sends, and none receives".to_owned(),
            0,
        ),
        (
            &idle,
            format!("idle its creator {own} runs, and no process uses it"),
            0,
        ),
        (
            &stale,
            "stale its creator PID has exited, and no process uses it".to_owned(),
            1,
        ),
        (
            &full,
            "stale its creator PID has exited, and no process uses it; it holds 1 message"
                .to_owned(),
            1,
        ),
    ] {
        let (stdout, stderr, status) = run(["check", &object.text()]);
        assert_eq!((stderr.as_str(), status), ("", expected));
        let line = stdout.lines().nth(1).unwrap();
        let mut words: Vec<_> = line.split(' ').skip(1).collect();
        if words[0] == "stale" {
            words[3] = "PID";
        }
        assert_eq!(words.join(" "), verdict);
    }
    let absent = Object::new();
    assert_eq!(run(["check", &absent.text()]).2, 2);
}

#[test]
fn check_recognises_what_a_comm_c_left() {
    let segment = SysvSegment::stale();
    let (stdout, _, status) = run(["check", &segment.name()]);
    assert!(
        stdout.contains(" stale attached 0 times, and its creator "),
        "{stdout}"
    );
    assert!(stdout.contains("COMM_RECLAIM=1"), "{stdout}");
    assert_eq!(status, 1);
}

#[test]
fn check_shows_the_limits_of_the_system() {
    let (stdout, ..) = run(["check"]);
    for limit in [
        "shmmax", "shmmni", "shmall", "semmni", "/dev/shm", "memlock", "inotify",
    ] {
        let line = stdout
            .lines()
            .find(|line| line.starts_with(&format!("{limit} ")));
        assert!(
            line.is_some_and(|line| line.contains(" ok ") || line.contains(" near ")),
            "{limit}"
        );
    }
}

#[test]
fn ls_shows_the_path_of_a_key() {
    let directory = std::env::temp_dir().join(format!("shmcomm-tool-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.to_str().unwrap();
    let name = format!("sysv:{path}#7");
    let create = shmcomm::segment::Options {
        create: true,
        size: 1,
        ..Default::default()
    };
    let name = Name::parse(name.as_bytes()).unwrap();
    let segment = create.open(name);
    let (stdout, ..) = run(["ls", "--kind", "segment", "--path", path]);
    let removed = shmcomm::segment::remove(name);
    std::fs::remove_dir(&directory).unwrap();
    segment.map(drop).unwrap();
    removed.unwrap();
    let row = format!(" used {path}#0x7");
    assert!(stdout.lines().any(|line| line.ends_with(&row)), "{stdout}");
    assert!(stdout.lines().next().unwrap().ends_with(" STATE PATH"));
    let (_, stderr, status) = run(["ls", "--path", path]);
    assert!(stderr.contains(path) && status == 2, "{stderr}");
}

#[test]
fn watch_shows_rates_and_ends_well() {
    let object = Object::new();
    let mut ends = [Side::Sender, Side::Receiver].map(|side| object.channel(side));
    let mut watch = tool(["watch", "-n", "0.05", &object.text()]);
    let mut watch = Child(watch.stdout(std::process::Stdio::piped()).spawn().unwrap());
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(watch.0.stdout.take().unwrap()));
    for _ in 0..100 {
        ends[0].send(b"message", 0).unwrap();
        ends[1].receive(&mut [0; 8], 0).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(
            line.contains("used 0%  sender held  receiver held"),
            "{line}"
        );
        if !line.starts_with("sent 0/s") {
            // SAFETY: takes no pointer; the child has not been waited for.
            unsafe { libc::kill(watch.0.id() as i32, libc::SIGINT) };
            break;
        }
    }
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));

    let watch = tool(["watch", "-n", "0.05", &object.text()])
        .spawn()
        .unwrap();
    let mut watch = Child(watch);
    shmcomm::segment::remove(object.name()).unwrap();
    assert_eq!(watch.0.wait().unwrap().code(), Some(1));
    assert_eq!(run(["watch", &object.text()]).2, 1);
}

#[test]
fn wrong_arguments_are_2() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["info"],
        &["info", "talk"],
        &["info", "anon:"],
        &["watch", "-n", "-1", "posix:/x"],
        &["recv", "--timeout", "soon", "posix:/x"],
        &["recv", "--capacity", "64K", "posix:/x"],
        &["send", "--create", "--capacity", "0", "posix:/x"],
        &["send", "--whole", "--block", "1", "posix:/x"],
        &["ls", "--kind", "topics"],
    ] {
        let (stdout, stderr, status) = output(&mut tool(arguments));
        assert_eq!((stdout.as_str(), status), ("", 2), "{arguments:?}");
        assert!(!stderr.is_empty());
    }
}
