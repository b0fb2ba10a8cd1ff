//! Layer 3: a topic, to which one process writes messages and which any number of processes read,
//! each the newest message or all that are still there.
//!
//! The writer never waits: it overwrites the oldest message. A reader writes nothing that another
//! process relies on, so neither its speed nor its death matters to the others. It knows exactly how
//! many messages it has lost.

#[doc(hidden)]
pub mod copy;
mod memory;
mod open;
mod poll;
#[doc(hidden)]
pub mod slots;
mod wait;

use core::ffi::c_int;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use crate::channel::Side;
use crate::channel::endpoint::Endpoint;
use crate::channel::ring::Blocked;
use crate::channel::wakeup;
use crate::deadline::Deadline;
use crate::error::{Call, Errno, Error};
use crate::watch::{self, Watch};
use memory::{Memory, View};
pub use open::Options;
use slots::{Reader, Words, Writer};
use wait::Waker;

/// The call of errors that a topic determines itself.
const TOPIC: Call = Call::Topic;

/// The state of a topic at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The longest message, in bytes.
    pub max_message: u64,
    /// Messages that the topic keeps.
    pub depth: u64,
    /// Messages written since the topic was created.
    pub written: u64,
    /// Whether a process holds the writer's end.
    pub writer_alive: bool,
}

/// A message that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Its length in bytes.
    pub length: usize,
    /// Messages overwritten before it that this reader has neither read nor reported lost before.
    pub lost: u64,
}

/// The writer's end of a topic, or a reader's. It belongs to the process that opened it: in a child of
/// `fork(2)` every call fails with EPERM.
pub struct Topic {
    // The first field is dropped first: the memory is unmapped before the end is unlocked.
    memory: Memory,
    role: Role,
    endpoint: Endpoint,
    watch: Option<Watch>,
    interruptible: bool,
}

enum Role {
    Writer(Writer, Waker),
    Reader(Reader),
}

// SAFETY: the memory belongs to the process, not to a thread; every method that changes the handle
// takes it by &mut.
unsafe impl Send for Topic {}

fn blocked(blocked: Blocked) -> Error {
    let errno = Error::from(blocked).errno;
    TOPIC.failed(errno)
}

impl Role {
    #[inline(always)]
    fn writer(&mut self, endpoint: &Endpoint) -> Result<(&mut Writer, &mut Waker), Error> {
        match self {
            Self::Writer(writer, waker) if endpoint.is_exclusive() => Ok((writer, waker)),
            _ => Err(endpoint.refused()),
        }
    }

    #[inline(always)]
    fn reader(&mut self, endpoint: &Endpoint) -> Result<&mut Reader, Error> {
        match self {
            Self::Reader(reader) if endpoint.is_exclusive() => Ok(reader),
            _ => Err(endpoint.refused()),
        }
    }
}

impl Topic {
    /// The longest message, in bytes.
    pub fn max_message(&self) -> usize {
        self.memory.view().max_message()
    }

    /// Writes a message, in place of the oldest one. Never waits.
    #[inline(always)]
    pub fn write(&mut self, message: &[u8]) -> Result<(), Error> {
        let view = self.memory.view();
        let (writer, waker) = self.role.writer(&self.endpoint)?;
        if message.len() > view.max_message() {
            return Err(TOPIC.failed(Errno::EMSGSIZE));
        }
        let number = writer.begin(&view);
        // SAFETY: a slot holds the longest message, rounded up, and is mapped for writing.
        unsafe { copy::store(message, view.bytes(number)) };
        publish(view, writer, waker, &self.endpoint, number, message.len());
        Ok(())
    }

    /// Begins the next message. Returns the address for its bytes, valid until [`Self::publish`]; the
    /// longest message has room there.
    #[inline(always)]
    pub fn begin(&mut self) -> Result<NonNull<u8>, Error> {
        let view = self.memory.view();
        let (writer, _) = self.role.writer(&self.endpoint)?;
        let number = writer.begin(&view);
        // The caller may copy with memcpy(3), whose non-temporal stores only a full fence keeps after
        // the intent.
        view.fence(SeqCst);
        Ok(view.bytes(number))
    }

