//! The target's side of a link: accepts each message of the source once and in order, and sends it into
//! the local channel. Knows nothing of the network: it is given messages and makes answers.
//!
//! The next message is the one with the number `sent + base + 1`: `sent` is the channel's own count,
//! which changes in one store with the message, and `base` is in its [`Origin`]. So a process that is
//! killed at any instruction leaves the right number to the next one, and nothing is kept elsewhere.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use shmcomm::channel::Origin;
use shmcomm::{Channel, Errno};

use crate::message::{Backward, Batch, Forward};
use crate::outgoing::End;

/// While the channel is full, the source's side hears of it this often.
const STILL_HERE: Duration = Duration::from_millis(500);
/// Another source is accepted when the present one has been silent for this long. A hello that was under
/// way for long must not bring back a source that was replaced.
const SOURCE_SILENT: Duration = Duration::from_secs(3);
/// Batches that may wait for room. The source's side sends no more than its window, so that more come
/// from a misbehaving one.
const MAX_WAITING: usize = 4096;

/// The target's side of a link.
pub struct Incoming {
    channel: Channel,
    /// Number of messages in the channel since its creation.
    sent: u64,
    waiting: VecDeque<Batch>,
    /// When the present source was heard of last, and when it was last answered.
    heard_at: Option<Instant>,
    answered_at: Option<Instant>,
    /// Messages accepted.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The channel was full at the last attempt.
    pub is_full: bool,
}

impl Incoming {
    /// Starts with this channel, whose sender was opened to keep the origin.
    pub fn new(channel: Channel) -> Result<Self, End> {
        if channel.identity() == 0 {
            return Err(End::Failed(crate::NO_IDENTITY.into()));
        }
        let sent = channel.info()?.sent;
        Ok(Self {
            channel,
            sent,
            waiting: VecDeque::new(),
            heard_at: None,
            answered_at: None,
            messages: 0,
            bytes: 0,
            is_full: false,
        })
    }

    /// The origin, if it is this source.
    fn origin(&self, source: u64) -> Option<Origin> {
        let origin = self.channel.origin()?;
        (origin.identity == source).then_some(origin)
    }

    fn accepted(&self, origin: Origin) -> u64 {
        self.sent.wrapping_add(origin.base)
    }

    /// Whether messages wait for room.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The identities of source and target.
    pub fn identities(&self) -> (Option<u64>, u64) {
        let origin = self.channel.origin();
        (
            origin.map(|origin| origin.identity),
            self.channel.identity(),
        )
    }

    /// Takes a message. Returns the answer, and what the user should know.
    pub fn receive(
        &mut self,
        message: Forward,
        now: Instant,
    ) -> Result<(Option<Backward>, Option<String>), End> {
        match message {
            Forward::Hello {
                source,
                nonce,
                released,
            } => self.welcome(source, nonce, released, now),
            Forward::Data(batch) => {
                if self.origin(batch.source).is_none() {
                    let source = batch.source;
                    return Ok((Some(Backward::Ask { source }), None));
                }
                self.heard_at = Some(now);
                if self.waiting.len() < MAX_WAITING {
                    self.waiting.push_back(batch);
                }
                Ok((None, None))
            }
        }
    }

    fn welcome(
        &mut self,
        source: u64,
        nonce: u64,
        released: u64,
        now: Instant,
    ) -> Result<(Option<Backward>, Option<String>), End> {
        let fresh = Origin {
            identity: source,
            base: released.wrapping_sub(self.sent),
        };
        let (origin, report) = match self.channel.origin() {
            Some(origin) if origin.identity != source => {
                let silent = self.heard_at.map(|at| now.saturating_duration_since(at));
                if silent.is_some_and(|silent| silent < SOURCE_SILENT) {
                    return Ok((None, None));
                }
                let what = "the source is another channel now: a new epoch";
                (fresh, Some(what.to_owned()))
            }
            Some(origin) => match released.wrapping_sub(self.accepted(origin)) {
                0 => (origin, None),
                // The source's side has not heard of what was accepted last.
                behind if behind > u64::MAX / 2 => (origin, None),
                missing => {
                    let what = "were received at the source by another program";
                    (fresh, Some(format!("{missing} messages {what}")))
                }
            },
            None if self.sent != 0 => {
                let what = "the channel holds messages of other senders: a new epoch";
                (fresh, Some(what.to_owned()))
            }
            None => (fresh, None),
        };
        if self.channel.origin() != Some(origin) {
            self.channel.set_origin(origin)?;
        }
        // What waits will be sent again.
        self.waiting.clear();
        self.heard_at = Some(now);
        let welcome = Backward::Welcome {
            source,
            nonce,
            target: self.channel.identity(),
            accepted: self.accepted(origin),
        };
        Ok((Some(welcome), report))
    }

    /// Sends what waits into the channel. Waits for room for at most this number of milliseconds.
    /// Returns the answer.
    pub fn deliver(&mut self, now: Instant, wait_ms: c_int) -> Result<Option<Backward>, End> {
        self.check_name()?;
        let before = self.sent;
        let Some(batch) = self.waiting.front_mut() else {
            self.is_full = false;
            return Ok(None);
        };
        let source = batch.source;
        let origin = self.channel.origin();
        let Some(origin) = origin.filter(|origin| origin.identity == source) else {
            self.waiting.pop_front();
            return Ok(Some(Backward::Ask { source }));
        };
        self.is_full = false;
        while let Some(message) = batch.first() {
            let expected = self.sent.wrapping_add(origin.base).wrapping_add(1);
            match batch.number.wrapping_sub(expected) {
                0 => {}
                // It came twice.
                behind if behind > u64::MAX / 2 => {
                    batch.advance();
                    continue;
                }
                _ => {
                    self.waiting.pop_front();
                    return Ok(Some(Backward::Ask { source }));
                }
            }
            let timeout = if self.sent == before { wait_ms } else { 0 };
            match self.channel.send(message, timeout) {
                Ok(()) => {
                    self.sent = self.sent.wrapping_add(1);
                    self.messages += 1;
                    self.bytes += message.len() as u64;
                    batch.advance();
                }
                Err(error) => match error.errno() {
                    Errno::EAGAIN | Errno::ETIMEDOUT | Errno::EPIPE | Errno::EIDRM => {
                        self.is_full = true;
                        break;
                    }
                    Errno::EMSGSIZE => {
                        return Err(End::Failed(format!(
                            "a message of {} bytes is longer than the channel's longest, {}: create the \
                             channel with a larger capacity",
                            message.len(),
                            self.channel.max_message()
                        )));
                    }
                    _ => return Err(error.into()),
                },
            }
        }
        if !self.is_full {
            self.waiting.pop_front();
        }
        let answered = self.answered_at.map(|at| now.saturating_duration_since(at));
        if self.sent == before && self.is_full && answered.is_some_and(|since| since < STILL_HERE) {
            return Ok(None);
        }
        self.answered_at = Some(now);
        Ok(Some(Backward::Progress {
            source,
            target: self.channel.identity(),
            accepted: self.accepted(origin),
        }))
    }

    /// Fails if no program can receive what is sent into the channel.
    fn check_name(&self) -> Result<(), End> {
        match self.channel.is_removed() && !self.channel.info()?.receiver_alive {
            true => Err(End::Removed),
            false => Ok(()),
        }
    }
}
