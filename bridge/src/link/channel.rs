//! A link between channels.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use shmcomm::channel::Options;
use shmcomm::{Channel, Name, Side};
use zenoh::pubsub::Publisher;

use super::{Inbox, LONGEST_WAIT, Status, WAIT_MS, Work, put};
use crate::incoming::Incoming;
use crate::message::{Backward, Forward};
use crate::outgoing::{End, Next, Outgoing};
use crate::settings::Direction;

/// How long a drain waits for acknowledgements.
const DRAIN: Duration = Duration::from_secs(10);

impl Work {
    fn open_channel(&self) -> Option<Channel> {
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
        self.open(|| options.open(Name::parse(self.link.name.as_bytes())?))
    }

    /// Moves messages from the channel to the network until it is stopped.
    pub(super) fn send(&self, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let Some(channel) = self.open_channel() else {
            return Ok(());
        };
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

    /// Moves messages from the network into the channel until it is stopped.
    pub(super) fn receive(&self, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let Some(channel) = self.open_channel() else {
            return Ok(());
        };
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
}
