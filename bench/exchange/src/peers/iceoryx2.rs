//! The crate iceoryx2: publish and subscribe, in place.

use std::any::Any;
use std::hint::spin_loop;
use std::thread::sleep;
use std::time::Duration;

use iceoryx2::config::Config;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use shmcomm_bench::Result;
use shmcomm_bench::scratch::Scratch;

use crate::peer::{Message, Peer, Side};

pub type Ipc = ipc::Service;
/// More slots make it no faster.
const MAX_SLOTS: usize = 1024;

/// A node whose objects have this prefix, and whose files are in this directory.
pub fn node(prefix: &str, directory: &str) -> Result<Node<Ipc>> {
    set_log_level(LogLevel::Fatal);
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix.as_bytes())?;
    config
        .global
        .set_root_path(&Path::new(directory.as_bytes())?);
    Ok(NodeBuilder::new().config(&config).create::<Ipc>()?)
}

/// Waits by polling, or by its events, `IN_WAITSET` in a WaitSet; where there is no room, by polling all the same.
pub struct Service<const POLLS: bool, const IN_WAITSET: bool, const WORDS: usize> {
    names: [String; 3],
    slots: usize,
    publisher: Option<Publisher<Ipc, Message<WORDS>, ()>>,
    subscriber: Option<Subscriber<Ipc, Message<WORDS>, ()>>,
    notifier: Option<Notifier<Ipc>>,
    listener: Option<&'static Listener<Ipc>>,
    wait_set: Option<&'static WaitSet<Ipc>>,
    /// Node and factories, without which other processes take the ports for those of a dead node.
    factories: Option<Box<dyn Any>>,
}

impl<const POLLS: bool, const IN_WAITSET: bool, const WORDS: usize> Peer<WORDS>
    for Service<POLLS, IN_WAITSET, WORDS>
{
    fn new(scratch: &Scratch, ring: usize) -> Result<Self> {
        let directory = scratch.directory().join("iceoryx2").display().to_string();
        Ok(Self {
            names: [scratch.name(), scratch.prefix(), directory],
            slots: (ring / (8 * WORDS)).min(MAX_SLOTS),
            publisher: None,
            subscriber: None,
            notifier: None,
            listener: None,
            wait_set: None,
            factories: None,
        })
    }
    fn open(&mut self, side: Side) -> Result<()> {
        let [name, prefix, directory] = &self.names;
        let node = node(prefix, directory)?;
        let name = ServiceName::new(name)?;
        let messages = node
            .service_builder(&name)
            .publish_subscribe::<Message<WORDS>>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(self.slots)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()?;
        let events = node.service_builder(&name).event().open_or_create()?;
        if side == Side::Receiver {
            if !POLLS {
                // The set refers to the listener until the process exits.
                let listener = &*Box::leak(Box::new(events.listener_builder().create()?));
                self.listener = Some(listener);
                if IN_WAITSET {
                    let wait_set = WaitSetBuilder::new().create::<Ipc>()?;
                    let wait_set = &*Box::leak(Box::new(wait_set));
                    Box::leak(Box::new(wait_set.attach_notification(listener)?));
                    self.wait_set = Some(wait_set);
                }
            }
            self.subscriber = Some(messages.subscriber_builder().create()?);
            self.factories = Some(Box::new((messages, events, node)));
            return Ok(());
        }
        let publisher = messages.publisher_builder();
        let publisher = publisher.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
        self.publisher = Some(publisher.create()?);
        if !POLLS {
            self.notifier = Some(events.notifier_builder().create()?);
        }
        // What is sent before there is a subscriber is lost.
        while messages.dynamic_config().number_of_subscribers() == 0 {
            sleep(Duration::from_millis(1));
        }
        self.factories = Some(Box::new((messages, events, node)));
        Ok(())
    }
    fn close(&mut self) {
        (self.publisher, self.subscriber) = (None, None);
        (self.notifier, self.listener) = (None, None);
        self.factories = None;
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let mut sample = self.publisher.as_ref().ok_or("not open")?.loan_uninit()?;
        // SAFETY: words of any value are words, and `write` writes all of them.
        write(unsafe { &mut *sample.payload_mut().as_mut_ptr() });
        // SAFETY: written.
        unsafe { sample.assume_init() }.send()?;
        if let Some(notifier) = &self.notifier {
            notifier.notify()?;
        }
        Ok(())
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let subscriber = self.subscriber.as_ref().ok_or("not open")?;
        loop {
            if let Some(sample) = subscriber.receive()? {
                return Ok(read(sample.payload()));
            }
            match (self.listener, self.wait_set) {
                (Some(listener), Some(wait_set)) => {
                    wait_set.wait_and_process_once(|_| {
                        let _ = listener.try_wait(|_| ());
                        CallbackProgression::Continue
                    })?;
                }
                (Some(listener), None) => drop(listener.blocking_wait(|_| ())?),
                (None, _) => spin_loop(),
            }
        }
    }
}
