//! Every call that the library makes fails once, with each plausible errno. The library's function
//! still succeeds, or fails with a documented errno and leaves nothing. Called again, it succeeds.
//! `tests/c/faults.c` explains how.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use crate::support::{self, Link, ObjectName, Sandbox};

/// The functions that `fault-calls.c` interposes.
const INTERPOSED: &[&str] = &[
    "__register_atfork",
    "close",
    "fchmod",
    "fchown",
    "fcntl",
    "fgetxattr",
    "flock",
    "free",
    "fsetxattr",
    "fstat",
    "fstatat",
    "ftok",
    "ftruncate",
    "getcwd",
    "getrandom",
    "inotify_add_watch",
    "inotify_init1",
    "kill",
    "link",
    "linkat",
    "madvise",
    "malloc",
    "memfd_create",
    "mlock",
    "mmap",
    "mprotect",
    "msync",
    "munlock",
    "munmap",
    "nanosleep",
    "open",
    "posix_fallocate",
    "pread",
    "pthread_atfork",
    "read",
    "rename",
    "semctl",
    "semget",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "syscall",
    "unlink",
];

/// Imports that cannot fail, or whose failure changes nothing, such as text on stderr.
const HARMLESS: &[&str] = &[
    "__errno_location",
    "__isoc23_sscanf",
    "__isoc99_sscanf",
    "__xpg_strerror_r",
    "abort",
    "bcmp",
    "clock_gettime",
    "fwrite",
    "geteuid",
    "getpid",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "perror",
    "secure_getenv",
    "snprintf",
    "stderr",
    "strlen",
    "strrchr",
    "sysconf",
];

/// Known defects, each as parts of its complaint.
const KNOWN: &[&[&str]] = &[];

/// The harness, built against the static library whose imports it interposes.
fn program() -> PathBuf {
    support::once("faults", |program| {
        let sandbox = Sandbox::new();
        let table = documented_errnos_in_c();
        fs::write(sandbox.join("documented.h"), table).unwrap();
        let mut cc = support::cc();
        cc.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]);
        cc.arg("-I").arg(sandbox.path());
        for source in ["faults", "fault-calls", "fault-state"] {
            cc.arg(support::source(&format!("{source}.c")));
        }
        for source in [
            "fault-segments",
            "fault-sync",
            "fault-channels",
            "fault-topics",
        ] {
            cc.arg(support::source(&format!("{source}.c")));
        }
        let wrap = INTERPOSED.iter().map(|name| format!("-Wl,--wrap={name}"));
        cc.args(wrap);
        support::build(&mut cc, Link::Static, program);
    })
}

/// The errnos that `shmcomm.h` names for each function, directly or through a reference to another
/// function.
fn documented_errnos() -> BTreeMap<String, BTreeSet<String>> {
    let header = fs::read_to_string(Path::new(support::ROOT).join("include/shmcomm.h")).unwrap();
    let mut errnos: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut comment = String::new();
    for line in header.lines() {
        let text = line.trim_start();
        if text.starts_with(['*', '/']) {
            comment += text.trim_start_matches(['*', '/']);
            comment.push('\n');
            continue;
        }
        let function = text.split('(').next().unwrap_or_default();
        let function = function.rsplit([' ', '*']).next().unwrap_or_default();
        if text.contains('(') && function.starts_with("shmc_") {
            errnos.insert(function.to_owned(), errnos_in(&comment, &errnos));
        }
        comment.clear();
    }
    errnos
}

/// The errnos at the start of a comment's lines, and those of the functions to which it refers with
/// "as".
fn errnos_in(comment: &str, others: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut errnos = BTreeSet::new();
    for line in comment.lines() {
        for word in line.split_whitespace() {
            let errno = word.trim_end_matches(',');
            let rest = errno.strip_prefix('E').unwrap_or_default();
            if rest.is_empty()
                || !rest
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            {
                break;
            }
            errnos.insert(errno.to_owned());
            if errno == word {
                break;
            }
        }
    }
    let words: Vec<_> = comment
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    for pair in words.windows(2) {
        if pair[0] == "as"
            && let Some(other) = others.get(pair[1])
        {
            errnos.extend(other.iter().cloned());
        }
    }
    errnos
}

fn documented_errnos_in_c() -> String {
    let mut table = String::from(
        "static const struct documented { const char *function; int errnos[64]; } documented[] = {\n",
    );
    for (function, errnos) in documented_errnos() {
        let errnos: Vec<_> = errnos.into_iter().chain(["0".to_owned()]).collect();
        writeln!(table, "    {{\"{function}\", {{{}}}}},", errnos.join(", ")).unwrap();
    }
    table + "};\n"
}

/// Fails the calls of one group of scenarios; without `SHMCOMM_TEST_ALL`, a sample of them.
fn fail_the_calls_of(group: &str, sample: u32) {
    let sandbox = Sandbox::new();
    let object = ObjectName::new();
    let prefix = object.path().file_name().unwrap().to_owned();
    let all = env::var_os("SHMCOMM_TEST_ALL").is_some();
    let stride = if all { 1 } else { sample };
    let mut command = Command::new(program());
    command.arg(sandbox.path()).arg(prefix).arg(group);
    let output = support::run(command.arg(stride.to_string()));
    let text = support::stdout(&output) + &support::stderr(&output);
    let (known, unknown): (Vec<_>, Vec<_>) = text
        .lines()
        .filter(|line| !line.ends_with(" faults"))
        .partition(|line| {
            KNOWN
                .iter()
                .any(|known| known.iter().all(|part| line.contains(part)))
        });
    let faults = text.lines().last().unwrap_or_default();
    let _ = writeln!(
        io::stderr(),
        "{group}: {faults}, one in {stride}; {} known defects",
        known.len()
    );
    assert!(faults.ends_with(" faults"), "{text}");
    assert!(
        unknown.is_empty(),
        "{} complaints:\n{}",
        unknown.len(),
        unknown.join("\n")
    );
}

#[test]
fn segments_survive_every_fault() {
    fail_the_calls_of("segments", 11);
}

#[test]
fn semaphores_and_mutexes_survive_every_fault() {
    fail_the_calls_of("semaphores", 7);
}

#[test]
fn channels_survive_every_fault() {
    fail_the_calls_of("channels", 11);
}

#[test]
fn topics_survive_every_fault() {
    fail_the_calls_of("topics", 11);
}

#[test]
fn the_five_functions_survive_every_fault() {
    fail_the_calls_of("comm", 7);
}

#[test]
fn the_harness_knows_every_import() {
    if !support::has("nm") {
        return;
    }
    let mut nm = Command::new("nm");
    nm.args(["-D", "--undefined-only"]);
    let output = support::run(nm.arg(support::library().join("libshmcomm.so")));
    for line in support::stdout(&output).lines() {
        let import = line.split_whitespace().last().unwrap_or_default();
        let import = import.split('@').next().unwrap_or_default();
        assert!(
            INTERPOSED.contains(&import) || HARMLESS.contains(&import),
            "{import} is neither interposed nor known to be harmless"
        );
    }
}

#[test]
fn the_header_names_errnos_for_each_function_that_can_fail() {
    let errnos = documented_errnos();
    assert!(errnos["shmc_segment_open"].contains("ENOSPC"));
    assert!(errnos["shmc_segment_unlock"].contains("ENOMEM"));
    assert!(errnos["shmc_channel_open"].contains("EBADMSG"));
    assert!(errnos["shmc_channel_open"].contains("ENOSPC"));
    assert!(errnos["shmc_topic_peek"].contains("EIDRM"));
    assert!(errnos["shmc_segment_close"].is_empty());
}
