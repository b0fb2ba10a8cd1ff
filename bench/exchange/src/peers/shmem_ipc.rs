//! The crate shmem-ipc: a ring of slots, in place.

use std::fs::File;
use std::hint::spin_loop;
use std::io::Read;
use std::os::fd::AsRawFd;

use shmcomm_bench::Result;
use shmcomm_bench::scratch::Scratch;
use shmem_ipc::sharedring::{Receiver, Sender};

use crate::peer::{Message, Peer, Side, wait_in_poll};

/// Waits by polling, or by its event descriptors; its receiver `IN_POLL` waits for them in poll(2).
pub struct Ring<const POLLS: bool, const IN_POLL: bool, const WORDS: usize> {
    capacity: usize,
    files: [File; 3],
    sender: Option<Sender<Message<WORDS>>>,
    receiver: Option<Receiver<Message<WORDS>>>,
}

impl<const POLLS: bool, const IN_POLL: bool, const WORDS: usize> Peer<WORDS>
    for Ring<POLLS, IN_POLL, WORDS>
{
    fn new(_: &Scratch, ring: usize) -> Result<Self> {
        let capacity = ring / (8 * WORDS);
        let maker = Sender::<Message<WORDS>>::new(capacity)?;
        let files = [
            maker.memfd().as_file(),
            maker.empty_signal(),
            maker.full_signal(),
        ];
        let [memory, empty, full] = files.map(File::try_clone);
        Ok(Self {
            capacity,
            files: [memory?, empty?, full?],
            sender: None,
            receiver: None,
        })
    }
    fn open(&mut self, side: Side) -> Result<()> {
        let [memory, empty, full] = self.files.each_ref().map(File::try_clone);
        let (memory, empty, full) = (memory?, empty?, full?);
        match side {
            Side::Sender => self.sender = Some(Sender::open(self.capacity, memory, empty, full)?),
            Side::Receiver => {
                self.receiver = Some(Receiver::open(self.capacity, memory, empty, full)?);
            }
        }
        Ok(())
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let sender = self.sender.as_mut().ok_or("not open")?;
        let mut write = Some(write);
        loop {
            // To look is cheaper than to try.
            if POLLS && sender.sender_mut().write_count()? == 0 {
                spin_loop();
                continue;
            }
            let fill = |slot: *mut Message<WORDS>, _| {
                if let Some(write) = write.take() {
                    // SAFETY: one free slot at least, which is not read before it is counted.
                    write(unsafe { &mut *slot });
                }
                1
            };
            if POLLS {
                sender.sender_mut().send(fill)?;
            } else {
                sender.send_raw(fill)?;
            }
            match write {
                None => return Ok(()),
                Some(_) => drop(sender.block_until_writable()?),
            }
        }
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let receiver = self.receiver.as_mut().ok_or("not open")?;
        let (mut read, mut result) = (Some(read), None);
        loop {
            if POLLS && receiver.receiver_mut().read_count()? == 0 {
                spin_loop();
                continue;
            }
            let take = |slot: *const Message<WORDS>, _| {
                // SAFETY: one full slot at least, which is not written before it is given back.
                result = read.take().map(|read| read(unsafe { &*slot }));
                1
            };
            if POLLS {
                receiver.receiver_mut().recv(take)?;
            } else {
                receiver.receive_raw(take)?;
            }
            match result {
                Some(result) => return Ok(result),
                None => {
                    if IN_POLL {
                        let mut signal = receiver.empty_signal();
                        wait_in_poll(signal.as_raw_fd())?;
                        signal.read_exact(&mut [0; 8])?;
                    } else {
                        receiver.block_until_readable()?;
                    }
                }
            }
        }
    }
}
