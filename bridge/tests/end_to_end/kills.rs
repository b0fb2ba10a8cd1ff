//! Numbers 1 to N arrive once and in order, whatever is killed and cut meanwhile.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shmcomm::Side;

use crate::support::{Bridge, Proxy, Receiving, Scratch, Sending, all, free_endpoint, wait_until};

/// Number of kills and cuts: `SHMCOMM_BRIDGE_KILLS`, or 1000 with `SHMCOMM_TEST_ALL`.
fn kills() -> u64 {
    let asked = std::env::var("SHMCOMM_BRIDGE_KILLS").ok();
    let default = if all() { 1000 } else { 30 };
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(default)
}

#[test]
fn bridges_are_killed_and_connections_are_cut() {
    let (a, b) = (Scratch::new(), Scratch::new());
    let sending = Sending::start(a.open(Side::Sender, 1 << 18));
    let receiving = Receiving::start(b.open(Side::Receiver, 1 << 16));
    let listen = free_endpoint();
    let proxy = Proxy::to(&listen);
    let out = format!("{}=test/kills", a.name());
    let into = format!("test/kills={}", b.name());
    let start_out =
        || Bridge::start(&["--connect", &proxy.endpoint, "--out", &out, "--status", "5"]);
    let start_in = || Bridge::start(&["--listen", &listen, "--in", &into, "--status", "5"]);
    let mut random = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_nanos() as u64
        | 1;
    let mut below = |end: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 8) % end
    };
    let (mut outgoing, mut incoming) = (start_out(), start_in());
    let mut counts = [0; 3];
    let mut reports = Vec::new();
    for kill in 0..kills() {
        // Each time a link works again for a while, or is still being made.
        if below(3) != 0 {
            let before = receiving.count();
            wait_until("progress", || receiving.count() > before + 100);
        }
        thread::sleep(Duration::from_millis(below(100)));
        let what = below(5) as usize / 2;
        counts[what] += 1;
        match what {
            0 => {
                reports.extend(outgoing.lines());
                drop(outgoing);
                outgoing = start_out();
            }
            1 => {
                reports.extend(incoming.lines());
                drop(incoming);
                incoming = start_in();
            }
            _ => proxy.cut(),
        }
        if kill % 100 == 99 {
            println!("{kill}: {} messages", receiving.count());
        }
    }
    let last = sending.finish();
    receiving.finish(last);
    reports.extend(outgoing.lines());
    reports.extend(incoming.lines());
    // Nothing but status lines, which name the number of epochs.
    reports.retain(|line| !line.contains(" 0 new epochs") && !line.contains(" peers"));
    assert!(reports.is_empty(), "{reports:?}");
    println!("{last} messages; killed out, killed in, cut: {counts:?}");
}
