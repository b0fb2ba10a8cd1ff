//! The crate iceoryx2: publish and subscribe, in place.

use std::hint::spin_loop;
use std::time::Duration;

use iceoryx2::config::Config;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::{event, publish_subscribe};
use shmcomm_bench::Result;

use crate::link::{self, Link, Message, slots};
use crate::place::Place;

/// Waits by polling, or by its events.
pub struct Service<const POLLS: bool> {
    name: String,
    prefix: String,
    directory: String,
}

/// By polling.
pub type Polling = Service<true>;
/// By events; where there is no room, by polling all the same.
pub type Blocking = Service<false>;

type Ipc = ipc::Service;
/// More slots make it no faster.
const MOST_SLOTS: usize = 1024;

struct Factories<const WORDS: usize> {
    messages: publish_subscribe::PortFactory<Ipc, Message<WORDS>, ()>,
    events: event::PortFactory<Ipc>,
    _node: Node<Ipc>,
}

impl<const POLLS: bool> Service<POLLS> {
    fn open<const WORDS: usize>(&self) -> Result<Factories<WORDS>> {
        set_log_level(LogLevel::Fatal);
        let mut config = Config::default();
        config.global.prefix = FileName::new(self.prefix.as_bytes())?;
        config
            .global
            .set_root_path(&Path::new(self.directory.as_bytes())?);
        let node = NodeBuilder::new().config(&config).create::<Ipc>()?;
        let name = ServiceName::new(&self.name)?;
        let slots = slots(size_of::<Message<WORDS>>()).min(MOST_SLOTS);
        let messages = node
            .service_builder(&name)
            .publish_subscribe::<Message<WORDS>>()
            .enable_safe_overflow(false)
            .subscriber_max_buffer_size(slots)
            .max_publishers(1)
            .max_subscribers(1)
            .open_or_create()?;
        let events = node.service_builder(&name).event().open_or_create()?;
        Ok(Factories {
            messages,
            events,
            _node: node,
        })
    }
}

struct SenderEnd<const WORDS: usize> {
    publisher: Publisher<Ipc, Message<WORDS>, ()>,
    notifier: Option<Notifier<Ipc>>,
    _factories: Factories<WORDS>,
}

struct ReceiverEnd<const WORDS: usize> {
    subscriber: Subscriber<Ipc, Message<WORDS>, ()>,
    listener: Option<Listener<Ipc>>,
    _factories: Factories<WORDS>,
}

impl<const WORDS: usize> link::Sender<WORDS> for SenderEnd<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let mut sample = self.publisher.loan_uninit()?;
        // SAFETY: words of any value are words, and `write` writes all of them.
        write(unsafe { &mut *sample.payload_mut().as_mut_ptr() });
        // SAFETY: written.
        unsafe { sample.assume_init() }.send()?;
        if let Some(notifier) = &self.notifier {
            notifier.notify()?;
        }
        Ok(())
    }
}

impl<const WORDS: usize> link::Receiver<WORDS> for ReceiverEnd<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(read(sample.payload()));
            }
            match &self.listener {
                Some(listener) => drop(listener.blocking_wait(|_| ())?),
                None => spin_loop(),
            }
        }
    }
}

impl<const WORDS: usize, const POLLS: bool> Link<WORDS> for Service<POLLS> {
    fn new(place: &Place) -> Result<Self> {
        Ok(Self {
            name: place.name(),
            prefix: place.prefix(),
            directory: place.directory().join("iceoryx2").display().to_string(),
        })
    }
    fn sender(&self) -> Result<impl link::Sender<WORDS>> {
        let factories = self.open::<WORDS>()?;
        let publisher = factories
            .messages
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let notifier = match POLLS {
            true => None,
            false => Some(factories.events.notifier_builder().create()?),
        };
        // What is sent before there is a subscriber is lost.
        while factories.messages.dynamic_config().number_of_subscribers() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(SenderEnd {
            publisher,
            notifier,
            _factories: factories,
        })
    }
    fn receiver(&self) -> Result<impl link::Receiver<WORDS>> {
        let factories = self.open::<WORDS>()?;
        let listener = match POLLS {
            true => None,
            false => Some(factories.events.listener_builder().create()?),
        };
        let subscriber = factories.messages.subscriber_builder().create()?;
        Ok(ReceiverEnd {
            subscriber,
            listener,
            _factories: factories,
        })
    }
}
