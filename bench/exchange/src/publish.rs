//! The topic beside iceoryx2's publish and subscribe: one writer, and readers that run at full speed.

use std::any::Any;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::sleep;
use std::time::{Duration, Instant};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use shmcomm_bench::distance::{Samples, rounds};
use shmcomm_bench::process::Process;
use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::shared::Shared;
use shmcomm_bench::table::Table;
use shmcomm_bench::{Result, Run, checked, compile, failed, library};

use crate::peer::Message;
use crate::peers::iceoryx2::{Ipc, node};

// As include/shmcomm.h has them.
const SHMC_CREATE: c_int = 1;
const SHMC_SEND: c_int = 256;
const SHMC_RECV: c_int = 512;

library! { Api {
    open = c"shmc_topic_open"(*const c_char, usize, c_uint, c_int, u32) -> *mut c_void;
    begin = c"shmc_topic_begin"(*mut c_void) -> *mut c_void;
    publish = c"shmc_topic_publish"(*mut c_void, usize) -> c_int;
    peek = c"shmc_topic_peek"(*mut c_void, &mut usize, *mut u64, c_int) -> *const c_void;
    release = c"shmc_topic_release"(*mut c_void) -> c_int;
} }

/// Messages that a topic keeps, and a subscriber's queue.
const DEPTH: usize = 256;
const TIME: Duration = Duration::from_millis(200);
/// Operations between two looks at the clock.
const BATCH: u32 = 100;
const READERS: [usize; 3] = [1, 4, 16];
const SIZES: [&str; 2] = ["64 B", "4 KiB"];
const SYSTEMS: [&str; 2] = ["`shmc_topic`", "iceoryx2"];

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Topics beside iceoryx2");
    let mut table = Table::new(["in place", "write, ns", "read by each, k/s", "lost, %"]);
    for (size, readers) in SIZES.iter().flat_map(|size| READERS.map(|n| (size, n))) {
        let s = if readers == 1 { "" } else { "s" };
        table.rows(SYSTEMS.map(|system| format!("{size}, {readers} reader{s}: {system}")));
    }
    let rows = SIZES.len() * READERS.len() * SYSTEMS.len();
    for (title, table) in rounds(run, &table, rows, |row, samples| {
        let (readers, system) = (READERS[row / 2 % READERS.len()], row % 2);
        match (row / 2 / READERS.len(), system) {
            (0, 0) => one::<Topic, 8>(run, row, readers, samples),
            (0, _) => one::<Service<8>, 8>(run, row, readers, samples),
            (_, 0) => one::<Topic, 512>(run, row, readers, samples),
            (_, _) => one::<Service<512>, 512>(run, row, readers, samples),
        }
    })? {
        println!("\n### Topics beside iceoryx2, {title}");
        table.print();
    }
    println!(
        "\nOne writer on a core, all readers on the other, all at full speed; every byte of a message is \
         written and read in place. Both systems keep the last {DEPTH} messages. Lost: of the messages up \
         to the last that a reader has read, those that it has not."
    );
    Ok(())
}

