//! What processes owe each other that share an end of a channel: a waiting one holds nothing, each
//! wait has one deadline, and each learns of a death at once.

use std::time::Duration;

use crate::support::channel::{ChannelDriver, failed, rest, resume};
use crate::support::driver::Driver;
use crate::support::{Link, within};

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

#[test]
fn who_opens_an_end_leaves_a_living_sharers_lock_alone() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let holder = driver.start(&[
        "open", name, "4096", "sch", "0600", "reserve", "x", "1", "0", "pause", "commit", "1",
    ]);
    let send = ["open", name, "0", "sh", "0", "send", "y", "0"];
    let none = failed("send", libc::EAGAIN);
    assert_eq!(driver.run(&send), format!("open: ok\n{none}"));
    assert_eq!(rest(resume(holder)), "commit: ok\n");
    assert_eq!(driver.run(&send), "open: ok\nsend: ok\n");
}

/// The new one has the dead one's slot, and so nobody else could tell that the lock is a dead one's.
#[test]
fn who_opens_an_end_frees_the_lock_of_the_dead_one_before_it() {
    let driver = ChannelDriver::new();
    let name = &driver.object.name();
    let open = ["open", name, "4096", "sch", "0600"];
    let reserve = ["reserve", "x", "1", "0", "pause"];
    driver.start(&[&open[..], &reserve].concat()).kill();
    let _new = driver.start(&[&open[..], &["pause"]].concat());
    let sent = driver.run(&[&open[..], &["send", "y", "0"]].concat());
    assert_eq!(sent, "open: ok\nsend: ok\n");
}
