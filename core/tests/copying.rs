//! What a program that copies messages from one channel to another relies on: reading ahead, and the
//! record of the origin. Processes are killed in the middle of both.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;

use shmcomm::channel::{Options, Origin, ReadAhead};
use shmcomm::{Channel, Errno, Error, Name, Side, segment};
use support::{Child, EVERY, errno, spread};

/// A channel's name, removed at the end.
struct Scratch(String);

impl Scratch {
    fn new(what: &str) -> Self {
        Self(format!("shmcomm-test-{}-{what}", std::process::id()))
    }

    fn name(&self) -> Name<'_> {
        Name::Posix(self.0.as_bytes())
    }

    fn open(&self, side: Side, keep_origin: bool) -> Result<Channel, Error> {
        let options = Options {
            capacity: 4096,
            create: true,
            keep_origin,
            ..Options::new(side)
        };
        options.open(self.name())
    }

    fn sender(&self) -> Channel {
        self.open(Side::Sender, true).unwrap()
    }

    fn read_ahead(&self) -> ReadAhead {
        ReadAhead::new(self.open(Side::Receiver, false).unwrap()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = segment::remove(self.name());
    }
}

/// Reads the next message, one byte.
fn read(ahead: &mut ReadAhead) -> Result<u8, Error> {
    let (message, length) = ahead.peek(0)?;
    assert_eq!(length, 1);
    // SAFETY: one byte is mapped there.
    let byte = unsafe { message.read() };
    ahead.advance()?;
    Ok(byte)
}

/// Kills children at each fourth instruction of their work, or at a wider sample, until one completes it.
/// Returns what `after` found after each kill. Instructions are counted after the last system call.
fn kill_at_each_instruction<T: Ord>(
    before: impl Fn(),
    make_ready: impl Fn(),
    work: impl Fn(),
    after: impl Fn() -> T,
    every: usize,
) -> BTreeSet<T> {
    let child = || {
        before();
        Child::stopped_before(&make_ready, &work)
    };
    let (mut stops, first) = (0, child());
    while first.step(libc::PTRACE_SYSCALL, 1) {
        stops += 1;
    }
    after();
    let mut found = BTreeSet::new();
    // Each fourth at most: an opener steps through thousands.
    for steps in spread(every / 4).step_by(4) {
        let child = child();
        // The last stop is the exit.
        child.step(libc::PTRACE_SYSCALL, stops - 1);
        let is_running = child.step(libc::PTRACE_SINGLESTEP, steps);
        child.kill();
        found.insert(after());
        if !is_running {
            println!("killed at {steps} instructions");
            assert!(steps > 20);
            return found;
        }
    }
    unreachable!()
}

#[test]
fn messages_that_were_read_stay_until_they_are_released() {
    let scratch = Scratch::new("read-ahead");
    let mut sender = scratch.sender();
    let mut ahead = scratch.read_ahead();
    assert_eq!(errno(ahead.advance()), Some(Errno::EINVAL));
    for byte in 0..10 {
        sender.send(&[byte], 0).unwrap();
    }
    for byte in 0..10 {
        assert_eq!(read(&mut ahead), Ok(byte));
    }
    assert_eq!(errno(read(&mut ahead)), Some(Errno::EAGAIN));
    let counts = |ahead: &mut ReadAhead| (ahead.released(), ahead.read(), ahead.unreleased_bytes());
    assert_eq!(counts(&mut ahead), (0, 10, 160));
    assert_eq!(sender.info().unwrap().received, 0);
    for released in 1..=9 {
        ahead.release().unwrap();
        assert_eq!(counts(&mut ahead), (released, 10, (10 - released) * 16));
        assert_eq!(sender.info().unwrap().received, released);
    }
    ahead.rewind().unwrap();
    assert_eq!(errno(ahead.release()), Some(Errno::EINVAL));
    assert_eq!(read(&mut ahead), Ok(9));
    // The next receiver begins with what was not released.
    drop(ahead);
    let mut ahead = scratch.read_ahead();
    assert_eq!(read(&mut ahead), Ok(9));
    let mut channel = ahead.into_channel();
    assert_eq!(channel.receive(&mut [0], 0), Ok(1));
    assert_eq!(sender.info().unwrap().received, 10);
}

#[test]
fn a_release_makes_room_and_wakes_the_sender() {
    let scratch = Scratch::new("release");
    let mut sender = scratch.sender();
    while sender.send(&[0], 0).is_ok() {}
    let mut ahead = scratch.read_ahead();
    while read(&mut ahead).is_ok() {}
    assert_eq!(errno(sender.send(&[1], 0)), Some(Errno::EAGAIN));
    let sent = std::thread::scope(|scope| {
        let sent = scope.spawn(|| sender.send(&[1], 60_000));
        std::thread::sleep(std::time::Duration::from_millis(20));
        ahead.release().unwrap();
        sent.join().unwrap()
    });
    assert_eq!((sent, read(&mut ahead)), (Ok(()), Ok(1)));
}

#[test]
fn only_the_holder_of_a_receiving_end_reads_ahead() {
    let scratch = Scratch::new("sides");
    let sender = scratch.sender();
    assert_eq!(errno(ReadAhead::new(sender)), Some(Errno::EINVAL));
    let options = Options {
        shared: true,
        ..Options::new(Side::Receiver)
    };
    let shared = options.open(scratch.name()).unwrap();
    assert_eq!(errno(ReadAhead::new(shared)), Some(Errno::EINVAL));
}

