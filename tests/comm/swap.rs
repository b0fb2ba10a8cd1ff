//! One compiled program behaves the same with the C `comm.c` and with the library.

use std::path::Path;
use std::process::Output;

use crate::support::{self, Link, Sandbox};

/// Calls as programs make them, correct and wrong.
const SCENARIOS: &[&[&str]] = &[
    &[
        "create", "4096", "at", "put", "hello", "show", "get", "at", "show", "dt", "destroy",
    ],
    &["get", "at"],
    &["create", "64", "create", "64", "get", "destroy", "destroy"],
    &[
        "create", "0", "create", "-1", "create", "100", "at", "dt", "dt", "destroy", "at",
    ],
    &[
        "id",
        "-2",
        "at",
        "destroy",
        "id",
        "2147483647",
        "at",
        "destroy",
        "dt",
    ],
    &[
        "create", "64", "at", "destroy", "get", "put", "x", "show", "dt", "get",
    ],
];

struct Programs {
    sandbox: Sandbox,
    program: std::path::PathBuf,
    reference: std::path::PathBuf,
}

fn programs(link_to_reference: bool) -> Programs {
    let sandbox = Sandbox::new();
    let reference = sandbox.join("reference");
    std::fs::create_dir(&reference).unwrap();
    support::build_reference(sandbox.path(), &reference.join("libshmcomm.so"));
    // Not `Link::Shared`, whose program ignores LD_LIBRARY_PATH.
    let link = Link::Other(if link_to_reference {
        &reference
    } else {
        support::library()
    });
    let program = support::build(
        support::cc()
            .arg(format!("-D_PATH_NAME_=\"{}\"", sandbox.path().display()))
            .arg(support::source("comm-driver.c")),
        link,
        &sandbox.join("program"),
    );
    Programs {
        sandbox,
        program,
        reference,
    }
}

impl Programs {
    fn run(&self, before: &[&str], library: &Path, scenario: &[&str]) -> Output {
        let program = self.program.to_str().unwrap();
        let words = [before, &[program], scenario].concat();
        let mut command = self.sandbox.command(words[0]);
        command.env_remove("COMM_PATH_NAME");
        command.env("LD_LIBRARY_PATH", library).args(&words[1..]);
        let output = command.output().unwrap();
        // The next scenario must not find segments of this one.
        for segment in self.sandbox.segments() {
            // SAFETY: takes no buffer.
            unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
        output
    }
}

fn same_output(link_to_reference: bool) {
    let programs = programs(link_to_reference);
    for scenario in SCENARIOS {
        let c = programs.run(&[], &programs.reference, scenario);
        let rust = programs.run(&[], support::library(), scenario);
        assert!(
            !c.stdout.is_empty(),
            "{scenario:?}: {}",
            support::stderr(&c)
        );
        assert_eq!(support::stdout(&c), support::stdout(&rust), "{scenario:?}");
        assert_eq!(support::stderr(&c), support::stderr(&rust), "{scenario:?}");
        assert_eq!(c.status, rust.status, "{scenario:?}");
    }
}

#[test]
fn a_program_linked_to_the_library_prints_the_same_with_either() {
    same_output(false);
}

#[test]
fn a_program_linked_to_the_c_version_prints_the_same_with_either() {
    same_output(true);
}

#[test]
fn a_program_makes_the_same_system_calls_with_either() {
    if !support::has("strace") {
        return;
    }
    let programs = programs(false);
    for scenario in SCENARIOS {
        let calls = |library: &Path| {
            let log = programs.sandbox.join("calls");
            let strace = ["strace", "-o", log.to_str().unwrap(), "--"];
            programs.run(&strace, library, scenario);
            own_calls(&std::fs::read_to_string(log).unwrap())
        };
        let c = calls(&programs.reference);
        assert!(c.iter().any(|call| call.starts_with("shm")), "{c:#?}");
        assert_eq!(c, calls(support::library()), "{scenario:?}");
    }
}

/// The system calls that a program makes after it is loaded, without addresses and ids.
fn own_calls(log: &str) -> Vec<String> {
    // The loader's last call releases its cache, or reports that there is none.
    let lines: Vec<_> = log.lines().collect();
    let loaded = lines
        .iter()
        .rposition(|line| line.starts_with("munmap(") || line.starts_with("prlimit64("))
        .expect("the loader's last call");
    lines[loaded + 1..]
        .iter()
        .map(|line| match line.split_once('(') {
            Some(("getrandom", _)) => "getrandom".to_owned(),
            _ => without_numbers(line),
        })
        .collect()
}

/// Replaces addresses, ids and process ids with `N`. Short numbers, such as descriptors and sizes,
/// stay.
fn without_numbers(line: &str) -> String {
    let is_number = |word: &str| {
        word.starts_with("0x") || (word.len() > 4 && word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let line = match line.split_once(" = ") {
        Some((call, result)) if call.starts_with("shmget") || call.starts_with("shmat") => {
            format!(
                "{call} = {}",
                if result.starts_with('-') { result } else { "N" }
            )
        }
        _ => line.to_owned(),
    };
    let line = match line.split_once(", ") {
        Some((first, rest)) if line.starts_with("shmat(") || line.starts_with("shmctl(") => {
            format!("{}N, {rest}", &first[..=first.find('(').unwrap()])
        }
        _ => line,
    };
    line.split_inclusive([' ', ',', '(', ')'])
        .map(|word| {
            let end = word.trim_end_matches([' ', ',', '(', ')']);
            word.replacen(end, if is_number(end) { "N" } else { end }, 1)
        })
        .collect()
}
