//! Both sides of a topic with real topics and a network that loses, delays, doubles and reorders. Either
//! side dies at any moment.

use std::time::{Duration, Instant};

use shmcomm::topic::Options;
use shmcomm::{Name, Side, Topic, segment};

use super::{Backward, Forward, Source, Target};
use crate::outgoing::Next;
use crate::simulation::{Random, Scratch, Wire};

fn open(name: &Scratch, side: Side) -> Topic {
    let options = Options {
        max_message: 64,
        depth: 8,
        create: true,
        ..Options::new(side)
    };
    options.open(Name::Posix(name.0.as_bytes())).unwrap()
}

struct World {
    random: Random,
    names: [Scratch; 2],
    writer: Topic,
    reader: Topic,
    source: Option<Source>,
    target: Option<Target>,
    forward: Wire,
    backward: Wire,
    now: Instant,
    written: u64,
    /// The newest message that was read at the target.
    found: u64,
    /// Messages read there.
    read: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let names = ["a", "b"].map(|end| Scratch::new(&format!("topic-{seed}-{end}")));
        drop(open(&names[1], Side::Sender));
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            writer: open(&names[0], Side::Sender),
            reader: open(&names[1], Side::Receiver),
            names,
            source: None,
            target: None,
            forward: Wire::default(),
            backward: Wire::default(),
            now: Instant::now(),
            written: 0,
            found: 0,
            read: 0,
        }
    }

    fn write(&mut self) {
        self.written += 1;
        let length = 8 + self.random.below(56) as usize;
        let bytes = self.written.to_le_bytes().into_iter().cycle();
        let message: Vec<_> = bytes.take(length).collect();
        self.writer.write(&message).unwrap();
    }

    /// What arrives is never older than what has arrived.
    fn read(&mut self) {
        let mut buffer = [0; 64];
        while let Ok(message) = self.reader.read(&mut buffer, 0) {
            let (number, rest) = buffer[..message.length].split_first_chunk().unwrap();
            let found = u64::from_le_bytes(*number);
            assert!(found >= self.found, "{found} after {}", self.found);
            let bytes = number.iter().cycle().take(rest.len());
            assert!(bytes.eq(rest), "a torn message {found}");
            self.found = found;
            self.read += 1;
        }
    }

    fn step_source(&mut self) {
        let identity = self.random.next();
        let source = self.source.get_or_insert_with(|| {
            Source::new(open(&self.names[0], Side::Receiver), identity).unwrap()
        });
        if let Some(bytes) = self.backward.take(&mut self.random) {
            let report = Backward::decode(&bytes).unwrap();
            let answer = source.receive(report, self.now).unwrap();
            answer.into_iter().for_each(|bytes| self.forward.put(bytes));
        }
        if let Next::Send(bytes) = source.next(self.now, 0).unwrap() {
            self.forward.put(bytes);
        }
    }

    fn step_target(&mut self) {
        let nonce = self.random.next();
        let target = self
            .target
            .get_or_insert_with(|| Target::new(open(&self.names[1], Side::Sender), nonce));
        if let Some(bytes) = self.forward.take(&mut self.random) {
            let message = Forward::decode(&bytes).unwrap();
            let answer = target.receive(message, self.now).unwrap();
            self.backward.0.extend(answer.map(Backward::encode));
        }
        let report = target.next(self.now).unwrap();
        self.backward.0.extend(report.map(Backward::encode));
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.below(50));
        match self.random.below(2) {
            0 => self.step_source(),
            _ => self.step_target(),
        }
        self.read();
    }

    fn die(&mut self) {
        match self.random.one_in(2) {
            true => self.source = None,
            false => self.target = None,
        }
        // Some of what is under way arrives later, some never.
        if self.random.one_in(2) {
            self.forward.0.clear();
        }
        if self.random.one_in(2) {
            self.backward.0.clear();
        }
    }
}

#[test]
fn no_older_message_after_a_newer_one_and_the_newest_arrives() {
    let (mut written, mut read) = (0, 0);
    for seed in 0..if std::env::var_os("SHMCOMM_TEST_ALL").is_some() {
        1000
    } else {
        50
    } {
        let mut world = World::new(seed);
        for _ in 0..3000 {
            if world.random.one_in(3) {
                world.write();
            }
            world.step();
            if world.random.one_in(100) {
                world.die();
            }
        }
        let steps = (0..10_000).find(|_| {
            world.step();
            world.found == world.written
        });
        assert!(
            steps.is_some(),
            "{seed}: {} of {}",
            world.found,
            world.written
        );
        written += world.written;
        read += world.read;
    }
    println!("{written} messages written, {read} arrived");
}

/// A target that does not keep pace gets newer messages, not a queue of old ones.
#[test]
fn little_is_under_way() {
    let mut world = World::new(u64::MAX);
    world.write();
    while world.found == 0 {
        world.step();
    }
    let source = world.source.as_mut().unwrap();
    for _ in 0..10_000 {
        world.writer.write(&[1; 64]).unwrap();
        while let Next::Send(_) = source.next(world.now, 0).unwrap() {}
    }
    let sent = source.unacknowledged();
    assert!((100..600).contains(&sent), "{sent} messages under way");
    // Room again: the next one is the newest.
    let have = Backward::Have {
        nonce: 0,
        source: source.identity(),
        number: world.written + sent,
    };
    source.receive(have, world.now).unwrap();
    let Next::Send(bytes) = source.next(world.now, 0).unwrap() else {
        panic!("nothing sent");
    };
    let newest = world.written + 10_000;
    let found = Forward::decode(&bytes);
    assert!(
        matches!(found, Some(Forward::Value { number, .. }) if number == newest),
        "{found:?}"
    );
    assert!(source.lost >= 9_000, "{}", source.lost);
}

/// After another program has removed the target, it is created again.
#[test]
fn a_removed_target_ends_the_link() {
    let mut world = World::new(u64::MAX - 1);
    world.write();
    while world.found == 0 {
        world.step();
    }
    segment::remove(Name::Posix(world.names[1].0.as_bytes())).unwrap();
    world.now += Duration::from_secs(1);
    let target = world.target.as_mut().unwrap();
    assert_eq!(target.next(world.now), Err(crate::outgoing::End::Removed));
}
