//! Text of the headers as mdoc(7).

use crate::artifact::headers::declarations::Declarations;

/// Words of running text: a sentence a line, and a line of its own for what mdoc(7) has a macro for.
pub fn text(lines: &[&str], own: &str, all: &Declarations) -> String {
    let mut result = String::new();
    let mut starts_line = true;
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        if let Some(call) = call(word, own, all) {
            if !starts_line {
                result.push('\n');
            }
            result += &call;
            result.push('\n');
            starts_line = true;
        } else {
            if !starts_line {
                result.push(' ');
            }
            let escaped = escape(word);
            if starts_line && escaped.starts_with(['.', '\'']) {
                result += "\\&";
            }
            result += &escaped;
            starts_line = word.ends_with(['.', '?', '!']) && word != "...";
            if starts_line {
                result.push('\n');
            }
        }
    }
    if !starts_line {
        result.push('\n');
    }
    result
}

/// The macro line for a word.
fn call(word: &str, own: &str, all: &Declarations) -> Option<String> {
    let core = word.trim_start_matches(['(', '"']);
    let before = &word[..word.len() - core.len()];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = core.find(|c| !is_name(c)).unwrap_or(core.len());
    let (name, mut after) = core.split_at(end);
    let macro_call =
        if let Some((page, section)) = reference(core.trim_end_matches([',', '.', ';', ':'])) {
            after = &core[page.len() + section.len() + 2..];
            format!("Xr {page} {section}")
        } else if name == own {
            format!("Fn {name}")
        } else if all.function(name).is_some() {
            format!("Xr {name} 3")
        } else if name.starts_with("SHMC_") {
            format!("Dv {name}")
        } else if name.starts_with("COMM_") {
            format!("Ev {name}")
        } else if name == "errno" {
            "Va errno".to_owned()
        } else {
            return None;
        };
    let prefix = match before {
        "" => String::new(),
        _ => format!("Pf {before} "),
    };
    let suffix = if after.chars().all(|c| "(),.:;".contains(c)) {
        after.chars().map(|c| format!(" {c}")).collect()
    } else {
        format!(" Ns {}", escape(after))
    };
    Some(format!(".{prefix}{macro_call}{suffix}"))
}

/// Name and section of a reference such as `fork(2)`.
pub fn reference(word: &str) -> Option<(&str, &str)> {
    let (name, section) = word.strip_suffix(')')?.split_once('(')?;
    let is_section = section.starts_with(|c: char| c.is_ascii_digit()) && section.len() <= 2;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_section && is_name).then_some((name, section))
}

/// Text that is not to be read as a request; a minus sign that is one.
pub fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e");
    let mut result = String::new();
    let mut previous = ' ';
    for c in text.chars() {
        if c == '-' && !previous.is_alphanumeric() {
            result.push('\\');
        }
        result.push(c);
        previous = c;
    }
    result
}

/// Lines as they are.
pub fn literal(text: &str) -> String {
    let mut result = String::from(".Bd -literal\n");
    for line in text.trim_end().lines() {
        if line.starts_with(['.', '\'']) {
            result += "\\&";
        }
        for c in line.chars() {
            match c {
                '\\' => result += "\\e",
                '\'' => result += "\\(aq",
                '`' => result += "\\(ga",
                '-' => result += "\\-",
                '^' => result += "\\(ha",
                '~' => result += "\\(ti",
                c => result.push(c),
            }
        }
        result.push('\n');
    }
    result + ".Ed\n"
}
