//! What layer 2 promises: a name is absent or whole, nothing is removed behind its owner's back,
//! sizes are true, what is left over can be told.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{fs, thread};

use support::driver::Driver;
use support::ptrace::{Step, kill_after};
use support::{Child, Link, NOBODY, Sandbox};

impl Driver {
    fn new() -> Self {
        Self::build("segment.c", Link::Static)
    }

    /// One that other users can run.
    fn for_all_users() -> Self {
        Self::build_in(Sandbox::for_all_users(), "segment.c", Link::Static)
    }

    /// The names of the kinds that have lasting ones.
    fn names(&self) -> [String; 3] {
        [self.sysv(), self.posix(), self.file()]
    }

    /// The file behind a `posix:` or `file:` name.
    fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix("file:") {
            Some(path) => path.into(),
            None => self.object.path().to_owned(),
        }
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a process and waits until it has come to `pause`; what it printed before.
    fn start(&self, arguments: &[&str]) -> (Child, String) {
        start(&mut self.command(arguments))
    }

    fn assert_gone(&self, name: &str) {
        let absent = format!("open: errno {}\n", libc::ENOENT);
        assert_eq!(self.run(&["open", name, "0", "", "0"]), absent, "{name}");
    }
}

fn start(command: &mut Command) -> (Child, String) {
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

fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}

