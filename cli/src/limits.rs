//! The system's limits of shared memory, and how near they are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shmcomm::inspect;

use crate::entry::Entry;
use crate::list::DIRECTORY;
use crate::system;
use crate::text::size;

/// One limit.
#[derive(Serialize)]
pub struct Limit {
    pub name: &'static str,
    /// `null`: there is none, or it is unknown.
    pub limit: Option<u64>,
    pub used: Option<u64>,
    /// At least 90 % are used.
    pub near: bool,
    /// What it limits.
    pub meaning: String,
}

impl Limit {
    fn new(name: &'static str, limit: Option<u64>, used: Option<u64>, meaning: &str) -> Self {
        let near = match (limit, used) {
            (Some(limit), Some(used)) => used >= limit.saturating_sub(limit / 10),
            _ => false,
        };
        Self {
            name,
            limit,
            used,
            near,
            meaning: meaning.to_owned(),
        }
    }
}

/// The limits, with what these objects use of them.
pub fn limits(entries: &[Entry]) -> Vec<Limit> {
    let kernel = |name: &str| number(&format!("/proc/sys/kernel/{name}"));
    let segments = entries
        .iter()
        .filter(|entry| entry.sysv.is_some() && entry.semaphore.is_none());
    let sets = entries
        .iter()
        .filter(|entry| entry.sysv.is_some() && entry.semaphore.is_some());
    let shm = system::statvfs(Path::new(DIRECTORY));
    let mut limits = vec![
        Limit::new(
            "shmmax",
            kernel("shmmax"),
            None,
            "bytes of one System V segment",
        ),
        Limit::new(
            "shmmni",
            kernel("shmmni"),
            Some(segments.count() as u64),
            "System V segments",
        ),
        Limit::new(
            "shmall",
            kernel("shmall"),
            inspect::segment_pages().ok(),
            "pages of all System V segments",
        ),
        Limit::new(
            "semmni",
            semmni(),
            Some(sets.count() as u64),
            "sets of System V semaphores",
        ),
        Limit::new(
            DIRECTORY,
            shm.map(|(size, _)| size),
            shm.map(|(_, used)| used),
            "bytes of all POSIX objects",
        ),
        Limit::new(
            "memlock",
            system::memlock(),
            None,
            "bytes that a process of this user may lock in memory (SHMC_LOCKED)",
        ),
        Limit::new(
            "inotify",
            number("/proc/sys/fs/inotify/max_user_instances"),
            Some(inotify_instances()),
            "inotify instances of this user: one for each channel that is polled",
        ),
    ];
    limits.extend(remove_ipc());
    limits
}

fn number(path: &str) -> Option<u64> {
    let number = fs::read_to_string(path).ok()?;
    // 2^64 - 2^24 and above: no limit.
    number
        .trim()
        .parse()
        .ok()
        .filter(|number| *number < u64::MAX - (1 << 25))
}

/// The last of four numbers.
fn semmni() -> Option<u64> {
    let numbers = fs::read_to_string("/proc/sys/kernel/sem").ok()?;
    numbers.split_whitespace().nth(3)?.parse().ok()
}

/// The inotify instances of this user's processes, as far as they can be seen.
fn inotify_instances() -> u64 {
    let euid = system::geteuid();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own =
        processes.filter(|process| process.metadata().is_ok_and(|status| status.uid() == euid));
    let descriptors = own.flat_map(|process| fs::read_dir(process.path().join("fd")));
    let is_inotify = |link: PathBuf| link.as_os_str() == OsStr::from_bytes(b"anon_inode:inotify");
    let links = descriptors
        .flatten()
        .flatten()
        .flat_map(|it| fs::read_link(it.path()));
    links.filter(|link| is_inotify(link.clone())).count() as u64
}

/// systemd removes a user's objects at logout, unless RemoveIPC is no: logind.conf(5). `None` without systemd.
fn remove_ipc() -> Option<Limit> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let mut removes = true;
    let mut files = vec![PathBuf::from("/etc/systemd/logind.conf")];
    for directory in ["/usr/lib", "/run", "/etc"] {
        let directory = format!("{directory}/systemd/logind.conf.d");
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.path()).collect();
        names.sort();
        files.extend(names);
    }
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        for value in text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("RemoveIPC="))
        {
            removes = !matches!(value.trim(), "no" | "0" | "false" | "off");
        }
    }
    let meaning = match removes {
        true => {
            "yes: systemd removes the segments of a user, except of system users, at the last logout"
        }
        false => "no: systemd leaves the segments of a user at logout",
    };
    Some(Limit::new("RemoveIPC", None, None, meaning))
}

/// A limit as a row of a table.
pub fn row(limit: &Limit) -> Vec<String> {
    let is_bytes = limit.meaning.starts_with("bytes");
    let number = |number: Option<u64>| match number {
        None => "-".to_owned(),
        Some(number) if is_bytes => size(number),
        Some(number) => number.to_string(),
    };
    vec![
        limit.name.to_owned(),
        number(limit.used),
        number(limit.limit),
        if limit.near { "near" } else { "ok" }.to_owned(),
        limit.meaning.clone(),
    ]
}
