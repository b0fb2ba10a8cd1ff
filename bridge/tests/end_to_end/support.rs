//! Bridges, channels, and a proxy between them. All is removed at the end, also of a test that fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shmcomm::channel::Options;
use shmcomm::{Channel, Name, Side, segment};

/// A wait that only a failure makes this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn all() -> bool {
    std::env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// Says why a test is skipped; fails instead if all are wanted.
pub fn skip(why: &str) {
    assert!(!all(), "{why}");
    println!("SKIPPED: {why}");
}

/// Waits until this is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// xorshift64, begun by the clock.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self(u64::from(now.subsec_nanos()) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % end
    }
}

/// A channel's name.
pub struct Scratch(String);

impl Scratch {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        Self(format!(
            "shmcomm-bridge-test-{}-e{count}",
            std::process::id()
        ))
    }

    pub fn name(&self) -> String {
        format!("posix:/{}", self.0)
    }

    pub fn open(&self, side: Side, capacity: usize) -> Channel {
        let options = Options {
            capacity,
            create: true,
            ..Options::new(side)
        };
        options.open(Name::Posix(self.0.as_bytes())).unwrap()
    }

    pub fn remove(&self) {
        segment::remove(Name::Posix(self.0.as_bytes())).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = segment::remove(Name::Posix(self.0.as_bytes()));
    }
}

/// The message with this number, which determines its length and its bytes.
pub fn message(number: u64) -> Vec<u8> {
    let length = match number % 1000 {
        999 => 20_000,
        _ => 8 + number.wrapping_mul(0x9e37_79b9) % 300,
    };
    number
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(length as usize)
        .collect()
}

/// Sends messages 1, 2, 3 … in a thread, as fast as the channel takes them.
pub struct Sending {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Sending {
    pub fn start(mut channel: Channel) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut number = 0;
            while !is_stopped.load(Relaxed) {
                match channel.send(&message(number + 1), 100) {
                    Ok(()) => number += 1,
                    Err(error) => assert!(
                        [libc::ETIMEDOUT, libc::EPIPE].contains(&error.errno().raw()),
                        "{error}"
                    ),
                }
            }
            number
        });
        Self { stop, thread }
    }

    /// The number of the last message.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// Receives messages in a thread, which must be 1, 2, 3 …
pub struct Receiving {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Receiving {
    pub fn start(mut channel: Channel) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, is_stopped) = (received.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; channel.max_message()];
            while !is_stopped.load(Relaxed) {
                let Ok(length) = channel.receive(&mut buffer, 100) else {
                    continue;
                };
                let expected = count.load(Relaxed) + 1;
                let found = u64::from_le_bytes(buffer[..8].try_into().unwrap());
                assert_eq!(found, expected, "the number of a message");
                assert!(buffer[..length] == message(expected), "message {expected}");
                count.store(expected, Relaxed);
            }
        });
        Self {
            received,
            stop,
            thread,
        }
    }

    pub fn count(&self) -> u64 {
        assert!(!self.thread.is_finished(), "the receiver failed");
        self.received.load(Relaxed)
    }

    /// Waits for the last message, and makes sure that none comes after it.
    pub fn finish(self, last: u64) {
        wait_until("the last message", || self.count() >= last);
        thread::sleep(Duration::from_millis(300));
        assert_eq!(self.count(), last, "messages that were never sent");
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap();
    }
}

/// A bridge, killed when it is dropped.
pub struct Bridge {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Bridge {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_by(
            &mut Command::new(env!("CARGO_BIN_EXE_shmcomm-bridge")),
            arguments,
        )
    }

    /// Starts a program that becomes the bridge.
    pub fn start_by(command: &mut Command, arguments: &[&str]) -> Self {
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: the call is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // Not left behind by a test that is killed.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            })
        };
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let collected = lines.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: takes no pointer; the child is not reaped yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits until the bridge exits; its status.
    pub fn join(mut self) -> i32 {
        let mut status = None;
        wait_until("the bridge's end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code()).unwrap_or(-1)
    }

    /// Whether stderr has a line with this text.
    pub fn has_said(&self, what: &str) -> bool {
        self.lines().iter().any(|line| line.contains(what))
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a line with this text.
    pub fn wait_for(&self, what: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.has_said(what) {
            assert!(Instant::now() < end, "no {what:?} in {:#?}", self.lines());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the bridge said {:#?}", self.lines());
        }
    }
}

/// An endpoint of this machine that nobody uses.
pub fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("tcp/{}", listener.local_addr().unwrap())
}

/// Forwards connections to an endpoint, and cuts them.
pub struct Proxy {
    pub endpoint: String,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    /// Milliseconds that each piece of 16 KiB takes.
    pub delay_ms: Arc<AtomicU64>,
}

impl Proxy {
    pub fn to(endpoint: &str) -> Self {
        Self::between("127.0.0.1", endpoint, || {})
    }

    /// Listens at this address. `enter` is called first by the thread that has all of its sockets.
    pub fn between(address: &str, endpoint: &str, enter: impl FnOnce() + Send + 'static) -> Self {
        let to = endpoint.trim_start_matches("tcp/").to_owned();
        let address = format!("{address}:0");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (all, delay) = (connections.clone(), delay_ms.clone());
        let (bound, endpoint) = mpsc::channel();
        thread::spawn(move || {
            enter();
            let listener = TcpListener::bind(address).unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            for from in listener.incoming().map_while(Result::ok) {
                let Ok(to) = TcpStream::connect(&to) else {
                    continue;
                };
                let mut all = all.lock().unwrap();
                for (mut from, mut to) in [(&from, &to), (&to, &from)].map(cloned) {
                    all.extend([from.try_clone().unwrap(), to.try_clone().unwrap()]);
                    let delay = delay.clone();
                    thread::spawn(move || {
                        let mut buffer = vec![0; 16 << 10];
                        while let Ok(length @ 1..) = from.read(&mut buffer) {
                            thread::sleep(Duration::from_millis(delay.load(Relaxed)));
                            if to.write_all(&buffer[..length]).is_err() {
                                break;
                            }
                        }
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self {
            endpoint: format!("tcp/{}", endpoint.recv().unwrap()),
            connections,
            delay_ms,
        }
    }

    /// Cuts all connections, with what is under way in them.
    pub fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn cloned((from, to): (&TcpStream, &TcpStream)) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), to.try_clone().unwrap())
}
