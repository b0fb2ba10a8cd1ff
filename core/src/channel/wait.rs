//! How a side waits for the other, and wakes it.
//!
//! A side that has to wait spins for a moment, then says so in its sleep word and sleeps, by the
//! handshake of `handshake.rs`; the other side looks at that word after each message. At least every
//! [`SLICE_NS`] a sleeper looks what has become of the other processes.

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU32, Ordering,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::{Channel, stopped};
use crate::deadline::Deadline;
use crate::endpoint::Side;
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::handshake::{self, FENCED, SleepWord, Wake, Word};
use crate::object;
use crate::ring::{Stop, Words};
use crate::sys;

/// As long as a busy side may take to answer; a futex costs about half of it.
const SPIN_NS: i64 = 20_000;
/// How long a side sleeps before it looks whether the other processes live.
const SLICE_NS: i64 = 80_000_000;

/// The head start that a side gives the other: so long for each message of its own last burst, and
/// at most so long.
const HEAD_START_PER_MESSAGE_NS: u64 = 16;
const HEAD_START_NS: u64 = 4_000;
/// In that time the other side moves no more bytes than these for each nanosecond, and so does not
/// go around the ring.
const BYTES_PER_NS: u64 = 64;

impl Word for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_and(bits, order)
    }
    fn exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.compare_exchange(from, to, order, Relaxed).is_ok()
    }
}

impl SleepWord for AtomicU32 {
    fn fence(&self) {
        fence(SeqCst);
    }
    /// By `membarrier(2)`.
    fn fence_everywhere(&self) -> bool {
        sys::membarrier_global()
    }
    fn wait(&self, expected: u32, nanoseconds: i64) -> Wake {
        match futex::sleep(self, expected, nanoseconds).map_err(|error| error.errno()) {
            Err(Errno::ETIMEDOUT) => Wake::TimedOut,
            Err(Errno::EINTR) => Wake::Interrupted,
            _ => Wake::Called,
        }
    }
    fn wake(&self) {
        let _ = futex::wake(self, 1);
    }
}

impl Channel {
    /// After a message was sent or freed, for which the other side may sleep.
    #[inline(always)]
    pub(super) fn call(&mut self, other: Side) {
        if handshake::is_called(self.memory.view().sleep(other)) {
            self.wake(other);
        }
    }

    /// Wakes the other side if it sleeps.
    #[cold]
    #[inline(never)]
    fn wake(&mut self, other: Side) {
        let view = self.memory.view();
        let reaches = || self.registered && view.always_fenced().load(Relaxed) == 0;
        let mut calm = self.calm;
        handshake::wake(view.sleep(other), &mut calm, reaches);
        self.calm = calm;
    }

    /// Waits until there is room for a message of this length, and reserves it; or for a message, and
    /// peeks at it. A failed wait cancels an earlier reserve or peek.
    pub(super) fn wait(&mut self, timeout_ms: c_int, length: u64) -> Result<(u64, u64), Error> {
        self.attempt_until(timeout_ms, length)
            .inspect_err(|_| self.cancel())
    }

    #[inline(always)]
    fn attempt_until(&mut self, timeout_ms: c_int, length: u64) -> Result<(u64, u64), Error> {
        match self.attempt(length) {
            Err(Stop::Wait) if timeout_ms == 0 && self.held_by.is_none() => {
                return Err(Call::Channel.failed(Errno::EAGAIN));
            }
            Err(Stop::Wait) => {}
            result => return result.map_err(stopped),
        }
        let deadline = Deadline::after_ms(timeout_ms);
        self.give_head_start();
        let spin = sys::monotonic_clock_ns().wrapping_add(SPIN_NS);
        while sys::monotonic_clock_ns() < spin {
            for _ in 0..32 {
                match self.attempt(length) {
                    Err(Stop::Wait) => core::hint::spin_loop(),
                    result => return result.map_err(stopped),
                }
            }
        }
        if timeout_ms == 0 {
            return match self.look_around(length) {
                Err(Stop::Wait) => Err(Call::Channel.failed(Errno::EAGAIN)),
                result => result.map_err(stopped),
            };
        }
        self.sleep_until(deadline, length)
    }

    fn sleep_until(&mut self, deadline: Deadline, length: u64) -> Result<(u64, u64), Error> {
        let own = self.side();
        let mut slice = Deadline::after_ns(SLICE_NS);
        loop {
            let remaining = deadline.or_earlier(slice).remaining_at_most(SLICE_NS);
            let (result, end) = handshake::sleep(
                self,
                |channel| channel.sleep_word(own),
                remaining,
                self.endpoint.is_shared(),
                &mut |channel: &mut Self| channel.attempt(length),
                Self::always_fence,
            );
            match result {
                Err(Stop::Wait) => {}
                result => return result.map_err(stopped),
            }
            if end == Wake::Interrupted && self.interruptible {
                return Err(Call::Channel.failed(Errno::EINTR));
            }
            if remaining > 0 {
                continue;
            }
            match self.look_around(length) {
                Err(Stop::Wait) => {}
                result => return result.map_err(stopped),
            }
            if let Some(errno) = self.peer_gone() {
                // What it did before it went counts.
                match self.attempt(length) {
                    Err(Stop::Wait) if self.held_by.is_none() => {
                        return Err(Call::Channel.failed(errno));
                    }
                    Err(Stop::Wait) => {}
                    result => return result.map_err(stopped),
                }
            }
            if deadline.has_passed() {
                return Err(Call::Channel.failed(Errno::ETIMEDOUT));
            }
            slice = Deadline::after_ns(SLICE_NS);
        }
    }

