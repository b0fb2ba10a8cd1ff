//! The target's side of a topic: writes what comes, never an older message after a newer one.

use std::time::{Duration, Instant};

use shmcomm::Topic;

use super::message::{Backward, Forward};
use crate::outgoing::End;

/// The source's side is asked this often what the newest message is.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Without an answer for this long, nobody reads the source.
const SILENCE: Duration = Duration::from_secs(3);

/// The target's side of a topic.
pub struct Target {
    topic: Topic,
    /// That of the next answer that counts. A new one after each answer.
    nonce: u64,
    /// Source and number of the newest message; 0 before the first answer.
    source: u64,
    number: u64,
    ask_at: Option<Instant>,
    heard_at: Option<Instant>,
    /// Messages written since the last acknowledgement.
    is_unacknowledged: bool,
    /// Messages written.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages of the source that did not come or were too long.
    pub lost: u64,
}

impl Target {
    /// Starts with this writer. `nonce` differs from that of every other process.
    pub fn new(topic: Topic, nonce: u64) -> Self {
        Self {
            topic,
            nonce: nonce.max(1),
            source: 0,
            number: 0,
            ask_at: None,
            heard_at: None,
            is_unacknowledged: false,
            messages: 0,
            bytes: 0,
            lost: 0,
        }
    }

    /// Whether a bridge answers that it reads the source.
    pub fn is_linked(&self, now: Instant) -> bool {
        self.heard_at
            .is_some_and(|at| now.saturating_duration_since(at) < SILENCE)
    }

    /// What is to be said now.
    pub fn next(&mut self, now: Instant) -> Result<Option<Backward>, End> {
        let nonce = match self.ask_at.is_none_or(|at| at <= now) {
            true => {
                if self.topic.is_removed() {
                    return Err(End::Removed);
                }
                self.ask_at = Some(now + ASK_AGAIN);
                self.nonce
            }
            false if self.is_unacknowledged => 0,
            false => return Ok(None),
        };
        self.is_unacknowledged = false;
        Ok(Some(Backward::Have {
            nonce,
            source: self.source,
            number: self.number,
        }))
    }

    /// Takes a message. Returns the answer.
    pub fn receive(&mut self, message: Forward<'_>, now: Instant) -> Result<Option<Backward>, End> {
        match message {
            Forward::State {
                nonce,
                source,
                number,
                ..
            } if nonce == self.nonce => {
                self.heard_at = Some(now);
                self.nonce = self.nonce.wrapping_add(1).max(1);
                if source != self.source {
                    self.source = source;
                    // The message with this number is not older than any in the target.
                    self.number = number.saturating_sub(1);
                }
                Ok((number > self.number).then_some(Backward::Want))
            }
            Forward::Value {
                source,
                number,
                message,
            } if source == self.source && number > self.number => {
                self.lost = self.lost.saturating_add(number - self.number - 1);
                self.number = number;
                self.is_unacknowledged = true;
                if message.len() > self.topic.max_message() {
                    self.lost = self.lost.saturating_add(1);
                    return Err(End::Failed(format!(
                        "a message of {} bytes is longer than the topic's longest, {}: remove the topic",
                        message.len(),
                        self.topic.max_message()
                    )));
                }
                self.topic.write(message)?;
                self.messages += 1;
                self.bytes += message.len() as u64;
                Ok(None)
            }
            Forward::Value { source, .. } if source != self.source => {
                // A new source.
                self.ask_at = self.ask_at.min(Some(now));
                Ok(None)
            }
            // Late, or it came twice.
            _ => Ok(None),
        }
    }
}
