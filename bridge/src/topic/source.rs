//! The source's side of a topic: reads it and sends what it reads, as long as the target's side keeps
//! pace, and else the newest message.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use shmcomm::{Errno, Topic};

use super::message::{Backward, Forward};
use crate::outgoing::{End, Next};

/// Bytes that may be under way. One message may be longer. Little, so that a slow connection carries the
/// newest message and not a queue of old ones.
const WINDOW: usize = 64 << 10;
/// What a message costs on the way besides its own bytes, about.
const OVERHEAD: usize = 64;
/// Without a report for this long no bridge has a target. They report at least every 500 ms.
const SILENCE: Duration = Duration::from_secs(3);

/// The source's side of a topic.
pub struct Source {
    topic: Topic,
    /// A random number, so that messages of this source are never taken for those of another one.
    identity: u64,
    max_message: u64,
    depth: u64,
    buffer: Vec<u8>,
    /// The last message that was read and sent.
    newest: Vec<u8>,
    /// Its number, 0 before the first.
    number: u64,
    /// Number and bytes of each message under way.
    under_way: VecDeque<(u64, usize)>,
    heard_at: Option<Instant>,
    /// Messages were not read in time: go on with the newest.
    is_behind: bool,
    /// Messages sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that were never sent, since newer ones came before.
    pub lost: u64,
}

impl Source {
    /// Starts with this reader. No other process has this `identity`.
    pub fn new(topic: Topic, identity: u64) -> Result<Self, End> {
        let info = topic.info()?;
        Ok(Self {
            buffer: vec![0; topic.max_message()],
            topic,
            identity,
            max_message: info.max_message,
            depth: info.depth,
            newest: Vec::new(),
            number: 0,
            under_way: VecDeque::new(),
            heard_at: None,
            is_behind: true,
            messages: 0,
            bytes: 0,
            lost: 0,
        })
    }

    /// That of its messages.
    #[cfg(test)]
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Number of messages under way.
    pub fn unacknowledged(&self) -> u64 {
        self.under_way.len() as u64
    }

    /// Whether a bridge reports that it writes a target.
    pub fn is_linked(&self, now: Instant) -> bool {
        self.heard_at
            .is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// What to do now. Waits in the topic for at most this number of milliseconds.
    pub fn next(&mut self, now: Instant, wait_ms: c_int) -> Result<Next, End> {
        let under_way: usize = self.under_way.iter().map(|(_, bytes)| bytes).sum();
        if !self.is_linked(now) || under_way >= WINDOW {
            self.is_behind = true;
            return Ok(Next::Wait(Duration::from_millis(wait_ms as u64)));
        }
        match self.read(wait_ms)? {
            true => Ok(Next::Send(self.message())),
            false => Ok(Next::Wait(Duration::ZERO)),
        }
    }

    /// Takes a report of a target's side. Returns the answer.
    pub fn receive(&mut self, report: Backward, now: Instant) -> Result<Option<Vec<u8>>, End> {
        self.heard_at = Some(now);
        let Backward::Have {
            nonce,
            source,
            number,
        } = report
        else {
            // What was under way came before the state that made the other side ask, or is lost.
            self.under_way.clear();
            self.is_behind = true;
            self.read(0)?;
            return Ok((self.number != 0).then(|| self.message()));
        };
        if source == self.identity {
            self.under_way.retain(|(sent, _)| *sent > number);
        }
        let state = Forward::State {
            nonce,
            source: self.identity,
            number: self.number,
            max_message: self.max_message,
            depth: self.depth,
        };
        Ok((nonce != 0).then(|| state.encode()))
    }

    /// The last message read, to be sent.
    fn message(&mut self) -> Vec<u8> {
        let length = self.newest.len();
        self.under_way.push_back((self.number, length + OVERHEAD));
        self.messages += 1;
        self.bytes += length as u64;
        let value = Forward::Value {
            source: self.identity,
            number: self.number,
            message: &self.newest,
        };
        value.encode()
    }

    /// Reads the next message, or the newest one. Whether there is one.
    fn read(&mut self, wait_ms: c_int) -> Result<bool, End> {
        if self.is_behind {
            self.skip()?;
        }
        match self.topic.read(&mut self.buffer, wait_ms) {
            Ok(message) => {
                self.lost += message.lost;
                self.number = message.number;
                self.newest.clear();
                self.newest
                    .extend(self.buffer.get(..message.length).unwrap_or_default());
                Ok(true)
            }
            Err(error) => none(error),
        }
    }

    /// Goes on to the newest message.
    fn skip(&mut self) -> Result<(), End> {
        let written = self.topic.info()?.written;
        loop {
            let message = match self.topic.peek(0) {
                Ok((_, message)) => message,
                Err(error) => {
                    self.is_behind = false;
                    return none(error).map(drop);
                }
            };
            self.lost += message.lost;
            if message.number >= written {
                self.is_behind = false;
                return Ok(());
            }
            match self.topic.release() {
                Ok(()) => self.lost += 1,
                Err(error) if error.errno() == Errno::ESTALE => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// No message now, unless the error is another one.
fn none(error: shmcomm::Error) -> Result<bool, End> {
    match error.errno() {
        Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EPIPE => Ok(false),
        Errno::EIDRM => Err(End::Removed),
        _ => Err(error.into()),
    }
}
