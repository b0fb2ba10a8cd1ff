//! Numbers 1 to N arrive once and in order, whatever is killed, cut and slowed down meanwhile.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use shmcomm::Side;

use crate::machines::Machines;
use crate::support::{Random, Receiving, Scratch, Sending, all, free_endpoint, wait_until};

/// Number of kills: `SHMCOMM_BRIDGE_KILLS`, or 1000 with `SHMCOMM_TEST_ALL`.
fn kills() -> u64 {
    let asked = std::env::var("SHMCOMM_BRIDGE_KILLS").ok();
    let default = if all() { 1000 } else { 20 };
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(default)
}

#[test]
fn bridges_are_killed_and_the_link_is_cut_and_slowed() {
    let (a, b) = (Scratch::new(), Scratch::new());
    let sending = Sending::start(a.open(Side::Sender, 1 << 18));
    let receiving = Receiving::start(b.open(Side::Receiver, 1 << 16));
    let out = format!("{}=test/kills", a.name());
    let into = format!("test/kills={}", b.name());
    let status = ["--status", "5"];
    let here = [&["--out", &out][..], &status].concat();
    let there = [&["--in", &into][..], &status].concat();
    let machines = Machines::new(&free_endpoint(), [&here, &there]);
    let mut bridges = [0, 1].map(|at| machines.start(at, &[]));
    let mut random = Random::new();
    let (mut killed, mut cuts, mut downs, mut slowed) = ([0, 0], 0, 0, 0);
    let mut slow_by = "";
    let mut reports = Vec::new();
    let begin = Instant::now();
    while killed[0] + killed[1] < kills() {
        // Most times a link works again for a while, else it is still being made.
        if random.below(3) != 0 {
            let before = receiving.count();
            wait_until("progress", || receiving.count() > before + 100);
        }
        thread::sleep(Duration::from_millis(random.below(100)));
        match random.below(8) {
            0 => {
                machines.proxy.cut();
                cuts += 1;
            }
            1 => {
                machines.set_link(false);
                thread::sleep(Duration::from_millis(random.below(300)));
                machines.set_link(true);
                downs += 1;
            }
            2 => {
                let is_slow = random.below(2) == 0;
                slowed += u64::from(is_slow);
                let delay = if is_slow { random.below(20) } else { 0 };
                machines.proxy.delay_ms.store(delay, Relaxed);
                let way = machines.set_slow(is_slow);
                slow_by = if is_slow { way } else { slow_by };
            }
            _ => {
                let at = random.below(2) as usize;
                bridges[at].kill();
                reports.extend(bridges[at].lines());
                bridges[at] = machines.start(at, &[]);
                killed[at] += 1;
                if (killed[0] + killed[1]) % 100 == 0 {
                    println!("{killed:?} kills: {} messages", receiving.count());
                }
            }
        }
    }
    machines.proxy.delay_ms.store(0, Relaxed);
    machines.set_slow(false);
    let last = sending.finish();
    receiving.finish(last);
    reports.extend(bridges.iter().flat_map(|bridge| bridge.lines()));
    // Nothing but status lines, which name the number of epochs.
    reports.retain(|line| !line.contains(" 0 new epochs") && !line.contains(" peers"));
    assert!(reports.is_empty(), "{reports:?}");
    println!(
        "{last} messages in {:.0?}; killed {killed:?}, cut {cuts}, link down {downs}, slowed {slowed} by {slow_by}",
        begin.elapsed()
    );
}
