//! `make` builds every target of the examples without a warning, and reports a missing tool.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::comm::assert_conversation;
use crate::support::make::{Group, STRICT, Tour, files, tour_file};
use crate::support::{self, library, run, stderr, stdout};

#[test]
fn make_static_needs_no_shared_library() {
    let Some(tour) = Tour::empty() else { return };
    run(&mut tour.make(["static", STRICT]));
    for program in ["server", "client"] {
        assert!(!tour.0.join(program).exists());
    }
    let mut command = tour.command("sh");
    command.arg(tour_file("run.sh"));
    for program in ["server-static", "client-static"] {
        let program = tour.0.join(program);
        let bytes = fs::read(&program).unwrap();
        let soname = b"libshmcomm.so";
        assert!(!bytes.windows(soname.len()).any(|bytes| bytes == soname));
        command.arg(program);
    }
    let (status, output) = Group::start(command).finish();
    assert!(status.success(), "{status}\n{output}");
    assert_conversation(&output);
    assert_eq!(tour.0.segments(), []);
}

#[test]
fn the_programs_build_without_a_warning() {
    let Some(tour) = Tour::empty() else { return };
    run(&mut tour.make(["all", STRICT]));
    for compiler in ["gcc", "clang"] {
        if support::has(compiler) {
            run(&mut tour.make(["clean"]));
            let output = run(&mut tour.make(["all", STRICT, &format!("CC={compiler}")]));
            let commands = stdout(&output);
            let calls = |line: &&str| line.starts_with(&format!("{compiler} "));
            assert_eq!(
                commands.lines().filter(calls).count(),
                files("c").len(),
                "{commands}"
            );
            assert_eq!(stderr(&output), "");
        }
    }
}

#[test]
fn the_first_line_of_each_program_builds_it() {
    let Some(tour) = Tour::empty() else { return };
    let directory = tour.copy();
    for file in files("c") {
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().next().unwrap();
        let line = line.strip_prefix("/* cc ").expect(line);
        let line = line.strip_suffix(" */").expect(line);
        let program = file.file_stem().unwrap();
        for flags in ["", "-std=c11 -Wall -Wextra -pedantic -Werror"] {
            let _ = fs::remove_file(directory.join(program));
            let command = format!("cc {line} {flags} && ldd ./{}", program.display());
            let mut sh = Command::new("sh");
            let output = run(sh.args(["-c", &command]).current_dir(&directory));
            assert!(!stdout(&output).contains("not found"), "{command}");
            assert_eq!(stderr(&output), "", "{command}");
        }
    }
}

#[test]
fn make_runs_a_program_in_the_directory_itself() {
    let Some(tour) = Tour::empty() else { return };
    let mut make = tour.command("make");
    make.args(["run-status", "LIBRARY=../target/release"]);
    let output = run(make.env_remove("MAKEFLAGS").current_dir(tour.copy()));
    assert!(stdout(&output).contains("status: removed segment "));
}

#[test]
fn make_builds_once_and_clean_leaves_nothing() {
    let Some(tour) = Tour::empty() else { return };
    run(&mut tour.make(["all", "static"]));
    let again = stdout(&run(&mut tour.make(["all", "static"])));
    assert!(!again.contains("-o "), "{again}");
    run(&mut tour.make(["clean"]));
    assert_eq!(fs::read_dir(tour.0.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_compiler_is_reported_in_one_line() {
    let Some(tour) = Tour::empty() else { return };
    let output = tour.make(["CC=/nonexistent"]).output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("there is no C compiler \"/nonexistent\": install one"),
        "{message}"
    );
}

#[test]
fn a_missing_cargo_is_reported_in_one_line() {
    let Some(tour) = Tour::empty() else { return };
    // Any program serves as the compiler, because make never calls it.
    let programs = tour.0.join("programs");
    fs::create_dir(&programs).unwrap();
    symlink("/bin/sh", programs.join("cc")).unwrap();
    let make = stdout(&run(Command::new("sh").args(["-c", "command -v make"])));
    let output = tour
        .make_without_library(make.trim_end())
        .arg("CC=cc")
        .env("PATH", &programs)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.contains("there is no cargo to build the library with: install Rust from https://"),
        "{message}"
    );
}

impl Tour {
    /// A copy of the directory, with the library where `cargo build --release` leaves it.
    fn copy(&self) -> PathBuf {
        let directory = self.0.join("c-examples");
        fs::create_dir_all(self.0.join("target")).unwrap();
        fs::create_dir(&directory).unwrap();
        symlink(library(), self.0.join("target/release")).unwrap();
        symlink(tour_file("../include"), self.0.join("include")).unwrap();
        let sources = files("c").into_iter().chain(files("h"));
        for file in sources.chain([tour_file("Makefile")]) {
            fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
        }
        directory
    }
}
