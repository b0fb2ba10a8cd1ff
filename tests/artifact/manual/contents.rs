//! What the documentation of a function says: which lines are the description, the results, the errors.

use super::markup;
use crate::artifact::headers::declarations::{Declarations, Function};

/// What the documentation of a function says, by sections of its page.
pub struct Contents<'a> {
    /// Paragraphs before and after the results.
    pub description: Vec<Vec<&'a str>>,
    pub notes: Vec<Vec<&'a str>>,
    pub result: Vec<&'a str>,
    pub errors: Vec<Error<'a>>,
    /// The manual pages of the system that it follows.
    pub follows: Vec<&'a str>,
}

#[derive(Clone)]
pub struct Error<'a> {
    /// The result, where several are failures.
    pub code: Option<&'a str>,
    pub errnos: Vec<&'a str>,
    pub text: Vec<&'a str>,
}

impl<'a> Contents<'a> {
    pub fn of(function: &'a Function) -> Self {
        let mut contents = Self {
            description: Vec::new(),
            notes: Vec::new(),
            result: Vec::new(),
            errors: Vec::new(),
            follows: Vec::new(),
        };
        let paragraphs = function.documentation.split(String::is_empty);
        let paragraphs: Vec<_> = paragraphs.collect();
        let begins = |lines: &[String], word: &str| lines[0].split(' ').next() == Some(word);
        // "Returns a unit to the semaphore" comes before what the function itself returns.
        let result = paragraphs.iter().rposition(|it| begins(it, "Returns"));
        for (index, paragraph) in paragraphs.iter().enumerate() {
            let lines: Vec<_> = paragraph.iter().map(String::as_str).collect();
            if begins(paragraph, "Follows") || begins(paragraph, "Compare") {
                contents.follows = references(&lines);
            }
            if Some(index) == result {
                contents.returns(&lines);
            } else if Some(index) < result {
                contents.description.push(lines);
            } else {
                contents.notes.push(lines);
            }
        }
        contents
    }

    /// A sentence, and a table of errnos, indented.
    fn returns(&mut self, lines: &[&'a str]) {
        let mut code = None;
        for line in lines {
            let text = line.trim_start();
            let (mut indent, mut rest) = (line.len() - text.len(), text);
            if indent == 2
                && let Some((first, after)) = text.split_once("  ")
                && first.starts_with('-')
            {
                code = Some(first);
                (indent, rest) = (6, after);
            }
            let row = match indent {
                0 => {
                    self.result.push(line);
                    continue;
                }
                2 => errnos(rest, " "),
                6 if code.is_some() => errnos(rest, "  "),
                _ => None,
            };
            match row {
                Some((errnos, text)) => self.errors.push(Error {
                    code,
                    errnos,
                    text: vec![text],
                }),
                None if rest != text => self.errors.push(Error {
                    code,
                    errnos: Vec::new(),
                    text: vec![rest],
                }),
                None => self.errors.last_mut().expect(line).text.push(text),
            }
        }
    }

    /// The errors of this function, and those that its result refers to.
    pub fn all_errors(&self, all: &'a Declarations) -> Vec<Error<'a>> {
        let result = self.result.join(" ");
        let mut errors = self.errors.clone();
        if let Some((_, after)) = result.split_once(" as ")
            && result.contains("with errno")
        {
            let name = after.split([',', '.', ' ']).next().unwrap();
            let other = all.function(name);
            errors.extend(Contents::of(other.expect(name)).all_errors(all));
        }
        errors
    }
}

/// The errnos that a row of the table begins with, and what follows them.
fn errnos<'a>(row: &'a str, separator: &str) -> Option<(Vec<&'a str>, &'a str)> {
    let is_errno = |word: &str| {
        word.len() > 2
            && word.starts_with('E')
            && word
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let mut end = 0;
    let mut errnos = Vec::new();
    for word in row.split(' ') {
        let errno = word.trim_end_matches(',');
        if !is_errno(errno) {
            return None;
        }
        errnos.push(errno);
        end += word.len();
        if errno == word {
            break;
        }
        end += 1;
    }
    let text = row.get(end..)?;
    text.starts_with(separator)
        .then(|| (errnos, text.trim_start()))
}

/// References such as `fork(2)`.
fn references<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let words = lines.iter().flat_map(|line| line.split(' '));
    let words = words.map(|word| word.trim_end_matches([',', '.']));
    words
        .filter(|word| markup::reference(word).is_some())
        .collect()
}
