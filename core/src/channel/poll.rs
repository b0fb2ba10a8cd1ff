//! The descriptor of a handle, for event loops.
//!
//! It is level-triggered: readable until the handle finds nothing to do, and only then drained. The order
//! is: the ring is empty, drain, set [`POLLED`](super::wakeup::POLLED), look at the ring once more. So
//! whatever happens after the drain either pokes the descriptor or is found by the last look, which
//! then pokes it for what else there may be.

use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use super::ring::Blocked;
use super::ring_end::RingEnd;
use super::wait::Sleep;
use super::wakeup;
use crate::error::{Call, Errno, Error};
use crate::sys::{self, Descriptor};
use crate::watch::{self, Seen, Watch};

/// How often a handle looks for a dead process after a file was closed, a millisecond apart: as long as a
/// death may take to be noticed. In 4,000 kills the first look found it.
const MAX_LOOKS: u32 = 100;

/// The descriptor of a handle.
pub struct Poll {
    watch: Watch,
    /// How often to look, yet, for a process that has died or closed.
    looks: u32,
    /// The last loss of the peer that was reported: its errno, and the number of opens of the other end.
    reported: Option<(Errno, u32)>,
}

impl Poll {
    /// Watches the channel's file. The descriptor is readable at first.
    pub fn new(file: &Descriptor) -> Result<Self, Error> {
        let watch = Watch::new(file)?;
        watch::poke(file);
        // The peer may have gone before.
        Ok(Self {
            watch,
            looks: 1,
            reported: None,
        })
    }

    /// Its number.
    pub fn raw(&self) -> c_int {
        self.watch.raw()
    }

    /// Makes the descriptor unreadable after an attempt found nothing to do, unless another attempt does,
    /// then or because a process has died. EAGAIN, EPIPE or EIDRM if not.
    #[cold]
    #[inline(never)]
    pub fn attempt(
        &mut self,
        ring: &mut RingEnd,
        sleep: &mut Sleep,
        length: u64,
    ) -> Result<(u64, u64), Error> {
        let mut seen = Seen::Nothing;
        let (result, was_fenced) = wakeup::arm(
            ring,
            RingEnd::sleep_word,
            || seen = self.watch.drain(),
            |ring| ring.attempt(length),
            poke,
            |ring| sleep.always_fence(ring.view()),
        );
        self.looks = self.looks.max(match seen {
            Seen::Closed => MAX_LOOKS,
            Seen::Links => 1,
            // A process that membarrier(2) does not reach may not have seen the bit.
            _ if !was_fenced && ring.view().always_fenced().load(Relaxed) != 0 => 1,
            Seen::Nothing | Seen::Poke => 0,
        });
        if self.looks == 0 || result != Err(Blocked::Wait) {
            return Ok(result?);
        }
        let result = self.look(ring, length);
        if self.looks > 0 || !is_quiet(&result) {
            poke(ring);
        }
        result
    }

    /// Looks for a process that has died or closed, and again after a millisecond if it may be about to
    /// release its locks.
    fn look(&mut self, ring: &mut RingEnd, length: u64) -> Result<(u64, u64), Error> {
        self.looks = self.looks.saturating_sub(1);
        let may_be_late = ring.is_locked_out() || ring.endpoint().has_peer();
        let mut result = self.attempt_after_deaths(ring, length);
        if result == NOTHING {
            if may_be_late {
                sys::sleep_ms(1);
                result = self.attempt_after_deaths(ring, length);
            } else {
                self.looks = 0;
            }
        }
        result
    }

    /// Same as [`RingEnd::attempt_after_deaths`], but reports each loss once.
    fn attempt_after_deaths(
        &mut self,
        ring: &mut RingEnd,
        length: u64,
    ) -> Result<(u64, u64), Error> {
        let result = match ring.attempt(length) {
            Err(Blocked::Wait) => ring.attempt_after_deaths(length),
            result => result.map_err(Error::from),
        };
        let Err(error) = result else { return result };
        if !is_quiet(&result) || result == NOTHING {
            return result;
        }
        self.looks = 0;
        let peer_opens = ring.view().opens(ring.endpoint().side().other());
        let loss = Some((error.errno, peer_opens.load(Relaxed)));
        match core::mem::replace(&mut self.reported, loss) == loss {
            true => NOTHING,
            false => result,
        }
    }
}

fn poke(ring: &RingEnd) {
    watch::poke(ring.endpoint().file());
}

const NOTHING: Result<(u64, u64), Error> = Err(Call::Channel.failed(Errno::EAGAIN));

/// Whether there is nothing to do until another process does something.
fn is_quiet(result: &Result<(u64, u64), Error>) -> bool {
    let quiet = [Errno::EAGAIN, Errno::EPIPE, Errno::EIDRM];
    matches!(result, Err(error) if quiet.contains(&error.errno))
}
