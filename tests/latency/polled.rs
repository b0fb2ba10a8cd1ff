//! A process that polls a channel's descriptor learns of its peer's death or close in time, once, and then
//! has peace.

use std::thread;
use std::time::Duration;

use crate::support::driver::Driver;
use crate::support::{Link, ObjectName, within};

/// A poller learns of a death, a close or a removal within this time.
const REPORTED: Duration = Duration::from_millis(100);
/// Events in the second after it.
const MAX_EVENTS: u32 = 200;

/// Runs a scenario. Returns the time until the loss was reported, and how often it was.
fn lose(program: &Driver, scenario: &str, flags: &str) -> (i64, u32) {
    let object = ObjectName::new();
    let output = program.run(&[&object.name(), scenario, flags]);
    let words: Vec<_> = output.split_whitespace().collect();
    let [microseconds, events, losses] = words[..] else {
        panic!("{scenario} {flags}: {output}");
    };
    let events: u32 = events.parse().unwrap();
    assert!(events <= MAX_EVENTS, "{scenario} {flags}: {events} events");
    (microseconds.parse().unwrap(), losses.parse().unwrap())
}

#[test]
fn a_loss_is_reported_once_and_in_time() {
    let program = &Driver::build("polled.c", Link::Static);
    // The processes sleep most of the time.
    thread::scope(|scope| {
        for (scenario, more) in [
            ("close", "l"),
            ("kill", "-"),
            ("before", "-"),
            ("removed", "b"),
        ] {
            for flags in ["-", "h", more] {
                scope.spawn(move || {
                    within(REPORTED, 5, || {
                        let (microseconds, losses) = lose(program, scenario, flags);
                        assert_eq!(losses, 1, "{scenario} {flags}");
                        ((), Duration::from_micros(microseconds as u64))
                    });
                });
            }
        }
    });
}

#[test]
fn a_refused_peer_is_no_loss() {
    let program = Driver::build("polled.c", Link::Static);
    assert_eq!(lose(&program, "refused", "-"), (-1, 0));
}
