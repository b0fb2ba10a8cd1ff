//! Generates section 3 of the manual, in mdoc(7): a page for each function that a header declares.

use std::fmt::Write;

use super::contents::Contents;
use super::markup;
use crate::artifact::headers::declarations::{Declarations, Function};

/// When the pages were last looked through.
const DATE: &str = "November 21, 2026";

/// A program of `man/examples`.
pub struct Example {
    pub title: String,
    pub source: String,
}

/// The page of a function.
pub fn page(function: &Function, all: &Declarations, examples: &[Example]) -> String {
    let contents = Contents::of(function);
    let mut page = String::new();
    let mut line = |text: &str| writeln!(page, "{text}").unwrap();
    line(".\\\" Generated from the header's documentation by a test: do not edit.");
    line(&format!(".Dd {DATE}"));
    line(&format!(".Dt {} 3", function.name.to_uppercase()));
    line(".Os shmcomm");
    line(".Sh NAME");
    line(&format!(".Nm {}", function.name));
    let summary = function
        .documentation
        .split(String::is_empty)
        .next()
        .unwrap();
    line(&format!(
        ".Nd {}",
        markup::escape(&first_sentence(&summary.join(" ")))
    ));
    line(".Sh LIBRARY");
    line("Shared memory between processes (libshmcomm, \\-lshmcomm)");
    line(".Sh SYNOPSIS");
    line(&format!(".In {}", function.header));
    line(&format!(".Ft \"{}\"", function.result));
    line(&format!(".Fo {}", function.name));
    for parameter in &function.parameters {
        line(&format!(".Fa \"{parameter}\""));
    }
    line(".Fc\n.Pp\n.Ic cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs shmcomm)");
    let text = |lines: &[&str]| markup::text(lines, &function.name, all);
    line(".Sh DESCRIPTION");
    let mut page = page + &paragraphs(&contents.description, function, &text);
    page += &structs(function, all);
    page += &flags(function, all, &text);
    page += ".Sh RETURN VALUES\n";
    let result = text(&contents.result);
    page += result.trim_end().trim_end_matches(':');
    page += if result.ends_with(":\n") { ".\n" } else { "\n" };
    let errors = contents.all_errors(all);
    if !errors.is_empty() {
        page += ".Sh ERRORS\n.Bl -tag -width Er\n";
        for error in errors {
            page += ".It";
            page += &error
                .code
                .map_or(String::new(), |code| format!(" {}", markup::escape(code)));
            for (index, errno) in error.errnos.iter().enumerate() {
                page += if index == 0 { " Bq Er" } else { " ," };
                write!(page, " {errno}").unwrap();
            }
            page += "\n";
            page += &text(&error.text);
        }
        page += ".El\n";
    }
    page += ".Sh NOTES\n";
    for paragraph in &contents.notes {
        page += &text(paragraph);
        page += ".Pp\n";
    }
    page += match function.header {
        "comm.h" => {
            "The key, the environment and what all five functions have in common are in\n\
                     .Xr comm 3shmcomm .\n"
        }
        _ => {
            "Names, timeouts, threads, signals, fork and what a death leaves are in\n\
              .Xr shmcomm 7 .\n"
        }
    };
    let call = format!("{}(", function.name);
    if let Some(example) = examples
        .iter()
        .find(|example| example.source.contains(&call))
    {
        page += ".Sh EXAMPLE\n";
        writeln!(
            page,
            "{}\n{}",
            markup::escape(&example.title),
            markup::literal(&example.source)
        )
        .unwrap();
        page.pop();
    }
    page += ".Sh SEE ALSO\n";
    page += &see_also(function, &contents, all);
    page
}

/// For whatis(1): the first sentence of the summary, as the rest of a line.
fn first_sentence(summary: &str) -> String {
    let sentence = summary.split(". ").next().unwrap().trim_end_matches('.');
    let sentence = sentence.split(": ").next().unwrap();
    sentence[..1].to_lowercase() + &sentence[1..]
}

