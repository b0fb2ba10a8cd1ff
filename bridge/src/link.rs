//! A link at work: a thread that moves messages between a local channel and zenoh.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use shmcomm::channel::Options;
use shmcomm::{Channel, Errno, Name, Side};
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};

use crate::incoming::Incoming;
use crate::message::{Backward, Forward};
use crate::outgoing::{End, Next, Outgoing};
use crate::settings::{Direction, Link};

/// The longest wait of a link's thread, so that it notices signals and answers.
const WAIT_MS: c_int = 100;
/// Between two attempts to open a channel.
const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// How long a drain waits for acknowledgements.
const DRAIN: Duration = Duration::from_secs(10);
/// Messages from the network that may wait for the thread. More are dropped, and asked for again.
const INBOX: usize = 1024;

/// What the status line shows.
#[derive(Default)]
pub struct Status {
    messages: AtomicU64,
    bytes: AtomicU64,
    unacknowledged: AtomicU64,
    epochs: AtomicU64,
    state: Mutex<String>,
}

/// A link and its status.
pub struct Work {
    link: Link,
    /// Its status.
    pub status: Status,
    stop: Arc<AtomicBool>,
}

type Inbox = Receiver<Vec<u8>>;

impl Work {
    /// The work of a link, until `stop` is set.
    pub fn new(link: Link, stop: Arc<AtomicBool>) -> Self {
        Self {
            link,
            status: Status::default(),
            stop,
        }
    }

    /// The link, as messages for the user name it.
    fn name(&self) -> String {
        let Link { channel, key, .. } = &self.link;
        match self.link.direction {
            Direction::Out => format!("out {channel}={key}"),
            Direction::In => format!("in {key}={channel}"),
        }
    }

    fn report(&self, what: &str) {
        eprintln!("shmcomm-bridge: {}: {what}", self.name());
    }

    /// The status line.
    pub fn status(&self) -> String {
        let Status {
            messages,
            bytes,
            unacknowledged,
            epochs,
            state,
        } = &self.status;
        let state = state.lock().map(|state| state.clone()).unwrap_or_default();
        format!(
            "{}: {state}; {} messages, {} bytes, {} unacknowledged, {} new epochs",
            self.name(),
            messages.load(Relaxed),
            bytes.load(Relaxed),
            unacknowledged.load(Relaxed),
            epochs.load(Relaxed),
        )
    }

    fn set_state(&self, what: impl FnOnce() -> String) {
        if let Ok(mut state) = self.status.state.lock() {
            *state = what();
        }
    }

