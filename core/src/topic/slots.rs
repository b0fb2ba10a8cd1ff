//! The messages of a topic: the algorithm alone, without a system call, so that loom can check it.
//!
//! Messages are numbered from 1. Message k lies in slot (k - 1) modulo the depth, so the number of the
//! last message says where each one is, and a subtraction how many were lost. Readers write nothing.
//!
//! | the writer, in this order | a death right after it leaves | the next writer | a reader |
//! |---|---|---|---|
//! | stores `intent` = k, release, then a release fence | message k - depth given up, k unpublished | takes k again | that has copied message k - depth sees that `intent` has passed it |
//! | stores the bytes and the length of slot k, relaxed | the same | overwrites them | never looks there: `last` is k - 1 |
//! | stores `last` = k, release | message k published | goes on with k + 1 | loads it, acquire, and reads message k |
//!
//! So nothing is ever repaired: a writer goes on where `last` is. A reader copies a message and then
//! loads `intent`: the copy is whole if the writer had not come back to that slot. The writer never
//! waits. A reader repeats a copy only if the writer began depth - 1 messages meanwhile.
//!
//! Another process may write anything into these words. No number becomes an address without being
//! reduced modulo the depth.

use core::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};

use crate::channel::ring::Blocked;
use crate::channel::word::Word64;

/// The fewest messages that a topic keeps. A reader that was overtaken goes to the middle of them, which
/// must be newer than a message that the writer may be overwriting.
pub const MIN_DEPTH: u64 = 4;

/// The words of a topic, wherever they are.
pub trait Words {
    /// The type of a word.
    type Word: Word64;
    /// The number of messages that the topic keeps: a power of two, at least [`MIN_DEPTH`].
    fn depth(&self) -> u64;
    /// The number of the last message that a writer has begun.
    fn intent(&self) -> &Self::Word;
    /// The number of the last message that a writer has published.
    fn last(&self) -> &Self::Word;
    /// A memory fence.
    fn fence(&self, order: Ordering);
}

/// Whether the first number comes after the second one.
fn is_after(one: u64, other: u64) -> bool {
    one.wrapping_sub(other).wrapping_sub(1) < u64::MAX / 2
}

/// The writer's position.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    written: u64,
    has_begun: bool,
}

impl Writer {
    /// Continues after the last writer of this topic. The lock of the writer's end orders the two.
    pub fn resume(words: &impl Words) -> Result<Self, Blocked> {
        let written = words.last().load(Relaxed);
        match words.intent().load(Relaxed).wrapping_sub(written) {
            0 | 1 => Ok(Self {
                written,
                has_begun: false,
            }),
            _ => Err(Blocked::Corrupt),
        }
    }

    /// Begins the next message, again if it has begun, and returns its number. From now on its slot
    /// may be overwritten.
    #[inline(always)]
    pub fn begin(&mut self, words: &impl Words) -> u64 {
        let number = self.written.wrapping_add(1);
        self.has_begun = true;
        // Release: a reader that sees this intent sees the last message before it.
        words.intent().store(number, Release);
        // A reader that sees a byte of this message sees the intent.
        words.fence(Release);
        number
    }

    /// The number of the message that has begun.
    #[inline(always)]
    pub fn begun(&self) -> Option<u64> {
        match self.has_begun {
            true => Some(self.written.wrapping_add(1)),
            false => None,
        }
    }

    /// Publishes the message that has begun.
    #[inline(always)]
    pub fn publish(&mut self, words: &impl Words) {
        self.written = self.written.wrapping_add(1);
        self.has_begun = false;
        words.last().store(self.written, Release);
    }
}

/// A reader's position.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The last message that this reader has read or lost.
    position: u64,
    /// Messages lost and not reported yet.
    lost: u64,
    has_peeked: bool,
}

impl Reader {
    /// Starts so that the first message is the newest one, or with `history` the oldest whole one.
    pub fn start(words: &impl Words, history: bool) -> Self {
        let last = words.last().load(Acquire);
        let first_kept = match history {
            true => words.intent().load(Relaxed).saturating_sub(words.depth()),
            false => last.saturating_sub(1),
        };
        Self {
            position: first_kept.min(last),
            lost: 0,
            has_peeked: false,
        }
    }

    /// The last message that this reader has read or lost.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The number of the next message that may be whole. Skips those that were overwritten.
    #[inline(always)]
    pub fn next(&mut self, words: &impl Words) -> Result<u64, Blocked> {
        let unread = words.last().load(Acquire).wrapping_sub(self.position);
        if unread.wrapping_sub(1) >= words.depth() {
            match unread {
                0 => return Err(Blocked::Wait),
                _ => self.skip(words)?,
            }
        }
        Ok(self.position.wrapping_add(1))
    }

    /// Whether all that was loaded from the slot of this message since [`Self::next`] belongs to it.
    #[inline(always)]
    pub fn is_whole(words: &impl Words, number: u64) -> bool {
        words.fence(Acquire);
        words.intent().load(Acquire).wrapping_sub(number) < words.depth()
    }

    /// Skips to the middle of the messages that are kept: the oldest would be overwritten next. Only
    /// after the next message was found to be overwritten, or about to be.
    #[cold]
    pub fn skip(&mut self, words: &impl Words) -> Result<(), Blocked> {
        let last = words.last().load(Acquire);
        // The writer's intent may have passed the next message before `last` has.
        if !is_after(last, self.position) || last.wrapping_sub(self.position) < words.depth() {
            return Err(Blocked::Corrupt);
        }
        let position = last.wrapping_sub(words.depth() / 2);
        let lost = position.wrapping_sub(self.position);
        self.lost = self.lost.wrapping_add(lost);
        self.position = position;
        Ok(())
    }

    /// The newest message, which may be overwritten before it is copied.
    #[inline(always)]
    pub fn newest(words: &impl Words) -> Result<u64, Blocked> {
        match words.last().load(Acquire) {
            0 => Err(Blocked::Wait),
            last => Ok(last),
        }
    }

    /// The message has been read. Returns the number of messages lost before it and not reported yet.
    #[inline(always)]
    pub fn read(&mut self, number: u64) -> u64 {
        self.position = number;
        self.report_lost()
    }

    /// The next message has been peeked at. Returns the same as [`Self::read`].
    #[inline(always)]
    pub fn peeked(&mut self) -> u64 {
        self.has_peeked = true;
        self.report_lost()
    }

    #[inline(always)]
    fn report_lost(&mut self) -> u64 {
        core::mem::take(&mut self.lost)
    }

    /// Whether a message has been peeked at.
    #[inline(always)]
    pub fn has_peeked(&self) -> bool {
        self.has_peeked
    }

    /// Ends a peek. Returns whether the message was whole until now; if not, it is lost.
    #[inline(always)]
    pub fn release(&mut self, words: &impl Words) -> bool {
        let number = self.position.wrapping_add(1);
        let is_whole = Self::is_whole(words, number);
        self.position = number;
        self.has_peeked = false;
        self.lost = self.lost.wrapping_add(u64::from(!is_whole));
        is_whole
    }

    /// Cancels a peek.
    pub fn cancel(&mut self) {
        self.has_peeked = false;
    }
}
