//! Topics: the newest message arrives, whatever is killed, and never an older one after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use shmcomm::topic::Options;
use shmcomm::{Name, Side, Topic};

use crate::support::{Bridge, Proxy, Random, Scratch, free_endpoint, wait_until};

/// Longer than what a connection's buffers hold by far, together.
const LENGTH: usize = 10_000;

fn open(name: &Scratch, side: Side, create: bool) -> Option<Topic> {
    let options = Options {
        max_message: if create { LENGTH } else { 0 },
        depth: 16,
        create,
        ..Options::new(side)
    };
    let name = name.name();
    options.open(Name::parse(name.as_bytes()).unwrap()).ok()
}

/// A topic here and one there, which the bridge creates.
struct Pair {
    a: Scratch,
    b: Scratch,
    writer: Topic,
    written: u64,
    listen: String,
    proxy: Proxy,
    out: String,
    into: String,
}

impl Pair {
    fn new(key: &str) -> Self {
        let (a, b) = (Scratch::new(), Scratch::new());
        let listen = free_endpoint();
        Self {
            writer: open(&a, Side::Sender, true).unwrap(),
            written: 0,
            proxy: Proxy::to(&listen),
            out: format!("topic:{}=test/{key}", a.name()),
            into: format!("test/{key}=topic:{}", b.name()),
            listen,
            a,
            b,
        }
    }

    fn outgoing(&self) -> Bridge {
        let endpoint = &self.proxy.endpoint;
        Bridge::start(&["--connect", endpoint, "--out", &self.out, "--status", "1"])
    }

    fn incoming(&self) -> Bridge {
        let listen = &self.listen;
        Bridge::start(&["--listen", listen, "--in", &self.into, "--status", "1"])
    }

    fn write(&mut self) {
        self.written += 1;
        let number = self.written.to_le_bytes();
        let message: Vec<_> = number.into_iter().cycle().take(LENGTH).collect();
        self.writer.write(&message).unwrap();
    }
}

/// Reads a topic in a thread: no message is older than the one before it.
struct Reading {
    newest: Arc<AtomicU64>,
    messages: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Reading {
    /// Waits until the bridge has created the topic.
    fn start(name: &Scratch) -> Self {
        let mut topic = None;
        wait_until("the topic", || {
            topic = open(name, Side::Receiver, false);
            topic.is_some()
        });
        let mut topic = topic.unwrap();
        let [newest, messages] = [0, 0].map(|zero| Arc::new(AtomicU64::new(zero)));
        let stop = Arc::new(AtomicBool::new(false));
        let (newest_read, read) = (newest.clone(), messages.clone());
        let is_stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; LENGTH];
            while !is_stopped.load(Relaxed) {
                let Ok(message) = topic.read(&mut buffer, 50) else {
                    continue;
                };
                let (number, rest) = buffer[..message.length].split_first_chunk().unwrap();
                assert!(number.iter().cycle().take(rest.len()).eq(rest), "torn");
                let found = u64::from_le_bytes(*number);
                let before = newest_read.swap(found, Relaxed);
                assert!(found >= before, "{found} after {before}");
                read.fetch_add(1, Relaxed);
            }
        });
        Self {
            newest,
            messages,
            stop,
            thread,
        }
    }

    fn wait_for(&self, number: u64) {
        wait_until("the newest message", || {
            assert!(!self.thread.is_finished(), "the reader failed");
            self.newest.load(Relaxed) == number
        });
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
        self.messages.load(Relaxed)
    }
}

#[test]
fn messages_cross_and_a_new_target_has_the_newest() {
    let mut pair = Pair::new("cross");
    pair.write();
    let outgoing = pair.outgoing();
    // Before the other bridge is there.
    pair.write();
    let incoming = pair.incoming();
    let reading = Reading::start(&pair.b);
    let topic = open(&pair.b, Side::Receiver, false).unwrap();
    assert_eq!(topic.info().unwrap().depth, 16);
    reading.wait_for(2);
    for number in 3..50 {
        pair.write();
        reading.wait_for(number);
    }
    assert!(reading.finish() >= 48);
    for bridge in [outgoing, incoming] {
        bridge.wait_for(": linked; ");
        bridge.wait_for(" 0 lost");
    }
}

