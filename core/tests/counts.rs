//! The message counts of a channel are right at every moment; a topic's messages keep their numbers.
#![cfg(not(loom))]
#![allow(missing_docs, clippy::unwrap_used, clippy::arithmetic_side_effects)]

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use shmcomm::channel::{Channel, Options, Side};
use shmcomm::{Name, topic};

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

#[test]
fn a_message_of_a_topic_has_its_number_whatever_was_lost() {
    let name = format!("shmcomm-test-{}-numbers", std::process::id());
    let open = |side| {
        let options = topic::Options {
            max_message: 8,
            depth: 4,
            create: true,
            ..topic::Options::new(side)
        };
        options.open(Name::Posix(name.as_bytes())).unwrap()
    };
    let (mut writer, mut reader) = (open(Side::Sender), open(Side::Receiver));
    assert!(!reader.is_removed());
    fs::remove_file(format!("/dev/shm/{name}")).unwrap();
    assert!(reader.is_removed() && writer.is_removed());

    let mut buffer = [0; 8];
    let (mut read, mut lost) = (0, 0);
    for burst in 1..20_u64 {
        for _ in 0..burst {
            let number = writer.info().unwrap().written + 1;
            writer.write(&number.to_le_bytes()).unwrap();
        }
        let (_, peeked) = reader.peek(0).unwrap();
        lost += peeked.lost;
        while let Ok(message) = reader.read(&mut buffer, 0) {
            (read, lost) = (read + 1, lost + message.lost);
            assert_eq!(message.number, u64::from_le_bytes(buffer));
            assert_eq!(message.number, read + lost);
            assert!(message.number >= peeked.number);
        }
        assert_eq!(reader.latest(&mut buffer).unwrap().1, read + lost);
    }
    assert!(lost > 100 && read >= 19);
}
