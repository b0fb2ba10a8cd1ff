//! The numbers of a system, and its row in the table.

use shmcomm_bench::rounds::Spread;

use crate::peers::System;
use crate::workload::SIZES;

/// Columns of numbers.
pub const BUSY: usize = 0;
pub const ASLEEP: usize = 1;
pub const IDLE: usize = 2;
const FIRST_CALLS: usize = 3;
const FIRST_SIZE: usize = 6;
const COLUMNS: usize = FIRST_SIZE + SIZES.len();

/// The column of system calls per message at a work.
pub fn calls(work: usize) -> usize {
    FIRST_CALLS + work
}

/// The column of messages per second of a size.
pub fn size(bytes: usize) -> usize {
    let index = SIZES.iter().position(|&size| size == bytes);
    FIRST_SIZE + index.unwrap_or(0)
}

/// What was measured, round by round.
pub struct Results {
    pub system: &'static System,
    values: [Vec<f64>; COLUMNS],
    /// Latencies to the reference; of the idle, the part of the processor.
    ratios: [Vec<f64>; FIRST_CALLS],
}

/// The header of the table.
pub const HEADER: [&str; 14] = [
    "64 B round trip and one way",
    "waits by",
    "busy, ns",
    "to raw",
    "asleep, µs",
    "to futex",
    "8 B/s",
    "64 B/s",
    "1 KiB/s",
    "4 KiB/s",
    "64 KiB/s",
    "1 MiB/s",
    "calls: one way · busy · asleep",
    "idle: wake-ups/s · %",
];

impl Results {
    /// None yet.
    pub fn new(system: &'static System) -> Self {
        Self {
            system,
            values: [const { Vec::new() }; COLUMNS],
            ratios: [const { Vec::new() }; FIRST_CALLS],
        }
    }

    /// Adds a value to a column.
    pub fn add(&mut self, column: usize, value: f64) {
        self.values[column].push(value);
    }

    /// Adds a value to a column that has ratios too.
    pub fn add_with_ratio(&mut self, column: usize, value: f64, ratio: f64) {
        self.add(column, value);
        self.ratios[column].push(ratio);
    }

    /// Of a column.
    pub fn values(&self, column: usize) -> &[f64] {
        &self.values[column]
    }

    /// Beside a column.
    pub fn ratios(&self, column: usize) -> &[f64] {
        &self.ratios[column]
    }

    /// Of a column that has values.
    pub fn median(&self, column: usize) -> f64 {
        Spread::of(self.values[column].iter().copied()).median
    }

    /// The row.
    pub fn row(&self) -> Vec<String> {
        let mut row = vec![
            self.system.name.to_owned(),
            self.system.waits.name().to_owned(),
        ];
        for (column, unit) in [(BUSY, 1.0), (ASLEEP, 1e-3)] {
            let values = self.values[column].iter().map(|value| value * unit);
            row.push(spread(values.collect(), short));
            row.push(spread(self.ratios[column].clone(), |value| {
                format!("{value:.2}")
            }));
        }
        for size in FIRST_SIZE..COLUMNS {
            row.push(spread(self.values[size].clone(), short));
        }
        let calls: Vec<String> = (0..FIRST_SIZE - FIRST_CALLS)
            .map(|work| median(&self.values[FIRST_CALLS + work], 2))
            .collect();
        row.push(calls.join(" · "));
        row.push(format!(
            "{} · {}",
            median(&self.values[IDLE], 1),
            median(&self.ratios[IDLE], 2)
        ));
        row
    }
}

fn median(values: &[f64], digits: usize) -> String {
    if values.is_empty() {
        return "–".into();
    }
    format!("{:.digits$}", Spread::of(values.iter().copied()).median)
}

fn spread(values: Vec<f64>, format: impl Fn(f64) -> String) -> String {
    if values.is_empty() {
        return "–".into();
    }
    let Spread {
        lower,
        median,
        upper,
    } = Spread::of(values);
    format!("{} ({}–{})", format(median), format(lower), format(upper))
}

/// Three digits and a unit.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 999_500.0 => (value / 1e6, "M"),
        value if value >= 9_995.0 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [
            1.234,
            12.34,
            123.4,
            1234.0,
            12_340.0,
            123_400.0,
            12_340_000.0,
        ];
        let expected = ["1.23", "12.3", "123", "1234", "12.3k", "123k", "12.3M"];
        assert_eq!(numbers.map(short), expected);
    }
}
