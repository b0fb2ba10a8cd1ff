//! The artifact that a C program links: exports, needed libraries, soname, size.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{self, Sandbox};

/// All exports of the library. Each must be documented in a header.
pub const EXPORTS: &[&str] = &[
    "create_shm",
    "destory_shm",
    "get_shm",
    "shm_at",
    "shm_dt",
    "shmc_channel_close",
    "shmc_channel_fd",
    "shmc_channel_open",
    "shmc_channel_stat",
    "shmc_comm_key",
    "shmc_commit",
    "shmc_mutex_init",
    "shmc_mutex_lock",
    "shmc_mutex_unlock",
    "shmc_peek",
    "shmc_recv",
    "shmc_release",
    "shmc_remove",
    "shmc_reserve",
    "shmc_segment_addr",
    "shmc_segment_chmod",
    "shmc_segment_chown",
    "shmc_segment_close",
    "shmc_segment_lock",
    "shmc_segment_open",
    "shmc_segment_size",
    "shmc_segment_stat",
    "shmc_segment_sync",
    "shmc_segment_unlock",
    "shmc_sem_close",
    "shmc_sem_open",
    "shmc_sem_post",
    "shmc_sem_remove",
    "shmc_sem_value",
    "shmc_sem_wait",
    "shmc_send",
    "shmc_topic_begin",
    "shmc_topic_close",
    "shmc_topic_fd",
    "shmc_topic_latest",
    "shmc_topic_open",
    "shmc_topic_peek",
    "shmc_topic_publish",
    "shmc_topic_read",
    "shmc_topic_release",
    "shmc_topic_stat",
    "shmc_topic_write",
    "shmc_version",
    "shmc_wait",
    "shmc_wake",
];

fn shared() -> PathBuf {
    support::library().join("libshmcomm.so")
}

/// The output of a tool; `None` if it is not installed.
fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    support::has(name).then(|| {
        let output = support::run(Command::new(name).args(arguments).arg(shared()));
        support::stdout(&output)
    })
}

/// The names of the symbols that `nm` lists, without their versions.
fn names(listing: &str) -> BTreeSet<&str> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(|name| name.split('@').next().unwrap())
        .collect()
}

#[test]
fn the_exports_are_exactly_the_documented_functions() {
    let Some(listing) = tool("nm", &["-D", "--defined-only"]) else {
        return;
    };
    assert_eq!(names(&listing), EXPORTS.iter().copied().collect());
}

#[test]
fn every_export_stands_in_a_header() {
    let include = fs::read_dir(std::path::Path::new(support::ROOT).join("include")).unwrap();
    let headers: String = include
        .map(|header| fs::read_to_string(header.unwrap().path()).unwrap())
        .collect();
    for name in EXPORTS {
        assert!(headers.contains(&format!("{name}(")), "{name}");
    }
}

#[test]
fn its_only_needed_library_is_libc_and_it_has_its_soname() {
    let Some(dynamic) = tool("readelf", &["-dW"]) else {
        return;
    };
    let values = |tag: &str| -> Vec<&str> {
        let lines = dynamic
            .lines()
            .filter(|line| line.contains(&format!("({tag})")));
        lines
            .filter_map(|line| line.split(['[', ']']).nth(1))
            .collect()
    };
    assert_eq!(values("NEEDED"), ["libc.so.6"]);
    assert_eq!(values("SONAME"), ["libshmcomm.so.0"]);
    let link = support::library().join("libshmcomm.so.0");
    assert_eq!(
        link.canonicalize().unwrap(),
        shared().canonicalize().unwrap()
    );
}

#[test]
fn it_has_no_constructor_no_thread_and_no_exit_handler() {
    let Some(undefined) = tool("nm", &["-D", "--undefined-only"]) else {
        return;
    };
    for line in undefined.lines() {
        assert!(line.contains("@GLIBC_"), "{line}");
    }
    let undefined = names(&undefined);
    for absent in ["pthread_create", "atexit", "shmcomm_has_a_path_to_a_panic"] {
        assert!(!undefined.contains(absent), "{absent}");
    }
    let sections = tool("readelf", &["-SW"]).unwrap();
    assert!(sections.contains(".text"), "{sections}");
    assert!(!sections.contains("_array"), "{sections}");
}

/// The size of the whole file, ELF headers included.
const MAX_BYTES: u64 = 84 * 1024;

#[test]
fn its_size_is_within_the_limit() {
    let size = fs::metadata(shared()).unwrap().len();
    assert!(size <= MAX_BYTES, "{size} bytes");
}

#[test]
fn the_static_library_defines_no_other_names() {
    if !support::has("nm") {
        return;
    }
    let sandbox = Sandbox::new();
    let program = support::build(
        support::cc().arg(support::source("comm-driver.c")),
        support::Link::Static,
        &sandbox.join("program"),
    );
    let listing = support::run(
        Command::new("nm")
            .args(["-g", "--defined-only"])
            .arg(program),
    );
    let listing = support::stdout(&listing);
    let found = names(&listing);
    for name in &EXPORTS[..5] {
        assert!(found.contains(name), "{name}");
    }
    for name in found {
        assert!(!name.starts_with("_R") && !name.contains("rust"), "{name}");
    }
}
