//! The descriptor of a reader, for event loops.
//!
//! It is level-triggered, as that of a channel: readable until the reader finds no message, and only then
//! drained. The order is: there is no message, drain, set [`POLLED`](crate::channel::wakeup::POLLED), look
//! once more. The writer clears that bit and pokes the descriptors of all readers.

use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use super::TOPIC;
use super::memory::View;
use super::slots::Reader;
use super::wait::{self, Readers};
use crate::channel::endpoint::Endpoint;
use crate::channel::ring::Blocked;
use crate::channel::wakeup;
use crate::error::{Errno, Error};
use crate::sys::{self, Descriptor};
use crate::watch::{self, Seen, Watch};

/// How often a reader looks for a dead writer after a file was closed, a millisecond apart: as long as a
/// death may take to be noticed.
const MAX_LOOKS: u32 = 100;

/// The descriptor of a reader.
pub struct Poll {
    watch: Watch,
    /// How often to look, yet, for a writer that has died or closed.
    looks: u32,
    /// The last loss of a writer that was reported: its errno, and the number of writers before it.
    reported: Option<(Errno, u32)>,
}

impl Poll {
    /// Watches the topic's file. The descriptor is readable at first.
    pub fn new(file: &Descriptor) -> Result<Self, Error> {
        let watch = Watch::new(file)?;
        watch::poke(file);
        // The writer may have gone before.
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

    /// Makes the descriptor unreadable after the reader has found no message, unless there is one now. EAGAIN
    /// if not; once for each writer that has closed or died, EPIPE or EIDRM.
    #[cold]
    #[inline(never)]
    pub fn attempt(
        &mut self,
        view: View<'_>,
        reader: &mut Reader,
        endpoint: &mut Endpoint,
    ) -> Result<(), Error> {
        let mut seen = Seen::Nothing;
        let (found, was_fenced) = wakeup::arm(
            &mut (Readers::new(view, 0), &mut *reader),
            |(readers, _)| readers,
            || seen = self.watch.drain(),
            |(_, reader)| wait::look(reader, view),
            |_| watch::poke(endpoint.file()),
            |_| view.always_fence(),
        );
        self.looks = self.looks.max(match seen {
            Seen::Closed => MAX_LOOKS,
            Seen::Links => 1,
            // A writer that membarrier(2) does not reach may not have seen the bit.
            _ if !was_fenced && view.always_fenced().load(Relaxed) != 0 => 1,
            Seen::Nothing | Seen::Poke => 0,
        });
        if self.looks == 0 || found != Err(Blocked::Wait) {
            return found.map_err(super::blocked);
        }
        let result = self.look(view, reader, endpoint);
        if self.looks > 0 || result.is_ok() {
            watch::poke(endpoint.file());
        }
        result
    }

    /// Looks for a writer that has died or closed, and again later if it may be about to release its lock.
    fn look(
        &mut self,
        view: View<'_>,
        reader: &mut Reader,
        endpoint: &mut Endpoint,
    ) -> Result<(), Error> {
        self.looks = self.looks.saturating_sub(1);
        let mut gone = endpoint.peer_gone(view.writer_opens());
        if gone.is_none() && endpoint.has_peer() {
            sys::sleep_ms(1);
            gone = endpoint.peer_gone(view.writer_opens());
        } else {
            self.looks = 0;
        }
        // What the writer did before it exited counts.
        let loss = gone.map(|errno| (errno, view.writer_opens().load(Relaxed)));
        match (wait::look(reader, view), loss) {
            (Err(Blocked::Wait), Some((errno, _))) if self.reported != loss => {
                self.reported = loss;
                self.looks = 0;
                Err(TOPIC.failed(errno))
            }
            (found, _) => found.map_err(super::blocked),
        }
    }
}
