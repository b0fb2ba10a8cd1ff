//! A look at a channel from outside, for tools: it takes no end and no lock, and changes nothing.
//!
//! The kernel copies the words out of a read-only mapping: `object/look.rs` says why.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use super::endpoint::{MAX_SLOTS, Side};
use super::memory::{Layout, MAGIC, at};
use super::ring;
use super::wakeup;
use super::word::Word64;
use crate::error::{Call, Errno, Error};
use crate::object::{self, FORMAT, Found, Mapped};
use crate::sys::{self, Descriptor};

/// The smallest page of any system that this library supports.
const MIN_PAGE: usize = 4096;

/// A channel, mapped read-only.
pub struct Look<'a> {
    mapped: Mapped<'a>,
    layout: Layout,
}

/// Counters and words of a channel at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct State {
    /// Bytes that the ring holds.
    pub capacity: u64,
    /// Bytes that messages and their lengths occupy.
    pub used: u64,
    /// Messages sent since the channel was created.
    pub sent: u64,
    /// Messages received since the channel was created.
    pub received: u64,
    /// Bytes sent since then, with their lengths.
    pub sent_bytes: u64,
    /// Bytes received since then, with their lengths.
    pub received_bytes: u64,
}

/// One end of a channel at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct End {
    /// Whether a process holds it.
    pub is_held: bool,
    /// Number of handles that share it; 0 if one holds it alone, or none.
    pub sharers: u32,
    /// Whether a process of this side sleeps or is about to.
    pub sleeps: bool,
    /// The sleep word, for who debugs: `docs/architecture.md` has its bits.
    pub sleep_word: u32,
    /// The lock of a shared end, for who debugs.
    pub lock_word: u32,
    /// Number of opens since the channel was created.
    pub opens: u32,
    /// The process that opened it last, by its own account; 0 if there was none.
    pub last_pid: i32,
}

/// Looks for a channel in a file of this size.
pub(crate) fn find(file: &Descriptor, size: usize) -> Result<Found<Look<'_>>, Error> {
    let layout = Layout::of(size, MIN_PAGE);
    let header = layout.map_or(0, Layout::before_header);
    if size < MIN_PAGE || !sys::has_data(file, header) {
        return Ok(Found::Other);
    }
    let Ok(layout) = layout else {
        return find_damaged(file);
    };
    let look = Look {
        mapped: Mapped::new(file, size, Call::Channel)?,
        layout,
    };
    Ok(match (look.long(at::MAGIC)?, look.long(at::RING_START)?) {
        (MAGIC, start) if start == layout.ring_start as u64 => Found::This(look),
        (MAGIC, _) => Found::Damaged,
        (magic, _) if magic & FORMAT == MAGIC & FORMAT => Found::OtherVersion,
        _ => Found::Other,
    })
}

/// A file whose size fits no channel may have been one: the header is its first page on most systems.
fn find_damaged(file: &Descriptor) -> Result<Found<Look<'_>>, Error> {
    Ok(match object::magic(file)? {
        Some(magic) if magic & FORMAT == MAGIC & FORMAT => Found::Damaged,
        _ => Found::Other,
    })
}

