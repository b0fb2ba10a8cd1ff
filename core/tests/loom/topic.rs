//! A topic: a copy that is found whole is whole, each lost message is counted once, the writer may vanish
//! at any step, and no wake-up of a reader is lost.
//!
//! Its `intent` and `last` are the ring's head and tail here, its slots two words each of the ring.

use std::sync::Arc;
use std::sync::atomic::Ordering::{self, Relaxed, Release, SeqCst};

use loom::sync::atomic::fence;
use loom::thread;
use shmcomm::channel::ring::{Blocked, WORD, Words as _};
use shmcomm::channel::wakeup::{self, FENCED, SLEEPING, SleepEnd, SleepWord};
use shmcomm::channel::word::{Word32, Word64};
use shmcomm::topic::slots::{Reader, Words, Writer};

use crate::explore;
use crate::model::{IMMORTAL, Memory, Process, Seen64};
use crate::sleep_word::{Seen32, always_fence};

const DEPTH: u64 = 4;
const SLOT_WORDS: u64 = 2;

/// A process that uses the topic.
struct User(Process);

impl Words for User {
    type Word = Seen64;
    fn depth(&self) -> u64 {
        DEPTH
    }
    fn intent(&self) -> &Seen64 {
        self.0.head()
    }
    fn last(&self) -> &Seen64 {
        self.0.tail()
    }
    fn fence(&self, order: Ordering) {
        fence(order);
    }
}

impl User {
    fn new(memory: &Arc<Memory>, life: u32, interrupted: bool) -> Self {
        Self(Process::living(memory, life, interrupted))
    }

    fn is_alive(&self) -> bool {
        self.0.life.is_alive()
    }

    fn slot(&self, number: u64) -> impl Iterator<Item = &Seen64> {
        let first = (number - 1) % DEPTH * SLOT_WORDS;
        (first..first + SLOT_WORDS).map(|word| self.0.length(word * WORD))
    }

    /// Same as `Topic::write`: each word of a message is its number.
    fn write(&self, writer: &mut Writer) {
        let number = writer.begin(self);
        for word in self.slot(number) {
            word.store(number, Relaxed);
        }
        writer.publish(self);
    }

    /// One attempt of `Topic::read`. Returns the messages lost before the one that it has read.
    fn read(&self, reader: &mut Reader) -> Result<Option<u64>, Blocked> {
        let number = reader.next(self)?;
        let found: Vec<_> = self.slot(number).map(|word| word.load(Relaxed)).collect();
        if Reader::is_whole(self, number) {
            assert_eq!(found, [number; SLOT_WORDS as usize]);
            return Ok(Some(reader.read(number)));
        }
        reader.skip(self)?;
        Ok(None)
    }
}

fn memory() -> Arc<Memory> {
    Memory::new(DEPTH * SLOT_WORDS * WORD)
}

/// A topic with this number of messages in it.
fn written(messages: u64) -> Arc<Memory> {
    let memory = memory();
    let user = User::new(&memory, IMMORTAL, false);
    let mut writer = Writer::resume(&user).unwrap();
    for _ in 0..messages {
        user.write(&mut writer);
    }
    memory
}

/// Writers add messages up to `last`; the first one vanishes after this number of operations. A reader
/// starts at the first message.
fn check(before: u64, last: u64, life: u32) {
    let memory = written(before);
    let user = User::new(&memory, IMMORTAL, false);
    let mut reader = Reader::start(&user, true);
    let writer = thread::spawn({
        let memory = memory.clone();
        move || {
            for life in [life, IMMORTAL] {
                let user = User::new(&memory, life, false);
                let mut writer = match Writer::resume(&user) {
                    Ok(writer) => writer,
                    // A vanished process loads only zeros.
                    Err(_) if !user.is_alive() => continue,
                    Err(blocked) => panic!("{blocked:?}"),
                };
                while user.is_alive() && user.last().load(Relaxed) < last {
                    user.write(&mut writer);
                }
            }
        }
    });
    let mut accounted = 0;
    let mut read_once = |reader: &mut Reader| match user.read(reader) {
        Ok(Some(lost)) => {
            accounted += lost + 1;
            assert_eq!(accounted, reader.position());
            true
        }
        Ok(None) => true,
        Err(blocked) => {
            assert_eq!(blocked, Blocked::Wait);
            false
        }
    };
    for _ in 0..3 {
        read_once(&mut reader);
    }
    writer.join().unwrap();
    while read_once(&mut reader) {}
    assert_eq!(reader.position(), last);
}

#[test]
fn a_message_is_whole_or_lost() {
    for before in [2, 3, 4] {
        explore(3, move || check(before, before + 2, IMMORTAL));
    }
}

#[test]
fn a_writer_may_vanish_at_any_step() {
    for life in 0..14 {
        explore(2, move || check(4, 6, life));
    }
}

