//! Generates the headers: `src/NAME.in`, with a section for each file of the C edge that it names.

use std::fs;
use std::path::Path;

use cbindgen::{Config, DocumentationStyle, ExportConfig, Language};

/// The headers: names and texts.
pub fn generated(root: &Path) -> [(&'static str, String); 2] {
    // C89 has no comments to the end of the line.
    [
        ("comm.h", DocumentationStyle::Doxy),
        ("shmcomm.h", DocumentationStyle::Cxx),
    ]
    .map(|(name, comments)| (name, header(root, name, comments)))
}

/// The template with a section in each line `@FILE.rs@`, and values for other names.
fn header(root: &Path, name: &str, comments: DocumentationStyle) -> String {
    let mut header = format!("/* {name}, generated from src/ by a test: do not edit. */\n\n");
    for line in read(root, &format!("src/{name}.in")).lines() {
        let file = line
            .strip_prefix('@')
            .and_then(|rest| rest.strip_suffix('@'));
        match file {
            Some(file) => header += &section(root, &format!("src/{file}"), comments),
            None => header += line,
        }
        header.push('\n');
    }
    let keys = read(root, "core/src/key.rs");
    let path = literal(&keys, "DEFAULT_PATH").trim_start_matches('c');
    header
        .replace("@DEFAULT_PATH@", path)
        .replace("@DEFAULT_ID@", literal(&keys, "DEFAULT_ID"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
}

/// What one file of the C edge declares: constants, structs, functions.
fn section(root: &Path, file: &str, documentation_style: DocumentationStyle) -> String {
    let config = Config {
        language: Language::C,
        documentation_style,
        no_includes: true,
        line_length: 80,
        tab_width: 4,
        usize_is_size_t: true,
        export: ExportConfig {
            // comm.h.in declares it, as a weak symbol.
            exclude: vec!["shmc_comm_key".into()],
            // Rust has no such type.
            rename: [("volatile_void".into(), "volatile void".into())].into(),
            ..Default::default()
        },
        ..Default::default()
    };
    let builder = cbindgen::Builder::new().with_config(config);
    let bindings = builder.with_src(root.join(file)).generate();
    let mut text = Vec::new();
    bindings.expect("cbindgen reads the file").write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let source = read(root, file);
    let lines = text.trim().lines().map(|line| as_written(line, &source));
    lines.collect::<Vec<_>>().join("\n")
}

/// The line, with the constant that it defines as the source has it: cbindgen turns hexadecimal
/// numbers into decimal ones.
fn as_written(line: &str, source: &str) -> String {
    match line
        .strip_prefix("#define ")
        .and_then(|rest| rest.split_once(' '))
    {
        Some((name, _)) => format!("#define {name} {}", literal(source, name)),
        None => line.to_owned(),
    }
}

/// The value of a constant as the source has it.
fn literal<'a>(source: &'a str, name: &str) -> &'a str {
    let prefix = format!("pub const {name}: ");
    let value = |line: &'a str| {
        line.strip_prefix(&prefix)?
            .split_once(" = ")?
            .1
            .strip_suffix(';')
    };
    let found = source.lines().find_map(value);
    found.unwrap_or_else(|| panic!("no constant {name}"))
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
