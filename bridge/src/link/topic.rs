//! A link between topics.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use shmcomm::topic::Options;
use shmcomm::{Errno, Name, Side, Topic};
use zenoh::pubsub::Publisher;

use super::{Inbox, LONGEST_WAIT, WAIT_MS, Work, put};
use crate::outgoing::{End, Next};
use crate::topic::{Backward, Forward, Source, Target};

impl Work {
    /// Moves messages from the topic to the network until it is stopped.
    pub(super) fn send_topic(&self, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let options = Options::new(Side::Receiver);
        let open = || options.open(Name::parse(self.link.name.as_bytes())?);
        let Some(topic) = self.open(open) else {
            return Ok(());
        };
        let mut source = Source::new(topic, crate::random())?;
        let (messages, bytes) = self.totals();
        let lost = self.status.lost.load(Relaxed);
        while !self.is_stopping() {
            let mut received = inbox.try_recv().ok();
            if received.is_none() {
                match source.next(Instant::now(), WAIT_MS)? {
                    Next::Send(bytes) => put(publisher, bytes),
                    Next::Wait(time) => received = inbox.recv_timeout(time).ok(),
                }
            }
            if let Some(report) = received.as_deref().and_then(Backward::decode)
                && let Some(answer) = source.receive(report, Instant::now())?
            {
                put(publisher, answer);
            }
            let status = &self.status;
            status.messages.store(messages + source.messages, Relaxed);
            status.bytes.store(bytes + source.bytes, Relaxed);
            status.lost.store(lost + source.lost, Relaxed);
            let unacknowledged = source.unacknowledged();
            status.unacknowledged.store(unacknowledged, Relaxed);
            self.set_link_state(source.is_linked(Instant::now()));
        }
        Ok(())
    }

    /// Moves messages from the network to the topic until it is stopped.
    pub(super) fn receive_topic(&self, publisher: &Publisher, inbox: &Inbox) -> Result<(), End> {
        let Some(topic) = self.open_target(publisher, inbox) else {
            return Ok(());
        };
        let mut target = Target::new(topic, crate::random());
        let (messages, bytes) = self.totals();
        let lost = self.status.lost.load(Relaxed);
        while !self.is_stopping() {
            if let Some(report) = target.next(Instant::now())? {
                put(publisher, report.encode());
            }
            let first = inbox.recv_timeout(LONGEST_WAIT).ok();
            let others = std::iter::from_fn(|| inbox.try_recv().ok());
            for message in first.into_iter().chain(others) {
                let Some(message) = Forward::decode(&message) else {
                    continue;
                };
                if let Some(answer) = target.receive(message, Instant::now())? {
                    put(publisher, answer.encode());
                }
            }
            let status = &self.status;
            status.messages.store(messages + target.messages, Relaxed);
            status.bytes.store(bytes + target.bytes, Relaxed);
            status.lost.store(lost + target.lost, Relaxed);
            self.set_link_state(target.is_linked(Instant::now()));
        }
        Ok(())
    }

    /// Opens the target. A new one is like the source, which the other bridge describes.
    fn open_target(&self, publisher: &Publisher, inbox: &Inbox) -> Option<Topic> {
        let options = Options {
            mode: self.link.mode,
            ..Options::new(Side::Sender)
        };
        self.open(|| {
            let name = Name::parse(self.link.name.as_bytes())?;
            match options.open(name) {
                Err(error) if error.errno() == Errno::ENOENT => {}
                opened => return opened,
            }
            // Any nonce: the answer is not used for anything else.
            let question = Backward::Have {
                nonce: 1,
                source: 0,
                number: 0,
            };
            put(publisher, question.encode());
            let mut answer = inbox.recv_timeout(LONGEST_WAIT * 5).ok();
            while let Some(bytes) = answer {
                if let Some(Forward::State {
                    max_message, depth, ..
                }) = Forward::decode(&bytes)
                {
                    let like_source = Options {
                        max_message: usize::try_from(max_message).unwrap_or(usize::MAX),
                        depth: usize::try_from(depth).unwrap_or(usize::MAX),
                        create: true,
                        ..options
                    };
                    return like_source.open(name);
                }
                answer = inbox.try_recv().ok();
            }
            options.open(name)
        })
    }

    fn set_link_state(&self, is_linked: bool) {
        self.set_state(|| match is_linked {
            true => "linked".into(),
            false => "looking for the other bridge".into(),
        });
    }
}
