//! What the user sees: full and removed channels, signals, the status, errors, and who is contacted.

use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use shmcomm::Side;

use crate::support::{
    Bridge, PATIENCE, Proxy, Receiving, Scratch, Sending, free_endpoint, message, skip, wait_until,
};

/// A link from a new channel to another one.
struct Pair {
    a: Scratch,
    b: Scratch,
    out: String,
    into: String,
    listen: String,
}

impl Pair {
    fn new(key: &str) -> Self {
        let (a, b) = (Scratch::new(), Scratch::new());
        Self {
            out: format!("{}=test/{key}", a.name()),
            into: format!("test/{key}={}", b.name()),
            listen: free_endpoint(),
            a,
            b,
        }
    }

    fn outgoing(&self, more: &[&str]) -> Bridge {
        let arguments = ["--connect", &self.listen, "--out", &self.out];
        Bridge::start(&[&arguments[..], more].concat())
    }

    fn incoming(&self) -> Bridge {
        Bridge::start(&["--listen", &self.listen, "--in", &self.into])
    }
}

#[test]
fn a_full_target_makes_the_source_full_and_goes_on() {
    let pair = Pair::new("full");
    let mut sender = pair.a.open(Side::Sender, 1 << 16);
    let receiver = pair.b.open(Side::Receiver, 1 << 16);
    let (_out, _in) = (pair.outgoing(&[]), pair.incoming());
    let mut last = 0;
    wait_until("full channels", || {
        while sender.send(&message(last + 1), 200).is_ok() {
            last += 1;
            assert!(last < 10_000, "more than both channels hold");
        }
        let channels = [&sender, &receiver];
        channels
            .iter()
            .all(|end| end.info().unwrap().used > 1 << 15)
    });
    let receiving = Receiving::start(receiver);
    wait_until("room", || receiving.count() > last / 2);
    sender
        .send(&message(last + 1), PATIENCE.as_millis() as i32)
        .unwrap();
    receiving.finish(last + 1);
}

#[test]
fn a_slow_connection_delivers_everything() {
    let pair = Pair::new("slow");
    let sending = Sending::start(pair.a.open(Side::Sender, 1 << 16));
    let receiving = Receiving::start(pair.b.open(Side::Receiver, 1 << 16));
    let proxy = Proxy::to(&pair.listen);
    proxy.delay_ms.store(50, Relaxed);
    let _in = pair.incoming();
    let _out = Bridge::start(&["--connect", &proxy.endpoint, "--out", &pair.out]);
    wait_until("some messages", || receiving.count() > 2000);
    let last = sending.finish();
    receiving.finish(last);
}

#[test]
fn one_process_may_have_both_ends_of_several_links() {
    let pairs = [Pair::new("one"), Pair::new("two")];
    let senders: Vec<_> = pairs
        .iter()
        .map(|pair| pair.a.open(Side::Sender, 0))
        .collect();
    let receivers: Vec<_> = pairs
        .iter()
        .map(|pair| pair.b.open(Side::Receiver, 0))
        .collect();
    let [one, two] = &pairs;
    let arguments = [
        "--listen",
        &one.listen,
        "--out",
        &one.out,
        "--out",
        &two.out,
    ];
    let _bridge =
        Bridge::start(&[&arguments[..], &["--in", &one.into, "--in", &two.into]].concat());
    let sending: Vec<_> = senders.into_iter().map(Sending::start).collect();
    let receiving: Vec<_> = receivers.into_iter().map(Receiving::start).collect();
    for (sending, receiving) in sending.into_iter().zip(receiving) {
        wait_until("messages", || receiving.count() > 10_000);
        receiving.finish(sending.finish());
    }
}

#[test]
fn a_removed_target_is_a_new_epoch_and_is_reported() {
    let pair = Pair::new("removed");
    let mut sender = pair.a.open(Side::Sender, 0);
    let mut receiver = pair.b.open(Side::Receiver, 0);
    let (outgoing, incoming) = (pair.outgoing(&[]), pair.incoming());
    let mut buffer = [0; 16];
    let patience = PATIENCE.as_millis() as i32;
    sender.send(b"one", 0).unwrap();
    assert_eq!(receiver.receive(&mut buffer, patience), Ok(3));
    pair.b.remove();
    drop(receiver);
    incoming.wait_for("the channel was removed");
    sender.send(b"two", 0).unwrap();
    let mut receiver = pair.b.open(Side::Receiver, 0);
    // At least once: the first message may come again.
    while receiver.receive(&mut buffer, patience).unwrap() != 3 || &buffer[..3] != b"two" {}
    outgoing.wait_for("new epoch");
    outgoing.signal(libc::SIGUSR1);
    outgoing.wait_for("1 new epochs");
}

#[test]
fn a_removed_source_is_opened_again() {
    let pair = Pair::new("source");
    let mut sender = pair.a.open(Side::Sender, 0);
    let mut receiver = pair.b.open(Side::Receiver, 0);
    let (outgoing, incoming) = (pair.outgoing(&[]), pair.incoming());
    let mut buffer = [0; 16];
    let patience = PATIENCE.as_millis() as i32;
    sender.send(b"one", 0).unwrap();
    assert_eq!(receiver.receive(&mut buffer, patience), Ok(3));
    pair.a.remove();
    drop(sender);
    outgoing.wait_for("the channel was removed");
    let mut sender = pair.a.open(Side::Sender, 0);
    sender.send(b"two", 0).unwrap();
    assert_eq!(receiver.receive(&mut buffer, patience), Ok(3));
    assert_eq!(&buffer[..3], b"two");
    incoming.wait_for("new epoch");
}

