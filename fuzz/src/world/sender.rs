//! What a sender calls, and what its calls must return.

use std::ptr::NonNull;

use shmcomm::Errno;
use shmcomm::channel::Side;

use super::{World, room};
use crate::guard;

impl World {
    fn sender_failure(&self, which: usize, length: u64, timeout: i32) -> Option<Errno> {
        let too_large = length > self.capacity - 16;
        let full = !too_large && self.used() + room(length) + 8 > self.capacity;
        match self.failure(Side::Sender, which, timeout, full) {
            None if too_large => Some(Errno::EMSGSIZE),
            failure => failure,
        }
    }

    pub fn send(&mut self, which: usize, timeout: i32) {
        let bytes = match self.random.one_in(50) {
            true => vec![0; self.capacity as usize - 15],
            false => self.next(),
        };
        let expected = self.sender_failure(which, bytes.len() as u64, timeout);
        let handle = &mut self.handles[0][which];
        let mut result = handle.channel.send(&bytes, timeout);
        handle.pending = None;
        if timeout == 0 {
            result = self.poll_result(Side::Sender, which, bytes.len() as u64, result);
        }
        if self.agree(result, expected, "send").is_some() {
            self.sent += 1;
        }
    }

    pub fn reserve(&mut self, which: usize, timeout: i32) {
        let bytes = self.next();
        let more = if self.random.one_in(3) {
            self.random.below(40)
        } else {
            0
        };
        let length = bytes.len() as u64 + more;
        let expected = self.sender_failure(which, length, timeout);
        let handle = &mut self.handles[0][which];
        let mut result = handle.channel.reserve(length as usize, timeout);
        handle.pending = None;
        if timeout == 0 {
            result = self.poll_result(Side::Sender, which, length, result);
        }
        if let Some(place) = self.agree(result, expected, "reserve") {
            assert!(guard::is_mapped(place.addr().get(), length as usize));
            // SAFETY: the call reserved `length` bytes.
            unsafe {
                place.copy_from_nonoverlapping(NonNull::from(&bytes[..]).cast(), bytes.len())
            };
            // SAFETY: the same reservation. Bytes that are not committed may have any value.
            unsafe { place.add(bytes.len()).write_bytes(0xff, more as usize) };
            self.handles[0][which].pending = Some(length);
        }
    }

    pub fn commit(&mut self, which: usize) {
        let length = self.next().len() as u64;
        let handle = &mut self.handles[0][which];
        let expected = match handle.pending {
            Some(reserved) if reserved >= length => None,
            _ => Some(Errno::EINVAL),
        };
        let result = handle.channel.commit(length as usize);
        if result.is_ok() {
            handle.pending = None;
        }
        // The reserved length decides, also after damage.
        assert_eq!(result.err().map(|error| error.errno()), expected, "commit");
        if expected.is_none() {
            self.sent += 1;
        }
    }
}
