//! Output: a table with aligned columns on a terminal, the same columns with one blank between them elsewhere,
//! or JSON.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Rows of text, the first one with the names of the columns.
pub struct Table {
    rows: Vec<Vec<String>>,
    is_terminal: bool,
}

impl Table {
    pub fn new(columns: &[&str]) -> Self {
        Self {
            rows: vec![columns.iter().map(ToString::to_string).collect()],
            is_terminal: io::stdout().is_terminal(),
        }
    }

    /// Whether people read it: then sizes and ages are rounded.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Prints the table. The last column may have blanks; in the others each is an escape, where
    /// programs read it.
    pub fn print(&self) -> Result<(), Failure> {
        let has_colour =
            self.is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(row.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut out = io::stdout().lock();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let is_last = column + 1 == row.len();
                let cell = match self.is_terminal || is_last {
                    true => cell.clone(),
                    false => cell.replace(' ', "\\x20"),
                };
                let blanks = match (is_last, self.is_terminal) {
                    (true, _) => 0,
                    (false, true) => width.saturating_sub(cell.chars().count()) + 2,
                    (false, false) => 1,
                };
                line += match has_colour {
                    true => coloured(&cell),
                    false => cell,
                }
                .as_str();
                line += &" ".repeat(blanks);
            }
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}

/// A state that asks for attention, in colour.
fn coloured(cell: &str) -> String {
    match cell {
        "stale" => format!("\x1b[33m{cell}\x1b[0m"),
        "damaged" | "near" => format!("\x1b[31m{cell}\x1b[0m"),
        _ => cell.to_owned(),
    }
}

/// Prints JSON for programs, and ends the line.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
