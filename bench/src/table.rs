//! Tables of measurements in markdown, with columns that line up as plain text too.

use std::fmt;

/// A table; each cell has the measurements of all rounds.
#[derive(Clone)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Table {
    /// Without rows. The first column holds their names.
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let header = header.into_iter().map(Into::into).collect();
        Self {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a row, and returns its number.
    pub fn row(&mut self, name: impl Into<String>) -> usize {
        let cells = vec![Vec::new(); self.header.len()];
        self.rows.push((name.into(), cells));
        self.rows.len() - 1
    }

    /// Adds rows, and returns the number of the first.
    pub fn rows(&mut self, names: impl IntoIterator<Item = impl Into<String>>) -> usize {
        let first = self.rows.len();
        for name in names {
            self.row(name);
        }
        first
    }

    /// Adds a measurement to a cell; the first column of numbers is 1.
    pub fn add(&mut self, row: usize, column: usize, value: f64) {
        self.rows[row].1[column].push(value);
    }

    /// The measurements of a cell.
    pub fn cell(&self, row: usize, column: usize) -> &[f64] {
        &self.rows[row].1[column]
    }

    /// The least and the greatest number of measurements of the cells that have any.
    pub fn counts(&self) -> String {
        let cells = self.rows.iter().flat_map(|(_, cells)| cells);
        let counts = || cells.clone().map(Vec::len).filter(|count| *count > 0);
        match (counts().min(), counts().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (least, _) => least.unwrap_or_default().to_string(),
        }
    }

    /// Prints the rows that have measurements, and headings.
    pub fn print(&self) {
        let rows = self.rows.iter().map(|(name, cells)| {
            let cells = cells[1..].iter().map(|cell| match &cell[..] {
                [] => "–".into(),
                values => Spread::of(values).to_string(),
            });
            let mut row = vec![name.clone()];
            // A row without measurements is a heading.
            row.extend(cells.map(|cell: String| cell));
            if row[1..].iter().all(|cell| cell == "–") {
                row[1..].fill(String::new());
            }
            row
        });
        let mut lines = vec![self.header.clone()];
        lines.extend(rows);
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| lines.iter().map(|row| row[column].chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        println!();
        for (index, row) in lines.iter().enumerate() {
            print!("| {:1$} |", row[0], widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                print!(" {cell:>width$} |");
            }
            println!();
            if index == 0 {
                print!("|{}|", "-".repeat(widths[0] + 2));
                widths[1..]
                    .iter()
                    .for_each(|width| print!("{}:|", "-".repeat(width + 1)));
                println!();
            }
        }
    }
}

/// The median and the quartiles of a measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread([f64; 3]);

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let last = (values.len() - 1) as f64;
        Self([0.25, 0.5, 0.75].map(|part| values[(last * part).round() as usize]))
    }

    /// The median.
    pub fn median(self) -> f64 {
        self.0[1]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([lower, median, upper]) = *self;
        if lower < upper {
            return write!(
                formatter,
                "{} ({}–{})",
                short(median),
                short(lower),
                short(upper)
            );
        }
        // A count, which is the same in each round.
        if median.fract() == 0.0 {
            return formatter.write_str(&grouped(median));
        }
        formatter.write_str(&short(median))
    }
}

/// Three digits, and a unit from 10,000 on.
fn short(value: f64) -> String {
    match value.abs() {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        ..9_999.5 => grouped(value),
        ..99_950.0 => format!("{:.1}k", value / 1e3),
        ..999_500.0 => format!("{:.0}k", value / 1e3),
        ..9_995_000.0 => format!("{:.2}M", value / 1e6),
        ..99_950_000.0 => format!("{:.1}M", value / 1e6),
        _ => format!("{:.0}M", value / 1e6),
    }
}

/// A whole number with a comma between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number < 0.0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_values_that_were_measured() {
        let spread = Spread::of(&[5.5, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread([2.0, 3.0, 4.0]));
        assert_eq!(spread.to_string(), "3.00 (2.00–4.00)");
        assert_eq!(Spread::of(&[14_280.0; 3]).to_string(), "14,280");
    }

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [
            -1.234,
            12.34,
            123.4,
            1234.0,
            12_340.0,
            123_400.0,
            12_340_000.0,
        ];
        let expected = ["-1.23", "12.3", "123", "1,234", "12.3k", "123k", "12.3M"];
        assert_eq!(numbers.map(short), expected);
    }
}
