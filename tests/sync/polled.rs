//! The descriptor of a channel for event loops: never unreadable while its end could proceed, and quiet
//! after EAGAIN. `tests/c/polled.c` and `polled-stream.c` describe the scenarios.

use std::ffi::OsStr;

use crate::support::channel::{ChannelDriver, failed, rest, resume};
use crate::support::driver::Driver;
use crate::support::{self, Link};

fn run(driver: &Driver, scenario: &str, flags: &str) -> Option<i32> {
    let name = driver.object.name();
    let output = driver.command(&[&name, scenario, flags]).output();
    driver.object.remove();
    let output = output.unwrap();
    let text = support::stderr(&output);
    assert!(text.is_empty(), "{scenario} {flags}: {text}");
    output.status.code()
}

#[test]
fn a_descriptor_is_readable_until_a_call_says_eagain() {
    let driver = Driver::build("polled.c", Link::Static);
    for flags in ["-", "h"] {
        assert_eq!(run(&driver, "level", flags), Some(0), "{flags}");
    }
}

#[test]
fn a_descriptor_belongs_to_one_process() {
    let driver = Driver::build("polled.c", Link::Static);
    for flags in ["-", "h"] {
        assert_eq!(run(&driver, "owner", flags), Some(0), "{flags}");
    }
}

#[test]
fn another_user_wakes_a_process_that_polls() {
    let driver = Driver::build_for_all_users("polled.c");
    if run(&driver, "user", "-") == Some(77) {
        support::skip("only root can become another user");
    }
}

/// Runs a receiver with a descriptor here, and a sender in new namespaces.
#[test]
fn a_poke_crosses_namespaces() {
    let driver = ChannelDriver::new();
    let receive = [
        "open",
        &driver.posix(),
        "4096",
        "rc",
        "0600",
        "fd",
        "recv",
        "0",
        "pause",
        "await",
        "20000",
    ];
    let receiver = driver.start(&receive);
    let send = ["open", &driver.posix(), "0", "s", "0", "send", "hello", "0"];
    let send = send.map(OsStr::new);
    let namespaces = ["--mount", "--net", "--ipc", "--uts", "--pid", "--fork"];
    let script = r#"exec "$0" "$@""#;
    if driver.in_namespaces(&namespaces, script, &send).is_some() {
        assert_eq!(rest(resume(receiver)), "await: \"hello\"\n");
    }
    driver.remove();
}

/// Limits of a user are those of the user's namespace, which disturb no other process.
#[test]
fn what_a_descriptor_needs_is_named_by_its_errno() {
    let driver = ChannelDriver::new();
    let calls = [
        "open",
        &driver.posix(),
        "4096",
        "rc",
        "0600",
        "fd",
        "fd",
        "recv",
        "0",
        "remove",
        &driver.posix(),
    ];
    let calls = calls.map(OsStr::new);
    for (setup, errno) in [
        (
            "echo 0 > /proc/sys/user/max_inotify_instances",
            libc::EMFILE,
        ),
        ("echo 0 > /proc/sys/user/max_inotify_watches", libc::ENOSPC),
        ("mount -t tmpfs none /proc", libc::EOPNOTSUPP),
    ] {
        let script = format!(r#"{setup} && exec "$0" "$@""#);
        let Some(output) = driver.in_namespaces(&["--mount"], &script, &calls) else {
            return;
        };
        let refused = failed("fd", errno);
        let none = failed("recv", libc::EAGAIN);
        assert_eq!(
            support::stdout(&output),
            format!("open: ok\n{refused}{refused}{none}remove: ok\n"),
            "{setup}: {}",
            support::stderr(&output)
        );
    }
}

/// One call after each event; calls that wait in between; a storm of signals; level- and edge-triggered
/// epoll; several processes at each end.
#[test]
fn no_event_is_lost_in_a_stream() {
    let driver = Driver::build("polled-stream.c", Link::Static);
    let count = if support::all() { "1000000" } else { "20000" };
    let flags = ["-", "m", "s", "e", "E", "ms", "h", "hm", "hms", "hE"];
    for flags in flags {
        assert_eq!(run(&driver, count, flags), Some(0), "{flags}");
    }
}
