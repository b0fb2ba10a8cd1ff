//! The descriptor of a channel for event loops: never unreadable while its end could proceed, and quiet
//! after EAGAIN. `tests/c/polled.c` describes the scenarios.

use crate::support::driver::Driver;
use crate::support::{self, Link};

fn run(driver: &Driver, scenario: &str, flags: &str, count: &str) -> Option<i32> {
    let name = driver.object.name();
    let output = driver.command(&[&name, scenario, flags, count]).output();
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
        assert_eq!(run(&driver, "level", flags, ""), Some(0), "{flags}");
    }
}

#[test]
fn a_descriptor_belongs_to_one_process() {
    let driver = Driver::build("polled.c", Link::Static);
    for flags in ["-", "h"] {
        assert_eq!(run(&driver, "owner", flags, ""), Some(0), "{flags}");
    }
}

#[test]
fn another_user_wakes_a_process_that_polls() {
    let driver = Driver::build_for_all_users("polled.c");
    if run(&driver, "user", "-", "") == Some(77) {
        support::skip("only root can become another user");
    }
}

/// One call after each event; calls that wait in between; a storm of signals; level- and edge-triggered
/// epoll; several processes at each end.
#[test]
fn no_event_is_lost_in_a_stream() {
    let driver = Driver::build("polled.c", Link::Static);
    let count = if support::all() { "1000000" } else { "20000" };
    let flags = ["-", "m", "s", "e", "E", "ms", "h", "hm", "hms", "hE"];
    for flags in flags {
        assert_eq!(run(&driver, "stream", flags, count), Some(0), "{flags}");
    }
}