/// The words of the file that a hostile process changes.
fn overwrite(scratch: &Scratch, at: u64, value: u64) {
    use std::os::unix::fs::FileExt;

    let path = format!("/dev/shm/{}", scratch.0);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&value.to_ne_bytes(), at).unwrap();
}

#[test]
fn changed_lengths_are_noticed() {
    const RING: u64 = 4096;
    let scratch = Scratch::new("changed");
    let mut sender = scratch.sender();
    let mut ahead = scratch.read_ahead();
    sender.send(&[0], 0).unwrap();
    read(&mut ahead).unwrap();
    // The message is longer than it was when it was read.
    overwrite(&scratch, RING, 1 + 100);
    assert_eq!(errno(ahead.release()), Some(Errno::EBADMSG));
    // The records form a circle.
    for at in (RING..2 * RING).step_by(8) {
        overwrite(&scratch, at, 1);
    }
    ahead.rewind().unwrap();
    let end = loop {
        ahead.peek(0).unwrap();
        if let Err(error) = ahead.advance() {
            break error.errno();
        }
    };
    assert_eq!((end, ahead.unreleased_bytes()), (Errno::EBADMSG, 4096));
}

/// A receiver that dies between read and release leaves all messages that it has not released, and
/// the true count.
#[test]
fn killed_while_it_releases() {
    let scratch = Scratch::new("killed-release");
    let ready = RefCell::new(None);
    let found = kill_at_each_instruction(
        || {
            let mut sender = scratch.sender();
            for byte in 0..9 {
                sender.send(&[byte], 0).unwrap();
            }
        },
        || {
            let mut ahead = scratch.read_ahead();
            while read(&mut ahead).is_ok() {}
            *ready.borrow_mut() = Some(ahead);
        },
        || {
            let mut ready = ready.borrow_mut();
            let ahead = ready.as_mut().unwrap();
            for _ in 0..2 {
                let _ = ahead.release();
            }
        },
        || {
            let mut ahead = scratch.read_ahead();
            let released = ahead.released();
            let mut left = 0;
            while let Ok(byte) = read(&mut ahead) {
                assert_eq!(u64::from(byte), released % 9 + left);
                left += 1;
            }
            while ahead.release().is_ok() {}
            assert_eq!(ahead.released() % 9, 0);
            left
        },
        2 * EVERY,
    );
    assert_eq!(found, [7, 8, 9].into());
}

const FIRST: Origin = Origin {
    identity: 1,
    base: 7,
};
const SECOND: Origin = Origin {
    identity: 2,
    base: 9,
};

/// A sender that dies while it changes the origin leaves the old one, none, or the new one.
#[test]
fn killed_while_it_changes_the_origin() {
    let scratch = Scratch::new("killed-origin");
    let ready = RefCell::new(None);
    let found = kill_at_each_instruction(
        || scratch.sender().set_origin(FIRST).unwrap(),
        || *ready.borrow_mut() = Some(scratch.sender()),
        || {
            let mut ready = ready.borrow_mut();
            let _ = ready.as_mut().unwrap().set_origin(SECOND);
        },
        || {
            let origin = scratch.sender().origin();
            origin.map(|origin| (origin.identity, origin.base))
        },
        EVERY,
    );
    assert_eq!(found, [None, Some((1, 7)), Some((2, 9))].into());
}

/// A sender that keeps no origin erases the one there is before it can send.
#[test]
fn killed_while_another_sender_opens() {
    let scratch = Scratch::new("killed-open");
    let found = kill_at_each_instruction(
        || {
            let _ = segment::remove(scratch.name());
            scratch.sender().set_origin(FIRST).unwrap();
        },
        || (),
        || {
            if let Ok(mut sender) = scratch.open(Side::Sender, false) {
                let _ = sender.send(&[1], 0);
                std::mem::forget(sender);
            }
        },
        || {
            let sender = scratch.sender();
            (sender.origin().is_some(), sender.info().unwrap().sent)
        },
        2 * EVERY,
    );
    // Never a message beside an origin in which it has no number.
    assert_eq!(found, [(true, 0), (false, 0), (false, 1)].into());
}

#[test]
fn the_origin_is_the_unshared_senders() {
    let scratch = Scratch::new("origin");
    let mut sender = scratch.sender();
    assert_eq!(sender.origin(), None);
    let nobody = Origin {
        identity: 0,
        base: 0,
    };
    assert_eq!(errno(sender.set_origin(nobody)), Some(Errno::EINVAL));
    sender.set_origin(FIRST).unwrap();
    drop(sender);
    let mut receiver = scratch.open(Side::Receiver, true).unwrap();
    assert_eq!(receiver.origin(), Some(FIRST));
    assert_eq!(errno(receiver.set_origin(SECOND)), Some(Errno::EINVAL));
    drop(receiver);
    assert_eq!(scratch.sender().origin(), Some(FIRST));
    drop(scratch.open(Side::Sender, false).unwrap());
    assert_eq!(scratch.sender().origin(), None);
}

#[test]
fn each_channel_has_its_own_identity() {
    let scratch = Scratch::new("identity");
    let sender = scratch.sender();
    let receiver = scratch.open(Side::Receiver, false).unwrap();
    assert_ne!(sender.identity(), 0);
    assert_eq!(sender.identity(), receiver.identity());
    assert!(!sender.is_removed());
    segment::remove(scratch.name()).unwrap();
    assert!(sender.is_removed() && receiver.is_removed());
    assert_ne!(scratch.sender().identity(), sender.identity());
}