    /// Publishes the message that has begun; `length` is at most the longest.
    #[inline(always)]
    pub fn publish(&mut self, length: usize) -> Result<(), Error> {
        let view = self.memory.view();
        let (writer, waker) = self.role.writer(&self.endpoint)?;
        match writer.begun() {
            Some(number) if length <= view.max_message() => {
                publish(view, writer, waker, &self.endpoint, number, length);
                Ok(())
            }
            _ => Err(Error::INVALID),
        }
    }

    /// Copies the next message into the buffer. Waits for at most `timeout_ms`: 0 not at all (EAGAIN),
    /// -1 for ever, else that number of milliseconds (ETIMEDOUT). EMSGSIZE if the buffer is smaller
    /// than the message, which stays the next one.
    pub fn read(&mut self, buffer: &mut [u8], timeout_ms: c_int) -> Result<Message, Error> {
        let mut deadline = None;
        loop {
            let reader = self.role.reader(&self.endpoint)?;
            match next_whole(self.memory.view(), reader, |view, number| {
                load(view, number, buffer)
            }) {
                Ok((number, length)) => {
                    let lost = reader.read(number);
                    return Ok(Message { length, lost });
                }
                Err(reason) => self.wait(reason, timeout_ms, &mut deadline)?,
            }
        }
    }

    /// Copies the newest message into the buffer, whichever this handle reads next. Returns its length
    /// and its number, counted from 1. EAGAIN before the first message.
    pub fn latest(&mut self, buffer: &mut [u8]) -> Result<(usize, u64), Error> {
        self.role.reader(&self.endpoint)?;
        newest_whole(self.memory.view(), |view, number| {
            load(view, number, buffer)
        })
        .map_err(blocked)
    }

    /// Returns the address and the length of the next message. [`Self::release`] reports whether the
    /// writer overwrote it meanwhile. Waits for a message same as [`Self::read`].
    pub fn peek(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, Message), Error> {
        let mut deadline = None;
        loop {
            let view = self.memory.view();
            let reader = self.role.reader(&self.endpoint)?;
            reader.cancel();
            match next_whole(view, reader, length) {
                Ok((number, length)) => {
                    let lost = reader.peeked();
                    return Ok((view.bytes(number), Message { length, lost }));
                }
                Err(reason) => self.wait(reason, timeout_ms, &mut deadline)?,
            }
        }
    }

    /// Ends a peek. ESTALE if the writer overwrote the message meanwhile: it is lost.
    #[inline(always)]
    pub fn release(&mut self) -> Result<(), Error> {
        let view = self.memory.view();
        let reader = self.role.reader(&self.endpoint)?;
        if !reader.has_peeked() {
            return Err(Error::INVALID);
        }
        match reader.release(&view) {
            true => Ok(()),
            false => Err(TOPIC.failed(Errno::ESTALE)),
        }
    }

    /// Waits for the next message, if that is the `reason` why it could not be read. `deadline` is that
    /// of the whole call; `None` before its first wait.
    #[cold]
    #[inline(never)]
    fn wait(
        &mut self,
        reason: Blocked,
        timeout_ms: c_int,
        deadline: &mut Option<Deadline>,
    ) -> Result<(), Error> {
        let reader = self.role.reader(&self.endpoint)?;
        match &mut self.watch {
            Some(watch) if reason == Blocked::Wait && timeout_ms == 0 => {
                return poll::attempt(watch, self.memory.view(), reader, &mut self.endpoint);
            }
            _ if reason != Blocked::Wait || timeout_ms == 0 => return Err(blocked(reason)),
            _ => {}
        }
        let deadline = *deadline.get_or_insert_with(|| Deadline::after_ms(timeout_ms));
        // A writer may overwrite every message before it is copied.
        if deadline.has_passed() {
            return Err(TOPIC.failed(Errno::ETIMEDOUT));
        }
        let endpoint = &mut self.endpoint;
        wait::wait(&self.memory, reader, endpoint, self.interruptible, deadline)
    }

