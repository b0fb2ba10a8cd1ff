//! Handles with descriptors: one that is not readable belongs to a handle that has nothing to do.

use shmcomm::channel::Side;
use shmcomm::{Call, Errno, Error};

use crate::world::{Handle, World, index, room};

impl Handle {
    /// Whether poll(2) says that the handle may be able to proceed.
    fn is_readable(&self) -> bool {
        let Some((fd, _)) = self.polled else {
            return true;
        };
        let mut wanted = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one entry.
        unsafe { libc::poll(&raw mut wanted, 1, 0) == 1 }
    }
}

impl World {
    pub fn poll(&mut self, side: Side, which: usize) {
        let handle = &mut self.handles[index(side)][which];
        let descriptor = handle.channel.poll_descriptor().unwrap();
        match handle.polled {
            Some((before, _)) => assert_eq!(descriptor, before),
            None => handle.polled = Some((descriptor, 0)),
        }
    }

    /// A handle whose descriptor is not readable has nothing to do, or another one of its end is inside a
    /// message.
    pub fn check_descriptors(&self) {
        let used = self.used();
        for (side, handles) in self.handles.iter().enumerate() {
            let is_locked = handles.iter().any(|handle| handle.pending.is_some());
            for handle in handles {
                let Some((_, length)) = handle.polled else {
                    continue;
                };
                let has_room = used + room(length) + 8 <= self.capacity;
                let may_proceed = [has_room, self.sent > self.received][side];
                assert!(handle.is_readable() || is_locked || !may_proceed, "{side}");
            }
        }
    }

    /// Notes what a call without a wait has found. One of a handle with a descriptor may report a loss.
    pub fn poll_result<T>(
        &mut self,
        side: Side,
        which: usize,
        length: u64,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let lost = self.failure(side, which, 1, true) == Some(Errno::EPIPE);
        let Some((_, refused)) = &mut self.handles[index(side)][which].polled else {
            return result;
        };
        match result {
            Err(error) if error.errno() == Errno::EAGAIN => *refused = length,
            Err(error) if error.errno() == Errno::EPIPE && lost => {
                *refused = length;
                return Err(Call::Channel.failed(Errno::EAGAIN));
            }
            _ => {}
        }
        result
    }
}
