//! A link at work: a thread that moves messages between a local channel or topic and zenoh.

mod channel;
mod topic;

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use shmcomm::{Errno, Error};
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};

use crate::outgoing::End;
use crate::settings::{Direction, Kind, Link};

/// The longest wait of a link's thread, so that it notices signals and answers.
const WAIT_MS: c_int = 100;
/// Between two attempts to open a channel.
const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// Messages from the network that may wait for the thread. More are dropped, and asked for again.
const INBOX: usize = 1024;

/// What the status line shows.
#[derive(Default)]
pub struct Status {
    messages: AtomicU64,
    bytes: AtomicU64,
    unacknowledged: AtomicU64,
    epochs: AtomicU64,
    lost: AtomicU64,
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
        let Link { name, key, .. } = &self.link;
        let kind = match self.link.kind {
            Kind::Channel => "",
            Kind::Topic => "topic:",
        };
        match self.link.direction {
            Direction::Out => format!("out {kind}{name}={key}"),
            Direction::In => format!("in {key}={kind}{name}"),
        }
    }

    fn report(&self, what: &str) {
        eprintln!("shmcomm-bridge: {}: {what}", self.name());
    }

    /// The status line.
    pub fn status(&self) -> String {
        let status = &self.status;
        let state = status.state.lock().map(|state| state.clone());
        let last = match self.link.kind {
            Kind::Channel => format!("{} new epochs", status.epochs.load(Relaxed)),
            Kind::Topic => format!("{} lost", status.lost.load(Relaxed)),
        };
        format!(
            "{}: {}; {} messages, {} bytes, {} unacknowledged, {last}",
            self.name(),
            state.unwrap_or_default(),
            status.messages.load(Relaxed),
            status.bytes.load(Relaxed),
            status.unacknowledged.load(Relaxed),
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
        let mut before = None;
        while !self.is_stopping() {
            let end = match (self.link.kind, self.link.direction) {
                (Kind::Channel, Direction::Out) => self.send(&publisher, &inbox),
                (Kind::Channel, Direction::In) => self.receive(&publisher, &inbox),
                (Kind::Topic, Direction::Out) => self.send_topic(&publisher, &inbox),
                (Kind::Topic, Direction::In) => self.receive_topic(&publisher, &inbox),
            };
            match end {
                Ok(()) => break,
                Err(End::Removed) => {
                    before = None;
                    let what = self.link.kind.what();
                    self.new_epoch(&format!("the {what} was removed: opening it again"));
                }
                Err(End::Failed(what)) => {
                    if before.as_ref() != Some(&what) {
                        self.report(&what);
                        before = Some(what.clone());
                    }
                    self.set_state(|| what);
                    thread::sleep(OPEN_AGAIN * 5);
                }
            }
        }
        Ok(())
    }

    /// Opens the channel or topic, as soon as that is possible. `None` if the link is stopped before.
    fn open<T>(&self, mut once: impl FnMut() -> Result<T, Error>) -> Option<T> {
        let mut before = None;
        while !self.is_stopping() {
            let error = match once() {
                Ok(opened) => return Some(opened),
                Err(error) => error,
            };
            let what = self.cannot_open(&error);
            if before.as_ref() != Some(&what) {
                self.report(&what);
                self.set_state(|| what.clone());
                before = Some(what);
            }
            thread::sleep(OPEN_AGAIN);
        }
        None
    }

    /// Why, and what to do.
    fn cannot_open(&self, error: &Error) -> String {
        let (what, other) = match self.link.kind {
            Kind::Channel => ("channel", "if it is a topic, write topic: before its name"),
            Kind::Topic => ("topic", "if it is a channel, leave topic: out"),
        };
        match error.errno() {
            Errno::EBUSY => format!("another program holds this end of the {what}: stop it"),
            Errno::EBADMSG => {
                format!("not a {what} of this version of the library: remove it, or {other}")
            }
            Errno::EINVAL => {
                format!("not the name of a {what}, or the {what} is smaller than it should be")
            }
            Errno::ENOENT => format!("there is no such {what} yet"),
            _ => error.to_string(),
        }
    }

    fn totals(&self) -> (u64, u64) {
        let Status {
            messages, bytes, ..
        } = &self.status;
        (messages.load(Relaxed), bytes.load(Relaxed))
    }
}

const LONGEST_WAIT: Duration = Duration::from_millis(WAIT_MS as u64);

/// Sends these bytes to the bridges that have subscribed. They miss a lost message by its number.
fn put(publisher: &Publisher, bytes: Vec<u8>) {
    let _ = publisher.put(bytes).wait();
}