#[test]
fn after_a_kill_of_either_bridge_the_newest_arrives() {
    let mut pair = Pair::new("killed");
    let mut bridges = [pair.outgoing(), pair.incoming()];
    let reading = Reading::start(&pair.b);
    let mut random = Random::new();
    for _ in 0..if crate::support::all() { 200 } else { 10 } {
        for _ in 0..random.below(100) {
            pair.write();
            thread::sleep(Duration::from_millis(random.below(3)));
        }
        match random.below(3) {
            0 => pair.proxy.cut(),
            1 => {
                bridges[0].kill();
                bridges[0] = pair.outgoing();
            }
            _ => {
                bridges[1].kill();
                // What is written while no bridge is there.
                pair.write();
                bridges[1] = pair.incoming();
            }
        }
        if random.below(2) == 0 {
            pair.write();
            reading.wait_for(pair.written);
        }
    }
    pair.write();
    reading.wait_for(pair.written);
    println!("{} written, {} read", pair.written, reading.finish());
}

#[test]
fn a_slow_connection_loses_old_messages() {
    let mut pair = Pair::new("slow");
    // 16 KiB in 50 ms.
    pair.proxy.delay_ms.store(50, Relaxed);
    let (outgoing, mut incoming) = (pair.outgoing(), pair.incoming());
    let reading = Reading::start(&pair.b);
    for _ in 0..20 {
        (0..100).for_each(|_| pair.write());
        thread::sleep(Duration::from_millis(50));
    }
    let before = reading.messages.load(Relaxed);
    reading.wait_for(pair.written);
    // What was under way, and what the target keeps: 64 KiB and 16 messages.
    let late = reading.messages.load(Relaxed) - before;
    assert!(late < 40, "{late} messages came before the newest");
    incoming.kill();
    let _incoming = pair.incoming();
    pair.write();
    reading.wait_for(pair.written);
    let read = reading.finish();
    assert!(read < 1500, "{read}");
    wait_until("a status line with the losses", || {
        let lines = outgoing.lines();
        let lost = lines.iter().rev().find_map(|line| {
            let (_, lost) = line.strip_suffix(" lost")?.rsplit_once(' ')?;
            lost.parse::<u64>().ok()
        });
        lost.is_some_and(|lost| lost > 500)
    });
}

#[test]
fn a_removed_target_is_created_again() {
    let mut pair = Pair::new("gone");
    let (_outgoing, incoming) = (pair.outgoing(), pair.incoming());
    let reading = Reading::start(&pair.b);
    pair.write();
    reading.wait_for(1);
    reading.finish();
    pair.b.remove();
    incoming.wait_for("the topic was removed");
    let reading = Reading::start(&pair.b);
    reading.wait_for(1);
    reading.finish();
}

#[test]
fn a_removed_source_is_opened_again() {
    let mut pair = Pair::new("source");
    let (outgoing, _incoming) = (pair.outgoing(), pair.incoming());
    let reading = Reading::start(&pair.b);
    for _ in 0..10 {
        pair.write();
    }
    reading.wait_for(10);
    pair.a.remove();
    // The old writer ends when the new one has opened, and its numbers begin at 1.
    pair.writer = open(&pair.a, Side::Sender, true).unwrap();
    pair.write();
    outgoing.wait_for("the topic was removed");
    reading.wait_for(11);
    reading.finish();
}

#[test]
fn a_channel_is_no_topic() {
    let pair = Pair::new("kind");
    let channel = pair.b.open(Side::Receiver, 0);
    let incoming = pair.incoming();
    incoming
        .wait_for("not a topic of this version of the library: remove it, or if it is a channel");
    drop(channel);
    let out = format!("{}=test/kind", pair.a.name());
    let outgoing = Bridge::start(&["--connect", &pair.proxy.endpoint, "--out", &out]);
    outgoing.wait_for("if it is a topic, write topic: before its name");
}

#[test]
fn two_machines_receive_one_topic() {
    let mut pair = Pair::new("two");
    let other = Scratch::new();
    let into = format!("test/two=topic:{}", other.name());
    let listen = &pair.listen;
    let _outgoing = Bridge::start(&["--listen", listen, "--out", &pair.out]);
    let start = |into| Bridge::start(&["--connect", &pair.proxy.endpoint, "--in", into]);
    let _incoming = [start(&pair.into), start(&into)];
    let readings = [Reading::start(&pair.b), Reading::start(&other)];
    for number in 1..100 {
        pair.write();
        for reading in &readings {
            reading.wait_for(number);
        }
    }
    for reading in readings {
        reading.finish();
    }
}
