//! The driver of `segment.c`, and checks with it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use std::{fs, thread};

use super::driver::Driver;
use super::{Child, Link, Sandbox};

pub struct SegmentDriver(Driver);

impl Deref for SegmentDriver {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.0
    }
}

impl SegmentDriver {
    pub fn new() -> Self {
        Self(Driver::build("segment.c", Link::Static))
    }

    /// A driver linked with the shared library, so that another library can be preloaded.
    pub fn shared() -> Self {
        Self(Driver::build("segment.c", Link::Shared))
    }

    /// A driver that other users can run.
    pub fn for_all_users() -> Self {
        Self(Driver::build_for_all_users("segment.c"))
    }

    /// A name of each kind whose names outlive their processes.
    pub fn names(&self) -> [String; 3] {
        [self.sysv(), self.posix(), self.file()]
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a process and waits until it reaches `pause`. Returns it and its output.
    pub fn start(&self, arguments: &[&str]) -> (Child, String) {
        start(&mut self.command(arguments))
    }

    /// The same for processes that start at the same time.
    pub fn start_several(&self, count: usize, arguments: &[&str]) -> Vec<(Child, String)> {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..count)
                .map(|_| scope.spawn(|| self.start(arguments)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        })
    }

    pub fn assert_absent(&self, name: &str) {
        let absent = format!("open: errno {}\n", libc::ENOENT);
        assert_eq!(self.run(&["open", name, "0", "", "0"]), absent, "{name}");
    }

    pub fn assert_kept(&self, name: &str, why: &str) {
        for flags in ["cxR", "cR"] {
            let open = self.run(&["open", name, "8", flags, "0600", "size"]);
            let kept = match flags {
                "cxR" => failed("open", libc::EEXIST) + "size: 0\n",
                _ => "open: ok\nsize: 64\n".to_owned(),
            };
            assert_eq!(open, kept, "{name}: {why}");
        }
    }

    pub fn assert_replaced(&self, name: &str, why: &str) {
        let open = self.run(&["open", name, "8", "cxR", "0600", "size", "show"]);
        assert_eq!(open, "open: ok\nsize: 8\nshow: \n", "{name}: {why}");
        self.run(&["remove", name]);
    }

    pub fn assert_open_fails(&self, name: &str, size: &str, flags: &str, errno: i32) {
        let open = ["open", name, size, flags, "0600"];
        assert_eq!(self.run(&open), failed("open", errno), "{open:?}");
    }
}

pub fn start(command: &mut Command) -> (Child, String) {
    let mut child = Child::start(command);
    let mut before = String::new();
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
        match line.unwrap() {
            line if line == "pause" => return (child, before),
            line => before += &format!("{line}\n"),
        }
    }
    panic!("no pause, but {before:?}");
}

/// Starts a process that uses the object until it is dropped. Returns it and its output.
pub fn user(driver: &Driver, arguments: &[&str]) -> (Child, String) {
    let (child, before) = start(&mut driver.command(&[arguments, &["pause"]].concat()));
    (child, before.trim_end().to_owned())
}

pub fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}

/// The temporary names in a directory.
pub fn temporary_names(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(".shmcomm-"))
        .collect()
}

/// Asserts that a directory has no temporary name that is not in `before`.
///
/// It waits up to ten seconds, because other tests have temporary names in `/dev/shm` for a moment.
pub fn assert_no_new_temporary_names(before: &BTreeSet<OsString>, directory: &Path) {
    let mut left = Vec::new();
    for _ in 0..500 {
        let names = temporary_names(directory);
        left = names.difference(before).cloned().collect();
        if left.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("temporary names: {left:?}");
}
