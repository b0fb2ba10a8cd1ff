//! The promises of a topic while all processes live: what a reader sees, who may write, sizes.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

use crate::support::channel::{ChannelDriver, failed};
use crate::support::driver::Driver;
use crate::support::ptrace::count_after_stops;
use crate::support::{self, NOBODY};

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_reader_starts_at_the_newest_message_or_at_the_oldest_kept() {
    let driver = ChannelDriver::of_topics();
    for name in driver.names() {
        let run = |words: &str| driver.output(&words.replace("NAME", &name));
        let none = [
            &failed("read", libc::EAGAIN),
            &failed("latest", libc::EAGAIN),
        ];
        let empty = run("open NAME 20 4 rc 0600 read 0 latest");
        assert_eq!(empty, format!("open: ok\n{}{}", none[0], none[1]));
        run("open NAME 0 0 s 0 write one writen 1 0 write three");
        let read = "read 0 read 0 read 0 read 0";
        let [first, second, third] = ["\"one\"", "\"\"", "\"three\""];
        let message = |message| format!("read: {message} lost 0\n");
        let newest = run("open NAME 0 0 r 0 read 0 read 0");
        assert_eq!(newest, "open: ok\n".to_owned() + &message(third) + none[0]);
        let all = run(&format!("open NAME 0 0 rh 0 {read}"));
        let three = message(first) + &message(second) + &message(third);
        assert_eq!(all, format!("open: ok\n{three}{}", none[0]));
        // The fifth message takes the room of the first one.
        run("open NAME 0 0 s 0 write four write five");
        let kept = run(&format!("open NAME 0 0 rh 0 latest {read}"));
        let rest = message(third) + &message("\"four\"") + &message("\"five\"");
        let latest = "latest: \"five\" number 5\n";
        assert_eq!(kept, format!("open: ok\n{latest}{}{rest}", message(second)));
        // A message that has begun takes the room of the second one, although it is never published.
        run("open NAME 0 0 s 0 begin six");
        let kept = run(&format!("open NAME 0 0 rh 0 latest {read}"));
        assert_eq!(kept, format!("open: ok\n{latest}{rest}{}", none[0]));
        run("remove NAME");
        let gone = run("open NAME 0 0 r 0 open NAME 0 0 s 0");
        assert_eq!(gone, failed("open", libc::ENOENT).repeat(2));
    }
}

#[test]
fn each_lost_message_is_counted_once() {
    let driver = ChannelDriver::of_topics();
    let open = "open NAME 8 4 rc 0600 open NAME 0 0 s 0";
    let counted = |words: &str| {
        let output = driver.output(&format!("{open} {words}"));
        driver.remove();
        output
    };
    // A reader that was overtaken goes on in the middle of the four that are kept.
    let overtaken = counted(
        "writen 5 0 write a write b other read 0 read 0 read 0 other writen 4 0 \
        write c other read 0 read 0",
    );
    let expected = [
        "open: ok",
        "open: ok",
        "writen: ok",
        "write: ok",
        "write: ok",
        "read: \"a\" lost 5",
        "read: \"b\" lost 0",
        "read: errno 11",
        "writen: ok",
        "write: ok",
        "read: \"\" lost 3",
        "read: \"c\" lost 0",
    ];
    assert_eq!(overtaken, lines(&expected));
    // A message that was overwritten under a peek is lost too.
    let peeked = counted(
        "write a other peek 0 peek 0 release release peek 0 other write b other \
        peek 0 other writen 2 0 begin x other release other writen 2 0 begin x other release read 0",
    );
    let expected = [
        "open: ok",
        "open: ok",
        "write: ok",
        "peek: \"a\" lost 0",
        "peek: \"a\" lost 0",
        "release: ok",
        "release: errno 22",
        "peek: errno 11",
        "write: ok",
        "peek: \"b\" lost 0",
        "writen: ok",
        "begin: ok",
        "release: ok",
        "writen: ok",
        "begin: ok",
        "release: errno 22",
        "read: \"\" lost 2",
    ];
    assert_eq!(peeked, lines(&expected));
    let stale = counted(
        "write a other peek 0 other writen 3 0 begin x other release other write b \
        other read 0 read 0",
    );
    let expected = [
        "open: ok",
        "open: ok",
        "write: ok",
        "peek: \"a\" lost 0",
        "writen: ok",
        "begin: ok",
        "release: errno 116",
        "write: ok",
        "read: \"\" lost 1",
        "read: \"\" lost 0",
    ];
    assert_eq!(stale, lines(&expected));
    // A read ends a peek, even if it fails: it may have skipped the message that was overwritten.
    let ended = counted("write a other peek 0 other writen 5 8 other small 4 release read 0");
    let expected = [
        "open: ok",
        "open: ok",
        "write: ok",
        "peek: \"a\" lost 0",
        "writen: ok",
        "small: errno 90",
        "release: errno 22",
        "read: \"\" lost 4",
    ];
    assert_eq!(ended, lines(&expected));
}

