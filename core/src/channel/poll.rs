//! The descriptor of a handle, for event loops.
//!
//! It is level-triggered: readable until the handle finds nothing to do, and only then drained. The order
//! is: the ring is empty, drain, set [`POLLED`](super::wakeup::POLLED), look at the ring once more. So
//! whatever happens after the drain either pokes the descriptor or is found by the last look, which
//! then pokes it for what else there may be.

use core::sync::atomic::Ordering::Relaxed;

use super::ring::Blocked;
use super::ring_end::RingEnd;
use super::wait::Sleep;
use super::wakeup;
use crate::error::{Call, Errno, Error};
use crate::sys;
use crate::watch::{self, Watch};

/// Makes the descriptor unreadable after an attempt found nothing to do, unless another attempt does, then
/// or because a process has died. EAGAIN, EPIPE or EIDRM if not.
#[cold]
#[inline(never)]
pub fn attempt(
    watch: &mut Watch,
    ring: &mut RingEnd,
    sleep: &mut Sleep,
    length: u64,
) -> Result<(u64, u64), Error> {
    let (result, was_fenced) = wakeup::arm(
        ring,
        RingEnd::sleep_word,
        || _ = watch.drain(),
        |ring| ring.attempt(length),
        poke,
        |ring| sleep.always_fence(ring.view()),
    );
    // A process that membarrier(2) does not reach may not have seen the bit.
    if !was_fenced && ring.view().always_fenced().load(Relaxed) != 0 {
        watch.looks = watch.looks.max(1);
    }
    if watch.looks == 0 || result != Err(Blocked::Wait) {
        return Ok(result?);
    }
    let result = look(watch, ring, length);
    if watch.looks > 0 || !is_quiet(&result) {
        poke(ring);
    }
    result
}

/// Looks for a process that has died or closed, and again after a millisecond if it may be about to release
/// its locks.
fn look(watch: &mut Watch, ring: &mut RingEnd, length: u64) -> Result<(u64, u64), Error> {
    watch.looks = watch.looks.saturating_sub(1);
    let may_be_late = ring.is_locked_out() || ring.endpoint().has_peer();
    let mut result = attempt_after_deaths(watch, ring, length);
    if result == NOTHING {
        if may_be_late {
            sys::sleep_ms(1);
            result = attempt_after_deaths(watch, ring, length);
        } else {
            watch.looks = 0;
        }
    }
    result
}

/// Same as [`RingEnd::attempt_after_deaths`], but reports each loss once.
fn attempt_after_deaths(
    watch: &mut Watch,
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
    let peer_opens = ring.view().opens(ring.endpoint().side().other());
    match watch.report(error.errno, peer_opens.load(Relaxed)) {
        true => result,
        false => NOTHING,
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
