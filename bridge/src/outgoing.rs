//! The source's side of a link: reads ahead in the local channel, sends, and releases what the target's
//! side has accepted. Knows nothing of the network: it makes messages and is given answers.
//!
//! | state | on | does |
//! |---|---|---|
//! | greeting | time | says hello, again after a while |
//! | | welcome with its nonce | releases what is accepted, reads the rest again: linked |
//! | linked | messages, and room in the window | sends them |
//! | | progress | releases what is accepted |
//! | | ask; another target; silence while messages are unacknowledged | greeting |
//!
//! A message is named by the identity of its channel and its number there, for ever. So a message that
//! is late or arrives twice is harmless, and an answer that is late is still true.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use shmcomm::channel::ReadAhead;
use shmcomm::{Channel, Errno, Error};

use crate::message::{Backward, BatchWriter, Forward};

/// Between two hellos: the first, doubled up to the last.
const HELLO_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// Without an answer for this long, unacknowledged messages may be lost. The target's side answers at
/// least every 500 ms while its channel is full.
const SILENCE: Duration = Duration::from_secs(2);
/// Messages are sent together up to about this number of bytes.
const BATCH: usize = 64 << 10;
/// How long to wait for a message while others are unacknowledged, so that answers are looked at.
const BETWEEN_ANSWERS_MS: c_int = 2;

/// Why a link cannot go on with its channel.
#[derive(PartialEq, Eq, Debug)]
pub enum End {
    /// The channel's name is removed; open it again.
    Removed,
    /// The channel cannot be used.
    Failed(String),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What to do next.
#[derive(PartialEq, Eq, Debug)]
pub enum Next {
    /// Send these bytes to the target's side.
    Send(Vec<u8>),
    /// Wait for an answer for this long at most.
    Wait(Duration),
}

enum State {
    Greeting {
        again_at: Option<Instant>,
        pause: Duration,
    },
    Linked {
        target: u64,
        heard_at: Instant,
    },
}

impl State {
    const GREETING: Self = Self::Greeting {
        again_at: None,
        pause: HELLO_AGAIN[0],
    };
}

/// The source's side of a link.
pub struct Outgoing {
    ahead: ReadAhead,
    window: u64,
    state: State,
    /// That of the last greeting.
    nonce: u64,
    /// The target of the last link.
    target: Option<u64>,
    /// Messages released because the target's side has accepted them.
    pub messages: u64,
    /// Their bytes, with the channel's length words.
    pub bytes: u64,
    /// Read no more messages.
    pub is_draining: bool,
}

impl Outgoing {
    /// Starts with this channel. `window`: bytes that may be unacknowledged; `None` is a quarter of the
    /// ring. `nonce` differs from that of every other process.
    pub fn new(channel: Channel, window: Option<u64>, nonce: u64) -> Result<Self, End> {
        if channel.identity() == 0 {
            return Err(End::Failed(crate::NO_IDENTITY.into()));
        }
        let window = window.unwrap_or(channel.info()?.capacity / 4).max(1);
        Ok(Self {
            ahead: ReadAhead::new(channel)?,
            window,
            state: State::GREETING,
            nonce,
            target: None,
            messages: 0,
            bytes: 0,
            is_draining: false,
        })
    }

    fn source(&self) -> u64 {
        self.ahead.channel().identity()
    }

    /// Number of messages that were sent and not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.ahead.read().wrapping_sub(self.ahead.released())
    }

    /// Their bytes, with the channel's length words.
    #[cfg(test)]
    pub fn unacknowledged_bytes(&mut self) -> u64 {
        self.ahead.unreleased_bytes()
    }

    /// The identity of the target, while linked.
    pub fn target(&self) -> Option<u64> {
        match self.state {
            State::Linked { target, .. } => Some(target),
            State::Greeting { .. } => None,
        }
    }

    fn greet(&mut self) {
        if let State::Linked { .. } = self.state {
            self.nonce = self.nonce.wrapping_add(1);
            self.state = State::GREETING;
        }
    }

    /// What to do now. Waits in the channel for at most this number of milliseconds.
    pub fn next(&mut self, now: Instant, wait_ms: c_int) -> Result<Next, End> {
        if let State::Linked { heard_at, .. } = self.state {
            let silence = now.saturating_duration_since(heard_at);
            if self.unacknowledged() != 0 && silence > SILENCE {
                self.greet();
            }
        }
        let (source, released) = (self.source(), self.ahead.released());
        match &mut self.state {
            State::Greeting { again_at, pause } => {
                match again_at.map(|at| at.saturating_duration_since(now)) {
                    Some(left) if !left.is_zero() => Ok(Next::Wait(left)),
                    _ => {
                        *again_at = Some(now + *pause);
                        *pause = (*pause * 2).min(HELLO_AGAIN[1]);
                        Ok(Next::Send(Forward::hello(source, self.nonce, released)))
                    }
                }
            }
            State::Linked { heard_at, .. } => {
                if released == self.ahead.read() {
                    // Silence counts from the first message on.
                    *heard_at = now;
                }
                self.read(wait_ms)
            }
        }
    }

