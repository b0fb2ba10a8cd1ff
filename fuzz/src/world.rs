//! A channel, its handles, and the model of its contents.

mod receiver;
mod sender;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmcomm::channel::{Channel, Options, Side};
use shmcomm::{Errno, Error, Name};

use crate::death;
use crate::random::Random;

/// On a busy machine, a call may outlast its timeout by less than this.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The totals of all channels.
#[derive(Default, Debug)]
pub struct Counts {
    channels: u64,
    operations: u64,
    sent: u64,
    received: u64,
    deaths: u64,
    damaged: u64,
}

/// The message with this number, which determines its length and its bytes.
pub fn message(seed: u64, number: u64, capacity: u64) -> Vec<u8> {
    let mut random = Random(seed ^ number.wrapping_mul(0x1234_5678_9abc_def1));
    let longest = capacity - 16;
    let length = match random.below(20) {
        0 => longest - random.below(32),
        1..=4 => random.below(longest.min(2000)),
        5..=8 => random.below(8) * 8,
        _ => random.below(64),
    };
    let bytes = (0..length.div_ceil(8)).flat_map(|_| match random.below(3) {
        // The bytes look like length words.
        0 => 1_u64.to_ne_bytes(),
        _ => random.next().to_ne_bytes(),
    });
    bytes.take(length as usize).collect()
}

/// The bytes of the ring that a message takes.
pub fn room(length: u64) -> u64 {
    length.next_multiple_of(8) + 8
}

/// A handle, and the length that it has reserved or peeked at.
pub struct Handle {
    pub channel: Channel,
    pub pending: Option<u64>,
    /// Number of opens of the other end when this handle was opened, and whether a process held
    /// that end.
    before: u64,
    met: bool,
    /// Its descriptor, and the length for which the last call found nothing to do.
    pub polled: Option<(i32, u64)>,
}

pub struct World {
    pub seed: u64,
    pub random: Random,
    object: String,
    pub capacity: u64,
    pub shared: bool,
    /// Some handles have descriptors.
    polled: bool,
    /// By side.
    pub handles: [Vec<Handle>; 2],
    /// Number of opens of each end.
    opened: [u64; 2],
    pub sent: u64,
    pub received: u64,
    damaged: bool,
}

