//! What every way to exchange messages looks like to the benchmark.

use std::{io, slice};

use shmcomm_bench::Result;

use crate::place::Place;

/// Messages are made of words, so that who writes and reads every byte of them need not do it byte
/// by byte.
pub type Message<const WORDS: usize> = [u64; WORDS];

/// One direction between two processes, for messages of this many words. It is made before the two
/// start, each of which inherits it and opens its end.
pub trait Link<const WORDS: usize>: Sized {
    /// Makes all that both ends need. What outlives the process is named after the place, or
    /// removed when this is dropped.
    fn new(place: &Place) -> Result<Self>;
    /// The end where messages come in.
    fn sender(&self) -> Result<impl Sender<WORDS>>;
    /// The end where they go out.
    fn receiver(&self) -> Result<impl Receiver<WORDS>>;
}

/// Sends messages.
pub trait Sender<const WORDS: usize> {
    /// Sends one, which `write` writes whole; waits for room.
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()>;
}

/// Receives messages.
pub trait Receiver<const WORDS: usize> {
    /// Receives one, which `read` reads whole; waits for it.
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T>;
}

/// How many bytes a ring for messages of this size has.
pub fn ring(message: usize) -> usize {
    if message < 4096 { 1 << 20 } else { 8 << 20 }
}

/// How many messages fit such a ring.
pub fn slots(message: usize) -> usize {
    ring(message) / message
}

/// A message of a process's own, to copy from or into.
pub fn buffer<const WORDS: usize>() -> Box<Message<WORDS>> {
    match vec![0; WORDS].into_boxed_slice().try_into() {
        Ok(buffer) => buffer,
        Err(_) => unreachable!("made with this length"),
    }
}

/// A message as bytes.
pub fn bytes<const WORDS: usize>(message: &Message<WORDS>) -> &[u8] {
    // SAFETY: words are bytes without padding, and bytes need no alignment.
    unsafe { slice::from_raw_parts(message.as_ptr().cast(), size_of_val(message)) }
}

/// A message as bytes to overwrite.
pub fn bytes_mut<const WORDS: usize>(message: &mut Message<WORDS>) -> &mut [u8] {
    // SAFETY: as above, and any bytes make words.
    unsafe { slice::from_raw_parts_mut(message.as_mut_ptr().cast(), size_of_val(message)) }
}

/// Why the call that has just failed did.
#[cold]
pub fn failed<T>(call: &str) -> Result<T> {
    Err(format!("{call}: {}", io::Error::last_os_error()).into())
}

/// What a call returned, unless it failed by a negative value.
#[inline]
pub fn checked<T: PartialOrd + Default>(call: &str, value: T) -> Result<T> {
    if value < T::default() {
        return failed(call);
    }
    Ok(value)
}
