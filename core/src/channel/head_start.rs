//! What a side does before it waits, so that streams of small messages are faster.
//!
//! The receiver takes the cache lines that it has read. A line that it only reads stays in the
//! sender's cache too, and the sender's next store there must first invalidate the receiver's copy.
//! Such stores hardly overlap: they cost 33 ns per message of 64 bytes, even while the receiver does
//! nothing. A line in the receiver's cache alone is a plain miss, which the hardware prefetches: 9 ns.
//!
//! Then either side may give the other a head start. Without it the faster side follows at the distance
//! of a line, and both want the same line at each message. But a side that waits for an answer gains
//! nothing from a head start and loses its time, so [`Trials`] determines whether it pays.
//!
//! docs/benchmarks.md has the figures.

use core::sync::atomic::Ordering::Relaxed;

use super::endpoint::Side;
use super::memory::View;
use super::ring::Words;
use super::ring_end::RingEnd;
use crate::sys;

/// The longest head start. With 1, 2, 4 and 16 µs, 54, 67, 73 and 76 million messages of 64 bytes a
/// second went through a ring of 1 MiB.
const MAX_NS: i64 = 4_000;
/// The other side moves at most this number of bytes in a nanosecond: two cores exchange 60 to 90 GB/s
/// (docs/benchmarks.md). It limits the head start, so that the other side does not go around the ring.
const BYTES_PER_NS: u64 = 64;
/// Size of a cache line in bytes. Where lines are longer, each is taken twice.
const LINE: u64 = 64;
/// Lines that are taken between two looks at the clock. A line takes 3 to 13 ns, a look 25 ns.
const LINES_PER_LOOK: u64 = 64;

/// How long the rate of one way to wait is measured: ten of the longest head starts.
const PERIOD_NS: i64 = 10 * MAX_NS;
/// A longer period contains a sleep, so its rate is not that of a stream.
const MAX_PERIOD_NS: i64 = 8 * PERIOD_NS;
/// Regular periods before a trial, at first and at most. The first finds a stream within 0.2 ms; the
/// second limits the cost of trials that fail to 0.4 % of the time.
const MIN_INTERVAL: u32 = 2;
const MAX_INTERVAL: u32 = 256;

/// What a handle remembers of its waits.
#[derive(Default)]
pub struct HeadStart {
    /// The message count and the position of this end at its last wait.
    count: u64,
    position: u64,
    trials: Trials,
}

impl HeadStart {
    /// Gives the other side a head start at a wait that begins `now`. A side that exchanges single
    /// messages does not wait here.
    pub fn give(&mut self, ring: &RingEnd, now: i64) {
        let (count, position) = (ring.count(), ring.position());
        let is_first = self.trials.start == 0;
        let burst = count.wrapping_sub(self.count);
        let pays = self.trials.pays(burst, now);
        if burst > 1 && !is_first {
            let endpoint = ring.endpoint();
            if endpoint.side() == Side::Receiver && endpoint.is_exclusive() {
                let bytes = position.wrapping_sub(self.position);
                take_lines(ring.view(), position, bytes, now);
            }
            if pays {
                let most = (ring.view().capacity() / BYTES_PER_NS).min(MAX_NS as u64);
                let end = now.saturating_add(most as i64);
                while sys::monotonic_clock_ns() < end {
                    core::hint::spin_loop();
                }
            }
        }
        (self.count, self.position) = (count, position);
    }
}

/// Moves the last lines before a position, of this number of bytes, into the cache of this core alone.
/// Begins with those that are surely in the cache, and stops when [`MAX_NS`] have passed since `now`.
/// Leaves out the line of the position, which the sender writes next.
fn take_lines(memory: View<'_>, position: u64, bytes: u64, now: i64) {
    let end = now.saturating_add(MAX_NS);
    let mut at = position;
    for line in 1..=bytes.min(memory.capacity()) / LINE {
        at = at.wrapping_sub(LINE);
        // The lines are free: the sender may have gone around the ring and write there. To exchange a
        // word for itself is a store to the caches and changes nothing, whatever the sender stores.
        let word = memory.length(at);
        let value = word.load(Relaxed);
        let _ = word.compare_exchange(value, value, Relaxed, Relaxed);
        if line % LINES_PER_LOOK == 0 && sys::monotonic_clock_ns() >= end {
            return;
        }
    }
}

/// Determines whether head starts pay: measures the rate of messages in periods, tries the opposite in
/// one of them, and keeps it if the rate rises by an eighth.
#[derive(Default)]
struct Trials {
    /// Head starts are given in this period.
    gives: bool,
    /// This period is a trial.
    is_trial: bool,
    /// The rate of the last regular period, in messages per 2^20 ns.
    rate: u64,
    /// When this period began; 0 before the first.
    start: i64,
    messages: u64,
    waits: u64,
    /// Regular periods between two trials. It doubles after a trial that fails.
    interval: u32,
    /// Regular periods before the next trial.
    remaining: u32,
}

