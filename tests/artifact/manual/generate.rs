//! Generates section 3 of the manual, in mdoc(7): a page for each function that a header declares.

use std::fmt::Write;

use super::contents::{Contents, Error};
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
    let text = |lines: &[&str]| markup::text(lines, &function.name, all);
    let result = text(&contents.result).replace(":\n", ".\n");
    let mut description = paragraphs(&contents.description, function, &text);
    description += &structs(function, all);
    description += &flags(function, all, &text);
    // Some functions do nothing but return.
    let (description, result) = match description.as_str() {
        "" => (result, String::new()),
        _ => (description, result),
    };
    let sections = [
        ("DESCRIPTION", description),
        ("RETURN VALUES", result),
        ("ERRORS", errors(&contents.all_errors(all), &text)),
        ("NOTES", notes(function, &contents.notes, &text)),
        ("EXAMPLE", example(function, examples)),
        ("SEE ALSO", see_also(function, &contents, all)),
    ];
    let filled = sections.iter().filter(|(_, body)| !body.is_empty());
    filled.fold(head(function), |page, (title, body)| {
        page + &format!(".Sh {title}\n{body}")
    })
}

/// Name and synopsis.
fn head(function: &Function) -> String {
    let Function {
        header,
        name,
        result,
        parameters,
        ..
    } = function;
    let summary = function.documentation.split(String::is_empty).next();
    let summary = markup::escape(&first_sentence(&summary.unwrap().join(" ")));
    let title = name.to_uppercase();
    let parameters = parameters.iter().map(|it| format!(".Fa \"{it}\"\n"));
    let parameters: String = parameters.collect();
    format!(
        ".\\\" Generated from the header's documentation by a test: do not edit.\n\
         .Dd {DATE}\n.Dt {title} 3\n.Os shmcomm\n\
         .Sh NAME\n.Nm {name}\n.Nd {summary}\n\
         .Sh LIBRARY\nShared memory between processes (libshmcomm, \\-lshmcomm)\n\
         .Sh SYNOPSIS\n.In {header}\n.Ft \"{result}\"\n.Fo {name}\n{parameters}.Fc\n.Pp\n\
         .Ic cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs shmcomm)\n"
    )
}

fn errors(errors: &[Error<'_>], text: &dyn Fn(&[&str]) -> String) -> String {
    let mut list = String::new();
    for error in errors {
        list += ".It";
        if let Some(code) = error.code {
            write!(list, " {}", markup::escape(code)).unwrap();
        }
        if !error.errnos.is_empty() {
            write!(list, " Bq Er {}", error.errnos.join(" , ")).unwrap();
        }
        list += "\n";
        list += &text(&error.text);
    }
    match list.as_str() {
        "" => list,
        _ => format!(".Bl -tag -width Er\n{list}.El\n"),
    }
}

fn notes(function: &Function, notes: &[Vec<&str>], text: &dyn Fn(&[&str]) -> String) -> String {
    let own: String = notes.iter().map(|note| text(note) + ".Pp\n").collect();
    let common = match function.header {
        "comm.h" => {
            "The key, the environment and what all five functions have in common are in\n\
             .Xr comm 3shmcomm .\n"
        }
        _ => {
            "Names, timeouts, threads, signals, fork and what a death leaves are in\n\
             .Xr shmcomm 7 .\n"
        }
    };
    own + common
}

/// The first program that calls the function.
fn example(function: &Function, examples: &[Example]) -> String {
    let call = format!("{}(", function.name);
    let example = examples.iter().find(|it| it.source.contains(&call));
    example.map_or(String::new(), |Example { title, source }| {
        format!("{}\n{}", markup::escape(title), markup::literal(source))
    })
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
    /// Names as a macro takes them, and the text about them.
    fn parameters<'a>(line: &'a str, names: &[&str]) -> Option<(String, &'a str)> {
        let (list, rest) = line.split_once(": ")?;
        let known = list.split(", ").all(|name| names.contains(&name));
        known.then(|| (list.replace(", ", " , "), rest))
    }

    let mut result = String::new();
    for (index, lines) in paragraphs.iter().enumerate() {
        if parameters(lines[0], &names).is_some() {
            result += ".Bl -tag -width Ds\n";
            let mut description = Vec::new();
            for line in lines {
                match parameters(line, &names) {
                    Some((list, rest)) => {
                        result += &text(&description);
                        description = vec![rest];
                        writeln!(result, ".It Fa {list}").unwrap();
                    }
                    None => description.push(*line),
                }
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
    let lines = function.documentation.iter();
    let lines = lines.skip_while(|line| !line.starts_with("flags: "));
    let lines = lines.take_while(|line| !line.is_empty() && !line.starts_with("mode: "));
    let words: Vec<_> = lines.flat_map(|line| line.split([' ', ',', '.'])).collect();
    let constants = all.constants.iter();
    for constant in constants.filter(|it| words.contains(&it.name.as_str())) {
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

/// The functions of the same family, and what this one follows.
fn see_also(function: &Function, contents: &Contents<'_>, all: &Declarations) -> String {
    let family = |name: &str| match name.split('_').nth(1) {
        Some("segment" | "remove") => "segment",
        Some("sem") => "sem",
        Some("mutex") => "mutex",
        Some("wait" | "wake") => "wait",
        Some("topic") => "topic",
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
