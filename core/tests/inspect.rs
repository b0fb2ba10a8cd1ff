//! A look at what other handles use: it sees their state, and survives a file that shrinks.
#![cfg(not(loom))]
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects
)]

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use shmcomm::channel::{self, Channel};
use shmcomm::inspect::{self, Contents, Creator, Object, Reclaimed, State};
use shmcomm::{Errno, Name, Side, segment, topic};

/// A unique name, removed when the test ends.
struct Unique(String);

impl Unique {
    fn new(test: &str) -> Self {
        Self(format!("shmcomm-inspect-{}-{test}", std::process::id()))
    }

    fn name(&self) -> Name<'_> {
        Name::Posix(self.0.as_bytes())
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.0)
    }

    fn open(&self, side: Side, shared: bool) -> Channel {
        let options = channel::Options {
            create: true,
            capacity: 4096,
            shared,
            ..channel::Options::new(side)
        };
        options.open(self.name()).unwrap()
    }
}

impl Drop for Unique {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

#[test]
fn a_look_sees_what_the_handles_do() {
    let unique = Unique::new("look");
    let mut receiver = unique.open(Side::Receiver, false);
    let mut senders = [(); 3].map(|()| unique.open(Side::Sender, true));
    let object = Object::open(unique.name()).unwrap();
    let Contents::Channel(look) = object.contents().unwrap() else {
        panic!("no channel");
    };
    assert_eq!(object.creator(), Creator::Alive);
    let end = look.end(Side::Sender).unwrap();
    assert_eq!((end.is_held, end.sharers, end.opens), (true, 3, 3));
    assert_eq!(look.end(Side::Receiver).unwrap().sharers, 0);

    // Around the ring many times, so that a record wraps now and then.
    for number in 0..3000 {
        let length = number * 7 % 1000;
        for sender in &mut senders {
            sender.send(&vec![number as u8; length], 0).unwrap();
        }
        assert_eq!(look.follow_records(), Ok(3), "{number}");
        let state = look.state().unwrap();
        let info = receiver.info().unwrap();
        assert_eq!(
            (state.capacity, state.used, state.sent, state.received),
            (info.capacity, info.used, info.sent, info.received)
        );
        assert_eq!(state.sent_bytes - state.received_bytes, state.used);
        for _ in 0..3 {
            receiver.receive(&mut [0; 1000], 0).unwrap();
        }
        assert_eq!(look.follow_records(), Ok(0));
    }
    drop((receiver, senders));
    assert!(!look.end(Side::Sender).unwrap().is_held);
    assert!(!look.end(Side::Receiver).unwrap().is_held);
}

#[test]
fn a_look_sees_what_a_writer_does() {
    let unique = Unique::new("topic");
    let options = topic::Options {
        create: true,
        max_message: 100,
        depth: 4,
        ..topic::Options::new(Side::Sender)
    };
    let mut writer = options.open(unique.name()).unwrap();
    let object = Object::open(unique.name()).unwrap();
    let Contents::Topic(look) = object.contents().unwrap() else {
        panic!("no topic");
    };
    assert_eq!(look.check_newest(), Ok(()));
    for number in 1..=100 {
        writer.write(&vec![1; number]).unwrap();
        let (state, info) = (look.state().unwrap(), writer.info().unwrap());
        assert_eq!(
            (state.max_message, state.depth, state.written),
            (info.max_message, info.depth, number as u64)
        );
        assert_eq!((state.writer_alive, state.writer_opens), (true, 1));
        assert_eq!(state.last_writer, std::process::id() as i32);
        assert_eq!(look.check_newest(), Ok(()));
    }
    // The message that has begun is not the newest.
    writer.begin().unwrap();
    assert_eq!(look.state().unwrap().written, 100);
    drop(writer);
    assert!(!look.state().unwrap().writer_alive);

    // The looks go on while a writer does.
    let mut writer = options.open(unique.name()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                writer.write(&[1; 50]).unwrap();
            }
        });
        let looks: Vec<_> = (0..2000)
            .map(|_| (look.state().map(drop), look.check_newest()))
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(looks.iter().all(|look| *look == (Ok(()), Ok(()))));
    });
}

/// A load would be a fault there, SIGBUS.
#[test]
fn a_file_that_shrinks_is_an_error() {
    let unique = Unique::new("shrinks");
    unique
        .open(Side::Sender, false)
        .send(b"message", 0)
        .unwrap();
    let object = Object::open(unique.name()).unwrap();
    let Contents::Channel(look) = object.contents().unwrap() else {
        panic!("no channel");
    };
    let file = OpenOptions::new().write(true).open(unique.path()).unwrap();
    for (size, has_header) in [(4096, true), (0, false)] {
        file.set_len(size).unwrap();
        assert_eq!(look.state().is_ok(), has_header);
        assert_eq!(look.end(Side::Sender).is_ok(), has_header);
        let error = look.follow_records().unwrap_err();
        assert_eq!(error.errno(), Errno::EBADMSG);
    }
    assert!(matches!(object.contents(), Ok(Contents::Other) | Err(_)));
}

#[test]
fn what_is_in_use_is_kept() {
    let unique = Unique::new("kept");
    let sender = unique.open(Side::Sender, false);
    let reclaim = || inspect::reclaim(unique.name(), true);
    assert_eq!(reclaim(), Ok(Reclaimed::Kept(State::Attached)));
    drop(sender);
    let alive = State::Unattached(Creator::Alive);
    assert_eq!(reclaim(), Ok(Reclaimed::Kept(alive)));
    segment::remove(unique.name()).unwrap();
    assert_eq!(reclaim().unwrap_err().errno(), Errno::ENOENT);
}