#[test]
fn sigterm_waits_for_acknowledgements() {
    let pair = Pair::new("drain");
    let mut sender = pair.a.open(Side::Sender, 1 << 16);
    let receiver = pair.b.open(Side::Receiver, 1 << 16);
    let outgoing = pair.outgoing(&[]);
    let _in = pair.incoming();
    let mut last = 0;
    // Until the target is full, so that something is unacknowledged.
    wait_until("full channels", || {
        while sender.send(&message(last + 1), 200).is_ok() {
            last += 1;
        }
        receiver.info().unwrap().used > 1 << 15
    });
    outgoing.signal(libc::SIGUSR1);
    outgoing.wait_for("linked to");
    assert!(
        !outgoing.has_said(" 0 unacknowledged"),
        "{:?}",
        outgoing.lines()
    );
    outgoing.signal(libc::SIGTERM);
    let receiving = Receiving::start(receiver);
    assert_eq!(outgoing.join(), 0);
    // What it had read is in the target; the rest is in the source, for the next bridge.
    let info = sender.info().unwrap();
    assert!(info.received < last && info.sent == last, "{info:?}");
    let taken = info.received;
    wait_until("the acknowledged messages", || receiving.count() >= taken);
    let _out = pair.outgoing(&[]);
    receiving.finish(last);
}

#[test]
fn errors_name_the_link_and_what_to_do() {
    let pair = Pair::new("busy");
    let _receiver = pair.a.open(Side::Receiver, 0);
    let outgoing = pair.outgoing(&[]);
    outgoing.wait_for(&format!("out {}: another program holds", pair.out));
    let mut command = Command::new(env!("CARGO_BIN_EXE_shmcomm-bridge"));
    let output = command.args(["--out", "posix:/a"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("--out posix:/a: write"),
        "{said}"
    );
}

#[test]
fn a_message_longer_than_the_target_is_reported() {
    let pair = Pair::new("long");
    let mut sender = pair.a.open(Side::Sender, 1 << 16);
    let _receiver = pair.b.open(Side::Receiver, 4096);
    let (_out, incoming) = (pair.outgoing(&[]), pair.incoming());
    sender.send(&[0; 10_000], 0).unwrap();
    incoming.wait_for("a message of 10000 bytes is longer than the channel's longest");
}

#[test]
fn a_configuration_file_does_the_same() {
    let pair = Pair::new("config");
    let path = std::env::temp_dir().join(format!("shmcomm-bridge-{}.json5", std::process::id()));
    let text = format!(
        "{{ links: [{{ in: '{}', key: 'test/config' }}], zenoh: {{ listen: {{ endpoints: ['{}'] }} }} }}",
        pair.b.name(),
        pair.listen
    );
    std::fs::write(&path, text).unwrap();
    let incoming = Bridge::start(&["--config", path.to_str().unwrap(), "--status", "1"]);
    incoming.wait_for("looking for the other bridge");
    std::fs::remove_file(&path).unwrap();
    let _out = pair.outgoing(&[]);
    incoming.wait_for("1 peers");
    pair.a.open(Side::Sender, 0).send(b"hello", 0).unwrap();
    let mut receiver = pair.b.open(Side::Receiver, 0);
    let length = receiver.receive(&mut [0; 16], PATIENCE.as_millis() as i32);
    assert_eq!(length, Ok(5));
}

/// Every address that a process of the bridge connects to, sends to or listens at is the named one.
#[test]
fn nobody_else_is_contacted() {
    if Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return skip("strace is not installed");
    }
    let pair = Pair::new("strace");
    let traces = ["out", "in"].map(|end| {
        std::env::temp_dir().join(format!(
            "shmcomm-bridge-{}-{end}.strace",
            std::process::id()
        ))
    });
    let start = |trace: &std::path::Path, arguments: &[&str]| {
        let mut strace = Command::new("strace");
        let calls = "trace=bind,connect,sendto,sendmsg,sendmmsg";
        // With -D the child is the bridge, and strace its grandchild.
        strace.args(["-D", "-f", "-e", calls, "-o"]).arg(trace);
        strace.arg(env!("CARGO_BIN_EXE_shmcomm-bridge"));
        Bridge::start_by(&mut strace, arguments)
    };
    let mut sender = pair.a.open(Side::Sender, 0);
    let mut receiver = pair.b.open(Side::Receiver, 0);
    let incoming = start(&traces[1], &["--listen", &pair.listen, "--in", &pair.into]);
    let outgoing = start(&traces[0], &["--connect", &pair.listen, "--out", &pair.out]);
    sender.send(b"hello", 0).unwrap();
    let length = receiver.receive(&mut [0; 16], PATIENCE.as_millis() as i32);
    // The time in which a bridge with scouting would look around.
    thread::sleep(Duration::from_secs(1));
    drop((incoming, outgoing));
    let found = traces.map(|trace| {
        let mut text = String::new();
        wait_until("the end of the trace", || {
            text = std::fs::read_to_string(&trace).unwrap();
            text.contains("killed by SIGKILL")
        });
        std::fs::remove_file(&trace).unwrap();
        text
    });
    assert_eq!(length, Ok(5));
    let port = pair.listen.rsplit_once(':').unwrap().1;
    let named = format!("sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")");
    for (text, call) in found.iter().zip(["connect(", "bind("]) {
        let addresses: Vec<_> = text
            .lines()
            .filter(|line| line.contains("AF_INET"))
            .collect();
        assert!(addresses.iter().any(|line| line.contains(call)), "{text}");
        for line in addresses {
            assert!(line.contains(&named), "{line}");
        }
    }
}
