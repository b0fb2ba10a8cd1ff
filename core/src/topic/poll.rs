//! The descriptor of a reader, for event loops.
//!
//! It is level-triggered, as that of a channel: readable until the reader finds no message, and only then
//! drained. The order is: there is no message, drain, set [`POLLED`](crate::channel::wakeup::POLLED), look
//! once more. The writer clears that bit and pokes the descriptors of all readers.

use core::sync::atomic::Ordering::Relaxed;

use super::TOPIC;
use super::memory::View;
use super::slots::Reader;
use super::wait::{self, Readers};
use crate::channel::endpoint::Endpoint;
use crate::channel::ring::Blocked;
use crate::channel::wakeup;
use crate::error::Error;
use crate::sys;
use crate::watch::{self, Watch};

/// Makes the descriptor unreadable after the reader has found no message, unless there is one now. EAGAIN if
/// not; once for each writer that has closed or died, EPIPE or EIDRM.
#[cold]
#[inline(never)]
pub fn attempt(
    watch: &mut Watch,
    view: View<'_>,
    reader: &mut Reader,
    endpoint: &mut Endpoint,
) -> Result<(), Error> {
    let (found, was_fenced) = wakeup::arm(
        &mut (Readers::new(view, 0), &mut *reader),
        |(readers, _)| readers,
        || _ = watch.drain(),
        |(_, reader)| wait::look(reader, view),
        |_| watch::poke(endpoint.file()),
        |_| view.always_fence(),
    );
    // A writer that membarrier(2) does not reach may not have seen the bit.
    if !was_fenced && view.always_fenced().load(Relaxed) != 0 {
        watch.looks = watch.looks.max(1);
    }
    if watch.looks == 0 || found != Err(Blocked::Wait) {
        return found.map_err(super::blocked);
    }
    let result = look(watch, view, reader, endpoint);
    if watch.looks > 0 || result.is_ok() {
        watch::poke(endpoint.file());
    }
    result
}

/// Looks for a writer that has died or closed, and again later if it may be about to release its lock.
fn look(
    watch: &mut Watch,
    view: View<'_>,
    reader: &mut Reader,
    endpoint: &mut Endpoint,
) -> Result<(), Error> {
    watch.looks = watch.looks.saturating_sub(1);
    let mut gone = endpoint.peer_gone(view.writer_opens());
    if gone.is_none() && endpoint.has_peer() {
        sys::sleep_ms(1);
        gone = endpoint.peer_gone(view.writer_opens());
    } else {
        watch.looks = 0;
    }
    // What the writer did before it exited counts.
    match (wait::look(reader, view), gone) {
        (Err(Blocked::Wait), Some(errno))
            if watch.report(errno, view.writer_opens().load(Relaxed)) =>
        {
            Err(TOPIC.failed(errno))
        }
        (found, _) => found.map_err(super::blocked),
    }
}
