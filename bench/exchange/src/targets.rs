//! What the channel is to reach on a machine with two cores.

use shmcomm_bench::rounds::Spread;

use crate::peers::{COPYING, IN_PLACE, PIPE, is_ours};
use crate::results::{ASLEEP, BUSY, IDLE, Results, calls, size};

/// System calls per message that are none: a side that loses its processor for a moment makes the
/// other sleep once.
const NONE: f64 = 0.01;

/// Prints each target, and what is reached.
pub fn print(results: &[Results]) {
    let [Some(in_place), Some(copying), Some(pipe)] =
        [IN_PLACE, COPYING, PIPE].map(|name| results.iter().find(|one| one.system.name == name))
    else {
        return;
    };
    println!("\nTargets:\n");
    for one in [in_place, copying] {
        let name = one.system.name.replace('*', "");
        at_most(
            &format!("{name}: 64 B round trip, both busy, to raw"),
            one.ratios(BUSY),
            1.3,
        );
        at_most(
            &format!("{name}: 64 B round trip, both asleep, to a bare futex"),
            one.ratios(ASLEEP),
            1.1,
        );
        at_most(
            &format!("{name}: system calls per message, one way"),
            one.values(calls(0)),
            NONE,
        );
        at_most(
            &format!("{name}: system calls per message, busy"),
            one.values(calls(1)),
            NONE,
        );
        at_most(
            &format!("{name}: system calls per message, asleep"),
            one.values(calls(2)),
            2.0,
        );
        at_most(
            &format!("{name}: wake-ups a second, idle"),
            one.values(IDLE),
            20.0,
        );
        at_most(
            &format!("{name}: % of the processor, idle"),
            one.ratios(IDLE),
            0.1,
        );
    }
    let to_pipe = |one: &Results| ratio(one, pipe, size(64));
    at_least("64 B one way, in place, to a pipe", to_pipe(in_place), 40.0);
    at_least("64 B one way, copying, to a pipe", to_pipe(copying), 18.0);
    for (bytes, name, target) in [
        (64, "64 B", 4.0),
        (4 << 10, "4 KiB", 1.5),
        (64 << 10, "64 KiB", 0.9),
        (1 << 20, "1 MiB", 0.9),
    ] {
        if let Some(fastest) = fastest(results, size(bytes)) {
            let what = format!(
                "{name} one way, in place, to the fastest, {}",
                fastest.system.name
            );
            at_least(&what, ratio(in_place, fastest, size(bytes)), target);
        }
    }
}

fn fastest(results: &[Results], column: usize) -> Option<&Results> {
    let peers = results.iter().filter(|one| !is_ours(one.system));
    peers
        .filter(|one| !one.values(column).is_empty())
        .max_by(|one, other| one.median(column).total_cmp(&other.median(column)))
}

/// Round by round.
fn ratio(one: &Results, other: &Results, column: usize) -> Vec<f64> {
    let (one, other) = (one.values(column), other.values(column));
    one.iter()
        .zip(other)
        .map(|(one, other)| one / other)
        .collect()
}

fn at_most(what: &str, values: impl AsRef<[f64]>, target: f64) {
    reached(what, values.as_ref(), "at most", target, |median| {
        median <= target
    });
}

fn at_least(what: &str, values: impl AsRef<[f64]>, target: f64) {
    reached(what, values.as_ref(), "at least", target, |median| {
        median >= target
    });
}

fn reached(what: &str, values: &[f64], bound: &str, target: f64, met: impl Fn(f64) -> bool) {
    if values.is_empty() {
        println!("- {what}: not measured");
        return;
    }
    let spread = Spread::of(values.iter().copied());
    let met = if met(spread.median) { "met" } else { "MISSED" };
    println!("- {met}: {what}: {}, {bound} {target}", spread.ratio());
}