#[test]
fn a_message_is_published_once_and_no_longer_than_the_longest() {
    let driver = ChannelDriver::of_topics();
    let (invalid, too_long) = (
        failed("publish", libc::EINVAL),
        failed("writen", libc::EMSGSIZE),
    );
    let output = driver.output(
        "open NAME 32 4 sc 0600 publish 1 begin dropped begin kept publish 33 publish 4 publish 4 \
         writen 1 33 begin dropped write more publish 1 open NAME 0 0 rh 0 read 0 small 3 small 4 \
         read 0",
    );
    let begin = "begin: ok\n";
    let published = format!("{invalid}{begin}{begin}{invalid}publish: ok\n{invalid}{too_long}");
    let written = format!("{begin}write: ok\n{invalid}");
    let small = failed("small", libc::EMSGSIZE);
    let read = format!(
        "open: ok\nread: \"kept\" lost 0\n{small}small: ok\n{}",
        failed("read", libc::EAGAIN)
    );
    assert_eq!(output, format!("open: ok\n{published}{written}{read}"));
}

#[test]
fn a_topic_is_as_requested_or_larger() {
    let driver = ChannelDriver::of_topics();
    let stat = |words: &str| driver.output(&format!("open NAME {words} stat"));
    let is = |max: u32, depth: u32, writer: u32| {
        format!("open: ok\nmax_message {max} depth {depth} written 0 writer {writer}\n")
    };
    let refused = failed("open", libc::EINVAL);
    let enoent = failed("open", libc::ENOENT);
    assert_eq!(driver.output("open NAME 0 4 sc 0600"), refused);
    assert_eq!(driver.output("open NAME 8 4 sr 0600"), refused);
    assert_eq!(driver.output("open NAME 8 4 shc 0600"), refused);
    assert_eq!(driver.output("open NAME 8 4 r 0600"), enoent);
    assert_eq!(stat("100 5 sc 0600"), is(100, 8, 1));
    assert_eq!(stat("100 8 r 0"), is(100, 8, 0));
    assert_eq!(stat("1 1 rc 0"), is(100, 8, 0));
    assert_eq!(driver.output("open NAME 101 8 r 0"), refused);
    assert_eq!(driver.output("open NAME 100 9 s 0"), refused);
    let exists = failed("open", libc::EEXIST);
    assert_eq!(driver.output("open NAME 100 8 scx 0600"), exists);
    driver.remove();
    assert_eq!(stat("64 0 rc 0600"), is(64, 4, 0));
    driver.remove();
}

#[test]
fn one_handle_writes_at_a_time() {
    let driver = ChannelDriver::of_topics();
    let busy = failed("open", libc::EBUSY);
    let mut writer = driver.start(&["open", &driver.posix(), "8", "4", "sc", "0600", "pause"]);
    assert_eq!(driver.output("open NAME 0 0 s 0"), busy);
    let reader = "open: ok\nmax_message 8 depth 4 written 0 writer 1\n";
    assert_eq!(driver.output("open NAME 0 0 r 0 stat"), reader);
    writer.kill();
    let next = "open NAME 0 0 s 0 write next close open NAME 0 0 s 0";
    assert_eq!(
        driver.output(next),
        lines(&["open: ok", "write: ok", "close: ok", "open: ok"])
    );
}

#[test]
fn an_object_that_is_no_topic_is_refused() {
    let driver = ChannelDriver::of_topics();
    let channels = ChannelDriver::new();
    let name = driver.posix();
    let damaged = failed("open", libc::EBADMSG);
    channels.run(&["open", &name, "4096", "sc", "0600"]);
    assert_eq!(
        driver.output("open NAME 0 0 r 0 open NAME 0 0 s 0"),
        damaged.repeat(2)
    );
    driver.remove();
    // Each word of the header that says where the slots are; also a file that is too short.
    let path = driver.object.path();
    for (at, value) in [
        (0, 1_u64),
        (8, 8192),
        (8, 0),
        (8, 1),
        (16, 57),
        (16, u64::MAX),
        (24, 8),
        (24, 3),
    ] {
        driver.output("open NAME 40 4 sc 0600");
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        std::fs::write(path, &bytes).unwrap();
        let refused = driver.output("open NAME 0 0 r 0 open NAME 0 0 s 0");
        assert_eq!(refused, damaged.repeat(2), "{at} {value}");
        driver.remove();
    }
    for size in [1, 4095, 4096, 4096 + 3 * 64, 4096 + 5 * 64] {
        driver.output("open NAME 40 4 sc 0600");
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(size)
            .unwrap();
        let refused = driver.output("open NAME 0 0 r 0 open NAME 0 0 s 0");
        assert_eq!(refused, damaged.repeat(2), "{size}");
        driver.remove();
    }
    // A writer that begins two messages at once.
    driver.output("open NAME 40 4 sc 0600");
    let mut bytes = std::fs::read(path).unwrap();
    bytes[64] = 2;
    std::fs::write(path, &bytes).unwrap();
    assert_eq!(driver.output("open NAME 0 0 s 0"), damaged);
}

