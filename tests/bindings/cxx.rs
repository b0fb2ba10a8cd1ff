//! `shmcomm.hpp` with every C++ compiler and standard; the examples in C++.

use std::path::Path;
use std::process::Command;

use crate::support::driver::Driver;
use crate::support::make::{Tour, tour_file};
use crate::support::{self, ROOT, Sandbox, library, run, stderr, stdout};

const COMPILERS: [&str; 2] = ["g++", "clang++"];
/// Compilers of 2022 call C++23 c++2b.
const STANDARDS: [&str; 6] = ["c++17", "gnu++17", "c++20", "gnu++20", "c++2b", "gnu++2b"];
const WARNINGS: [&str; 7] = [
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Werror",
];

pub fn compiler(compiler: &str, standard: &str) -> Command {
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(WARNINGS);
    command.arg("-I").arg(Path::new(ROOT).join("include"));
    command
}

fn compile(name: &str, standard: &str, program: &Path) {
    let mut command = compiler(name, standard);
    command.arg(Path::new(ROOT).join("tests/cxx/shmcomm.cpp"));
    command.arg(library().join("libshmcomm.a"));
    run(command.args(["-pthread", "-o"]).arg(program));
}

/// Each standard with one of the compilers in turn; with `SHMCOMM_TEST_ALL`, with each.
#[test]
fn every_class_works_in_every_dialect() {
    let installed: Vec<_> = COMPILERS
        .into_iter()
        .filter(|name| support::has(name))
        .collect();
    let driver = Driver::build("channel.c", support::Link::Static);
    for (index, standard) in STANDARDS.into_iter().enumerate() {
        // Three compilations take three seconds.
        if !support::all() && standard.starts_with("gnu") {
            continue;
        }
        for (number, name) in installed.iter().enumerate() {
            if !support::all() && number != index / 2 % installed.len() {
                continue;
            }
            let program = driver.sandbox.join(format!("{name}-{standard}"));
            compile(name, standard, &program);
            let mut command = driver.sandbox.command(&program);
            let output = run(command.args([driver.posix(), driver.sysv()]));
            assert_eq!(stderr(&output), "", "{name} {standard}");
        }
    }
}

#[test]
fn what_it_cannot_be_compiled_with_is_said() {
    for name in COMPILERS.into_iter().filter(|name| support::has(name)) {
        for (flag, message) in [
            ("-std=c++14", "shmcomm.hpp needs C++17"),
            (
                "-fno-exceptions",
                "shmcomm.hpp reports errors by exceptions",
            ),
        ] {
            let mut command = compiler(name, "c++17");
            command.args([flag, "-fsyntax-only", "-x", "c++"]);
            let header = Path::new(ROOT).join("include/shmcomm.hpp");
            let output = command.arg(header).output().unwrap();
            assert!(!output.status.success());
            assert!(stderr(&output).contains(message), "{}", stderr(&output));
        }
    }
}

/// With one compiler as C++17; with `SHMCOMM_TEST_ALL`, with each compiler and standard.
#[test]
fn the_examples_run() {
    if !support::all() {
        return run_examples("c++", "c++17");
    }
    for name in COMPILERS {
        for standard in STANDARDS {
            run_examples(name, standard);
        }
    }
}

fn run_examples(compiler: &str, standard: &str) {
    let Some(tour) = Tour::empty() else { return };
    if !support::has(compiler) {
        return;
    }
    let flags = format!("CXXFLAGS=-std={standard} -O2 -Wall -Wextra -Werror -pedantic");
    let output = run(&mut tour.make(["cxx", &format!("CXX={compiler}"), &flags]));
    assert_eq!(stderr(&output), "");
    let output = stdout(&output);
    for line in [
        "parent: received 4, 16",
        "parent: the child has exited, and all it sent is here",
        "parent: removed posix:/shmcomm-points-",
        "the other died inside, at ",
        "counted to 200001, 200001",
    ] {
        let says = output.lines().any(|said| said.starts_with(line));
        assert!(says, "no \"{line}\" in\n{output}");
    }
}

#[test]
fn the_first_line_of_each_example_builds_it() {
    if !support::has("c++") {
        return;
    }
    for name in ["points.cpp", "counter.cpp"] {
        let text = std::fs::read_to_string(tour_file(name)).unwrap();
        let line = text.lines().next().unwrap();
        let line = line.strip_prefix("/* c++ ").expect(line);
        let line = line.strip_suffix(" */").expect(line);
        let sandbox = Sandbox::new();
        // The library is elsewhere, so it is only compiled.
        let command = format!("c++ {line} -fsyntax-only");
        let command = command.replace(name, tour_file(name).to_str().unwrap());
        let mut sh = Command::new("sh");
        sh.args(["-c", &command]).current_dir(sandbox.path());
        let include = Path::new(ROOT).join("include");
        run(sh.env("CPLUS_INCLUDE_PATH", include));
    }
}

#[test]
fn a_missing_compiler_is_reported_in_one_line() {
    let Some(tour) = Tour::empty() else { return };
    let output = tour.make(["cxx", "CXX=/nonexistent"]).output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("there is no C++ compiler \"/nonexistent\": install one"));
}
