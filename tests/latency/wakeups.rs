//! A sleeper is woken: it does not merely look on its own every 50 or 80 ms. This also holds if one
//! side or both cannot use membarrier(2).

use std::thread;
use std::time::Duration;

use crate::support::driver::Driver;
use crate::support::{self, Link, ObjectName, within};

/// The median of 50 wake-ups of a sleeper.
const LIMIT: Duration = Duration::from_millis(10);
const ROUNDS: &str = "50";

fn assert_wakes(what: &str, flags: &[&str]) {
    assert_wakes_within(LIMIT, what, flags);
}

fn assert_wakes_within(limit: Duration, what: &str, flags: &[&str]) {
    let driver = &Driver::build("wakeups.c", Link::Static);
    // The processes sleep most of the time.
    thread::scope(|scope| {
        for flags in flags {
            scope.spawn(move || {
                within(limit, 5, || {
                    let object = ObjectName::new();
                    let output = driver.run(&[&object.name(), what, flags, ROUNDS]);
                    ((), Duration::from_micros(output.trim().parse().unwrap()))
                });
            });
        }
    });
}

#[test]
fn a_message_wakes_its_receiver() {
    assert_wakes("recv", &["-", "b", "h"]);
}

#[test]
fn room_wakes_a_sender() {
    assert_wakes("send", &["-", "b", "h"]);
}

#[test]
fn a_sharer_that_commits_wakes_the_next_one() {
    assert_wakes("commit", &["h"]);
}

#[test]
fn a_sharer_that_closes_wakes_the_next_one() {
    assert_wakes("close", &["h"]);
}

#[test]
fn a_sharer_that_releases_wakes_the_next_one() {
    assert_wakes("release", &["h"]);
}

#[test]
fn a_holder_that_unlocks_the_mutex_wakes_the_next_one() {
    assert_wakes("unlock", &["-"]);
}

#[test]
fn a_message_wakes_its_receiver_without_membarrier() {
    assert_wakes("recv", &["S", "R", "SR", "Sb", "Rb", "SRb", "SRh"]);
}

#[test]
fn room_wakes_a_sender_without_membarrier() {
    assert_wakes("send", &["S", "R", "SR", "Sb", "Rb", "SRb", "SRh"]);
}

#[test]
fn a_message_wakes_the_readers_of_a_topic() {
    assert_wakes("read", &["-", "b", "S", "R", "SRb"]);
}

#[test]
fn a_message_wakes_a_reader_that_may_only_read() {
    if !support::is_root() {
        return support::skip("only root can become another user");
    }
    assert_wakes_within(Duration::from_millis(1), "read", &["o", "ob"]);
}
