//! The message counts of a channel are right at every moment.
#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use shmcomm::Name;
use shmcomm::channel::{Channel, Options, Side};

const MESSAGES: u64 = 100_000;
/// Ends the wait if the other thread fails.
const TIMEOUT_MS: i32 = 10_000;

fn open(name: &str, side: Side) -> Channel {
    let options = Options {
        capacity: 4096,
        create: true,
        ..Options::new(side)
    };
    options.open(Name::Posix(name.as_bytes())).unwrap()
}

#[test]
fn no_count_is_ahead_of_the_calls() {
    let name = format!("shmcomm-test-{}-counts", std::process::id());
    let mut sender = open(&name, Side::Sender);
    let mut receiver = open(&name, Side::Receiver);
    fs::remove_file(format!("/dev/shm/{name}")).unwrap();

    // Each thread counts a call before it makes the call.
    let (sends, receives) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut last = 0;
            for number in 0..MESSAGES {
                sends.store(number + 1, SeqCst);
                sender.send(&[], TIMEOUT_MS).unwrap();
                let info = sender.info().unwrap();
                assert_eq!(info.sent, number + 1);
                assert!(info.received <= receives.load(SeqCst), "{info:?}");
                assert!(info.received >= last, "{info:?}");
                last = info.received;
            }
        });
        let mut last = 0;
        for number in 0..MESSAGES {
            receives.store(number + 1, SeqCst);
            receiver.receive(&mut [], TIMEOUT_MS).unwrap();
            let info = receiver.info().unwrap();
            assert_eq!(info.received, number + 1);
            assert!(info.sent <= sends.load(SeqCst), "{info:?}");
            assert!(info.sent >= last, "{info:?}");
            last = info.sent;
        }
    });
}
