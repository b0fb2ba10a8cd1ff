//! What a receiver calls, and what its calls must return.

use shmcomm::Errno;
use shmcomm::channel::{ReadAhead, Side};

use super::{Handle, World, message};
use crate::guard;

impl World {
    pub fn receive(&mut self, which: usize, timeout: i32) {
        let expected = self.receiver_failure(which, timeout);
        let bytes = message(self.seed, self.received, self.capacity);
        let short = expected.is_none() && !bytes.is_empty() && self.random.one_in(20);
        let mut buffer = vec![0; self.capacity as usize];
        if short {
            buffer.truncate(bytes.len() - 1);
        }
        let expected = if short {
            Some(Errno::EMSGSIZE)
        } else {
            expected
        };
        let handle = &mut self.handles[1][which];
        let mut result = handle.channel.receive(&mut buffer, timeout);
        handle.pending = None;
        if timeout == 0 {
            result = self.poll_result(Side::Receiver, which, 0, result);
        }
        if let Some(length) = self.agree(result, expected, "receive") {
            assert!(length <= buffer.len());
            if !self.damaged {
                assert!(buffer[..length] == bytes, "message {}", self.received);
            }
            self.received += 1;
        }
    }

    fn receiver_failure(&self, which: usize, timeout: i32) -> Option<Errno> {
        if let Some(errno) = self.failure(Side::Receiver, which, timeout, false) {
            return Some(errno);
        }
        let empty = self.sent == self.received;
        self.failure(Side::Receiver, which, timeout, empty)
    }

    pub fn peek(&mut self, which: usize, timeout: i32) {
        let expected = self.receiver_failure(which, timeout);
        let handle = &mut self.handles[1][which];
        let mut result = handle.channel.peek(timeout);
        handle.pending = None;
        if timeout == 0 {
            result = self.poll_result(Side::Receiver, which, 0, result);
        }
        if let Some((place, length)) = self.agree(result, expected, "peek") {
            assert!(guard::is_mapped(place.addr().get(), length));
            // SAFETY: `length` bytes are mapped, and no process writes there now.
            let found = unsafe { std::slice::from_raw_parts(place.as_ptr(), length) };
            let bytes = message(self.seed, self.received, self.capacity);
            assert!(self.damaged || found == bytes, "message {}", self.received);
            self.handles[1][which].pending = Some(length as u64);
        }
    }

    pub fn release(&mut self, which: usize) {
        let handle = &mut self.handles[1][which];
        let expected = match handle.pending.take() {
            Some(_) => None,
            None => Some(Errno::EINVAL),
        };
        let result = handle.channel.release();
        assert_eq!(result.err().map(|error| error.errno()), expected, "release");
        if expected.is_none() {
            self.received += 1;
        }
    }

    /// Reads some messages ahead, perhaps twice, and releases some of them.
    pub fn read_ahead(&mut self, which: usize) {
        let handle = self.handles[1].remove(which);
        let mut ahead = ReadAhead::new(handle.channel).expect("an unshared receiver");
        for _ in 0..=self.random.below(2) {
            ahead.rewind().expect("rewind");
            self.read_some(&mut ahead);
        }
        for _ in 0..self.random.below(8) {
            let is_read = ahead.released() != ahead.read();
            let released = ahead.release();
            match is_read {
                true if self.agree(released, None, "release").is_some() => self.received += 1,
                true => {}
                false => assert!(released.is_err()),
            }
        }
        let channel = ahead.into_channel();
        let handle = Handle {
            channel,
            pending: None,
            ..handle
        };
        self.handles[1].insert(which, handle);
    }

    fn read_some(&mut self, ahead: &mut ReadAhead) {
        for number in self.received..self.received + self.random.below(8) {
            let is_empty = number == self.sent;
            let expected = is_empty.then_some(Errno::EAGAIN);
            let Some((place, length)) = self.agree(ahead.peek(0), expected, "peek") else {
                return;
            };
            assert!(guard::is_mapped(place.addr().get(), length));
            // SAFETY: `length` bytes are mapped, and no process writes there now.
            let found = unsafe { std::slice::from_raw_parts(place.as_ptr(), length) };
            let bytes = message(self.seed, number, self.capacity);
            assert!(self.damaged || found == bytes, "message {number}");
            if self.agree(ahead.advance(), None, "advance").is_none() {
                return;
            }
        }
    }
}
