//! Throughput and round trip of the bridge, of zenoh alone, and of a plain TCP copy, in one run over
//! loopback. The bridge is the program beside this one:
//!
//! ```text
//! cargo build --release --manifest-path bridge/Cargo.toml
//! cargo run --release --manifest-path bridge/Cargo.toml --example measure
//! ```
#![allow(missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use shmcomm::channel::Options;
use shmcomm::{Channel, Name, Side, segment};
use zenoh::Wait;
use zenoh::qos::CongestionControl;

const SIZES: [usize; 3] = [64, 1024, 16 << 10];
const ROUNDS: usize = 5;
const TRIPS: usize = 1000;
const CAPACITY: usize = 8 << 20;

fn main() {
    let mut ways: [Box<dyn FnMut(usize) -> [f64; 2]>; 3] =
        [Box::new(tcp), Box::new(zenoh_alone), Box::new(bridge)];
    let names = ["TCP copy", "zenoh alone", "bridge"];
    println!(
        "| | {} |",
        SIZES
            .map(|size| format!("{size} B: messages/s · round trip, µs"))
            .join(" | ")
    );
    println!("|---|{}", "--:|".repeat(SIZES.len()));
    let mut cells = vec![Vec::new(); names.len()];
    for size in SIZES {
        let mut found = vec![Vec::new(); names.len()];
        for _ in 0..ROUNDS {
            for (found, way) in found.iter_mut().zip(&mut ways) {
                found.push(way(size));
            }
        }
        for (cells, found) in cells.iter_mut().zip(found) {
            let [rate, trip] = [0, 1].map(|what| spread(found.iter().map(|found| found[what])));
            cells.push(format!("{rate} · {trip}"));
        }
    }
    for (name, cells) in names.iter().zip(cells) {
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!("\nMedians (least–greatest) of {ROUNDS} rounds in which the three take turns.");
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

/// The median, the least and the greatest value.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let values = sorted(values);
    let [least, greatest] = [values[0], values[values.len() - 1]];
    format!("{:.0} ({least:.0}–{greatest:.0})", values[values.len() / 2])
}

/// About 64 MB, and no more than 200,000 messages.
fn count(size: usize) -> usize {
    ((64 << 20) / size).min(200_000)
}

type SendOne = Box<dyn FnMut(&[u8]) + Send>;

/// A direction: how one side sends, and how the other receives.
struct Way {
    send: SendOne,
    receive: Box<dyn FnMut() + Send>,
}

/// Messages one way in a second, and microseconds of a round trip.
fn measure(size: usize, mut there: Way, mut back: Way) -> [f64; 2] {
    let (message, count) = (vec![7; size], count(size));
    // Both directions are connected.
    (there.send)(&message);
    (there.receive)();
    (back.send)(&message);
    (back.receive)();
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|_| (there.send)(&message)));
        (0..count).for_each(|_| (there.receive)());
    });
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    let mut trips = Vec::new();
    thread::scope(|scope| {
        let (receive, reply) = (&mut there.receive, &mut back.send);
        let answer = &message;
        scope.spawn(move || {
            (0..TRIPS).for_each(|_| {
                receive();
                reply(answer);
            });
        });
        for _ in 0..TRIPS {
            let begin = Instant::now();
            (there.send)(&message);
            (back.receive)();
            trips.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    });
    [rate, median(trips.into_iter())]
}

/// Each message with its length over a connection.
fn tcp(size: usize) -> [f64; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut to = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut from, _) = listener.accept().unwrap();
    for end in [&to, &from] {
        end.set_nodelay(true).unwrap();
    }
    let (mut back_to, mut back_from) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let write = |stream: &mut TcpStream, message: &[u8]| {
        let length = (message.len() as u64).to_le_bytes();
        stream.write_all(&[&length, message].concat()).unwrap();
    };
    let read = |stream: &mut TcpStream, buffer: &mut Vec<u8>| {
        let mut length = [0; 8];
        stream.read_exact(&mut length).unwrap();
        buffer.resize(u64::from_le_bytes(length) as usize, 0);
        stream.read_exact(buffer).unwrap();
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let there = Way {
        send: Box::new(move |message| write(&mut to, message)),
        receive: Box::new(move || read(&mut from, &mut one)),
    };
    let back = Way {
        send: Box::new(move |message| write(&mut back_to, message)),
        receive: Box::new(move || read(&mut back_from, &mut two)),
    };
    measure(size, there, back)
}