    /// Attempts once more where a dead process held this end.
    fn look_around(&mut self, length: u64) -> Result<(u64, u64), Stop> {
        match self.unlock_for_dead() {
            true => self.attempt(length),
            false => Err(Stop::Wait),
        }
    }

    /// EIDRM where nobody holds the other end and nobody can come any more, EPIPE where this handle has
    /// met somebody there who is gone.
    fn peer_gone(&mut self) -> Option<Errno> {
        if self.endpoint.has_peer() {
            self.has_met_peer = true;
            return None;
        }
        if object::is_removed(self.endpoint.file()) {
            return Some(Errno::EIDRM);
        }
        let other = self.side().other();
        let opened = self.memory.view().opened(other).load(Relaxed);
        self.has_met_peer |= opened != self.peers_before;
        self.has_met_peer.then_some(Errno::EPIPE)
    }

    fn sleep_word(&self, side: Side) -> &AtomicU32 {
        self.memory.view().sleep(side)
    }

    /// Lets the other side get ahead after a burst of messages. Else the faster side stays so close
    /// that both want the same cache line at each message, which can take longer than all else. A side
    /// that answers single messages does not wait here.
    fn give_head_start(&mut self) {
        let burst = self.count().wrapping_sub(self.waited_at);
        self.waited_at = self.count();
        if burst > 1 {
            let most = HEAD_START_NS.min(self.memory.view().capacity() / BYTES_PER_NS);
            let pause = most.min(burst.saturating_mul(HEAD_START_PER_MESSAGE_NS));
            let end = sys::monotonic_clock_ns().wrapping_add(pause as i64);
            while sys::monotonic_clock_ns() < end {
                core::hint::spin_loop();
            }
        }
    }

    /// Makes both sides fence after every message, because membarrier(2) is unavailable.
    #[cold]
    pub(super) fn always_fence(&mut self) {
        self.registered = false;
        self.memory.view().always_fenced().store(1, Relaxed);
        for side in [Side::Sender, Side::Receiver] {
            self.sleep_word(side).fetch_or(FENCED, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Options;
    use crate::handshake::CALM;
    use crate::name::Name;

    /// Both ends of a new channel, whose name is gone.
    fn ends(name: &str) -> [Channel; 2] {
        let name = format!("shmcomm-test-{}-{name}", sys::getpid());
        let ends = [Side::Sender, Side::Receiver].map(|side| {
            let options = Options {
                side,
                capacity: 4096,
                mode: 0o600,
                create: true,
                exclusive: false,
                shared: false,
                interruptible: false,
            };
            options.open(Name::Posix(name.as_bytes())).unwrap()
        });
        crate::segment::remove(Name::Posix(name.as_bytes())).unwrap();
        ends
    }

    fn exchange([sender, receiver]: &mut [Channel; 2], messages: u32) {
        for _ in 0..messages {
            sender.send(b"message", 0).unwrap();
            receiver.receive(&mut [0; 8], 0).unwrap();
        }
    }

    fn is_fenced(channel: &Channel, side: Side) -> bool {
        channel.sleep_word(side).load(Relaxed) & FENCED != 0
    }

    #[test]
    fn the_fence_is_left_out_when_nobody_has_slept_for_long() {
        let mut ends = ends("calm");
        let has_barrier = sys::membarrier_register();
        assert!(ends.iter().all(|end| end.registered == has_barrier));
        assert!(ends[1].receive(&mut [], 1).is_err());
        assert!(is_fenced(&ends[1], Side::Receiver));
        exchange(&mut ends, CALM);
        assert!(is_fenced(&ends[1], Side::Receiver));
        exchange(&mut ends, 1);
        assert_eq!(is_fenced(&ends[1], Side::Receiver), !has_barrier);
    }

    #[test]
    fn the_fence_stays_where_one_side_has_no_barrier() {
        for which in 0..2 {
            let mut ends = ends(["sender", "receiver"][which]);
            ends[which].always_fence();
            assert!(!ends[which].registered);
            exchange(&mut ends, 3 * CALM);
            for side in [Side::Sender, Side::Receiver] {
                assert!(is_fenced(&ends[0], side));
            }
        }
    }

    #[test]
    fn a_deadline_that_has_passed_ends_a_wait() {
        let [_sender, mut receiver] = ends("late");
        let result = receiver.sleep_until(Deadline::after_ns(0), 0);
        assert_eq!(
            result.err().map(|error| error.errno()),
            Some(Errno::ETIMEDOUT)
        );
    }
}