/// The newest message is one that was published before the call, or a later one.
#[test]
fn the_newest_message_is_no_older_than_a_published_one() {
    explore(3, || {
        let memory = written(3);
        let writer = thread::spawn({
            let memory = memory.clone();
            move || {
                let user = User::new(&memory, IMMORTAL, false);
                let mut writer = Writer::resume(&user).unwrap();
                for number in [4, 5] {
                    user.write(&mut writer);
                    memory.kernel.answered.store(number, Release);
                }
            }
        });
        let user = User::new(&memory, IMMORTAL, false);
        let published = memory.kernel.answered.load(Ordering::Acquire);
        let newest = Reader::newest(&user).unwrap();
        assert!(newest >= published.into() && newest >= 3);
        let found: Vec<_> = user.slot(newest).map(|word| word.load(Relaxed)).collect();
        if Reader::is_whole(&user, newest) {
            assert_eq!(found, [newest; SLOT_WORDS as usize]);
        }
        writer.join().unwrap();
    });
}

/// Same as `Readers` of `topic/wait.rs`: readers sleep on `last`.
struct Sleeper {
    sleeps: Seen32,
    user: User,
    reader: Reader,
}

impl Word32 for Sleeper {
    fn load(&self, order: Ordering) -> u32 {
        self.sleeps.load(order)
    }
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.sleeps.fetch_or(bits, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.sleeps.fetch_and(bits, order)
    }
    fn compare_exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.sleeps.compare_exchange(from, to, order)
    }
}

impl SleepWord for Sleeper {
    fn fence(&self) {
        self.sleeps.fence();
    }
    fn fence_everywhere(&self) -> bool {
        self.sleeps.fence_everywhere()
    }
    fn wait(&self, _: u32, _: i64) -> SleepEnd {
        let kernel = &self.user.0.memory.kernel;
        let queue = kernel.futex.lock().unwrap();
        if self.user.last().load(Relaxed) == self.reader.position() {
            drop(kernel.sleepers.wait(queue).unwrap());
        }
        SleepEnd::Woken
    }
    fn wake(&self) {
        let kernel = &self.user.0.memory.kernel;
        let _queue = kernel.futex.lock().unwrap();
        kernel.sleepers.notify_all();
    }
}

impl Sleeper {
    fn new(memory: &Arc<Memory>, interrupted: bool, has_barrier: bool) -> Self {
        let user = User::new(memory, IMMORTAL, interrupted);
        Self {
            sleeps: Seen32::new(&user.0, |memory| &memory.sleep, has_barrier),
            reader: Reader::start(&user, true),
            user,
        }
    }

    /// Sleeps, without a timeout, until there is this message. Same as `topic/wait.rs`.
    fn wait_for(&mut self, last: u64) {
        while self.reader.position() < last {
            wakeup::sleep(
                self,
                |sleeper| sleeper,
                1,
                true,
                |sleeper| sleeper.reader.next(&sleeper.user).map(drop),
                |sleeper| always_fence(&sleeper.user.0.memory),
            )
            .0
            .ok();
            while let Ok(number) = self.reader.next(&self.user) {
                self.reader.read(number);
            }
        }
    }
}

/// One or two readers sleep whenever they have read all messages.
fn check_sleepers(word: u32, messages: u64, readers: u64) {
    let has_barrier = word & FENCED == 0;
    let memory = memory();
    memory.sleep.store(word, Relaxed);
    let waiting = Sleeper::new(&memory, false, has_barrier);
    let writer = thread::spawn({
        let memory = memory.clone();
        move || {
            let sleeper = Sleeper::new(&memory, has_barrier, has_barrier);
            let mut writer = Writer::resume(&User::new(&memory, IMMORTAL, false)).unwrap();
            let mut unslept = 0;
            for _ in 0..messages {
                sleeper.user.write(&mut writer);
                if wakeup::needs_wake(&sleeper) {
                    wakeup::wake(&sleeper, &mut unslept, || true, || ());
                }
            }
            // It has left the processor: membarrier(2) no longer waits for it.
            fence(SeqCst);
            memory.kernel.answered.store(1000, Release);
        }
    });
    let other = (readers > 1).then(|| {
        let mut other = Sleeper::new(&memory, false, has_barrier);
        thread::spawn(move || other.wait_for(messages))
    });
    let mut waiting = waiting;
    waiting.wait_for(messages);
    if let Some(other) = other {
        other.join().unwrap();
    }
    writer.join().unwrap();
}

#[test]
fn no_wake_up_of_a_topics_reader_is_lost() {
    explore(3, || check_sleepers(FENCED, 1, 1));
    explore(2, || check_sleepers(FENCED, 2, 1));
    explore(2, || check_sleepers(0, 1, 1));
    explore(1, || check_sleepers(FENCED, 1, 2));
    explore(1, || check_sleepers(FENCED | SLEEPING, 2, 2));
}
