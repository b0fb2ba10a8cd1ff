//! Manual pages: section 3 is what the headers' documentation generates; every page is clean, and its
//! examples run.

mod contents;
mod generate;
mod markup;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use generate::Example;

use super::headers::declarations::Declarations;
use crate::support::{self, Link, ObjectName, ROOT, Sandbox, run, stderr, stdout};

const UPDATE: &str = "SHMCOMM_UPDATE_MANUAL";

/// Pages that are written by hand.
const WRITTEN: [&str; 2] = ["comm.3shmcomm", "shmcomm.7"];

fn manual() -> PathBuf {
    Path::new(ROOT).join("man")
}

/// The files of a directory of the manual, by name.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let named = files.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    named.collect()
}

fn examples() -> Vec<Example> {
    let files = files(&manual().join("examples"));
    let example = |source: String| {
        let (title, source) = source.split_once("*/\n").expect("a title first");
        let title = title.strip_prefix("/* ").expect(title).trim_end();
        Example {
            title: title.to_owned(),
            source: source.to_owned(),
        }
    };
    files.into_values().map(example).collect()
}

fn generated() -> BTreeMap<String, String> {
    let (all, examples) = (Declarations::read(Path::new(ROOT)), examples());
    let page = |function| generate::page(function, &all, &examples);
    all.functions
        .iter()
        .map(|function| (format!("{}.3", function.name), page(function)))
        .collect()
}

#[test]
fn every_function_has_its_page_and_every_page_its_function() {
    let (mut found, generated) = (files(&manual()), generated());
    for name in WRITTEN {
        assert!(found.remove(name).is_some(), "{name}");
    }
    if found == generated {
        return;
    }
    assert!(
        env::var_os(UPDATE).is_some(),
        "man/ is out of date: {UPDATE}=1 cargo test --test behaviour manual"
    );
    for name in found.keys().filter(|&name| !generated.contains_key(name)) {
        fs::remove_file(manual().join(name)).unwrap();
    }
    for (name, page) in generated {
        fs::write(manual().join(name), page).unwrap();
    }
}

#[test]
fn a_page_loses_no_word_of_the_documentation() {
    let pages = generated();
    for function in Declarations::read(Path::new(ROOT)).functions {
        let page = &pages[&format!("{}.3", function.name)];
        let not_in_words = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let known: BTreeSet<_> = page.split(not_in_words).collect();
        let lines = function.documentation.iter();
        for word in lines.flat_map(|line| line.split(not_in_words)) {
            assert!(known.contains(word), "{}: {word}", function.name);
        }
    }
}

#[test]
fn pages_of_calls_that_fail_alike_name_the_same_errors() {
    let pages = generated();
    let errors = |name: &str| -> BTreeSet<String> {
        let lines = pages[name].lines();
        let rows = lines.filter_map(|line| line.strip_prefix(".It Bq Er "));
        rows.flat_map(|row| row.split(" , ").map(str::to_owned))
            .collect()
    };
    assert!(errors("shmc_send.3").contains("EMSGSIZE"));
    assert!(errors("shmc_sem_post.3").contains("ERANGE"));
    assert_eq!(errors("shmc_reserve.3"), errors("shmc_send.3"));
    assert_eq!(errors("shmc_peek.3"), errors("shmc_recv.3"));
    assert_eq!(
        errors("shmc_segment_unlock.3"),
        errors("shmc_segment_lock.3")
    );
    let (open, channel) = (errors("shmc_segment_open.3"), errors("shmc_channel_open.3"));
    assert!(open.is_subset(&channel) && channel.contains("EBADMSG"));
}

/// Each page as a tool that judges it reads it.
fn judged_by(tool: &str, arguments: &[&str]) {
    for name in files(&manual()).keys() {
        let mut command = Command::new(tool);
        let output = run(command.args(arguments).arg(manual().join(name)));
        assert_eq!(stderr(&output), "", "{name}");
        if arguments.contains(&"lint") {
            assert_eq!(stdout(&output), "", "{name}");
        }
    }
}

#[test]
fn mandoc_finds_no_fault() {
    if support::has("mandoc") {
        // To a file, references cannot be resolved: what is installed is another matter.
        judged_by("mandoc", &["-T", "lint", "-W", "warning"]);
    }
}

#[test]
fn groff_formats_without_a_warning() {
    if support::has("groff") {
        judged_by("groff", &["-ww", "-z", "-mdoc", "-T", "utf8"]);
    }
}

#[test]
fn the_examples_run() {
    let files = files(&manual().join("examples"));
    for (name, source) in &files {
        for line in source.lines().skip(1) {
            assert!(line.len() < 75, "{name}: {line}");
        }
    }
    let in_pages = WRITTEN.map(|name| {
        let page = fs::read_to_string(manual().join(name)).unwrap();
        (name.to_owned(), program_of(&page))
    });
    for (name, source) in files.into_iter().chain(in_pages) {
        let (sandbox, object) = (Sandbox::new(), ObjectName::new());
        assert!(source.contains("int main("), "{name}");
        let file = sandbox.join("program.c");
        fs::write(&file, source.replace("posix:/manual", &object.name())).unwrap();
        let mut cc = support::cc();
        cc.args(["-Wall", "-Wextra", "-Werror"]).arg(file);
        let program = support::build(&mut cc, Link::Shared, &sandbox.join("program"));
        let output = run(sandbox.command(program).current_dir(sandbox.path()));
        assert_ne!(stdout(&output), "", "{name}");
        assert!(!object.path().exists(), "{name}");
        assert_eq!(sandbox.segments(), [], "{name}");
    }
}

/// The program in a page that is written by hand.
fn program_of(page: &str) -> String {
    let displays = page.split(".Bd -literal\n").skip(1);
    let mut sources = displays.map(|display| display.split(".Ed").next().unwrap());
    let source = sources.find(|source| source.contains("int main("));
    let source = source.expect("a whole program").replace("\\&", "");
    [("\\-", "-"), ("\\(aq", "'"), ("\\(ti", "~"), ("\\e", "\\")]
        .into_iter()
        .fold(source, |source, (escaped, plain)| {
            source.replace(escaped, plain)
        })
}
