//! Both sides of a link with real channels and a network that loses, delays, doubles and reorders.
//! Either side dies at any moment: it is dropped, and a new one opens the channel.

use std::time::{Duration, Instant};

use shmcomm::channel::Options;
use shmcomm::{Channel, Name, Side, segment};

use crate::incoming::Incoming;
use crate::message::{Backward, Forward};
use crate::outgoing::{End, Next, Outgoing};
pub use network::{Random, Wire};

mod network;

const CAPACITY: usize = 4096;

pub struct Scratch(pub String);

impl Scratch {
    pub fn new(what: &str) -> Self {
        Self(format!("shmcomm-bridge-test-{}-{what}", std::process::id()))
    }

    fn open(&self, side: Side, keep_origin: bool) -> Channel {
        let options = Options {
            capacity: CAPACITY,
            create: true,
            keep_origin,
            ..Options::new(side)
        };
        options.open(Name::Posix(self.0.as_bytes())).unwrap()
    }

    fn remove(&self) {
        segment::remove(Name::Posix(self.0.as_bytes())).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = segment::remove(Name::Posix(self.0.as_bytes()));
    }
}

struct World {
    random: Random,
    names: [Scratch; 2],
    sender: Channel,
    receiver: Channel,
    outgoing: Option<Outgoing>,
    incoming: Option<Incoming>,
    forward: Wire,
    backward: Wire,
    now: Instant,
    window: Option<u64>,
    /// The sender still sends.
    is_sending: bool,
    next: u64,
    expected: u64,
    deaths: u64,
    reports: Vec<String>,
    largest_unreleased: u64,
}

/// A message that has its number and a length that follows from it.
fn message(number: u64) -> Vec<u8> {
    let length = 8 + number.wrapping_mul(0x9e37_79b9) % 500;
    number
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(length as usize)
        .collect()
}

impl World {
    fn new(what: &str, seed: u64, window: Option<u64>) -> Self {
        let names = ["a", "b"].map(|end| Scratch::new(&format!("{what}-{seed}-{end}")));
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            sender: names[0].open(Side::Sender, false),
            receiver: names[1].open(Side::Receiver, false),
            names,
            outgoing: None,
            incoming: None,
            forward: Wire::default(),
            backward: Wire::default(),
            now: Instant::now(),
            window,
            is_sending: true,
            next: 1,
            expected: 1,
            deaths: 0,
            reports: Vec::new(),
            largest_unreleased: 0,
        }
    }

    fn step_outgoing(&mut self) {
        let nonce = self.random.next();
        let outgoing = self.outgoing.get_or_insert_with(|| {
            let channel = self.names[0].open(Side::Receiver, false);
            Outgoing::new(channel, self.window, nonce).unwrap()
        });
        if let Some(bytes) = self.backward.take(&mut self.random) {
            let answer = Backward::decode(&bytes).unwrap();
            self.reports
                .extend(outgoing.receive(answer, self.now).unwrap());
        }
        if self.random.one_in(2) {
            match outgoing.next(self.now, 0) {
                Ok(Next::Send(bytes)) => self.forward.put(bytes),
                Ok(Next::Wait(_)) => {}
                Err(end) => panic!("{end:?}"),
            }
        }
        self.largest_unreleased = self.largest_unreleased.max(outgoing.unacknowledged_bytes());
    }

    fn step_incoming(&mut self) -> Result<(), End> {
        let incoming = self.incoming.get_or_insert_with(|| {
            let channel = self.names[1].open(Side::Sender, true);
            Incoming::new(channel).unwrap()
        });
        if let Some(bytes) = self.forward.take(&mut self.random) {
            let (answer, report) = incoming.receive(Forward::decode(bytes).unwrap(), self.now)?;
            self.backward.0.extend(answer.map(Backward::encode));
            self.reports.extend(report);
        }
        if self.random.one_in(2) {
            let answer = incoming.deliver(self.now, 0)?;
            self.backward.0.extend(answer.map(Backward::encode));
        }
        Ok(())
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; CAPACITY];
        let length = self.receiver.receive(&mut buffer, 0).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    fn step(&mut self) -> Result<(), End> {
        self.now += Duration::from_millis(self.random.below(50));
        match self.random.below(10) {
            0..3 => self.step_outgoing(),
            3..6 => self.step_incoming()?,
            6..8 => {
                if self.is_sending && self.sender.send(&message(self.next), 0).is_ok() {
                    self.next += 1;
                }
            }
            _ => {
                if let Some(found) = self.receive() {
                    assert!(found == message(self.expected), "{}", self.expected);
                    self.expected += 1;
                }
            }
        }
        Ok(())
    }

    fn die(&mut self) {
        self.deaths += 1;
        match self.random.one_in(2) {
            true => self.outgoing = None,
            false => self.incoming = None,
        }
        // Some of what is under way arrives later, some never.
        if self.random.one_in(2) {
            self.forward.0.clear();
        }
        if self.random.one_in(2) {
            self.backward.0.clear();
        }
    }

    /// Steps until all that was sent has arrived.
    fn finish(&mut self) {
        self.is_sending = false;
        for _ in 0..100_000 {
            if self.expected == self.next {
                self.is_sending = true;
                return;
            }
            self.step().unwrap();
        }
        panic!("stuck at {} of {}", self.expected, self.next);
    }
}

