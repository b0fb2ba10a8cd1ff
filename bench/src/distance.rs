//! The distance of the two cores. A hypervisor moves them, and most figures follow; so a table has
//! rounds of one distance only.

use std::cell::RefCell;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::process::{pair, unless_interrupted};
use crate::shared::Shared;
use crate::table::{Spread, Table};
use crate::{Result, Run};

/// Distances, and the raw round trips in nanoseconds from which each begins. Seen were 49 to 54,
/// 100 to 125 and 330 to 590.
const DISTANCES: [(&str, f64); 3] = [
    ("two threads of one core", 0.0),
    ("near cores", 75.0),
    ("far cores", 200.0),
];
/// Cores that move come back within a second, which this number of raw round trips takes, or stay away.
const MAX_ATTEMPTS: usize = 60;
/// Blocks of round trips, 4 ms on near cores; the shortest block is the one that nothing disturbed. Two
/// processes that have just started may share a core for a millisecond or two.
const BLOCKS: usize = 200;
const BLOCK: u32 = 200;

#[repr(align(128))]
struct Line(AtomicU32);

/// Two cache lines in which two processes answer each other without any protocol.
pub struct Lines {
    ask: Line,
    answer: Line,
}

impl Lines {
    /// The word that ends [`answer`](Self::answer).
    pub const STOP: u32 = u32::MAX;

    /// Zeros.
    pub fn new() -> Result<Shared<Self>> {
        // SAFETY: zeros are atomics.
        unsafe { Shared::zeroed() }
    }

    /// Asks with another word than the last time, and waits for the answer, spinning or asleep.
    #[inline]
    pub fn ask(&self, word: u32, sleep: bool) {
        self.ask.store(word, sleep);
        loop {
            let seen = self.answer.0.load(Acquire);
            if seen == word || word == Self::STOP {
                return;
            }
            self.answer.wait(seen, sleep);
        }
    }

    /// Waits for another word than the last, and returns it.
    #[inline]
    pub fn asked(&self, last: u32, sleep: bool) -> u32 {
        loop {
            let word = self.ask.0.load(Acquire);
            if word != last {
                return word;
            }
            self.ask.wait(last, sleep);
        }
    }

    /// Answers a word.
    #[inline]
    pub fn answer(&self, word: u32, sleep: bool) {
        self.answer.store(word, sleep);
    }
}

impl Line {
    #[inline]
    fn store(&self, word: u32, sleep: bool) {
        self.0.store(word, Release);
        if sleep {
            // SAFETY: a word, and no further pointers are used.
            unsafe { libc::syscall(libc::SYS_futex, &self.0, libc::FUTEX_WAKE, 1) };
        }
    }

    #[inline]
    fn wait(&self, word: u32, sleep: bool) {
        if sleep {
            let forever = ptr::null::<libc::timespec>();
            // SAFETY: a word; without a timeout.
            unsafe { libc::syscall(libc::SYS_futex, &self.0, libc::FUTEX_WAIT, word, forever) };
        }
    }
}

/// Raw round trips of two cache lines, in nanoseconds, in the order in which they were measured.
#[derive(Default)]
pub struct Raw(RefCell<Vec<f64>>);

impl Raw {
    /// Measures one.
    pub fn measure(&self) -> Result<f64> {
        let lines = Lines::new()?;
        let asker = || {
            let mut shortest = f64::INFINITY;
            for block in 0..BLOCKS as u32 {
                let start = Instant::now();
                (1..=BLOCK).for_each(|word| lines.ask(block * BLOCK + word, false));
                shortest = shortest.min(start.elapsed().as_nanos() as f64 / f64::from(BLOCK));
            }
            lines.ask(Lines::STOP, false);
            Ok(vec![shortest])
        };
        let answerer = || {
            let mut last = 0;
            while last != Lines::STOP {
                last = lines.asked(last, false);
                lines.answer(last, false);
            }
            Ok(Vec::new())
        };
        let [raw, _] = pair(asker, answerer)?;
        self.0.borrow_mut().extend(&raw);
        raw.first().copied().ok_or("no raw round trip".into())
    }

    /// Prints the first, the last, and the spread of those between.
    pub fn print(&self) {
        let all = self.0.borrow();
        if let [before, during @ .., after] = &all[..] {
            let [before, after] = [before, after].map(|one| Spread::of(&[*one]));
            let during = match during {
                [] => "not measured".into(),
                during => Spread::of(during).to_string(),
            };
            println!(
                "\nRaw round trip, ns: {before} before, {during} during, {after} after the run."
            );
        }
    }
}

/// Measurements of one round: row, column, value.
pub type Samples = Vec<(usize, usize, f64)>;

/// The number of the distance that a raw round trip shows.
fn distance(raw: f64) -> usize {
    let begins = |(_, from): &(&str, f64)| raw >= *from;
    DISTANCES.iter().rposition(begins).unwrap_or_default()
}

/// Takes the run's rounds, each of `turns` measurements, each of which is first in turn. A round has
/// one distance, that at its start: a measurement during which the cores moved is repeated, and only
/// if they stay away, the round is dropped and another begun, as many as the run has rounds. Returns
/// the tables that have rounds, each with its title.
pub fn rounds(
    run: &Run,
    empty: &Table,
    turns: usize,
    mut measure: impl FnMut(usize, &mut Samples) -> Result<()>,
) -> Result<Vec<(String, Table)>> {
    let mut groups = DISTANCES.map(|(name, _)| (name, empty.clone(), Vec::new(), 0));
    let (mut taken, mut dropped, mut repeated) = (0, 0, 0);
    'rounds: while taken < run.rounds && dropped <= run.rounds {
        let mut now = run.raw.measure()?;
        let here = distance(now);
        let (mut samples, mut raw) = (Samples::new(), vec![now]);
        for turn in 0..turns {
            let mut attempts = 0;
            loop {
                let mut new = Samples::new();
                let starts_here = distance(now) == here;
                if starts_here {
                    let measured = measure((taken + turn) % turns, &mut new);
                    run.scratch.clear();
                    if let (Err(error), 0) = (measured, taken) {
                        eprintln!("bench: {error}");
                    }
                }
                unless_interrupted()?;
                now = run.raw.measure()?;
                if starts_here && distance(now) == here {
                    samples.append(&mut new);
                    raw.push(now);
                    break;
                }
                repeated += usize::from(starts_here);
                attempts += 1;
                if attempts > MAX_ATTEMPTS {
                    dropped += 1;
                    continue 'rounds;
                }
            }
        }
        let (_, table, all, rounds) = &mut groups[here];
        samples
            .drain(..)
            .for_each(|(row, column, value)| table.add(row, column, value));
        all.append(&mut raw);
        *rounds += 1;
        taken += 1;
    }
    if repeated + dropped > 0 {
        println!(
            "\nThe cores moved during {repeated} measurements, which were repeated; {dropped} rounds are \
             dropped."
        );
    }
    let measured = groups.into_iter().filter(|(.., rounds)| *rounds > 0);
    let titled = measured.map(|(name, table, raw, rounds)| {
        let raw = Spread::of(&raw);
        (
            format!("{name}: raw round trip {raw} ns, {rounds} rounds"),
            table,
        )
    });
    Ok(titled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_round_trips_have_three_distances() {
        assert_eq!([49.0, 110.0, 480.0].map(distance), [0, 1, 2]);
    }
}