/// The description: text, parameters, indented code.
fn paragraphs(
    paragraphs: &[Vec<&str>],
    function: &Function,
    text: &dyn Fn(&[&str]) -> String,
) -> String {
    let names: Vec<_> = function
        .parameters
        .iter()
        .filter_map(|parameter| parameter.rsplit([' ', '*']).next())
        .collect();
    let parameters = |line: &str| {
        let (list, rest) = line.split_once(": ")?;
        let known = list.split(", ").all(|name| names.contains(&name));
        known.then(|| (list.replace(", ", " , "), rest.to_owned()))
    };
    let mut result = String::new();
    for (index, lines) in paragraphs.iter().enumerate() {
        if parameters(lines[0]).is_some() {
            result += ".Bl -tag -width Ds\n";
            let mut description = Vec::new();
            for line in lines {
                if let Some((list, _)) = parameters(line) {
                    result += &text(&description);
                    description.clear();
                    writeln!(result, ".It Fa {list}").unwrap();
                }
                description.push(
                    line.split_once(": ")
                        .filter(|_| parameters(line).is_some())
                        .map_or(*line, |(_, rest)| rest),
                );
            }
            result += &text(&description);
            result += ".El\n";
        } else if lines[0].starts_with("  ") {
            result += &markup::literal(&lines.join("\n"));
        } else {
            if index > 0 {
                result += ".Pp\n";
            }
            result += &text(lines);
        }
    }
    result
}

/// What the function fills.
fn structs(function: &Function, all: &Declarations) -> String {
    let is_filled = |name: &str| {
        let pointer = format!("struct {name} *info");
        function.parameters.contains(&pointer)
    };
    let filled = all.structs.iter().filter(|it| is_filled(&it.name));
    filled
        .map(|it| markup::literal(&it.definition.join("\n")))
        .collect()
}

/// The flags that the function takes.
fn flags(function: &Function, all: &Declarations, text: &dyn Fn(&[&str]) -> String) -> String {
    let mut list = String::new();
    let mut words = function
        .documentation
        .iter()
        .skip_while(|line| !line.starts_with("flags: "));
    let end = |line: &&String| !line.is_empty() && !line.starts_with("mode: ");
    let words: Vec<_> = words
        .by_ref()
        .take_while(end)
        .flat_map(|line| line.split([' ', ',', '.']))
        .collect();
    for constant in all
        .constants
        .iter()
        .filter(|it| words.contains(&it.name.as_str()))
    {
        writeln!(list, ".It Dv {}", constant.name).unwrap();
        for (index, paragraph) in constant.documentation.split(String::is_empty).enumerate() {
            list += if index > 0 { ".Pp\n" } else { "" };
            list += &text(&paragraph.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    match list.as_str() {
        "" => list,
        _ => format!(".Pp\nThe flags are:\n.Bl -tag -width Ds\n{list}.El\n"),
    }
}

/// The family of a function: what is named alike, or shares the example.
fn see_also(function: &Function, contents: &Contents<'_>, all: &Declarations) -> String {
    let family = |name: &str| match name.split('_').nth(1) {
        Some("segment" | "remove") => "segment",
        Some("sem") => "sem",
        Some("mutex") => "mutex",
        Some("wait" | "wake") => "wait",
        Some("channel" | "send" | "recv" | "reserve" | "commit" | "peek" | "release") => "channel",
        _ => "",
    };
    let mut pages: Vec<_> = all
        .functions
        .iter()
        .filter(|other| other.name != function.name && other.header == function.header)
        .filter(|other| {
            function.header == "comm.h" || family(&other.name) == family(&function.name)
        })
        .map(|other| (other.name.as_str(), "3"))
        .collect();
    pages.extend(
        contents
            .follows
            .iter()
            .filter_map(|word| markup::reference(word)),
    );
    pages.push(("shmcomm", "7"));
    if function.header == "comm.h" {
        pages.push(("comm", "3shmcomm"));
    }
    pages.sort_by_key(|&(name, section)| (section.to_owned(), name.to_owned()));
    pages.dedup();
    let lines: Vec<_> = pages
        .iter()
        .map(|(name, section)| format!(".Xr {name} {section}"))
        .collect();
    lines.join(" ,\n") + "\n"
}
