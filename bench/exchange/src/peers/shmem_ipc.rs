//! The crate shmem-ipc: a ring of slots, in place.

use std::fs::File;
use std::hint::spin_loop;

use shmcomm_bench::Result;
use shmem_ipc::sharedring;

use crate::link::{Link, Message, Receiver, Sender, slots};
use crate::place::Place;

/// Waits by polling, or by its event descriptors.
pub struct Ring<const POLLS: bool> {
    capacity: usize,
    memory: File,
    empty: File,
    full: File,
}

/// By polling.
pub type Polling = Ring<true>;
/// By eventfd(2).
pub type Blocking = Ring<false>;

struct SenderEnd<const WORDS: usize, const POLLS: bool>(sharedring::Sender<Message<WORDS>>);
struct ReceiverEnd<const WORDS: usize, const POLLS: bool>(sharedring::Receiver<Message<WORDS>>);

impl<const WORDS: usize, const POLLS: bool> Sender<WORDS> for SenderEnd<WORDS, POLLS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let mut write = Some(write);
        loop {
            // To look is cheaper than to try.
            if POLLS && self.0.sender_mut().write_count()? == 0 {
                spin_loop();
                continue;
            }
            let fill = |place: *mut Message<WORDS>, _| {
                if let Some(write) = write.take() {
                    // SAFETY: one free slot at least, which nobody reads before it is counted.
                    write(unsafe { &mut *place });
                }
                1
            };
            if POLLS {
                self.0.sender_mut().send(fill)?;
            } else {
                self.0.send_raw(fill)?;
            }
            match write {
                None => return Ok(()),
                Some(_) => drop(self.0.block_until_writable()?),
            }
        }
    }
}

impl<const WORDS: usize, const POLLS: bool> Receiver<WORDS> for ReceiverEnd<WORDS, POLLS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let mut read = Some(read);
        let mut result = None;
        loop {
            if POLLS && self.0.receiver_mut().read_count()? == 0 {
                spin_loop();
                continue;
            }
            let take = |place: *const Message<WORDS>, _| {
                // SAFETY: one full slot at least, which nobody writes before it is given back.
                result = read.take().map(|read| read(unsafe { &*place }));
                1
            };
            if POLLS {
                self.0.receiver_mut().recv(take)?;
            } else {
                self.0.receive_raw(take)?;
            }
            match result {
                Some(result) => return Ok(result),
                None => drop(self.0.block_until_readable()?),
            }
        }
    }
}

impl<const WORDS: usize, const POLLS: bool> Link<WORDS> for Ring<POLLS> {
    fn new(_: &Place) -> Result<Self> {
        let capacity = slots(size_of::<Message<WORDS>>());
        let maker = sharedring::Sender::<Message<WORDS>>::new(capacity)?;
        Ok(Self {
            capacity,
            memory: maker.memfd().as_file().try_clone()?,
            empty: maker.empty_signal().try_clone()?,
            full: maker.full_signal().try_clone()?,
        })
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        let [memory, empty, full] = self.files()?;
        let sender = sharedring::Sender::open(self.capacity, memory, empty, full)?;
        Ok(SenderEnd::<WORDS, POLLS>(sender))
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        let [memory, empty, full] = self.files()?;
        let receiver = sharedring::Receiver::open(self.capacity, memory, empty, full)?;
        Ok(ReceiverEnd::<WORDS, POLLS>(receiver))
    }
}

impl<const POLLS: bool> Ring<POLLS> {
    fn files(&self) -> Result<[File; 3]> {
        Ok([
            self.memory.try_clone()?,
            self.empty.try_clone()?,
            self.full.try_clone()?,
        ])
    }
}