#[test]
fn what_one_writes_another_reads() {
    let driver = Driver::new();
    for name in driver.names() {
        driver.run(&[
            "open",
            &name,
            "100",
            "cx",
            "0600",
            "put",
            "how are you",
            "close",
        ]);
        let read = driver.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: how are you\n", "{name}");
        let read = driver.run(&["open", &name, "100", "r", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: how are you\n", "{name}");
        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        driver.assert_gone(&name);
    }
}

#[test]
fn a_child_shares_what_has_no_name() {
    let driver = Driver::new();
    for name in ["anon:", "sysv:private"] {
        let open = ["open", name, "100", "c", "0600", "id", "put", "before"];
        let share = ["child", "show", "put", "after"];
        let output = driver.run(&[&open[..], &share].concat());
        let mut lines = output.lines();
        assert_eq!(lines.next(), Some("open: ok"), "{output}");
        let id = lines.next().unwrap().strip_prefix("id: ").unwrap();
        assert_eq!(lines.next(), Some("show: before"), "{output}");
        if name == "sysv:private" {
            let id = format!("sysv:id:{id}");
            let read = driver.run(&["open", &id, "100", "", "0", "show", "remove", &id]);
            assert_eq!(read, "open: ok\nshow: after\nremove: ok\n");
        }
        let removed = driver.run(&["remove", name]);
        assert_eq!(removed, failed("remove", libc::EINVAL));
    }
}

#[test]
fn the_size_is_the_kernels() {
    let driver = Driver::new();
    for name in driver.names() {
        for size in [1, 4095, 4096, 4097, 1 << 30] {
            let (bytes, more) = (size.to_string(), (size + 1).to_string());
            let made = driver.run(&["open", &name, &bytes, "c", "0600", "size", "stat"]);
            if size == 1 << 30 && made == failed("open", libc::ENOSPC) {
                support::skip("no room for 1 GiB");
                continue;
            }
            assert!(
                made.starts_with(&format!("open: ok\nsize: {size}\nsize {size} ")),
                "{made}"
            );
            let opened = format!("open: ok\nsize: {size}\n");
            for smaller in ["0", "1", &bytes] {
                for flags in ["", "r", "c"] {
                    let open = ["open", &name, smaller, flags, "0", "size"];
                    assert_eq!(driver.run(&open), opened, "{open:?}");
                }
            }
            for flags in ["", "c"] {
                let open = driver.run(&["open", &name, &more, flags, "0"]);
                assert_eq!(open, failed("open", libc::EINVAL), "{name} {more}");
            }
            assert_eq!(driver.run(&["open", &name, "0", "", "0", "size"]), opened);
            assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        }
    }
}

#[test]
fn the_mode_is_the_creators_to_say() {
    let driver = Driver::new();
    for name in driver.names() {
        let made = [
            "umask", "077", "open", &name, "1", "c", "0646", "stat", "chmod", "0604", "stat",
        ];
        let made = driver.run(&made);
        assert!(made.contains(" mode 0646 "), "{name}: {made}");
        assert!(made.contains(" mode 0604 "), "{name}: {made}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn only_one_of_several_creators_succeeds_exclusively() {
    let driver = Driver::new();
    for name in driver.names() {
        for _ in 0..10 {
            let children: Vec<_> = (0..8)
                .map(|_| {
                    let mut command = driver.command(&["open", &name, "64", "cx", "0600"]);
                    command.stdout(Stdio::piped()).spawn().unwrap()
                })
                .collect();
            let outputs: Vec<_> = children
                .into_iter()
                .map(|child| support::stdout(&child.wait_with_output().unwrap()))
                .collect();
            let made = outputs
                .iter()
                .filter(|output| *output == "open: ok\n")
                .count();
            assert_eq!(made, 1, "{name}: {outputs:?}");
            let refused = failed("open", libc::EEXIST);
            assert_eq!(
                outputs.iter().filter(|output| **output == refused).count(),
                7
            );
            driver.run(&["remove", &name]);
        }
    }
}

#[test]
fn several_that_create_share_one() {
    let driver = Driver::new();
    for name in driver.names() {
        let open = ["open", &name, "64", "c", "0600", "size", "stat", "pause"];
        let children: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| driver.start(&open)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (_, output) in &children {
            assert!(
                output.starts_with("open: ok\nsize: 64\n"),
                "{name}: {output}"
            );
        }
        let made = children
            .iter()
            .filter(|(_, output)| output.contains("creator self"));
        assert_eq!(made.count(), 1, "{name}");
        driver.run(&["remove", &name]);
    }
}

fn has_unnamed_files(directory: &Path) -> bool {
    let mut options = fs::OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE);
    options.open(directory).is_ok()
}

/// The temporary names in a directory.
fn stand_ins(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(".shmcomm-"))
        .collect()
}

/// Kills a creator at each system call, and lets the next process open the same name.
fn kill_at_each_system_call(
    driver: &Driver,
    name: &str,
    flags: &str,
    environment: &[(&str, &Path)],
) {
    let mut kills = 0;
    for steps in 0.. {
        let mut command = driver.command(&["open", name, "5000", flags, "0600", "close"]);
        command
            .envs(environment.iter().copied())
            .stdout(Stdio::null());
        if kill_after(&mut command, steps, Step::SystemCall).unwrap() {
            break;
        }
        kills += 1;
        if environment.is_empty() && flags == "cx" && has_unnamed_files(driver.sandbox.path()) {
            let left = stand_ins(driver.sandbox.path());
            assert!(left.is_empty(), "{name}, {steps} steps: {left:?}");
        }
        let next = [
            "open", name, "5000", "c", "0600", "size", "put", "x", "show", "remove", name,
        ];
        let next = driver.run(&next);
        let expected = "open: ok\nsize: 5000\nshow: x\nremove: ok\n";
        assert_eq!(next, expected, "{name}, killed after {steps} steps");
        driver.assert_gone(name);
    }
    assert!(kills > 20, "{kills}");
    println!("{name} {flags}: killed at {kills} system calls");
}

#[test]
fn a_name_is_absent_or_whole_wherever_its_creator_is_killed() {
    let driver = Driver::new();
    for name in driver.names() {
        kill_at_each_system_call(&driver, &name, "cx", &[]);
        kill_at_each_system_call(&driver, &name, "cpR", &[]);
    }
}

#[test]
fn a_file_system_without_unnamed_files_will_do() {
    let driver = Driver::build("segment.c", Link::Shared);
    let library = driver.sandbox.join("no_tmpfile.so");
    support::run(
        support::cc()
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(support::source("no_tmpfile.c")),
    );
    let preload = [("LD_PRELOAD", library.as_path())];
    for name in [driver.posix(), driver.file()] {
        let directory = driver.path(&name).parent().unwrap().to_owned();
        let before = stand_ins(&directory);
        let mut open =
            driver.command(&["open", &name, "64", "cx", "0640", "stat", "remove", &name]);
        let output = support::stdout(&support::run(open.envs(preload)));
        assert!(output.contains("size 64 mode 0640"), "{output}");
        assert_eq!(stand_ins(&directory).difference(&before).count(), 0);
        let mut twice = driver.command(&["open", &name, "64", "cx", "0640", "open", &name, "64"]);
        let twice = support::stdout(&support::run(twice.args(["cx", "0640"]).envs(preload)));
        assert_eq!(twice, format!("open: ok\n{}", failed("open", libc::EEXIST)));
        driver.run(&["remove", &name]);

        kill_at_each_system_call(&driver, &name, "cx", &preload);
        // What deaths have left is in nobody's way; it is this test's to remove.
        for left in stand_ins(&directory).difference(&before) {
            let path = directory.join(left);
            // Another test's creator may have removed it.
            if let Ok(metadata) = fs::metadata(&path) {
                assert_eq!(metadata.mode() & 0o077, 0);
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[test]
fn nothing_is_removed_behind_its_owners_back() {
    let driver = Driver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "kept"]);
        driver.run(&["open", &name, "0", "", "0", "close"]);
        driver.run(&["open", &name, "0", "", "0", "child", "close"]);
        driver.run(&["open", &name, "0", "c", "0", "child"]);
        let (mut reader, _) = driver.start(&["open", &name, "0", "r", "0", "pause"]);
        reader.kill();
        let kept = driver.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(kept, "open: ok\nshow: kept\n", "{name}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_childs_close_leaves_its_parent_attached() {
    let driver = Driver::new();
    for name in driver.names() {
        let (parent, _) = driver.start(&["open", &name, "64", "cx", "0600", "pause"]);
        let both = [
            "open", &name, "0", "", "0", "put", "there", "child", "close",
        ];
        driver.run(&both);
        drop(parent);
        let read = driver.run(&["open", &name, "0", "", "0", "show", "remove", &name]);
        assert_eq!(read, "open: ok\nshow: there\nremove: ok\n");
    }
}

#[test]
fn a_full_file_system_is_an_errno_and_no_fault() {
    if !support::has("unshare") {
        return;
    }
    let driver = Driver::new();
    let directory = driver.sandbox.join("small");
    fs::create_dir(&directory).unwrap();
    let file = format!("file:{}/file", directory.display());
    for name in [&driver.posix(), &file] {
        let script = r#"
            mount -t tmpfs -o size=64k none /dev/shm && mount --bind /dev/shm "$1" || exit 9
            "$0" open "$2" 65537 c 0600
            ls -A /dev/shm
            "$0" open "$2" 65536 c 0600 fill size
            "$0" open posix:/another 1 c 0600
            "$0" remove "$2"
            "$0" open posix:/another 4096 c 0600 fill remove posix:/another
        "#;
        let mut command = driver.sandbox.command("unshare");
        command.args(["--mount", "--user", "--map-root-user", "sh", "-c", script]);
        let output = command
            .arg(&driver.program)
            .arg(&directory)
            .arg(name)
            .output()
            .unwrap();
        if output.status.code() == Some(9) || support::stderr(&output).contains("unshare:") {
            return support::skip(support::stderr(&output).trim());
        }
        let full = failed("open", libc::ENOSPC);
        let expected =
            format!("{full}open: ok\nsize: 65536\n{full}remove: ok\nopen: ok\nremove: ok\n");
        assert_eq!(
            support::stdout(&output),
            expected,
            "{}",
            support::stderr(&output)
        );
    }
}

#[test]
fn a_read_only_segment_faults_when_written() {
    let driver = Driver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "kept"]);
        let output = driver.output(&["open", &name, "0", "r", "0", "show", "put", "written"]);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{name}");
        assert_eq!(support::stdout(&output), "open: ok\nshow: kept\n", "{name}");
        let made = driver.output(&[
            "remove", &name, "open", &name, "64", "crp", "0600", "show", "fill",
        ]);
        assert_eq!(made.status.signal(), Some(libc::SIGSEGV), "{name}");
        assert_eq!(
            support::stdout(&made),
            "remove: ok\nopen: ok\nshow: \n",
            "{name}"
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_removed_segment_lives_until_its_last_user_detaches() {
    let driver = Driver::new();
    for name in driver.names() {
        let user = ["open", &name, "64", "cx", "0600", "put", "old", "pause"];
        let rest = ["show", "stat", "close", "open", &name, "0", "", "0", "show"];
        let mut command = driver.command(&[&user[..], &rest].concat());
        let mut child = Child::start(&mut command);
        let mut output = BufReader::new(child.0.stdout.take().unwrap());
        let mut line = String::new();
        while line != "pause\n" {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "{name}");
        }

        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        driver.assert_gone(&name);
        driver.run(&["open", &name, "64", "cx", "0600", "put", "new"]);
        std::io::Write::write_all(child.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        let mut after = String::new();
        output.read_to_string(&mut after).unwrap();
        let lines: Vec<_> = after.lines().collect();
        assert_eq!(lines[0], "show: old", "{after}");
        assert!(
            lines[1].contains(" key 0x0 ") && lines[1].contains(" removed 1 "),
            "{after}"
        );
        assert_eq!(
            lines[2..],
            ["close: ok", "open: ok", "show: new"],
            "{after}"
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn huge_pages_prefault_and_locking_do_what_they_can() {
    let driver = Driver::new();
    for name in [&driver.names()[..], &["anon:".to_owned()]].concat() {
        let output = driver.run(&["open", &name, "5000", "chp", "0600", "fill", "stat", "size"]);
        let pages = output.split("pages ").nth(1).expect(&output).as_bytes()[0];
        assert!((b'0'..=b'2').contains(&pages), "{output}");
        let size = output.split("size: ").nth(1).unwrap().trim();
        if pages == b'2' && name == "anon:" {
            assert_eq!(size.parse::<u64>().unwrap() % (1 << 21), 0, "{output}");
        } else {
            assert_eq!(size, "5000", "{output}");
        }
        let _ = driver.run(&["remove", &name]);

        let locked = [
            "open", &name, "5000", "cl", "0600", "stat", "unlock", "stat", "lock", "stat",
        ];
        let locked = driver.run(&locked);
        if locked.starts_with("open: ok") {
            let states: Vec<_> = locked
                .lines()
                .filter_map(|line| Some(line.split(" locked ").nth(1)?.as_bytes()[0]))
                .collect();
            assert_eq!(states, b"101", "{name}: {locked}");
        } else {
            support::skip("this user may not lock memory");
        }
        let _ = driver.run(&["remove", &name]);
    }
}

#[test]
fn locking_more_than_is_allowed_fails_and_makes_nothing() {
    let driver = Driver::for_all_users();
    if !support::is_root() {
        return support::skip("only root can become a user with a limit");
    }
    for name in driver.names() {
        let mut command = driver.command(&["open", &name, "1000000", "cxl", "0600"]);
        command.uid(NOBODY).gid(NOBODY);
        // SAFETY: setrlimit is safe to call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let none = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                libc::setrlimit(libc::RLIMIT_MEMLOCK, &none);
                Ok(())
            });
        }
        if name.starts_with("file:") {
            fs::set_permissions(driver.sandbox.path(), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let output = match command.output() {
            Ok(output) => support::stdout(&output),
            Err(error) => return support::skip(&error.to_string()),
        };
        assert_eq!(output, failed("open", libc::EPERM), "{name}");
        driver.assert_gone(&name);
    }
}

mod reclaim {
    use super::*;

    impl Driver {
        fn assert_kept(&self, name: &str, why: &str) {
            for flags in ["cxR", "cR"] {
                let open = self.run(&["open", name, "8", flags, "0600", "size"]);
                let kept = match flags {
                    "cxR" => failed("open", libc::EEXIST) + "size: 0\n",
                    _ => "open: ok\nsize: 64\n".to_owned(),
                };
                assert_eq!(open, kept, "{name}: {why}");
            }
        }

        fn assert_replaced(&self, name: &str, why: &str) {
            let open = self.run(&["open", name, "8", "cxR", "0600", "size", "show"]);
            assert_eq!(open, "open: ok\nsize: 8\nshow: \n", "{name}: {why}");
            self.run(&["remove", name]);
        }
    }

    #[test]
    fn what_is_left_over_is_replaced_on_demand_alone() {
        let driver = Driver::new();
        for name in driver.names() {
            driver.run(&["open", &name, "64", "cx", "0600", "put", "old"]);
            let refused = driver.run(&["open", &name, "8", "cx", "0600"]);
            assert_eq!(refused, failed("open", libc::EEXIST));
            driver.assert_replaced(&name, "its creator has ended");
        }
    }

    #[test]
    fn what_a_killed_creator_had_attached_is_replaced() {
        let driver = Driver::new();
        for name in driver.names() {
            let (mut creator, _) = driver.start(&["open", &name, "64", "cx", "0600", "pause"]);
            driver.assert_kept(&name, "its creator is attached");
            creator.kill();
            driver.assert_replaced(&name, "its creator was killed");
        }
    }

    #[test]
    fn what_a_living_creator_has_closed_stays() {
        let driver = Driver::new();
        for name in driver.names() {
            let open = ["open", &name, "64", "cx", "0600", "close", "pause"];
            let (mut creator, _) = driver.start(&open);
            driver.assert_kept(&name, "its creator lives");
            creator.kill();
            driver.assert_replaced(&name, "its creator has ended");
        }
    }

    #[test]
    fn what_another_process_has_attached_stays() {
        let driver = Driver::new();
        for name in driver.names() {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            for flags in ["", "r"] {
                let (mut user, _) = driver.start(&["open", &name, "0", flags, "0", "pause"]);
                driver.assert_kept(&name, "somebody is attached");
                user.kill();
            }
            driver.assert_replaced(&name, "nobody is attached any more");
        }
    }

    #[test]
    fn what_a_creators_child_has_attached_stays() {
        let driver = Driver::new();
        for name in driver.names() {
            let open = ["open", &name, "64", "cx", "0600", "orphan", "pause"];
            let (child, _) = driver.start(&open);
            driver.assert_kept(&name, "the creator's child is attached");
            // The child ends when its standard input does.
            drop(child);
            for _ in 0..1000 {
                if driver.run(&["open", &name, "8", "cxR", "0600"]) == "open: ok\n" {
                    break;
                }
                thread::sleep(std::time::Duration::from_millis(10));
            }
            driver.run(&["remove", &name]);
        }
    }

    #[test]
    fn what_belongs_to_another_user_stays() {
        let driver = Driver::new();
        if !support::is_root() {
            return support::skip("only root can give something away");
        }
        for name in driver.names() {
            let nobody = NOBODY.to_string();
            let give = ["open", &name, "64", "cx", "0666", "chown", &nobody, &nobody];
            assert_eq!(driver.run(&give), "open: ok\nchown: ok\n");
            let open = driver.run(&["open", &name, "8", "cxR", "0600"]);
            assert_eq!(open, failed("open", libc::EEXIST), "{name}");
            driver.run(&["remove", &name]);
        }
    }

    #[test]
    fn what_somebody_else_made_stays() {
        let driver = Driver::new();
        for name in [driver.posix(), driver.file()] {
            fs::write(driver.path(&name), [b'x'; 64]).unwrap();
            driver.assert_kept(&name, "nobody knows who made it");
            driver.run(&["remove", &name]);
        }
    }

    #[test]
    fn what_comes_from_another_pid_namespace_stays() {
        if !support::has("unshare") {
            return;
        }
        let driver = Driver::new();
        for name in driver.names() {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            let mut command = driver.sandbox.command("unshare");
            command.args([
                "--user",
                "--map-root-user",
                "--pid",
                "--fork",
                "--mount-proc",
            ]);
            command
                .arg(&driver.program)
                .args(["open", &name, "8", "cxR", "0600"]);
            let output = command.output().unwrap();
            if support::stderr(&output).contains("unshare:") {
                return support::skip(support::stderr(&output).trim());
            }
            assert_eq!(
                support::stdout(&output),
                failed("open", libc::EEXIST),
                "{name}"
            );
            driver.run(&["remove", &name]);
        }
    }

    #[test]
    fn one_of_several_replaces_it() {
        let driver = Driver::new();
        for name in driver.names() {
            for _ in 0..5 {
                driver.run(&["open", &name, "64", "cx", "0600"]);
                let open = ["open", &name, "8", "cxR", "0600", "pause"];
                let children: Vec<_> = thread::scope(|scope| {
                    let threads: Vec<_> = (0..4)
                        .map(|_| scope.spawn(|| driver.start(&open)))
                        .collect();
                    threads
                        .into_iter()
                        .map(|thread| thread.join().unwrap())
                        .collect()
                });
                let made = children.iter().filter(|(_, output)| output == "open: ok\n");
                assert_eq!(made.count(), 1, "{name}");
                driver.run(&["remove", &name]);
            }
        }
    }
}

mod refused {
    use super::*;

    impl Driver {
        fn assert_open_fails(&self, name: &str, size: &str, flags: &str, errno: i32) {
            let open = ["open", name, size, flags, "0600"];
            assert_eq!(self.run(&open), failed("open", errno), "{open:?}");
        }
    }

    #[test]
    fn garbage_gets_an_errno() {
        let driver = Driver::new();
        let long = format!("file:{}", "x".repeat(10_000));
        driver.assert_open_fails(&long, "1", "c", libc::ENAMETOOLONG);
        let long = format!("file:{}", "x".repeat(256));
        driver.assert_open_fails(&long, "1", "c", libc::ENAMETOOLONG);
        for name in [
            "",
            ":",
            "posix:/..",
            "posix:/a/../b",
            "posix:/\x01",
            "sysv:",
            "anon:x",
        ] {
            driver.assert_open_fails(name, "1", "c", libc::EINVAL);
            assert_eq!(
                driver.run(&["remove", name]),
                failed("remove", libc::EINVAL)
            );
        }
        let kinds = [
            &driver.names()[..],
            &["anon:".into(), "sysv:private".into()],
        ]
        .concat();
        for name in kinds {
            driver.assert_open_fails(&name, "0", "cx", libc::EINVAL);
            driver.assert_open_fails(&name, "0", "c", libc::EINVAL);
            driver.assert_open_fails(&name, &usize::MAX.to_string(), "c", libc::EINVAL);
            driver.assert_open_fails(&name, "1", "x", libc::EINVAL);
            driver.assert_open_fails(&name, "1", "R", libc::EINVAL);
            let beyond = isize::MAX.to_string();
            let output = driver.run(&["open", &name, &beyond, "c", "0600"]);
            let errno: i32 = output
                .trim_start_matches("open: errno ")
                .trim()
                .parse()
                .unwrap();
            let expected = [libc::EINVAL, libc::ENOSPC, libc::EFBIG, libc::ENOMEM];
            assert!(expected.contains(&errno), "{name}: {output}");
        }
        for name in driver.names() {
            driver.assert_open_fails(&name, "1", "", libc::ENOENT);
            assert_eq!(
                driver.run(&["remove", &name]),
                failed("remove", libc::ENOENT)
            );
        }
    }

    #[test]
    fn what_is_no_segment_is_not_opened() {
        let driver = Driver::new();
        let directory = format!("file:{}", driver.sandbox.path().display());
        driver.assert_open_fails(&directory, "0", "", libc::EISDIR);
        driver.assert_open_fails("file:/dev/null", "0", "", libc::EINVAL);
        let below = format!("{}/below", driver.file());
        driver.assert_open_fails(&below, "1", "c", libc::ENOENT);
        fs::write(driver.sandbox.join("file"), "").unwrap();
        driver.assert_open_fails(&below, "1", "c", libc::ENOTDIR);
        driver.assert_open_fails(&driver.file(), "0", "", libc::EINVAL);
        let fifo = driver.sandbox.join("fifo");
        support::run(Command::new("mkfifo").arg(&fifo));
        for flags in ["", "r"] {
            driver.assert_open_fails(
                &format!("file:{}", fifo.display()),
                "0",
                flags,
                libc::EINVAL,
            );
        }
        // As a creator that used shm_open and died before ftruncate leaves it.
        fs::write(driver.object.path(), "").unwrap();
        driver.assert_open_fails(&driver.posix(), "0", "", libc::EINVAL);
        driver.assert_open_fails(&driver.posix(), "64", "c", libc::EINVAL);
        driver.assert_open_fails("sysv:id:2147483647", "0", "", libc::EINVAL);
        driver.assert_open_fails("sysv:id:0", "1", "c", libc::EINVAL);
        driver.assert_open_fails("sysv:/no such path", "1", "c", libc::ENOENT);
        assert_eq!(
            driver.run(&["remove", "sysv:private"]),
            failed("remove", libc::EINVAL)
        );
    }

    #[test]
    fn what_is_planted_is_neither_followed_nor_trusted() {
        let driver = Driver::new();
        let target = driver.sandbox.join("target");
        fs::write(&target, [b'x'; 64]).unwrap();
        symlink(&target, driver.object.path()).unwrap();
        for flags in ["", "r", "c"] {
            driver.assert_open_fails(&driver.posix(), "64", flags, libc::ELOOP);
        }
        driver.assert_open_fails(&driver.posix(), "64", "cx", libc::EEXIST);
        driver.assert_open_fails(&driver.posix(), "64", "cxR", libc::EEXIST);
        assert_eq!(fs::read(&target).unwrap(), [b'x'; 64]);
        fs::remove_file(driver.object.path()).unwrap();

        if !support::is_root() {
            return support::skip("only root can plant another user's object");
        }
        fs::write(driver.object.path(), [b'x'; 64]).unwrap();
        fs::set_permissions(driver.object.path(), fs::Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::chown(driver.object.path(), Some(1), Some(1)).unwrap();
        driver.assert_open_fails(&driver.posix(), "64", "c", libc::EACCES);
        driver.assert_open_fails(&driver.posix(), "64", "cR", libc::EACCES);
        let opened = driver.run(&["open", &driver.posix(), "64", "", "0", "size"]);
        assert_eq!(opened, "open: ok\nsize: 64\n", "knowingly");
    }

    #[test]
    fn another_user_gets_what_the_mode_permits() {
        let driver = Driver::for_all_users();
        if !support::is_root() {
            return support::skip("only root can become another user");
        }
        for name in [driver.sysv(), driver.posix()] {
            let nobody = |arguments: &[&str]| {
                let mut command = driver.command(arguments);
                support::stdout(&support::run(command.uid(NOBODY).gid(NOBODY)))
            };
            driver.run(&["open", &name, "64", "cx", "0644", "put", "for all to read"]);
            let read = nobody(&["open", &name, "0", "r", "0", "show", "chmod", "0666"]);
            let refused = failed("chmod", libc::EPERM);
            assert_eq!(
                read,
                format!("open: ok\nshow: for all to read\n{refused}"),
                "{name}"
            );
            let write = nobody(&["open", &name, "0", "", "0"]);
            assert_eq!(write, failed("open", libc::EACCES), "{name}");
            let removed = nobody(&["remove", &name]);
            let errno = [libc::EPERM, libc::EACCES];
            assert!(
                errno
                    .map(|errno| failed("remove", errno))
                    .contains(&removed),
                "{removed}"
            );
            driver.run(&["open", &name, "0", "", "0", "chmod", "0600"]);
            let read = nobody(&["open", &name, "0", "r", "0"]);
            assert_eq!(read, failed("open", libc::EACCES), "{name}");
            driver.run(&["remove", &name]);
        }
    }

    #[test]
    fn who_is_about_to_remove_it_keeps_others_out() {
        let driver = Driver::new();
        for name in [driver.posix(), driver.file()] {
            driver.run(&["open", &name, "64", "c", "0600"]);
            let file = fs::File::open(driver.path(&name)).unwrap();
            file.lock().unwrap();
            driver.assert_open_fails(&name, "64", "", libc::EBUSY);
            file.unlock().unwrap();
            let opened = driver.run(&["open", &name, "64", "", "0", "remove", &name]);
            assert_eq!(opened, "open: ok\nremove: ok\n");
        }
    }

    #[test]
    fn limits_of_the_process_are_errnos() {
        let driver = Driver::new();
        for name in [driver.posix(), driver.file(), "anon:".into()] {
            let script = r#"ulimit -n 4; "$0" open "$1" 64 c 0600 open "$1" 64 c 0600"#;
            let mut command = driver.sandbox.command("sh");
            command.args(["-c", script]).arg(&driver.program).arg(&name);
            let output = support::stdout(&support::run(&mut command));
            let full = failed("open", libc::EMFILE);
            assert_eq!(output, format!("open: ok\n{full}"), "{name}");
            let _ = driver.run(&["remove", &name]);
        }
        for name in [&driver.names()[..], &["anon:".to_owned()]].concat() {
            let script = r#"ulimit -v 100000; "$0" open "$1" 268435456 cx 0600"#;
            let mut command = driver.sandbox.command("sh");
            command.args(["-c", script]).arg(&driver.program).arg(&name);
            let output = support::stdout(&support::run(&mut command));
            let errnos = [libc::ENOMEM, libc::ENOSPC].map(|errno| failed("open", errno));
            assert!(errnos.contains(&output), "{name}: {output}");
            if name != "anon:" {
                driver.assert_gone(&name);
            }
        }
    }

    #[test]
    fn a_read_only_file_system_is_an_errno() {
        if !support::has("unshare") {
            return;
        }
        let driver = Driver::new();
        let script = r#"mount -t tmpfs -o ro none /dev/shm && "$0" open "$1" 64 c 0600"#;
        let mut command = driver.sandbox.command("unshare");
        command.args(["--mount", "--user", "--map-root-user", "sh", "-c", script]);
        let output = command
            .arg(&driver.program)
            .arg(driver.posix())
            .output()
            .unwrap();
        if !output.status.success() {
            return support::skip(support::stderr(&output).trim());
        }
        assert_eq!(support::stdout(&output), failed("open", libc::EROFS));
    }

    #[test]
    fn what_cannot_be_removed_is_an_errno() {
        let driver = Driver::new();
        let remove = |name: &str| driver.run(&["remove", name]);
        let directory = format!("file:{}", driver.sandbox.path().display());
        assert_eq!(remove(&directory), failed("remove", libc::EISDIR));
        fs::write(driver.sandbox.join("file"), "").unwrap();
        let below = format!("{}/below", driver.file());
        assert_eq!(remove(&below), failed("remove", libc::ENOTDIR));
        let long = format!("posix:/{}", "x".repeat(256));
        assert_eq!(remove(&long), failed("remove", libc::ENAMETOOLONG));
        assert_eq!(remove("sysv:/no such path"), failed("remove", libc::ENOENT));
        assert_eq!(remove("sysv:id:2147483647"), failed("remove", libc::EINVAL));
    }

    #[test]
    fn a_null_segment_is_refused_but_may_be_closed() {
        let driver = Driver::new();
        let calls = [
            "size", "stat", "chmod", "0600", "chown", "0", "0", "lock", "unlock", "sync",
        ];
        let output = driver.run(&[&calls[..], &["close"]].concat());
        let invalid = |call| failed(call, libc::EINVAL);
        let expected: String = ["stat", "chmod", "chown", "lock", "unlock", "sync"]
            .map(invalid)
            .concat();
        assert_eq!(output, format!("size: 0\n{expected}close: ok\n"));
        let open = driver.run(&["open", "anon:", "1", "c", "01000"]);
        assert_eq!(open, invalid("open"), "a mode beyond 0777");
        let mode = driver.run(&["open", "anon:", "1", "c", "0600", "chmod", "01000"]);
        assert_eq!(mode, format!("open: ok\n{}", invalid("chmod")));
    }
}
