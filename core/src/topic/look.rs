//! A look at a topic from outside, for tools: it takes no end and no lock, and changes nothing.

use super::TOPIC;
use super::memory::{HEADER, Layout, MAGIC, at};
use crate::channel::Side;
use crate::channel::wakeup;
use crate::error::{Errno, Error};
use crate::object::{self, FORMAT, Found, Mapped};
use crate::sys::{self, Descriptor};

/// A topic, mapped read-only.
pub struct Look<'a> {
    mapped: Mapped<'a>,
    layout: Layout,
}

/// Numbers and words of a topic at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct State {
    /// The longest message, in bytes.
    pub max_message: u64,
    /// Messages that the topic keeps.
    pub depth: u64,
    /// Messages written since the topic was created.
    pub written: u64,
    /// Whether a process holds the writer's end.
    pub writer_alive: bool,
    /// Number of opens of the writer's end since the topic was created.
    pub writer_opens: u32,
    /// The process that opened it last, by its own account; 0 if there was none.
    pub last_writer: i32,
    /// Whether a reader that may write sleeps or is about to.
    pub sleeps: bool,
    /// The sleep word of the readers, for who debugs: `docs/architecture.md` has its bits.
    pub sleep_word: u32,
    /// Whether the writer fences after every message, because a process cannot use membarrier(2).
    pub is_always_fenced: bool,
}

/// Looks for a topic in a file of this size.
pub(crate) fn find(file: &Descriptor, size: usize) -> Result<Found<Look<'_>>, Error> {
    match object::magic(file)? {
        Some(MAGIC) if size >= HEADER => {}
        Some(MAGIC) => return Ok(Found::Damaged),
        Some(magic) if magic & FORMAT == MAGIC & FORMAT => return Ok(Found::OtherVersion),
        _ => return Ok(Found::Other),
    }
    let mapped = Mapped::new(file, size, TOPIC)?;
    let words = [
        mapped.long(at::SLOTS_START)?,
        mapped.long(at::MAX_MESSAGE)?,
        mapped.long(at::DEPTH)?,
    ];
    Ok(match Layout::of(words, size, HEADER) {
        Some(layout) => Found::This(Look { mapped, layout }),
        None => Found::Damaged,
    })
}

impl Look<'_> {
    /// The topic now. EBADMSG if no writer can go on there.
    pub fn state(&self) -> Result<State, Error> {
        let Self { mapped, layout } = self;
        let before = mapped.long(at::LAST)?;
        let intent = mapped.long(at::INTENT)?;
        let written = mapped.long(at::LAST)?;
        // The intent is never before the last message, and at most one after it.
        if intent.wrapping_sub(before) > written.wrapping_sub(before).saturating_add(1) {
            return Err(CORRUPT);
        }
        let sleep_word = mapped.word(at::SLEEPS)?;
        Ok(State {
            max_message: layout.max_message as u64,
            depth: layout.depth as u64,
            written,
            writer_alive: sys::fcntl_getlk(mapped.file, Side::Sender.byte()),
            writer_opens: mapped.word(at::WRITER_OPENS)?,
            last_writer: i32::try_from(mapped.word(at::LAST_WRITER)?).unwrap_or(0),
            sleeps: sleep_word & wakeup::SLEEPING != 0,
            sleep_word,
            is_always_fenced: mapped.word(at::ALWAYS_FENCED)? != 0,
        })
    }

    /// EBADMSG if no reader can read the newest message.
    pub fn check_newest(&self) -> Result<(), Error> {
        let last = self.mapped.long(at::LAST)?;
        let slot = self.layout.slot(last);
        // A hole is a length of 0.
        if last == 0 || !sys::has_data(self.mapped.file, slot) {
            return Ok(());
        }
        // A writer that has come back to this slot meanwhile has stored a length that is no longer either.
        match self.mapped.long(slot)? <= self.layout.max_message as u64 {
            true => Ok(()),
            false => Err(CORRUPT),
        }
    }
}

const CORRUPT: Error = TOPIC.failed(Errno::EBADMSG);