impl Trials {
    /// Counts a wait after this number of messages. Returns whether the other side shall get a head
    /// start.
    fn pays(&mut self, burst: u64, now: i64) -> bool {
        self.messages = self.messages.saturating_add(burst);
        self.waits = self.waits.saturating_add(1);
        let time = now.saturating_sub(self.start);
        if time < PERIOD_NS {
            return self.gives;
        }
        let messages = self.messages.saturating_mul(1 << 20);
        let rate = messages.checked_div(time as u64).unwrap_or(0);
        // No trial where most waits are for a single message.
        if time > MAX_PERIOD_NS || self.messages < self.waits.saturating_mul(2) {
            *self = Self::default();
            self.schedule(MIN_INTERVAL);
        } else if self.is_trial {
            let has_gained = rate > self.rate.saturating_add(self.rate / 8);
            self.gives ^= !has_gained;
            self.schedule(match has_gained {
                true => MIN_INTERVAL,
                false => self.interval.saturating_mul(2).min(MAX_INTERVAL),
            });
        } else {
            self.rate = rate;
            self.remaining = self.remaining.saturating_sub(1);
            self.is_trial = self.remaining == 0;
            self.gives ^= self.is_trial;
        }
        (self.start, self.messages, self.waits) = (now, 0, 0);
        self.gives
    }

    /// Schedules the next trial after this number of regular periods.
    fn schedule(&mut self, interval: u32) {
        (self.is_trial, self.interval, self.remaining) = (false, interval, interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::wait::tests::ends;
    use std::thread;

    const MS: i64 = 1_000_000;

    /// A side that waits again and again for this time. `burst` says how many messages it gets after a
    /// wait and how long that takes, with a head start or without. Returns the share of the time in
    /// which it gave head starts.
    fn share(trials: &mut Trials, time: i64, burst: impl Fn(bool) -> (u64, i64)) -> f64 {
        let start = trials.start.max(MS);
        let (mut now, mut messages, mut given) = (start, 0, 0);
        while now < start + time {
            let gives = trials.pays(messages, now);
            let next = burst(gives);
            messages = next.0;
            now += next.1;
            given += if gives { next.1 } else { 0 };
        }
        given as f64 / (now - start) as f64
    }

    /// A sender that needs 30 ns a message on its own, and 50 ns if the receiver follows it closely.
    fn stream(gives: bool) -> (u64, i64) {
        if gives { (160, 4_800) } else { (8, 400) }
    }

    #[test]
    fn a_stream_gets_head_starts_soon() {
        let mut trials = Trials::default();
        share(&mut trials, MS / 2, stream);
        assert!(share(&mut trials, 100 * MS, stream) > 0.98);
    }

    #[test]
    fn a_side_that_waits_for_answers_gives_next_to_none() {
        let mut trials = Trials::default();
        // Eight questions, then eight answers.
        let window = |gives| (8, if gives { 4_300 } else { 600 });
        assert!(share(&mut trials, 200 * MS, window) < 0.01);
        let single = |gives| (1, if gives { 4_200 } else { 160 });
        assert_eq!(share(&mut Trials::default(), 200 * MS, single), 0.0);
        // From a stream to questions and answers.
        for answers in [window, single] {
            let mut trials = Trials::default();
            share(&mut trials, 10 * MS, stream);
            share(&mut trials, 12 * MS, answers);
            assert!(share(&mut trials, 20 * MS, answers) < 0.02);
        }
    }

    #[test]
    fn after_a_sleep_head_starts_must_pay_again() {
        let mut trials = Trials::default();
        share(&mut trials, 10 * MS, stream);
        assert!(!trials.pays(100, trials.start + MAX_PERIOD_NS + 1));
    }

    #[test]
    fn lines_are_taken_without_a_change() {
        const MESSAGES: u64 = 200_000;
        let [mut sender, mut receiver] = ends("lines");
        let sending = thread::spawn(move || {
            for number in 0..MESSAGES {
                sender
                    .send(&[number.to_ne_bytes(); 7].concat(), -1)
                    .unwrap();
            }
        });
        for number in 0..MESSAGES {
            let mut message = [0; 56];
            receiver.receive(&mut message, -1).unwrap();
            assert_eq!(message.as_slice(), [number.to_ne_bytes(); 7].concat());
            let (view, at) = (receiver.ring.view(), receiver.ring.position());
            take_lines(view, at, view.capacity(), i64::MAX);
        }
        sending.join().unwrap();
    }
}