    /// A descriptor for poll(2), which is readable (POLLIN) while there may be a message: until a read or
    /// a peek with the timeout 0 returns EAGAIN or reports the loss of the writer. It belongs to this
    /// handle. EACCES if the reader may not write to the topic, and so cannot ask to be poked.
    pub fn poll_descriptor(&mut self) -> Result<c_int, Error> {
        self.role.reader(&self.endpoint)?;
        if !self.memory.is_writable() {
            return Err(TOPIC.failed(Errno::EACCES));
        }
        watch::descriptor(&mut self.watch, self.endpoint.file())
    }

    /// The state of the topic now.
    pub fn info(&self) -> Result<Info, Error> {
        if self.endpoint.is_inherited() {
            return Err(self.endpoint.refused());
        }
        let view = self.memory.view();
        Ok(Info {
            max_message: view.max_message() as u64,
            depth: view.depth(),
            written: view.last().load(Acquire),
            writer_alive: self.endpoint.is_held(Side::Sender),
        })
    }
}

/// Publishes the message with this number and wakes the readers that wait.
#[inline(always)]
fn publish(
    view: View<'_>,
    writer: &mut Writer,
    waker: &mut Waker,
    endpoint: &Endpoint,
    number: u64,
    length: usize,
) {
    view.length(number).store(length as u64, Relaxed);
    writer.publish(&view);
    if waker.wakes_always || wakeup::needs_wake(view.sleeps()) {
        waker.wake(view, endpoint.file());
    }
}

/// The length of a message, checked.
#[inline(always)]
fn length(view: View<'_>, number: u64) -> Result<usize, Blocked> {
    match usize::try_from(view.length(number).load(Relaxed)) {
        Ok(length) if length <= view.max_message() => Ok(length),
        _ => Err(Blocked::Corrupt),
    }
}

/// Copies a message, which the writer may be overwriting, and returns its length.
#[inline(always)]
fn load(view: View<'_>, number: u64, buffer: &mut [u8]) -> Result<usize, Blocked> {
    let length = length(view, number)?;
    let to = buffer.get_mut(..length).ok_or(Blocked::TooLarge)?;
    // SAFETY: a slot holds the longest message, rounded up.
    unsafe { copy::load(view.bytes(number), to) };
    Ok(length)
}

/// Attempts of one call to find a message that stays whole while `look` reads it. Each further one means
/// that the writer began at least depth - 1 messages meanwhile.
const MAX_ATTEMPTS: u32 = 100;

/// The number of the next message, and what `look` found there.
#[inline(always)]
fn next_whole<T>(
    view: View<'_>,
    reader: &mut Reader,
    mut look: impl FnMut(View<'_>, u64) -> Result<T, Blocked>,
) -> Result<(u64, T), Blocked> {
    for _ in 0..MAX_ATTEMPTS {
        let number = reader.next(&view)?;
        let found = look(view, number);
        if Reader::is_whole(&view, number) {
            return Ok((number, found?));
        }
        reader.skip(&view)?;
    }
    Err(Blocked::Wait)
}

/// What `look` found in the newest message, and its number.
#[inline(always)]
fn newest_whole<T>(
    view: View<'_>,
    mut look: impl FnMut(View<'_>, u64) -> Result<T, Blocked>,
) -> Result<(T, u64), Blocked> {
    let mut overwritten = 0;
    for _ in 0..MAX_ATTEMPTS {
        let number = Reader::newest(&view)?;
        if number == overwritten {
            // The writer has begun later messages, so it has published some.
            return Err(Blocked::Corrupt);
        }
        let found = look(view, number);
        if Reader::is_whole(&view, number) {
            return Ok((found?, number));
        }
        overwritten = number;
    }
    Err(Blocked::Wait)
}