#[test]
fn each_message_arrives_once_and_in_order() {
    let (mut messages, mut deaths) = (0, 0);
    for seed in 0..if std::env::var_os("SHMCOMM_TEST_ALL").is_some() {
        2000
    } else {
        100
    } {
        let window = [None, Some(1), Some(600), Some(100_000)][seed as usize % 4];
        let mut world = World::new("once", seed, window);
        for _ in 0..3000 {
            world.step().unwrap();
            let released = world.sender.info().unwrap().received;
            assert!(released <= world.receiver.info().unwrap().sent);
            if world.random.one_in(100) {
                world.die();
            }
        }
        world.finish();
        assert!(world.reports.is_empty(), "{seed}: {:?}", world.reports);
        // One message that is larger than the window goes alone.
        let most = window.unwrap_or(CAPACITY as u64 / 4).max(8 + 512);
        assert!(
            world.largest_unreleased <= most,
            "{seed}: {}",
            world.largest_unreleased
        );
        messages += world.next - 1;
        deaths += world.deaths;
    }
    println!("{messages} messages, {deaths} deaths");
}

#[test]
fn a_full_target_stops_the_source() {
    let mut world = World::new("full", 1, None);
    for _ in 0..20_000 {
        world.now += Duration::from_millis(10);
        world.step_outgoing();
        world.step_incoming().unwrap();
        if world.sender.send(&message(world.next), 0).is_ok() {
            world.next += 1;
        }
    }
    // No more than both rings hold.
    let used = world.sender.info().unwrap().used + world.receiver.info().unwrap().used;
    assert!(
        used > CAPACITY as u64 && world.next < 100,
        "{used} {}",
        world.next
    );
    world.finish();
    assert!(world.reports.is_empty(), "{:?}", world.reports);
}

#[test]
fn a_removed_target_is_a_new_epoch() {
    let mut world = World::new("target", 1, None);
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    world.names[1].remove();
    world.receiver = world.names[1].open(Side::Receiver, false);
    let removed = (0..1000).find_map(|_| world.step().err());
    assert_eq!(removed, Some(End::Removed));
    world.incoming = None;
    // At least once: the first message may be one that was received before.
    for _ in 0..1000 {
        world.now += Duration::from_millis(10);
        let _ = world
            .sender
            .send(&message(world.next), 0)
            .map(|()| world.next += 1);
        world.step_outgoing();
        world.step_incoming().unwrap();
        if let Some(found) = world.receive() {
            let number = u64::from_le_bytes(found[..8].try_into().unwrap());
            assert!(
                number <= world.expected,
                "{number} after {}",
                world.expected
            );
            world.expected = number + 1;
        }
    }
    world.finish();
    assert_eq!(world.reports.len(), 1, "{:?}", world.reports);
}

#[test]
fn a_removed_source_is_a_new_epoch() {
    let mut world = World::new("source", 1, None);
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    world.names[0].remove();
    world.sender = world.names[0].open(Side::Sender, false);
    world.outgoing = None;
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    assert_eq!(world.reports.len(), 1, "{:?}", world.reports);
}

#[test]
fn messages_of_another_sender_are_a_new_epoch() {
    let mut world = World::new("other", 1, None);
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    world.incoming = None;
    world.names[1]
        .open(Side::Sender, false)
        .send(b"other", 0)
        .unwrap();
    assert_eq!(world.receive().unwrap(), b"other");
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    assert_eq!(world.reports.len(), 1, "{:?}", world.reports);
}

#[test]
fn messages_that_another_program_received_at_the_source_are_reported() {
    let mut world = World::new("taken", 1, None);
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    // The bridge learns that all has arrived.
    for _ in 0..100 {
        world.now += Duration::from_millis(100);
        world.step_outgoing();
        world.step_incoming().unwrap();
    }
    world.outgoing = None;
    world.sender.send(b"taken", 0).unwrap();
    world.names[0]
        .open(Side::Receiver, false)
        .receive(&mut [0; 5], 0)
        .unwrap();
    for _ in 0..1000 {
        world.step().unwrap();
    }
    world.finish();
    assert_eq!(
        world.reports,
        ["1 messages were received at the source by another program"]
    );
}

/// What an earlier target has accepted, and says late, does not release messages that the present one
/// lacks.
#[test]
fn a_late_answer_of_another_target_releases_nothing() {
    let mut world = World::new("late", 1, None);
    for number in 1..=3 {
        world.sender.send(&message(number), 0).unwrap();
    }
    let is_linked = |world: &World| {
        world
            .outgoing
            .as_ref()
            .is_some_and(|out| out.target().is_some())
    };
    while !is_linked(&world) {
        world.now += Duration::from_millis(10);
        world.step_outgoing();
        world.step_incoming().unwrap();
    }
    let late = Backward::Progress {
        source: world.sender.identity(),
        target: 1,
        accepted: 3,
    };
    let outgoing = world.outgoing.as_mut().unwrap();
    assert_eq!(outgoing.receive(late, world.now), Ok(None));
    assert_eq!(world.sender.info().unwrap().received, 0);
}