pub fn index(side: Side) -> usize {
    usize::from(side == Side::Receiver)
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut random = Random(seed);
        let number = COUNT.fetch_add(1, Relaxed);
        Self {
            seed,
            object: format!("shmcomm-fuzz-{}-{number}", std::process::id()),
            capacity: 4096 << random.below(3),
            shared: random.one_in(2),
            polled: random.one_in(8),
            handles: [Vec::new(), Vec::new()],
            opened: [0; 2],
            sent: 0,
            received: 0,
            damaged: false,
            random,
        }
    }

    pub fn path(&self) -> String {
        format!("/dev/shm/{}", self.object)
    }

    /// Opens an end as another process would.
    pub fn open(&self, side: Side) -> Result<Channel, Error> {
        let options = Options {
            capacity: self.capacity as usize,
            create: true,
            shared: self.shared,
            ..Options::new(side)
        };
        options.open(Name::Posix(self.object.as_bytes()))
    }

    pub fn run(mut self, counts: &mut Counts) {
        let deaths = &mut 0;
        for _ in 0..self.random.below(1000) {
            self.step(deaths);
            counts.operations += 1;
        }
        // All remaining messages are received.
        if !self.damaged {
            for handles in &mut self.handles {
                handles.clear();
            }
            self.step_open(Side::Receiver);
            while self.received < self.sent {
                self.receive(0, 0);
            }
        }
        counts.channels += 1;
        counts.deaths += *deaths;
        counts.sent += self.sent;
        counts.received += self.received;
        counts.damaged += u64::from(self.damaged);
    }

    fn side(&mut self) -> Side {
        self.random.pick(&[Side::Sender, Side::Receiver])
    }

    /// A handle of this side, if there is any.
    fn handle(&mut self, side: Side) -> Option<usize> {
        let open = self.handles[index(side)].len() as u64;
        (open != 0).then(|| self.random.below(open) as usize)
    }

    fn step(&mut self, deaths: &mut u64) {
        let started = Instant::now();
        let timeout = if self.random.one_in(200) { 1 } else { 0 };
        let side = self.side();
        match (self.random.below(100), self.handle(side)) {
            (0..2, _) => self.step_open(side),
            (2, Some(which)) => drop(self.handles[index(side)].remove(which)),
            (3, _) if self.random.one_in(4) && !self.damaged => {
                death::one(self, side);
                *deaths += 1;
            }
            (4, _) if self.random.one_in(8) => self.damage(),
            (5..8, Some(which)) if self.polled => self.poll(side, which),
            (5..10, Some(which)) => self.ask(side, which),
            (_, None) => self.step_open(side),
            (10..15, Some(which))
                if side == Side::Receiver
                    && !self.shared
                    && self.handles[1][which].polled.is_none() =>
            {
                self.read_ahead(which);
            }
            (10..60, Some(which)) => match side {
                Side::Sender => self.send(which, timeout),
                Side::Receiver => self.receive(which, timeout),
            },
            (60..80, Some(which)) => match side {
                Side::Sender => self.reserve(which, timeout),
                Side::Receiver => self.peek(which, timeout),
            },
            (_, Some(which)) => match side {
                Side::Sender => self.commit(which),
                Side::Receiver => self.release(which),
            },
        }
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        if self.polled && !self.damaged {
            self.check_descriptors();
        }
    }

    fn is_open(&self, side: Side) -> bool {
        !self.handles[index(side)].is_empty()
    }

    pub fn close(&mut self, side: Side) {
        self.handles[index(side)].clear();
    }

    pub fn step_open(&mut self, side: Side) {
        let opened = self.open(side);
        let other = index(side.other());
        let (before, met) = (self.opened[other], !self.handles[other].is_empty());
        let open = &mut self.handles[index(side)];
        match opened {
            Ok(channel) => {
                assert!(self.shared || open.is_empty(), "two handles at one end");
                open.push(Handle {
                    channel,
                    pending: None,
                    before,
                    met,
                    polled: None,
                });
                self.opened[index(side)] += 1;
            }
            Err(error) if self.damaged => check_error(error),
            Err(error) => {
                assert!(!self.shared && !open.is_empty(), "{error}");
                assert_eq!(error.errno(), Errno::EBUSY);
            }
        }
        if open.len() > 3 {
            open.remove(0);
        }
    }

    pub fn used(&self) -> u64 {
        let numbers = self.received..self.sent;
        numbers
            .map(|number| room(message(self.seed, number, self.capacity).len() as u64))
            .sum()
    }

    fn next(&self) -> Vec<u8> {
        message(self.seed, self.sent, self.capacity)
    }

    /// The errno of a call that must fail, because another handle holds the lock or because the
    /// call is `blocked`: there is no room or no message.
    pub fn failure(&self, side: Side, which: usize, timeout: i32, blocked: bool) -> Option<Errno> {
        let others = &self.handles[index(side)];
        let is_locked = others
            .iter()
            .enumerate()
            .any(|(other, handle)| other != which && handle.pending.is_some());
        let other = index(side.other());
        let met = others[which].met || others[which].before != self.opened[other];
        let peer_is_gone = met && self.handles[other].is_empty();
        match (is_locked, blocked, timeout) {
            (false, false, _) => None,
            // Once, if the handle has a descriptor: see `poll_result`.
            (_, _, 0) => Some(Errno::EAGAIN),
            (_, true, _) if peer_is_gone => Some(Errno::EPIPE),
            _ => Some(Errno::ETIMEDOUT),
        }
    }

    /// Compares the result of a call with the model's. Returns the value if the call succeeded.
    fn agree<T>(&self, result: Result<T, Error>, expected: Option<Errno>, what: &str) -> Option<T> {
        match (result, self.damaged) {
            (Ok(value), true) => Some(value),
            (Err(error), true) => {
                check_error(error);
                None
            }
            (result, false) => {
                let errno = result.as_ref().err().map(|error| error.errno());
                assert_eq!(errno, expected, "{what}, message {}", self.sent);
                result.ok()
            }
        }
    }

    fn ask(&mut self, side: Side, which: usize) {
        let info = self.handles[index(side)][which].channel.info().unwrap();
        assert_eq!(info.capacity, self.capacity);
        assert!(info.used <= self.capacity);
        if self.damaged {
            return;
        }
        assert_eq!((info.sent, info.received), (self.sent, self.received));
        assert_eq!(info.used, self.used());
        assert_eq!(info.sender_alive, self.is_open(Side::Sender));
        assert_eq!(info.receiver_alive, self.is_open(Side::Receiver));
    }

    /// Overwrites words of the memory; from now on only bounds, errors and time are checked.
    fn damage(&mut self) {
        const HEADER: [u64; 18] = [
            64, 72, 128, 136, 192, 256, 320, 384, 448, 452, 456, 460, 464, 472, 480, 0, 8, 16,
        ];
        use std::os::unix::fs::FileExt;

        let Ok(file) = std::fs::File::options().write(true).open(self.path()) else {
            return;
        };
        self.damaged = true;
        for _ in 0..=self.random.below(20) {
            let at = match self.random.below(3) {
                0 => self.random.pick(&HEADER),
                1 => 4096 + 8 * self.random.below(self.capacity / 8),
                _ => 4096 + self.random.below(self.capacity - 8),
            };
            let near = self.random.below(40).wrapping_sub(20);
            let value = match self.random.below(7) {
                0 => 0,
                1 => near,
                2 => self.capacity.wrapping_add(near),
                3 => (1_u64 << 63).wrapping_add(near),
                4 => self.random.below(200),
                5 => 0x8000_0000 | self.random.below(70),
                _ => self.random.next(),
            };
            file.write_all_at(&value.to_ne_bytes(), at).unwrap();
        }
        // A circle of records.
        if self.random.one_in(4) {
            let records = 1_u64.to_ne_bytes().repeat(self.capacity as usize / 8);
            file.write_all_at(&records, 4096).unwrap();
            if self.random.one_in(2) {
                let end = (!7_u64).to_ne_bytes();
                file.write_all_at(&end, 64).unwrap();
                file.write_all_at(&end, 128).unwrap();
            }
        }
    }

    /// Counts an open of this end by another process.
    pub fn count_open(&mut self, side: Side) {
        self.opened[index(side)] += 1;
    }
}

/// Asserts that a call on a damaged channel may fail with this error.
fn check_error(error: Error) {
    let known = [
        Errno::EAGAIN,
        Errno::ETIMEDOUT,
        Errno::EPIPE,
        Errno::EBADMSG,
        Errno::EMSGSIZE,
        Errno::EBUSY,
    ];
    assert!(known.contains(&error.errno()), "{error}");
}
