//! What every way to exchange messages looks like to the benchmark.

use shmcomm_bench::Result;
use shmcomm_bench::scratch::Scratch;

/// Messages consist of words, so that all bytes are written and read without a loop over bytes.
pub type Message<const WORDS: usize> = [u64; WORDS];

#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Sender,
    Receiver,
}

/// One direction between two processes, for messages of this many words. It is created before
/// the two start; each inherits it and opens its end.
pub trait Peer<const WORDS: usize>: Sized {
    /// Creates everything that both ends need, with a ring of this many bytes. An object that
    /// outlives the process has a name of the scratch, or `drop` removes it.
    fn new(scratch: &Scratch, ring: usize) -> Result<Self>;
    /// Opens an end.
    fn open(&mut self, side: Side) -> Result<()>;
    /// Closes it, where the exit of the process does not suffice.
    fn close(&mut self) {}
    /// Sends a message, all of which `write` writes; waits for room.
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()>;
    /// Receives a message, all of which `read` reads; waits for it.
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T>;
}

/// A peer that copies messages out of and into a buffer.
pub trait Copies: Sized {
    /// As [`Peer::new`], for messages of this many bytes.
    fn new(scratch: &Scratch, ring: usize, message: usize) -> Result<Self>;
    /// As [`Peer::open`].
    fn open(&mut self, _: Side) -> Result<()> {
        Ok(())
    }
    /// Sends the words after the first, which is room for a header.
    fn send(&mut self, message: &[u64]) -> Result<()>;
    /// Receives words after the first.
    fn receive(&mut self, message: &mut [u64]) -> Result<()>;
}

/// Such a peer, with the buffer.
pub struct Copied<T, const WORDS: usize> {
    peer: T,
    buffer: Vec<u64>,
}

impl<T: Copies, const WORDS: usize> Copied<T, WORDS> {
    #[inline]
    fn message(&mut self) -> Result<&mut Message<WORDS>> {
        self.buffer.last_chunk_mut().ok_or("a short buffer".into())
    }
}

impl<T: Copies, const WORDS: usize> Peer<WORDS> for Copied<T, WORDS> {
    fn new(scratch: &Scratch, ring: usize) -> Result<Self> {
        let peer = T::new(scratch, ring, 8 * WORDS)?;
        Ok(Self {
            peer,
            buffer: vec![1; WORDS + 1],
        })
    }
    fn open(&mut self, side: Side) -> Result<()> {
        self.peer.open(side)
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(self.message()?);
        self.peer.send(&self.buffer)
    }
    #[inline]
    fn receive<R>(&mut self, read: impl FnOnce(&Message<WORDS>) -> R) -> Result<R> {
        self.peer.receive(&mut self.buffer)?;
        Ok(read(self.message()?))
    }
}

/// Waits until a descriptor is readable, as an event loop does.
pub fn wait_in_poll(descriptor: std::ffi::c_int) -> Result<()> {
    let mut wanted = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry.
    shmcomm_bench::checked("poll", unsafe { libc::poll(&raw mut wanted, 1, -1) }).map(drop)
}
