//! A topic, its writer and readers, and the model of what each reader may see. In damaged memory, and beside
//! a process that goes on lying, only bounds, errors and time are checked.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use shmcomm::channel::Side;
use shmcomm::inspect::{Contents, Object};
use shmcomm::topic::{Message, Options, Topic};
use shmcomm::{Errno, Error, Name};

use crate::guard;
use crate::random::Random;
use crate::world::{PATIENCE, message};

/// The totals of all topics.
#[derive(Default, Debug)]
pub struct Counts {
    topics: u64,
    operations: u64,
    written: u64,
    read: u64,
    lost: u64,
    damaged: u64,
}

struct Reader {
    topic: Topic,
    /// The last message that it has read or lost, and those lost that it has not reported.
    position: u64,
    lost: u64,
    /// The message that it has peeked at.
    peeked: Option<u64>,
    /// It has met a writer.
    met: bool,
}

pub struct World {
    seed: u64,
    pub random: Random,
    object: String,
    pub max_message: u64,
    pub depth: u64,
    writer: Option<Topic>,
    readers: Vec<Reader>,
    /// The last message that was begun, and the last that was published.
    intent: u64,
    pub written: u64,
    pub damaged: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path());
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut random = Random(!seed);
        let number = COUNT.fetch_add(1, Relaxed);
        Self {
            seed,
            object: format!("shmcomm-fuzz-topic-{}-{number}", std::process::id()),
            // A slot has up to 63 bytes to spare.
            max_message: 112 + 64 * random.below(30) + random.pick(&[0, 16, 63]),
            depth: 4 << random.below(5),
            writer: None,
            readers: Vec::new(),
            intent: 0,
            written: 0,
            damaged: false,
            random,
        }
    }

    pub fn path(&self) -> String {
        format!("/dev/shm/{}", self.object)
    }

    fn name(&self) -> Name<'_> {
        Name::Posix(self.object.as_bytes())
    }

    pub fn run(mut self, counts: &mut Counts) {
        self.open_writer();
        let steps = self.random.below(500);
        for step in 0..steps {
            if self.random.one_in(500) {
                self.damage();
                // Half of the time the liar goes on.
                if self.random.one_in(2) {
                    self.run_beside_liar(steps - step, counts);
                    break;
                }
            }
            self.step(counts);
        }
        self.read_all(counts);
        counts.topics += 1;
        counts.written += self.written;
        counts.damaged += u64::from(self.damaged);
    }

    /// Each reader reads what is left: read and lost messages are all that were written.
    fn read_all(&mut self, counts: &mut Counts) {
        for which in 0..self.readers.len() {
            while !self.damaged && self.readers[which].position < self.written {
                self.read(which, 0, counts);
            }
        }
    }

    pub fn step(&mut self, counts: &mut Counts) {
        let started = Instant::now();
        let timeout = if self.random.one_in(200) { 1 } else { 0 };
        let readers = self.readers.len() as u64;
        let which = (readers != 0).then(|| self.random.below(readers) as usize);
        match (self.random.below(100), which) {
            (0..2, _) => self.open_writer(),
            (2, _) => self.writer = None,
            (3, Some(which)) => drop(self.readers.remove(which)),
            (4..7, _) => self.open_reader(),
            (7..10, _) => self.ask(),
            (10..12, _) => self.look(),
            (12..50, _) => self.write(),
            (50..70, Some(which)) => self.read(which, timeout, counts),
            (70..80, Some(which)) => self.latest(which),
            (80..90, Some(which)) => self.peek(which, timeout),
            (90..100, Some(which)) => self.release(which, counts),
            _ => self.open_reader(),
        }
        counts.operations += 1;
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    }

    /// Opens the writer's end as another process would.
    fn open_writer(&mut self) {
        let options = Options {
            create: true,
            max_message: self.max_message as usize,
            depth: self.depth as usize,
            ..Options::new(Side::Sender)
        };
        let expected = self.writer.is_some().then_some(Errno::EBUSY);
        let opened = options.open(self.name());
        if let Some(writer) = self.agree(opened, expected, "open") {
            self.writer = Some(writer);
            self.readers.iter_mut().for_each(|reader| reader.met = true);
        }
    }

    fn open_reader(&mut self) {
        let history = self.random.one_in(2);
        let options = Options {
            history,
            ..Options::new(Side::Receiver)
        };
        let opened = options.open(self.name());
        let Some(topic) = self.agree(opened, None, "open") else {
            return;
        };
        let position = match history {
            true => self.intent.saturating_sub(self.depth),
            false => self.written.saturating_sub(1),
        };
        self.readers.push(Reader {
            topic,
            position,
            lost: 0,
            peeked: None,
            met: self.writer.is_some(),
        });
        if self.readers.len() > 4 {
            self.readers.remove(0);
        }
    }

    /// Compares the result of a call with the model's. Returns the value if the call succeeded.
    fn agree<T>(&self, result: Result<T, Error>, expected: Option<Errno>, what: &str) -> Option<T> {
        const OF_DAMAGE: [Errno; 8] = [
            Errno::EAGAIN,
            Errno::ETIMEDOUT,
            Errno::EPIPE,
            Errno::EBADMSG,
            Errno::EMSGSIZE,
            Errno::EBUSY,
            Errno::EINVAL,
            Errno::ESTALE,
        ];
        let errno = result.as_ref().err().map(|error| error.errno());
        match self.damaged {
            true => assert!(
                errno.is_none_or(|errno| OF_DAMAGE.contains(&errno)),
                "{errno:?}"
            ),
            false => assert_eq!(errno, expected, "{what}, message {}", self.written),
        }
        result.ok()
    }

    /// The bytes of a message. Its length may be that of the longest.
    fn bytes(&self, number: u64) -> Vec<u8> {
        message(self.seed, number, self.max_message + 16)
    }

    /// Writes a message, or begins it and perhaps publishes it.
    fn write(&mut self) {
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        // That of a writer which was opened after damage may be another one.
        let longest = writer.max_message();
        let (number, mut bytes) = (self.written + 1, self.bytes(self.written + 1));
        bytes.truncate(longest);
        let length = bytes.len();
        match self.random.below(10) {
            0 => {
                let result = writer.write(&vec![0; longest + 1]);
                assert_eq!(result.unwrap_err().errno(), Errno::EMSGSIZE);
            }
            1..7 => {
                writer.write(&bytes).expect("write");
                (self.intent, self.written) = (number, number);
            }
            way => {
                let place = writer.begin().expect("begin");
                self.intent = number;
                assert!(guard::is_mapped(place.addr().get(), longest));
                // SAFETY: the longest message has room there, and this is no longer.
                unsafe {
                    place.write_bytes(0xff, longest);
                    place.copy_from_nonoverlapping(NonNull::from(&bytes[..]).cast(), length);
                }
                if way > 7 {
                    assert!(writer.publish(longest + 1).is_err());
                    writer.publish(length).expect("publish");
                    self.written = number;
                }
            }
        }
        self.writer = Some(writer);
    }

    /// Whether a message has been published and not been given up.
    fn is_kept(&self, number: u64) -> bool {
        (1..=self.written).contains(&number) && self.intent - number < self.depth
    }

    /// The errno of a call that reads the next message, if it must fail.
    fn failure(&self, which: usize, timeout: i32) -> Option<Errno> {
        let reader = &self.readers[which];
        let has_none = reader.position == self.written;
        has_none.then(|| match timeout {
            0 => Errno::EAGAIN,
            _ if reader.met && self.writer.is_none() => Errno::EPIPE,
            _ => Errno::ETIMEDOUT,
        })
    }

    /// The number of the message that a reader has found, after it checked the count of lost ones.
    fn found(&mut self, which: usize, found: Message) -> u64 {
        let reader = &self.readers[which];
        let next = reader.position.wrapping_add(1);
        let number = next.wrapping_add(found.lost.wrapping_sub(reader.lost));
        if !self.damaged {
            assert!(
                found.lost >= reader.lost && self.is_kept(number),
                "message {number}"
            );
            assert!(
                number == next || !self.is_kept(next),
                "message {next} is there"
            );
            assert_eq!(found.length, self.bytes(number).len());
        }
        let reader = &mut self.readers[which];
        (reader.lost, reader.position) = (0, number.wrapping_sub(1));
        number
    }

    /// A buffer for any message, or one that has no room for the longest, and whether that is so.
    fn buffer(&mut self) -> (Vec<u8>, bool) {
        let is_short = self.random.one_in(10);
        let length = if is_short {
            self.random.below(self.max_message)
        } else {
            self.max_message
        };
        (vec![0; length as usize], is_short)
    }

    fn read(&mut self, which: usize, timeout: i32, counts: &mut Counts) {
        let expected = self.failure(which, timeout);
        let (mut buffer, is_short) = self.buffer();
        let result = self.readers[which].topic.read(&mut buffer, timeout);
        self.readers[which].peeked = None;
        if is_short && expected.is_none() && is_too_large(&result) {
            return;
        }
        if let Some(found) = self.agree(result, expected, "read") {
            let number = self.found(which, found);
            assert!(self.damaged || buffer[..found.length] == self.bytes(number));
            self.readers[which].position = number;
            counts.read += 1;
            counts.lost = counts.lost.wrapping_add(found.lost);
        }
    }

    fn latest(&mut self, which: usize) {
        let expected = (self.written == 0).then_some(Errno::EAGAIN);
        let (mut buffer, is_short) = self.buffer();
        let result = self.readers[which].topic.latest(&mut buffer);
        if is_short && expected.is_none() && is_too_large(&result) {
            return;
        }
        if let Some((length, number)) = self.agree(result, expected, "latest") {
            assert!(self.damaged || number == self.written);
            assert!(self.damaged || buffer[..length] == self.bytes(number));
        }
    }

    fn peek(&mut self, which: usize, timeout: i32) {
        let expected = self.failure(which, timeout);
        let result = self.readers[which].topic.peek(timeout);
        self.readers[which].peeked = None;
        if let Some((place, found)) = self.agree(result, expected, "peek") {
            assert!(guard::is_mapped(place.addr().get(), found.length));
            let mut bytes = vec![0; found.length];
            // SAFETY: mapped. Another process may change the bytes, so they are copied first.
            unsafe {
                place.copy_to_nonoverlapping(NonNull::from(&mut bytes[..]).cast(), found.length)
            };
            let number = self.found(which, found);
            assert!(self.damaged || bytes == self.bytes(number));
            self.readers[which].peeked = Some(number);
        }
    }

    fn release(&mut self, which: usize, counts: &mut Counts) {
        let peeked = self.readers[which].peeked.take();
        let expected = match peeked {
            None => Some(Errno::EINVAL),
            Some(number) => (!self.is_kept(number)).then_some(Errno::ESTALE),
        };
        let result = self.readers[which].topic.release();
        let is_whole = self.agree(result, expected, "release").is_some();
        if let Some(number) = peeked {
            let reader = &mut self.readers[which];
            reader.position = number;
            reader.lost += u64::from(!is_whole);
            counts.read += u64::from(is_whole);
        }
    }

    fn ask(&mut self) {
        let handles = self.readers.iter().map(|reader| &reader.topic);
        for topic in handles.chain(&self.writer) {
            let info = topic.info().unwrap();
            assert_eq!(info.writer_alive, self.writer.is_some());
            if !self.damaged {
                let found = (info.max_message, info.depth, info.written);
                assert_eq!(found, (self.max_message, self.depth, self.written));
            }
        }
    }

    /// A look from outside, as the tool does it.
    fn look(&self) {
        let object = Object::open(self.name()).unwrap();
        let contents = object.contents();
        if self.damaged {
            if let Ok(Contents::Topic(look)) = &contents {
                let _ = (look.state(), look.check_newest());
            }
            return;
        }
        let Ok(Contents::Topic(look)) = contents else {
            panic!("no topic");
        };
        let state = look.state().unwrap();
        look.check_newest().unwrap();
        let found = (state.max_message, state.depth, state.written);
        assert_eq!(found, (self.max_message, self.depth, self.written));
        assert_eq!(state.writer_alive, self.writer.is_some());
    }
}

fn is_too_large<T>(result: &Result<T, Error>) -> bool {
    let errno = result.as_ref().err().map(|error| error.errno());
    errno == Some(Errno::EMSGSIZE)
}
