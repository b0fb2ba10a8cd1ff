//! Where a channel's messages come from, if a program copies them from another channel.
//!
//! Such a program (`shmcomm-bridge`) has to know, after its own death too, which message it must copy
//! next. Both channels count their messages, each count changes in one store with the message itself,
//! and the target records how the two counts belong together: its message `n` is message `n + base` of
//! the channel with that identity. No count is stored a second time, so none can disagree.
//!
//! The record is two words. Only the holder of the sending end loads or stores them, and the kernel's
//! lock of that end orders one holder after another. The first word decides:
//!
//! | identity | base | state |
//! |---|---|---|
//! | 0 | any | no origin |
//! | not 0 | set | that origin |
//!
//! A change erases the identity, stores the base, then stores the new identity. A death in between
//! leaves no origin. No message is copied before the change is complete, so the next holder agrees on
//! an origin anew from the same counts.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Relaxed, Release};

use super::{Channel, Side};
use crate::error::Error;

/// The channel whose messages continue in this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The identity of that channel, not 0.
    pub identity: u64,
    /// The number of a message there less its number here, wrapping.
    pub base: u64,
}

/// Called by each sender that does not keep the origin, before it can send.
pub fn erase([identity, _]: [&AtomicU64; 2]) {
    // Loaded first, so that a channel without an origin has no store to share.
    if identity.load(Relaxed) != 0 {
        identity.store(0, Relaxed);
    }
}

impl Channel {
    /// A random number that distinguishes this channel from all others, also from one that had its
    /// name before; 0 if the creator's kernel has no getrandom(2).
    pub fn identity(&self) -> u64 {
        self.ring.view().identity().load(Relaxed)
    }

    /// The origin that this sender or an earlier one recorded.
    pub fn origin(&self) -> Option<Origin> {
        let [identity, base] = self.ring.view().origin().map(|word| word.load(Relaxed));
        (identity != 0).then_some(Origin { identity, base })
    }

    /// Records the origin. Only the holder of an unshared sending end may do that (EINVAL).
    pub fn set_origin(&mut self, origin: Origin) -> Result<(), Error> {
        self.check(Side::Sender)?;
        if !self.ring.endpoint().is_exclusive() || origin.identity == 0 {
            return Err(Error::INVALID);
        }
        let [identity, base] = self.ring.view().origin();
        identity.store(0, Relaxed);
        // Each release keeps the stores in this order, also in the compiler: a death completes none of
        // the later ones.
        base.store(origin.base, Release);
        identity.store(origin.identity, Release);
        Ok(())
    }

    /// Whether the channel's name is removed or names another channel, so that no process can open this
    /// one any more.
    pub fn is_removed(&self) -> bool {
        crate::object::is_removed(self.ring.endpoint().file())
    }
}
