//! How a side waits for the other side, and wakes it.
//!
//! A side that has to wait tries for [`SPIN_NS`], then sleeps as [`wakeup`] describes; the other
//! side looks at its sleep word after each message. Every [`SLICE_NS`] a sleeper looks whether the
//! other processes are alive.

use core::ffi::c_int;
use core::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use super::endpoint::Side;
use super::head_start::HeadStart;
use super::memory::View;
use super::ring::Blocked;
use super::ring_end::RingEnd;
use super::wakeup::{self, FENCED, SleepEnd, SleepWord};
use crate::deadline::{Deadline, SLICE_NS};
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::sys;
use crate::watch;

/// How long a side tries before it sleeps: twice the 10 µs of a futex round trip, so that a side that
/// answers at once is not put to sleep.
const SPIN_NS: i64 = 20_000;

impl SleepWord for AtomicU32 {
    fn fence(&self) {
        fence(SeqCst);
    }
    fn fence_everywhere(&self) -> bool {
        sys::membarrier_global()
    }
    fn wait(&self, expected: u32, nanoseconds: i64) -> SleepEnd {
        match futex::sleep(self, expected, nanoseconds).map_err(|error| error.errno) {
            Err(Errno::ETIMEDOUT) => SleepEnd::TimedOut,
            Err(Errno::EINTR) => SleepEnd::Interrupted,
            _ => SleepEnd::Woken,
        }
    }
    fn wake(&self) {
        let _ = futex::wake(self, 1);
    }
}

/// Attempts for [`SPIN_NS`] from now on.
#[inline(always)]
pub(crate) fn spin<T>(
    now: i64,
    mut attempt: impl FnMut() -> Result<T, Blocked>,
) -> Result<T, Blocked> {
    let end = now.saturating_add(SPIN_NS);
    while sys::monotonic_clock_ns() < end {
        for _ in 0..32 {
            match attempt() {
                Err(Blocked::Wait) => core::hint::spin_loop(),
                result => return result,
            }
        }
    }
    Err(Blocked::Wait)
}

/// What a handle knows about sleeping and waking.
pub struct Sleep {
    /// Consecutive messages that found the other side awake.
    unslept: u32,
    /// What is done before a wait.
    head_start: HeadStart,
    /// The membarrier(2) of other processes reaches this process.
    is_reached: bool,
    /// A signal handler ends a wait.
    interruptible: bool,
}

impl Sleep {
    pub fn new(interruptible: bool) -> Self {
        Self {
            unslept: 0,
            head_start: HeadStart::default(),
            is_reached: false,
            interruptible,
        }
    }

    /// Registers this process for the fences of sleepers.
    pub fn register(&mut self, memory: View<'_>) {
        self.is_reached = sys::membarrier_register();
        if !self.is_reached {
            self.always_fence(memory);
        }
    }

    /// Wakes the other side, after [`wakeup::needs_wake`].
    pub fn wake(&mut self, ring: &RingEnd, other: Side) {
        let memory = ring.view();
        let reaches = || self.is_reached && memory.always_fenced().load(Relaxed) == 0;
        let poke = || watch::poke(ring.endpoint().file());
        wakeup::wake(memory.sleep(other), &mut self.unslept, reaches, poke);
    }

    /// Makes both sides fence after every message, because membarrier(2) is unavailable.
    #[cold]
    pub fn always_fence(&mut self, memory: View<'_>) {
        self.is_reached = false;
        memory.always_fenced().store(1, Relaxed);
        for side in [Side::Sender, Side::Receiver] {
            memory.sleep(side).fetch_or(FENCED, SeqCst);
        }
    }

    /// Attempts until it succeeds; for at most this number of milliseconds, -1 for ever. With 0 it gives
    /// another process of a shared end the time to unlock, but does not sleep.
    #[inline(never)]
    pub fn wait(
        &mut self,
        ring: &mut RingEnd,
        length: u64,
        timeout_ms: c_int,
    ) -> Result<(u64, u64), Error> {
        let deadline = Deadline::after_ms(timeout_ms);
        let now = sys::monotonic_clock_ns();
        self.head_start.give(ring, now);
        match spin(now, || ring.attempt(length)) {
            Err(Blocked::Wait) => {}
            result => return Ok(result?),
        }
        if timeout_ms == 0 {
            return Ok(ring.attempt_for_dead(length)?);
        }
        self.sleep_until(deadline, ring, length)
    }

    fn sleep_until(
        &mut self,
        deadline: Deadline,
        ring: &mut RingEnd,
        length: u64,
    ) -> Result<(u64, u64), Error> {
        let mut slice = Deadline::after_ns(SLICE_NS);
        loop {
            let remaining = deadline.or_earlier(slice).remaining_at_most(SLICE_NS);
            let (result, end) = wakeup::sleep(
                ring,
                RingEnd::sleep_word,
                remaining,
                ring.endpoint().is_shared(),
                |ring| ring.attempt(length),
                |ring| self.always_fence(ring.view()),
            );
            match result {
                Err(Blocked::Wait) => {}
                result => return Ok(result?),
            }
            if end == SleepEnd::Interrupted && self.interruptible {
                return Err(Call::Channel.failed(Errno::EINTR));
            }
            if remaining > 0 {
                continue;
            }
            match ring.attempt_after_deaths(length) {
                Err(error) if error.errno == Errno::EAGAIN => {}
                result => return result,
            }
            if deadline.has_passed() {
                return Err(Call::Channel.failed(Errno::ETIMEDOUT));
            }
            slice = Deadline::after_ns(SLICE_NS);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::channel::wakeup::FENCE_FREE_AFTER;
    use crate::channel::{Channel, Options};
    use crate::name::Name;

    /// Both ends of a new channel, whose name is removed.
    pub fn ends(name: &str) -> [Channel; 2] {
        let name = format!("shmcomm-test-{}-{name}", sys::getpid());
        let ends = [Side::Sender, Side::Receiver].map(|side| {
            let options = Options {
                capacity: 4096,
                create: true,
                ..Options::new(side)
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
        channel.ring.view().sleep(side).load(Relaxed) & FENCED != 0
    }

    #[test]
    fn the_fence_is_switched_off_when_no_side_has_slept_for_long() {
        let mut ends = ends("unslept");
        let has_barrier = sys::membarrier_register();
        assert!(ends.iter().all(|end| end.sleep.is_reached == has_barrier));
        assert!(ends[1].receive(&mut [], 1).is_err());
        assert!(is_fenced(&ends[1], Side::Receiver));
        exchange(&mut ends, FENCE_FREE_AFTER);
        assert!(is_fenced(&ends[1], Side::Receiver));
        exchange(&mut ends, 1);
        assert_eq!(is_fenced(&ends[1], Side::Receiver), !has_barrier);
    }

    #[test]
    fn the_fence_stays_if_one_side_has_no_barrier() {
        for which in 0..2 {
            let mut ends = ends(["sender", "receiver"][which]);
            let end = &mut ends[which];
            end.sleep.always_fence(end.ring.view());
            assert!(!end.sleep.is_reached);
            exchange(&mut ends, 3 * FENCE_FREE_AFTER);
            for side in [Side::Sender, Side::Receiver] {
                assert!(is_fenced(&ends[0], side));
            }
        }
    }

    #[test]
    fn a_deadline_that_has_passed_ends_a_wait() {
        let [_sender, Channel { ring, sleep, .. }] = &mut ends("late");
        let result = sleep.sleep_until(Deadline::after_ns(0), ring, 0);
        assert_eq!(
            result.err().map(|error| error.errno()),
            Some(Errno::ETIMEDOUT)
        );
    }
}
