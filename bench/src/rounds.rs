//! Measurements that are noisy: taken in turns, and told with their spread.

use crate::Result;
use crate::table::grouped;

/// Takes `N` measurements in each round, so that what changes meanwhile hits all of them, and each
/// of them first in turn.
pub fn interleaved<const N: usize, T>(
    rounds: usize,
    mut measure: impl FnMut(usize) -> Result<T>,
) -> Result<[Vec<T>; N]> {
    let mut results = [const { Vec::new() }; N];
    for round in 0..rounds {
        for turn in 0..N {
            let which = (round + turn) % N;
            results[which].push(measure(which)?);
        }
    }
    Ok(results)
}

/// The median and the quartiles of a measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// A quarter of the values is less.
    pub lower: f64,
    /// Half of the values is less.
    pub median: f64,
    /// A quarter of the values is more.
    pub upper: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = (values.len() - 1) as f64;
        let at = |part: f64| values[(last * part).round() as usize];
        Self {
            lower: at(0.25),
            median: at(0.5),
            upper: at(0.75),
        }
    }

    /// Of one measurement divided by another, round by round.
    pub fn of_ratio(values: &[f64], to: &[f64]) -> Self {
        Self::of(values.iter().zip(to).map(|(value, to)| value / to))
    }

    /// As a whole number.
    pub fn whole(self) -> String {
        let [lower, median, upper] =
            [self.lower, self.median, self.upper].map(|value| grouped(value.round() as i64));
        format!("{median} ({lower}–{upper})")
    }

    /// Nanoseconds as microseconds, with the digits that a short time needs.
    pub fn micros(self) -> String {
        let [lower, median, upper] = [self.lower, self.median, self.upper].map(|nanos| {
            let micros = nanos / 1000.0;
            match micros {
                ..10.0 => format!("{micros:.2}"),
                ..100.0 => format!("{micros:.1}"),
                _ => grouped(micros.round() as i64),
            }
        });
        format!("{median} ({lower}–{upper})")
    }

    /// As a ratio.
    pub fn ratio(self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.lower, self.upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_values_that_were_measured() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        let expected = Spread {
            lower: 2.0,
            median: 3.0,
            upper: 4.0,
        };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of([7.0]).whole(), "7 (7–7)");
        let spread = Spread::of([9_990.0, 9_990.0, 12_345.0, 1_234_567.0, 1_234_567.0]);
        assert_eq!(spread.micros(), "12.3 (9.99–1,235)");
    }

    #[test]
    fn each_measurement_is_first_in_turn() {
        let mut order = Vec::new();
        let results = interleaved(2, |which| {
            order.push(which);
            Ok(order.len())
        });
        assert_eq!(results.unwrap(), [vec![1, 4], vec![2, 3]]);
        assert_eq!(order, [0, 1, 1, 0]);
    }
}