    fn read(&mut self, wait_ms: c_int) -> Result<Next, End> {
        let has_unacknowledged = self.unacknowledged() != 0;
        let wait = Ok(Next::Wait(Duration::from_millis(wait_ms as u64)));
        if self.is_draining || self.ahead.unreleased_bytes() >= self.window {
            return wait;
        }
        let timeout = match has_unacknowledged {
            true => wait_ms.min(BETWEEN_ANSWERS_MS),
            false => wait_ms,
        };
        let mut found = match self.ahead.peek(timeout) {
            Ok(found) => found,
            Err(error) => match error.errno() {
                Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EPIPE => {
                    return Ok(Next::Wait(Duration::ZERO));
                }
                Errno::EIDRM if has_unacknowledged => return wait,
                Errno::EIDRM => return Err(End::Removed),
                _ => return Err(error.into()),
            },
        };
        if has_unacknowledged && !self.fits(found.1) {
            return wait;
        }
        let number = self.ahead.read().wrapping_add(1);
        let mut batch = BatchWriter::new(self.source(), number);
        loop {
            let (message, length) = found;
            let copy = batch.append(length).as_mut_ptr();
            // SAFETY: `length` bytes are mapped there until the message is released, and the copy has
            // that many.
            unsafe { copy.copy_from_nonoverlapping(message.as_ptr(), length) };
            self.ahead.advance()?;
            found = match self.ahead.peek(0) {
                Ok(found) if batch.len() + found.1 <= BATCH && self.fits(found.1) => found,
                // What else there is to say, the next call finds out.
                _ => break,
            };
        }
        Ok(Next::Send(batch.finish()))
    }

    /// Whether the window has room for a message of this length. One that is longer than the window goes
    /// alone.
    fn fits(&mut self, length: usize) -> bool {
        let record = (length as u64).saturating_add(16);
        self.ahead.unreleased_bytes().saturating_add(record) <= self.window
    }

    /// Takes an answer. Returns what the user should know.
    pub fn receive(&mut self, answer: Backward, now: Instant) -> Result<Option<String>, End> {
        let own = self.source();
        match (answer, &mut self.state) {
            (
                Backward::Welcome {
                    source,
                    nonce,
                    target,
                    accepted,
                },
                State::Greeting { .. },
            ) if source == own && nonce == self.nonce => {
                self.ahead.rewind()?;
                self.release(accepted)?;
                self.ahead.rewind()?;
                self.state = State::Linked {
                    target,
                    heard_at: now,
                };
                let before = self.target.replace(target);
                Ok(before
                    .is_some_and(|before| before != target)
                    .then(|| "the target is another channel now: a new epoch".into()))
            }
            (
                Backward::Progress {
                    source,
                    target,
                    accepted,
                },
                State::Linked {
                    target: linked,
                    heard_at,
                },
            ) if source == own => {
                match target == *linked {
                    true => {
                        *heard_at = now;
                        self.release(accepted)?;
                    }
                    false => self.greet(),
                }
                Ok(None)
            }
            (Backward::Ask { source }, State::Linked { .. }) if source == own => {
                self.greet();
                Ok(None)
            }
            // Late.
            _ => Ok(None),
        }
    }

    /// Releases the messages up to this number. A predecessor may have read them.
    fn release(&mut self, accepted: u64) -> Result<(), End> {
        // Answers that overtook each other.
        if accepted.wrapping_sub(self.ahead.released()) > u64::MAX / 2 {
            return Ok(());
        }
        while self.ahead.released() != accepted {
            if self.unacknowledged() == 0 {
                match self.ahead.peek(0) {
                    Err(error) if error.errno() == Errno::EAGAIN => {
                        let claim = "the target's side has accepted more than was ever sent";
                        return Err(End::Failed(format!("{claim}: remove the target channel")));
                    }
                    found => found?,
                };
                self.ahead.advance()?;
            }
            let before = self.ahead.unreleased_bytes();
            self.ahead.release()?;
            self.messages += 1;
            self.bytes += before.saturating_sub(self.ahead.unreleased_bytes());
        }
        Ok(())
    }
}
