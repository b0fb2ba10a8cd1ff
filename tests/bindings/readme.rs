//! The README's lines in C++ and Python, as they stand there.

use std::fs;
use std::path::Path;

use super::cxx::compiler;
use super::python::python;
use crate::support::{self, ObjectName, ROOT, Sandbox, library, run, stderr, stdout};

/// The only block in this language, with other names for its objects.
fn lines(language: &str, names: &[ObjectName; 2]) -> String {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, after) = readme.split_once(&format!("```{language}\n")).unwrap();
    let (lines, rest) = after.split_once("```").unwrap();
    assert!(!rest.contains(&format!("```{language}")));
    let mut lines = lines.to_owned();
    for (name, unique) in ["posix:/talk", "posix:/count"].into_iter().zip(names) {
        assert!(lines.contains(name), "{name} is not in\n{lines}");
        lines = lines.replace(name, &unique.name());
    }
    lines
}

/// Both languages use the same objects, one after the other.
#[test]
fn the_lines_of_both_languages_run() {
    let sandbox = Sandbox::new();
    let names = [ObjectName::new(), ObjectName::new()];
    let mut counted = 0;
    if support::has("g++") {
        let lines = lines("cpp", &names);
        let (include, body) = lines.split_once('\n').unwrap();
        let source = sandbox.join("lines.cpp");
        let program = sandbox.join("lines");
        let text =
            format!("#include <iostream>\n#include <mutex>\n{include}\nint main()\n{{\n{body}}}\n");
        fs::write(&source, text).unwrap();
        let mut build = compiler("g++", "c++17");
        build.arg(source).arg(library().join("libshmcomm.a"));
        run(build.args(["-pthread", "-o"]).arg(&program));
        let output = run(&mut sandbox.command(&program));
        assert_eq!(
            (&*stdout(&output), &*stderr(&output)),
            ("how are you\n", "")
        );
        counted += 1;
    }
    if support::has("python3") {
        let program = lines("python", &names) + "\nprint(segment.buf[64])\n";
        let output = run(python("python3", &sandbox).args(["-W", "error", "-c", &program]));
        counted += 1;
        let expected = format!("b'how are you'\n{counted}\n");
        assert_eq!((&*stdout(&output), &*stderr(&output)), (&*expected, ""));
    }
}