#[test]
fn a_child_does_not_use_its_parents_handle() {
    let driver = ChannelDriver::of_topics();
    for fork in ["child", "clone"] {
        let eperm = |calls: &[&str]| -> String {
            calls.iter().map(|call| failed(call, libc::EPERM)).collect()
        };
        let output = driver.output(&format!(
            "open NAME 8 4 sc 0600 write one begin x {fork} write two begin x publish 1 stat close \
             open NAME 0 0 r 0 read 0"
        ));
        let refused = eperm(&["write", "begin", "publish", "stat"]);
        let child = format!("{refused}close: ok\nopen: ok\nread: \"one\" lost 0\n");
        assert_eq!(output, format!("open: ok\nwrite: ok\nbegin: ok\n{child}"));
        let output = driver.output(&format!(
            "open NAME 0 0 r 0 peek 0 {fork} read 0 read 1 latest peek 0 release stat close"
        ));
        let refused = eperm(&["read", "read", "latest", "peek", "release", "stat"]);
        assert_eq!(
            output,
            format!("open: ok\npeek: \"one\" lost 0\n{refused}close: ok\n")
        );
        driver.remove();
    }
}

#[test]
fn a_reader_cannot_write_to_the_messages() {
    let driver = ChannelDriver::of_topics();
    driver.output("open NAME 8 4 sc 0600 write one");
    let scribble = driver
        .process("open NAME 0 0 r 0 scribble")
        .output()
        .unwrap();
    assert_eq!(scribble.status.signal(), Some(libc::SIGSEGV));
    assert_eq!(support::stdout(&scribble), "open: ok\n");
}

#[test]
fn another_user_reads_what_the_mode_permits() {
    if !support::is_root() {
        return support::skip("only root can become another user");
    }
    let driver = Driver::build_for_all_users("topic.c");
    let name = driver.posix();
    let nobody = |words: &str| {
        let words: Vec<_> = ["open", &name]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        let mut command = driver.command(&words);
        let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
        (support::stdout(&output), output.status.signal())
    };
    let run = |words: &str| {
        let words: Vec<_> = ["open", &name]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        driver.run(&words)
    };
    run("8 4 sc 0644 write one");
    let read = "open: ok\nread: \"one\" lost 0\nlatest: \"one\" number 1\n".to_owned();
    assert_eq!(nobody("0 0 r 0 read 0 latest"), (read, None));
    let refused = failed("open", libc::EACCES);
    assert_eq!(nobody("0 0 s 0"), (refused.clone(), None));
    let segv = Some(libc::SIGSEGV);
    assert_eq!(nobody("0 0 r 0 scribble"), ("open: ok\n".to_owned(), segv));
    driver.object.remove();
    run("8 4 sc 0640 write one");
    assert_eq!(nobody("0 0 r 0"), (refused, None));
}

/// The number of system calls of a process between "mark" and the end of the next call.
fn system_calls(driver: &ChannelDriver, words: &str) -> u64 {
    let has = |stops| {
        let mut command = driver.process(words);
        let count = count_after_stops(command.stdout(Stdio::null()), stops).unwrap();
        driver.remove();
        count.is_some()
    };
    (1..).take_while(|calls| has(2 * calls)).count() as u64
}

#[test]
fn a_write_makes_no_system_call_unless_a_process_may_only_read() {
    let driver = ChannelDriver::of_topics();
    for (mode, calls) in [
        ("0600", 0),
        ("0660", 0),
        ("0666", 0),
        ("0620", 0),
        ("0644", 1),
        ("0640", 1),
        ("0604", 1),
        ("0664", 1),
    ] {
        let open = format!("open NAME 100 4 sc {mode} write one");
        // Nothing has begun: EINVAL, and the calls of the test itself.
        let own = system_calls(&driver, &format!("{open} mark publish 1"));
        for call in ["mark write two", "begin two mark publish 3"] {
            let made = system_calls(&driver, &format!("{open} {call}")) - own;
            assert_eq!(made, calls, "{mode} {call}");
        }
    }
    let read = "open NAME 100 4 sc 0644 write one write two open NAME 0 0 rh 0 read 0";
    let own = system_calls(&driver, &format!("{read} mark release"));
    for call in ["read 0", "latest", "peek 0"] {
        let made = system_calls(&driver, &format!("{read} mark {call}")) - own;
        assert_eq!(made, 0, "{call}");
    }
}
