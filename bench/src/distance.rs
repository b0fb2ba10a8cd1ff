//! The distance of the two cores. A hypervisor moves them, and most figures follow; so a table has
//! measurements of one distance only.

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
/// Cores rarely move twice within a second.
const MAX_ATTEMPTS: usize = 10;
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

/// What one turn has measured: row, column, value.
pub type Samples = Vec<(usize, usize, f64)>;

/// The number of the distance that a raw round trip shows.
fn distance(raw: f64) -> usize {
    let begins = |(_, from): &(&str, f64)| raw >= *from;
    DISTANCES.iter().rposition(begins).unwrap_or_default()
}

/// Takes the run's rounds, each of `turns` measurements, each of which is first in turn. A measurement
/// belongs to the table of the distance that the cores had before and after it; one during which they
/// moved is repeated. Returns the tables that have measurements, each with its title.
pub fn rounds(
    run: &Run,
    empty: &Table,
    turns: usize,
    mut measure: impl FnMut(usize, &mut Samples) -> Result<()>,
) -> Result<Vec<(String, Table)>> {
    let mut groups = DISTANCES.map(|(name, _)| (name, empty.clone(), Vec::new()));
    let mut repeated = 0;
    let mut now = run.raw.measure()?;
    for (round, turn) in (0..run.rounds).flat_map(|round| (0..turns).map(move |turn| (round, turn)))
    {
        for _ in 0..MAX_ATTEMPTS {
            let (before, mut samples) = (now, Samples::new());
            let measured = measure((round + turn) % turns, &mut samples);
            run.scratch.clear();
            if let (Err(error), 0) = (measured, round) {
                eprintln!("bench: {error}");
            }
            unless_interrupted()?;
            now = run.raw.measure()?;
            if distance(before) == distance(now) {
                let (_, table, raw) = &mut groups[distance(now)];
                raw.push(now);
                for (row, column, value) in samples {
                    table.add(row, column, value);
                }
                break;
            }
            repeated += 1;
        }
    }
    if repeated > 0 {
        println!("\nThe cores moved during {repeated} measurements, which were repeated.");
    }
    let measured = groups.into_iter().filter(|(.., raw)| !raw.is_empty());
    let titled = measured.map(|(name, table, raw)| {
        let (raw, counts) = (Spread::of(&raw), table.counts());
        (
            format!("{name}: raw round trip {raw} ns, {counts} measurements a cell"),
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