fn config(what: &str, endpoint: &str) -> zenoh::Config {
    let other = if what == "listen" {
        "connect"
    } else {
        "listen"
    };
    let text = format!(
        "{{ mode: 'peer', scouting: {{ multicast: {{ enabled: false }}, gossip: {{ enabled: false }} }}, \
         {other}: {{ endpoints: [] }}, {what}: {{ endpoints: ['{endpoint}'] }} }}"
    );
    zenoh::Config::from_json5(&text).unwrap()
}

fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("tcp/{}", listener.local_addr().unwrap())
}

/// One put for each message.
fn zenoh_alone(size: usize) -> [f64; 2] {
    let endpoint = free_endpoint();
    let a = zenoh::open(config("listen", &endpoint)).wait().unwrap();
    let b = zenoh::open(config("connect", &endpoint)).wait().unwrap();
    let direction = |from: &zenoh::Session, to: &zenoh::Session, key: &'static str| {
        let (sender, receiver) = mpsc::channel();
        let subscriber = to
            .declare_subscriber(key)
            .callback(move |sample| drop(sender.send(sample.payload().to_bytes().into_owned())))
            .wait()
            .unwrap();
        let publisher = from
            .declare_publisher(key)
            .congestion_control(CongestionControl::Block)
            .wait()
            .unwrap();
        // The subscription is known to the other session.
        thread::sleep(Duration::from_millis(300));
        Way {
            send: Box::new(move |message| publisher.put(message).wait().unwrap()),
            receive: Box::new(move || {
                let _ = &subscriber;
                receiver.recv().unwrap();
            }),
        }
    };
    let (there, back) = (direction(&a, &b, "there"), direction(&b, &a, "back"));
    measure(size, there, back)
}

/// Removed at the end.
struct Running {
    children: Vec<Child>,
    names: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in &self.names {
            let _ = segment::remove(Name::Posix(name.as_bytes()));
        }
    }
}

fn open(name: &str, side: Side) -> Channel {
    let options = Options {
        capacity: CAPACITY,
        create: true,
        ..Options::new(side)
    };
    options.open(Name::Posix(name.as_bytes())).unwrap()
}

/// Two bridges, four channels.
fn bridge(size: usize) -> [f64; 2] {
    let program = std::env::current_exe().unwrap();
    let program = program.parent().unwrap().with_file_name("shmcomm-bridge");
    let name = |what| format!("shmcomm-measure-{}-{what}", std::process::id());
    let names: Vec<_> = ["there", "there-far", "back-far", "back"].map(name).into();
    let ends = names
        .iter()
        .zip([Side::Sender, Side::Receiver, Side::Sender, Side::Receiver]);
    let mut channels: Vec<_> = ends.map(|(name, side)| open(name, side)).collect();
    let endpoint = free_endpoint();
    let start = |what: &str, out: &str, into: &str| {
        let mut command = Command::new(&program);
        command.args([what, &endpoint, "--out", out, "--in", into]);
        command.stdin(Stdio::null()).spawn().unwrap()
    };
    let [there, far, back_far, back] = [0, 1, 2, 3].map(|at| format!("posix:/{}", names[at]));
    let children = vec![
        start(
            "--listen",
            &format!("{there}=m/there"),
            &format!("m/back={back}"),
        ),
        start(
            "--connect",
            &format!("{back_far}=m/back"),
            &format!("m/there={far}"),
        ),
    ];
    let _running = Running { children, names };
    let mut way = || {
        let (mut sender, mut receiver) = (channels.remove(0), channels.remove(0));
        let mut buffer = vec![0; size];
        Way {
            send: Box::new(move |message| sender.send(message, -1).unwrap()),
            receive: Box::new(move || {
                receiver.receive(&mut buffer, 30_000).unwrap();
            }),
        }
    };
    let (there, back) = (way(), way());
    measure(size, there, back)
}
