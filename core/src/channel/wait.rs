//! How a side waits for the other, and wakes it.
//!
//! Who has to wait spins for a moment, then says so in its sleep word and sleeps, by the handshake of
//! `handshake.rs`; the other side looks at that word after each message.

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU32, Ordering,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::memory::at;
use super::{Channel, stopped};
use crate::deadline::Deadline;
use crate::endpoint::Side;
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::handshake::{self, FENCED, SleepWord};
use crate::ring::{Stop, Words};
use crate::sys;

/// As long as a busy side may take to answer; a futex costs about half of it.
pub const SPIN_NS: i64 = 20_000;
/// How long a side sleeps before it looks whether the other one lives.
pub const SLICE_NS: i64 = 80_000_000;

/// The head start that a side gives the other: so long for each message of its own last burst, and
/// at most so long.
const HEAD_START_PER_MESSAGE_NS: u64 = 16;
const HEAD_START_NS: u64 = 4_000;
/// In that time the other side moves no more bytes than these for each nanosecond, and so does not
/// go around the ring.
const BYTES_PER_NS: u64 = 64;

impl SleepWord for AtomicU32 {
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
    fn fence(&self) {
        fence(SeqCst);
    }
    /// By `membarrier(2)`.
    fn fence_everywhere(&self) -> bool {
        sys::barrier_everywhere()
    }
    fn wait(&self, expected: u32, nanoseconds: i64) -> bool {
        futex::sleep(self, expected, nanoseconds) != Err(Errno::ETIMEDOUT)
    }
    fn wake(&self) {
        let _ = futex::wake(self, c_int::MAX);
    }
}

impl Channel {
    #[inline(always)]
    fn sleep_word(&self, side: Side) -> &AtomicU32 {
        self.memory.view().word(match side {
            Side::Sender => at::SENDER_SLEEPS,
            Side::Receiver => at::RECEIVER_SLEEPS,
        })
    }

    /// Where a side says that it has come.
    pub(super) fn came(&self, side: Side) -> &AtomicU32 {
        self.memory.view().word(match side {
            Side::Sender => at::SENDER_CAME,
            Side::Receiver => at::RECEIVER_CAME,
        })
    }

    /// After a message was sent or freed, for which the other side may sleep.
    #[inline(always)]
    pub(super) fn call(&mut self, other: Side) {
        if handshake::is_called(self.sleep_word(other)) {
            self.wake(other);
        }
    }

    /// Wakes the other side if it sleeps.
    #[cold]
    #[inline(never)]
    fn wake(&mut self, other: Side) {
        let always_fenced = self.memory.view().word(at::ALWAYS_FENCED);
        let reaches = || self.registered && always_fenced.load(Relaxed) == 0;
        let mut calm = self.calm;
        handshake::wake(self.sleep_word(other), &mut calm, reaches);
        self.calm = calm;
    }

    /// Waits until `attempt` says something else than that it has to. What was reserved or peeked at
    /// is given up where it fails.
    #[inline(always)]
    pub(super) fn wait<T>(
        &mut self,
        timeout_ms: c_int,
        attempt: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Error> {
        self.attempt_until(timeout_ms, attempt)
            .inspect_err(|_| self.forget())
    }

    fn attempt_until<T>(
        &mut self,
        timeout_ms: c_int,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Error> {
        match attempt(self) {
            Err(Stop::Wait) if timeout_ms == 0 => {
                return Err(Call::Futex.failed(Errno::EAGAIN));
            }
            Err(Stop::Wait) => {}
            result => return result.map_err(stopped),
        }
        let deadline = Deadline::after_ms(timeout_ms);
        self.give_head_start();
        let spin = sys::monotonic_clock_ns().wrapping_add(SPIN_NS);
        while sys::monotonic_clock_ns() < spin {
            for _ in 0..32 {
                match attempt(self) {
                    Err(Stop::Wait) => core::hint::spin_loop(),
                    result => return result.map_err(stopped),
                }
            }
        }
        loop {
            let own = self.side();
            let result = handshake::sleep(
                self,
                |channel| channel.sleep_word(own),
                deadline.remaining_at_most(SLICE_NS),
                &mut attempt,
                Self::always_fence,
            );
            match result {
                Err(Stop::Wait) => {}
                result => return result.map_err(stopped),
            }
            let other = own.other();
            let peer_is_gone = self.came(other).load(Relaxed) != 0 && !self.endpoint.has_peer();
            if !peer_is_gone && !deadline.has_passed() {
                continue;
            }
            // What it did before it went counts.
            match attempt(self) {
                Err(Stop::Wait) if peer_is_gone => {
                    return Err(Call::Futex.failed(Errno::EPIPE));
                }
                Err(Stop::Wait) => return Err(Call::Futex.failed(Errno::ETIMEDOUT)),
                result => return result.map_err(stopped),
            }
        }
    }

    /// Lets the other side get ahead after a burst of messages. Else the faster side stays so close
    /// that both want the same cache line at each message, which can take longer than all else. Who
    /// answers single messages does not wait here.
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

    /// Has all barriers made by both sides, since membarrier(2) cannot be used here.
    #[cold]
    pub(super) fn always_fence(&mut self) {
        self.registered = false;
        self.memory.view().word(at::ALWAYS_FENCED).store(1, Relaxed);
        for side in [Side::Sender, Side::Receiver] {
            self.sleep_word(side).fetch_or(FENCED, SeqCst);
        }
    }
}