/// A way from one writer to several readers. It is created before they start; each opens its own end.
trait Publication<const WORDS: usize>: Sized {
    fn new(scratch: &Scratch) -> Result<Self>;
    /// Opens the writer's end, once that many readers are there.
    fn open_writer(&mut self, readers: usize) -> Result<()>;
    fn open_reader(&mut self) -> Result<()>;
    fn write(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()>;
    /// The next message; `None` if there is none, or it was overwritten.
    fn read<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<Option<T>>;
    /// Closes what an exit of the process would leave.
    fn close(&mut self) {}
}

/// Measures a row.
fn one<P: Publication<WORDS>, const WORDS: usize>(
    run: &Run,
    row: usize,
    readers: usize,
    samples: &mut Samples,
) -> Result<()> {
    let mut publication = P::new(&run.scratch)?;
    // SAFETY: zeros are an atomic.
    let ready: Shared<AtomicU32> = unsafe { Shared::zeroed()? };
    let all = readers as u32 + 1;
    let wait_for_all = || {
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < all {
            sleep(Duration::from_millis(1));
        }
        Instant::now()
    };
    let started: Vec<_> = (0..readers)
        .map(|_| {
            Process::start(1, || {
                publication.open_reader()?;
                let start = wait_for_all();
                let (mut read, mut first, mut last) = (0_u64, 0, 0);
                while start.elapsed() < TIME {
                    for _ in 0..BATCH {
                        let number = publication.read(|message| {
                            black_box(message.iter().fold(0, |sum, word| sum ^ word));
                            message[0]
                        })?;
                        if let Some(number) = number {
                            first = if read == 0 { number } else { first };
                            (read, last) = (read + 1, number);
                        }
                    }
                }
                publication.close();
                let sent = (last + 1 - first).max(read);
                Ok(vec![read as f64, (sent - read) as f64 / sent.max(1) as f64])
            })
        })
        .collect::<Result<_>>()?;
    let writer = Process::start(0, || {
        publication.open_writer(readers)?;
        let start = wait_for_all();
        let mut written = 0_u64;
        while start.elapsed() < TIME {
            for _ in 0..BATCH {
                written += 1;
                publication.write(|message| message.fill(written))?;
            }
        }
        let time = start.elapsed();
        publication.close();
        Ok(vec![time.as_nanos() as f64 / written as f64])
    })?;
    samples.push((row, 1, writer.finish()?[0]));
    for reader in started {
        let numbers = reader.finish()?;
        samples.push((row, 2, numbers[0] / TIME.as_millis() as f64));
        samples.push((row, 3, 100.0 * numbers[1]));
    }
    Ok(())
}

/// Our topic, as a C program uses it.
struct Topic {
    api: &'static Api,
    name: CString,
    end: *mut c_void,
}

impl Topic {
    fn open(&mut self, flags: c_int, max_message: usize) -> Result<()> {
        let depth = if max_message == 0 { 0 } else { DEPTH as c_uint };
        self.end = (self.api.open)(self.name.as_ptr(), max_message, depth, flags, 0o600);
        match self.end.is_null() {
            true => failed("shmc_topic_open"),
            false => Ok(()),
        }
    }
}

impl<const WORDS: usize> Publication<WORDS> for Topic {
    fn new(scratch: &Scratch) -> Result<Self> {
        let api = Api::load(&compile::library()?)?;
        let name = CString::new(format!("posix:/{}", scratch.name()))?;
        let end = ptr::null_mut();
        Ok(Self { api, name, end })
    }
    fn open_writer(&mut self, _: usize) -> Result<()> {
        self.open(SHMC_CREATE | SHMC_SEND, 8 * WORDS)
    }
    fn open_reader(&mut self) -> Result<()> {
        while self.open(SHMC_RECV, 0).is_err() {
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
    #[inline]
    fn write(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let place: *mut Message<WORDS> = (self.api.begin)(self.end).cast();
        // SAFETY: room for the longest message, which this is, or NULL.
        write(unsafe { place.as_mut() }.ok_or("shmc_topic_begin")?);
        checked(
            "shmc_topic_publish",
            (self.api.publish)(self.end, 8 * WORDS),
        )?;
        Ok(())
    }
    #[inline]
    fn read<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<Option<T>> {
        let mut length = 0;
        let place = (self.api.peek)(self.end, &mut length, ptr::null_mut(), 0);
        // SAFETY: NULL, or all messages have this size. The writer may change the words meanwhile, which the
        // release reports.
        let Some(message) = (unsafe { place.cast::<Message<WORDS>>().as_ref() }) else {
            return Ok(None);
        };
        let value = read(message);
        let is_whole = (self.api.release)(self.end) == 0;
        Ok(is_whole.then_some(value))
    }
}

/// Publish and subscribe of iceoryx2, where a full queue loses its oldest message.
struct Service<const WORDS: usize> {
    names: [String; 3],
    publisher: Option<Publisher<Ipc, Message<WORDS>, ()>>,
    subscriber: Option<Subscriber<Ipc, Message<WORDS>, ()>>,
    /// Node and factory, without which other processes take the ports for those of a dead node.
    factories: Option<Box<dyn Any>>,
}

impl<const WORDS: usize> Service<WORDS> {
    fn open(&mut self, readers: Option<usize>) -> Result<()> {
        let [name, prefix, directory] = &self.names;
        let node = node(prefix, directory)?;
        let messages = node
            .service_builder(&ServiceName::new(name)?)
            .publish_subscribe::<Message<WORDS>>()
            .enable_safe_overflow(true)
            .subscriber_max_buffer_size(DEPTH)
            .max_publishers(1)
            .max_subscribers(READERS[2])
            .max_nodes(READERS[2] + 1)
            .open_or_create()?;
        match readers {
            None => self.subscriber = Some(messages.subscriber_builder().create()?),
            Some(readers) => {
                self.publisher = Some(messages.publisher_builder().create()?);
                while messages.dynamic_config().number_of_subscribers() < readers {
                    sleep(Duration::from_millis(1));
                }
            }
        }
        self.factories = Some(Box::new((messages, node)));
        Ok(())
    }
}

impl<const WORDS: usize> Publication<WORDS> for Service<WORDS> {
    fn new(scratch: &Scratch) -> Result<Self> {
        let directory = scratch.directory().join("iceoryx2").display().to_string();
        Ok(Self {
            names: [scratch.name(), scratch.prefix(), directory],
            publisher: None,
            subscriber: None,
            factories: None,
        })
    }
    fn open_writer(&mut self, readers: usize) -> Result<()> {
        self.open(Some(readers))
    }
    fn open_reader(&mut self) -> Result<()> {
        self.open(None)
    }
    #[inline]
    fn write(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let mut sample = self.publisher.as_ref().ok_or("not open")?.loan_uninit()?;
        // SAFETY: words of any value are words, and `write` writes all of them.
        write(unsafe { &mut *sample.payload_mut().as_mut_ptr() });
        // SAFETY: written.
        unsafe { sample.assume_init() }.send()?;
        Ok(())
    }
    #[inline]
    fn read<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<Option<T>> {
        let subscriber = self.subscriber.as_ref().ok_or("not open")?;
        Ok(subscriber.receive()?.map(|sample| read(sample.payload())))
    }
    fn close(&mut self) {
        (self.publisher, self.subscriber) = (None, None);
        self.factories = None;
    }
}
