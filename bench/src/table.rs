//! Tables in markdown, with columns that line up as plain text too.

/// A table; its first row is the header, its first column is text, the others are numbers.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// With these columns.
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self(vec![header.map(str::to_owned).to_vec()])
    }

    /// Adds a row; columns without a cell stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// Prints it to stdout.
    pub fn print(&self) {
        let widths: Vec<usize> = (0..self.0[0].len())
            .map(|column| {
                let cells = self.0.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for (index, row) in self.0.iter().enumerate() {
            print_row(row, &widths);
            if index == 0 {
                print_rule(&widths);
            }
        }
    }
}

fn print_row(row: &[String], widths: &[usize]) {
    for (column, &width) in widths.iter().enumerate() {
        let cell = row.get(column).map_or("", String::as_str);
        if column == 0 {
            print!("| {cell:width$} |");
        } else {
            print!(" {cell:>width$} |");
        }
    }
    println!();
}

fn print_rule(widths: &[usize]) {
    for (column, width) in widths.iter().enumerate() {
        let rule = "-".repeat(width + 1);
        if column == 0 {
            print!("|{rule}-|");
        } else {
            print!("{rule}:|");
        }
    }
    println!();
}

/// A number with a comma between thousands.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A difference, always with its sign.
pub fn signed(difference: i64) -> String {
    let sign = if difference > 0 { "+" } else { "" };
    format!("{sign}{}", grouped(difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 999, 1000, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([-1000, 0, 7].map(signed), ["−1,000", "0", "+7"]);
    }
}