    fn new_epoch(&self, what: &str) {
        self.status.epochs.fetch_add(1, Relaxed);
        self.report(what);
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Runs the link until it is stopped.
    pub fn run(&self, session: &zenoh::Session) -> zenoh::Result<()> {
        let names = ["messages", "answers"].map(|what| format!("{}/{what}", self.link.key));
        let (to, from) = match self.link.direction {
            Direction::Out => (&names[0], &names[1]),
            Direction::In => (&names[1], &names[0]),
        };
        let publisher = session
            .declare_publisher(to.clone())
            .congestion_control(CongestionControl::Block)
            .priority(match self.link.direction {
                Direction::Out => Priority::Data,
                // Not behind the messages of other links.
                Direction::In => Priority::InteractiveHigh,
            })
            .express(true)
            .wait()?;
        let (sender, inbox) = sync_channel(INBOX);
        let _subscriber = session
            .declare_subscriber(from.clone())
            .callback(move |sample| {
                // Never blocks zenoh's thread, which other links use too.
                match sender.try_send(sample.payload().to_bytes().into_owned()) {
                    Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                }
            })
            .wait()?;
        while !self.is_stopping() {
            let Some(channel) = self.open() else {
                break;
            };
            let end = match self.link.direction {
                Direction::Out => self.send(channel, &publisher, &inbox),
                Direction::In => self.receive(channel, &publisher, &inbox),
            };
            match end {
                Ok(()) => break,
                Err(End::Removed) => self.new_epoch("the channel was removed: opening it again"),
                Err(End::Failed(what)) => {
                    self.report(&what);
                    self.set_state(|| what);
                    thread::sleep(OPEN_AGAIN * 5);
                }
            }
        }
        Ok(())
    }

    /// Opens the channel, as soon as that is possible. `None` if the link is stopped before.
    fn open(&self) -> Option<Channel> {
        let mut before = None;
        while !self.is_stopping() {
            let error = match self.open_once() {
                Ok(channel) => return Some(channel),
                Err(error) => error,
            };
            let what = match error.errno() {
                Errno::EBUSY => "another program holds this end of the channel: stop it".into(),
                Errno::EBADMSG => {
                    "not a channel of this version of the library: remove it".to_owned()
                }
                Errno::EINVAL => {
                    "not the name of a channel, or the channel is smaller than the capacity".into()
                }
                _ => error.to_string(),
            };
            if before.as_ref() != Some(&what) {
                self.report(&what);
                self.set_state(|| what.clone());
                before = Some(what);
            }
            thread::sleep(OPEN_AGAIN);
        }
        None
    }

    fn open_once(&self) -> Result<Channel, shmcomm::Error> {
        let options = Options {
            capacity: self.link.capacity,
            mode: self.link.mode,
            create: true,
            keep_origin: true,
            ..Options::new(match self.link.direction {
                Direction::Out => Side::Receiver,
                Direction::In => Side::Sender,
            })
        };
        options.open(Name::parse(self.link.channel.as_bytes())?)
    }

    fn send(&self, channel: Channel, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let mut outgoing = Outgoing::new(channel, self.link.window, crate::random())?;
        let mut drain_until = None;
        let (messages, bytes) = self.totals();
        loop {
            while let Ok(answer) = inbox.try_recv() {
                self.answered(&mut outgoing, &answer)?;
            }
            let now = Instant::now();
            if self.is_stopping() {
                outgoing.is_draining = true;
                let until = *drain_until.get_or_insert(now + DRAIN);
                if outgoing.unacknowledged() == 0 || now > until {
                    return Ok(());
                }
            }
            match outgoing.next(now, WAIT_MS)? {
                Next::Send(bytes) => put(publisher, bytes),
                Next::Wait(time) if time.is_zero() => {}
                Next::Wait(time) => {
                    if let Ok(answer) = inbox.recv_timeout(time.min(LONGEST_WAIT)) {
                        self.answered(&mut outgoing, &answer)?;
                    }
                }
            }
            let Status { unacknowledged, .. } = &self.status;
            self.status
                .messages
                .store(messages + outgoing.messages, Relaxed);
            self.status.bytes.store(bytes + outgoing.bytes, Relaxed);
            unacknowledged.store(outgoing.unacknowledged(), Relaxed);
            self.set_state(|| match outgoing.target() {
                Some(target) => format!("linked to {target:016x}"),
                None => "looking for the other bridge".into(),
            });
        }
    }

    fn answered(&self, outgoing: &mut Outgoing, answer: &[u8]) -> Result<(), End> {
        let Some(answer) = Backward::decode(answer) else {
            return Ok(());
        };
        if let Some(what) = outgoing.receive(answer, Instant::now())? {
            self.new_epoch(&what);
        }
        Ok(())
    }

    fn receive(&self, channel: Channel, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let mut incoming = Incoming::new(channel)?;
        let (messages, bytes) = self.totals();
        while !self.is_stopping() {
            let first = match incoming.has_waiting() {
                true => inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                false => inbox.recv_timeout(LONGEST_WAIT),
            };
            let others = std::iter::from_fn(|| inbox.try_recv().ok());
            for message in first.into_iter().chain(others) {
                let Some(message) = Forward::decode(message) else {
                    continue;
                };
                let (answer, what) = incoming.receive(message, Instant::now())?;
                if let Some(answer) = answer {
                    put(publisher, answer.encode());
                }
                if let Some(what) = what {
                    self.new_epoch(&what);
                }
            }
            if let Some(answer) = incoming.deliver(Instant::now(), WAIT_MS)? {
                put(publisher, answer.encode());
            }
            self.status
                .messages
                .store(messages + incoming.messages, Relaxed);
            self.status.bytes.store(bytes + incoming.bytes, Relaxed);
            self.set_state(|| match (incoming.is_full, incoming.identities()) {
                (true, _) => "the channel is full".into(),
                (_, (Some(source), _)) => format!("linked to {source:016x}"),
                (_, (None, _)) => "looking for the other bridge".into(),
            });
        }
        Ok(())
    }

    fn totals(&self) -> (u64, u64) {
        let Status {
            messages, bytes, ..
        } = &self.status;
        (messages.load(Relaxed), bytes.load(Relaxed))
    }
}

const LONGEST_WAIT: Duration = Duration::from_millis(WAIT_MS as u64);

/// Sends these bytes to all who have subscribed, if there are any. What is lost is noticed by its number.
fn put(publisher: &Publisher, bytes: Vec<u8>) {
    let _ = publisher.put(bytes).wait();
}
