//! What processes owe each other that share an end of a channel: a waiting one holds nothing, each
//! wait has one deadline, and each learns of a death at once.

mod support;

use std::time::Duration;

use support::driver::Driver;
use support::{Link, within};

/// What a mode of `sharers.c` prints: a number.
fn number(driver: &Driver, mode: &str, side: &str) -> f64 {
    let text = driver.run(&[&driver.posix(), mode, side]);
    driver.object.remove();
    text.trim().parse().expect(&text)
}

/// The time that a mode measures is within a limit, for both ends.
fn takes_at_most(mode: &str, limit_ms: u64) {
    let driver = Driver::build("sharers.c", Link::Static);
    for side in ["r", "s"] {
        within(Duration::from_millis(limit_ms), 5, || {
            let ms = number(&driver, mode, side);
            ((), Duration::from_secs_f64(ms.max(0.0) / 1e3))
        });
    }
}

#[test]
fn a_stopped_waiter_is_in_nobodys_way() {
    // The stopped one may be the one that is woken; then the other looks by itself.
    takes_at_most("stopped", 100);
}

#[test]
fn a_wait_beside_another_waiter_ends_in_time() {
    takes_at_most("deadline", 50);
}

#[test]
fn a_death_reaches_all_waiters() {
    takes_at_most("dies", 100);
}

#[test]
fn a_close_reaches_all_waiters() {
    takes_at_most("closes", 100);
}

#[test]
fn a_killed_holder_stalls_nobody() {
    takes_at_most("holder", 100);
    takes_at_most("dead-holder", 0);
}

#[test]
fn living_sharers_take_turns() {
    takes_at_most("turns", 0);
}

#[test]
fn the_number_of_sharers_is_limited() {
    takes_at_most("limit", 0);
}

/// 100 messages to 32 sleepers: at most one wakes for each, beside those that look by themselves.
#[test]
fn a_message_wakes_one_sleeper() {
    let driver = Driver::build("sharers.c", Link::Static);
    for side in ["r", "s"] {
        // A busy machine takes longer, so that more of them look by themselves.
        let few = (0..5).any(|_| number(&driver, "wakeups", side) < 500.0);
        assert!(few, "{side}");
    }
}
