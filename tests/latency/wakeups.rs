//! One that sleeps is woken: it does not merely look by itself, every 50 or 80 ms, whether there is
//! reason to go on. Also where one side or both cannot use membarrier(2).

use std::thread;
use std::time::Duration;

use crate::support::driver::Driver;
use crate::support::{Link, ObjectName, within};

/// The median of 50 wake-ups of a sleeper.
const LIMIT: Duration = Duration::from_millis(10);
const ROUNDS: &str = "50";

fn assert_wakes(what: &str, flags: &[&str]) {
    let driver = &Driver::build("wakeups.c", Link::Static);
    // They sleep most of the time.
    thread::scope(|scope| {
        for flags in flags {
            scope.spawn(move || {
                within(LIMIT, 3, || {
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