impl Look<'_> {
    /// A 64-bit word of the header.
    fn long(&self, at: usize) -> Result<u64, Error> {
        let header = self.layout.before_header();
        self.mapped.long(header.wrapping_add(at))
    }

    /// A 32-bit word of the header.
    fn word(&self, at: usize) -> Result<u32, Error> {
        let header = self.layout.before_header();
        self.mapped.word(header.wrapping_add(at))
    }

    /// The position and the message count of a side.
    fn position(&self, position: usize, count: usize) -> Result<(u64, u64), Error> {
        let failed = Cell::new(None);
        let word = |at| Copied {
            look: self,
            at,
            failed: &failed,
        };
        let found = ring::snapshot(&word(position), &word(count));
        failed.get().map_or(Ok(found), Err)
    }

    /// Counters now.
    pub fn state(&self) -> Result<State, Error> {
        let (head, received) = self.position(at::HEAD, at::RECEIVED)?;
        let (tail, sent) = self.position(at::TAIL, at::SENT)?;
        let capacity = self.layout.capacity as u64;
        Ok(State {
            capacity,
            used: tail.saturating_sub(head).min(capacity),
            sent,
            received,
            sent_bytes: tail,
            received_bytes: head,
        })
    }

    /// One end now.
    pub fn end(&self, side: Side) -> Result<End, Error> {
        let (sleep, lock, opens, last) = match side {
            Side::Sender => (
                at::SENDER_SLEEPS,
                at::SENDER_LOCK,
                at::SENDER_OPENS,
                at::LAST_SENDER,
            ),
            Side::Receiver => (
                at::RECEIVER_SLEEPS,
                at::RECEIVER_LOCK,
                at::RECEIVER_OPENS,
                at::LAST_RECEIVER,
            ),
        };
        let sleep_word = self.word(sleep)?;
        let is_held = sys::fcntl_getlk(self.mapped.file, side.byte());
        let mut sharers = 0_u32;
        if is_held {
            let is_taken = |slot: &u32| sys::fcntl_getlk(self.mapped.file, side.slot_byte(*slot));
            sharers = (1..=MAX_SLOTS).filter(is_taken).count() as u32;
        }
        Ok(End {
            is_held,
            sharers,
            sleeps: sleep_word & wakeup::SLEEPING != 0,
            sleep_word,
            lock_word: self.word(lock)?,
            opens: self.word(opens)?,
            last_pid: i32::try_from(self.word(last)?).unwrap_or(0),
        })
    }

    /// Whether both sides fence after every message, because a process cannot use membarrier(2).
    pub fn is_always_fenced(&self) -> Result<bool, Error> {
        Ok(self.word(at::ALWAYS_FENCED)? != 0)
    }

    /// Follows the records from the next message to the last and returns their number. EBADMSG if a
    /// length is wrong; EAGAIN if the channel changes too fast.
    pub fn follow_records(&self) -> Result<u64, Error> {
        /// Each further attempt means that a receiver has freed a record meanwhile.
        const MAX_ATTEMPTS: u32 = 10;

        for _ in 0..MAX_ATTEMPTS {
            let (head, _) = self.position(at::HEAD, at::RECEIVED)?;
            let (tail, _) = self.position(at::TAIL, at::SENT)?;
            match self.follow(head, tail) {
                // The sender may have used again what the receiver has freed meanwhile.
                Err(CORRUPT) if ring::position(self.long(at::HEAD)?) != head => {}
                followed => return followed,
            }
        }
        Err(Call::Channel.failed(Errno::EAGAIN))
    }

    fn follow(&self, head: u64, tail: u64) -> Result<u64, Error> {
        let capacity = self.layout.capacity as u64;
        let mut window = Window::new(self);
        let (mut position, mut count) = (head, 0_u64);
        loop {
            let left = tail.wrapping_sub(position);
            if left > capacity {
                return Err(CORRUPT);
            }
            let word = window.word(position)?;
            // 0 means that there is no record.
            if left == 0 && word == 0 {
                return Ok(count);
            }
            let length = word.wrapping_sub(1);
            if length > ring::max_message(capacity) {
                return Err(CORRUPT);
            }
            count = count.wrapping_add(1);
            // A sender that died right after it published has left that one record uncounted.
            if left == 0 {
                return Ok(count);
            }
            position = position.wrapping_add(ring::record_size(length));
        }
    }
}

const CORRUPT: Error = Call::Channel.failed(Errno::EBADMSG);

/// A word of the header, for the algorithm that loads both words of a position.
struct Copied<'a> {
    look: &'a Look<'a>,
    at: usize,
    failed: &'a Cell<Option<Error>>,
}

impl Word64 for Copied<'_> {
    fn load(&self, _: Ordering) -> u64 {
        self.look.long(self.at).unwrap_or_else(|error| {
            self.failed.set(Some(error));
            0
        })
    }
    /// A look stores nothing.
    fn store(&self, _: u64, _: Ordering) {}
}

/// The last part of the ring that was copied, so that short records do not cost a call each.
struct Window<'a> {
    look: &'a Look<'a>,
    /// Offset in the ring; `usize::MAX` before the first copy.
    start: usize,
    bytes: [u8; MIN_PAGE],
}

impl<'a> Window<'a> {
    fn new(look: &'a Look<'a>) -> Self {
        Self {
            look,
            start: usize::MAX,
            bytes: [0; MIN_PAGE],
        }
    }

    /// The length word at a position. It never crosses a page, and the capacity is a multiple of one.
    fn word(&mut self, position: u64) -> Result<u64, Error> {
        let Layout {
            ring_start,
            capacity,
        } = self.look.layout;
        let offset = position as usize & capacity.wrapping_sub(1);
        let start = offset & !MIN_PAGE.wrapping_sub(1);
        if start != self.start {
            let from = ring_start.wrapping_add(start);
            self.look.mapped.copy(from, &mut self.bytes)?;
            self.start = start;
        }
        let word = self.bytes.get(offset.wrapping_sub(start)..);
        let word = word.and_then(|bytes| bytes.first_chunk());
        word.map_or(Err(CORRUPT), |word| Ok(u64::from_ne_bytes(*word)))
    }
}
