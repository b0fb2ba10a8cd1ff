//! Objects with a descriptor, where the system refuses a call, a name passes to another object in the
//! wrong moment, or a path leads elsewhere.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use support::driver::Driver;
use support::ptrace::{Step, kill_after};
use support::{Child, Link, NOBODY, ObjectName, Sandbox, spread};

fn driver() -> Driver {
    Driver::build("segment.c", Link::Static)
}

/// A program of the tests, with names of its own.
fn program(source: &str) -> Driver {
    let sandbox = Sandbox::new();
    let program = support::build(
        support::cc()
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
            .arg(support::source(source)),
        Link::Static,
        &sandbox.join("program"),
    );
    Driver {
        sandbox,
        object: ObjectName::new(),
        program,
    }
}

fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}

/// The file behind a `posix:` or `file:` name.
fn path(driver: &Driver, name: &str) -> PathBuf {
    match name.strip_prefix("file:") {
        Some(path) => path.into(),
        None => driver.object.path().to_owned(),
    }
}

/// The temporary names in a directory.
fn temporary(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(".shmcomm-"))
        .collect()
}

/// A process that uses the object until it is dropped; what it printed before.
fn user(driver: &Driver, arguments: &[&str]) -> (Child, String) {
    use std::io::{BufRead, BufReader};
    let mut child = Child::start(&mut driver.command(&[arguments, &["pause"]].concat()));
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let before: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| line != "pause")
        .collect();
    (child, before.join("\n"))
}

mod links {
    use super::*;

    fn linked(driver: &Driver) -> (PathBuf, PathBuf, String) {
        let (link, target) = (driver.sandbox.join("link"), driver.sandbox.join("target"));
        symlink(&target, &link).unwrap();
        let name = format!("file:{}", link.display());
        (link, target, name)
    }

    #[test]
    fn what_exists_is_followed() {
        let driver = driver();
        let (link, target, name) = linked(&driver);
        let direct = format!("file:{}", target.display());
        driver.run(&["open", &direct, "64", "cx", "0600", "put", "there"]);
        for flags in ["", "r", "c"] {
            let read = driver.run(&["open", &name, "0", flags, "0600", "show"]);
            assert_eq!(read, "open: ok\nshow: there\n", "{flags}");
        }
        let exclusive = driver.run(&["open", &name, "64", "cx", "0600"]);
        assert_eq!(exclusive, failed("open", libc::EEXIST));
        // As unlink(2): the link goes.
        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        assert!(fs::symlink_metadata(&link).is_err() && target.exists());
    }

    #[test]
    fn nothing_is_created_through_a_link() {
        let driver = driver();
        let (link, target, name) = linked(&driver);
        // More than any file system has: the memory is not even asked for.
        let size = (1_u64 << 60).to_string();
        for flags in ["c", "cx", "cR", "cxR"] {
            let open = driver.run(&["open", &name, &size, flags, "0600"]);
            assert_eq!(open, failed("open", libc::ELOOP), "{flags}");
        }
        let open = driver.run(&["open", &name, "64", "", "0600"]);
        assert_eq!(open, failed("open", libc::ENOENT));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(!target.exists());
    }

    #[test]
    fn nothing_is_replaced_through_a_link() {
        let driver = driver();
        let (link, target, name) = linked(&driver);
        let direct = format!("file:{}", target.display());
        let (mut creator, _) = user(&driver, &["open", &direct, "64", "cx", "0600", "put", "x"]);
        let open = driver.run(&["open", &name, "8", "cR", "0600", "show"]);
        assert_eq!(open, "open: ok\nshow: x\n", "its creator lives");
        creator.kill();
        for flags in ["cR", "cxR"] {
            let open = driver.run(&["open", &name, "8", flags, "0600"]);
            assert_eq!(open, failed("open", libc::ELOOP), "{flags}");
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let open = driver.run(&["open", &direct, "8", "cxR", "0600", "size"]);
        assert_eq!(open, "open: ok\nsize: 8\n");
    }
}

#[test]
fn no_descriptor_is_a_standard_one() {
    let driver = program("descriptors.c");
    let output = driver.run(&[&driver.posix(), &driver.file()]);
    assert_eq!(output, "done\n");
}

mod names {
    use super::*;

    #[test]
    fn the_longest_ones_work() {
        let driver = driver();
        let object = ObjectName::new();
        let short = object.name();
        let posix = format!("{short}{}", "x".repeat(255 + "posix:/".len() - short.len()));
        let mut path = driver.sandbox.path().to_owned();
        while 4095 - path.as_os_str().len() > 256 {
            path.push("d".repeat((4095 - path.as_os_str().len() - 2).min(255)));
        }
        fs::create_dir_all(&path).unwrap();
        path.push("f".repeat(4095 - path.as_os_str().len() - 1));
        assert_eq!(path.as_os_str().len(), 4095);
        for name in [posix, format!("file:{}", path.display())] {
            let open = [
                "open", &name, "64", "cx", "0600", "open", &name, "64", "", "0",
            ];
            let output = driver.run(&[&open[..], &["size", "remove", &name]].concat());
            assert_eq!(output, "open: ok\nopen: ok\nsize: 64\nremove: ok\n");
            let longer = format!("{name}x");
            let output = driver.run(&["open", &longer, "64", "cx", "0600"]);
            assert_eq!(output, failed("open", libc::ENAMETOOLONG));
        }
    }

    #[test]
    fn a_creator_that_is_not_root_opens_its_own_twice() {
        if !support::is_root() {
            return support::skip("only root can become another user");
        }
        let driver = driver();
        let object = ObjectName::new();
        let name = object.name();
        let open = ["open", &name, "64", "c", "0600"];
        let mut command = driver.command(&[&open[..], &open, &["size", "remove", &name]].concat());
        let output = match command.uid(NOBODY).gid(NOBODY).output() {
            Ok(output) => support::stdout(&output),
            Err(error) => return support::skip(&error.to_string()),
        };
        assert_eq!(output, "open: ok\nopen: ok\nsize: 64\nremove: ok\n");
    }

    #[test]
    fn a_creator_with_one_descriptor_left_is_recorded() {
        let driver = driver();
        for name in [driver.posix(), driver.file()] {
            let script = r#"ulimit -n 4; "$0" open "$1" 64 cx 0600 stat remove "$1""#;
            let mut command = driver.sandbox.command("sh");
            command.args(["-c", script]).arg(&driver.program).arg(&name);
            let output = support::stdout(&support::run(&mut command));
            assert!(output.contains(" creator self "), "{name}: {output}");
        }
    }

    #[test]
    fn anonymous_memory_has_its_mode() {
        let output = driver().run(&["open", "anon:", "64", "c", "0640", "stat"]);
        assert!(output.contains(" mode 0640 "), "{output}");
    }

    #[test]
    fn what_is_removed_between_open_and_lock_is_not_opened() {
        let driver = program("moments.c");
        for name in [driver.posix(), driver.file()] {
            let path = path(&driver, &name).display().to_string();
            let output = driver.run(&["removed", &name, &path]);
            let absent = failed("open", libc::ENOENT);
            // The size is that of the one that had to be made.
            assert!(output.starts_with(&absent), "{output}");
            let made = format!("{absent}open: 32 bytes, removed 0\n");
            assert_eq!(output, made, "{name}");
            let output = driver.run(&["replaced", &name, &path]);
            assert_eq!(output, "open: 128 bytes, removed 0\n".repeat(2), "{name}");
        }
    }

    #[test]
    fn a_limit_of_file_sizes_is_a_signal_or_an_errno() {
        use std::os::unix::process::ExitStatusExt;
        let driver = driver();
        for name in [driver.posix(), driver.file(), "anon:".into()] {
            for (trap, signal) in [("trap '' XFSZ;", None), ("", Some(libc::SIGXFSZ))] {
                let script = format!(
                    "{trap} ulimit -c 0; ulimit -f 8; exec \"$0\" open \"$1\" 65536 cx 0600"
                );
                let mut command = driver.sandbox.command("sh");
                command
                    .args(["-c", &script])
                    .arg(&driver.program)
                    .arg(&name);
                let output = command.output().unwrap();
                assert_eq!(output.status.signal(), signal, "{name}");
                if signal.is_none() {
                    assert_eq!(support::stdout(&output), failed("open", libc::EFBIG));
                }
            }
            if name != "anon:" {
                let open = driver.run(&["open", &name, "0", "", "0"]);
                assert_eq!(open, failed("open", libc::ENOENT));
            }
        }
    }

    #[test]
    fn lock_unlock_and_sync_reach_the_kernel() {
        let driver = program("moments.c");
        let name = driver.file();
        let output = driver.command(&["memory", &name]).output().unwrap();
        if output.status.code() == Some(77) {
            return support::skip("this user may not lock memory");
        }
        let expected = "open: 0 kB locked\nlock: 64 kB locked\nunlock: 0 kB locked\n\
            msync: 65536 bytes, synchronously: 1\n";
        assert_eq!(support::stdout(&output), expected);
    }
}

mod sandboxes {
    use super::*;

    /// What a kernel, a file system or a sandbox may refuse.
    const REFUSED: [&[&str]; 9] = [
        &["tmpfile=95"],
        &["tmpfile=38"],
        &["tmpfile=1"],
        &["linkat=38"],
        &["linkat=1"],
        &["tmpfile=1", "linkat=1"],
        &["tmpfile=95", "renameat2=38"],
        &["linkat=1", "renameat2=22"],
        &["tmpfile=95", "renameat2=22", "link=1", "linkat=1"],
    ];

    /// The driver's command, where these are refused.
    fn refusing(driver: &Driver, launcher: &Path, refused: &[&str], arguments: &[&str]) -> Command {
        let mut command = driver.sandbox.command(launcher);
        command.args(refused).arg("--").arg(&driver.program);
        command.args(arguments);
        command
    }

    fn launcher(sandbox: &Sandbox) -> Option<PathBuf> {
        let launcher = sandbox.join("refuse");
        support::run(
            support::cc()
                .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&launcher)
                .arg(support::source("refuse.c")),
        );
        let mut tried = Command::new(&launcher);
        tried.args(["linkat=1", "--", "true"]);
        let can = tried.output().unwrap().status.code() != Some(77);
        if !can {
            support::skip("no seccomp(2)");
        }
        can.then_some(launcher)
    }

    #[test]
    fn objects_are_made_whatever_is_refused() {
        let driver = driver();
        let Some(launcher) = launcher(&driver.sandbox) else {
            return;
        };
        for refused in REFUSED {
            for name in [driver.posix(), driver.file()] {
                let run = |arguments: &[&str]| {
                    let mut command = refusing(&driver, &launcher, refused, arguments);
                    support::stdout(&support::run(&mut command))
                };
                let open = ["open", &name, "64", "cx", "0640"];
                let stat = ["stat", "remove", &name, "stat"];
                let output = run(&[&open[..], &stat].concat());
                let lines: Vec<_> = output.lines().collect();
                assert_eq!(lines[0], "open: ok", "{refused:?}");
                assert!(lines[1].starts_with("size 64 mode 0640 "), "{output}");
                assert!(lines[1].contains(" removed 0 "), "{refused:?} {output}");
                assert_eq!(lines[2], "remove: ok");
                assert!(lines[3].contains(" removed 1 "), "{refused:?} {output}");

                let twice = run(&[&open[..], &open, &["remove", &name]].concat());
                let refusal = failed("open", libc::EEXIST);
                assert_eq!(twice, format!("open: ok\n{refusal}remove: ok\n"));
            }
            assert_eq!(temporary(driver.sandbox.path()), BTreeSet::new());
        }
    }

    #[test]
    fn only_one_of_several_creators_succeeds_exclusively() {
        let driver = driver();
        let Some(launcher) = launcher(&driver.sandbox) else {
            return;
        };
        let name = driver.file();
        for refused in [REFUSED[0], REFUSED[6], REFUSED[8]] {
            for _ in 0..10 {
                let open = ["open", &name, "64", "cx", "0600"];
                let children: Vec<_> = (0..6)
                    .map(|_| {
                        let mut command = refusing(&driver, &launcher, refused, &open);
                        command.stdout(Stdio::piped()).spawn().unwrap()
                    })
                    .collect();
                let outputs: Vec<_> = children
                    .into_iter()
                    .map(|child| support::stdout(&child.wait_with_output().unwrap()))
                    .collect();
                let made = outputs.iter().filter(|output| *output == "open: ok\n");
                assert_eq!(made.count(), 1, "{refused:?}: {outputs:?}");
                driver.run(&["remove", &name]);
            }
            assert_eq!(temporary(driver.sandbox.path()), BTreeSet::new());
        }
    }

    #[test]
    fn a_death_leaves_nothing_that_the_next_does_not_remove() {
        let driver = driver();
        let Some(launcher) = launcher(&driver.sandbox) else {
            return;
        };
        let name = driver.file();
        for refused in [REFUSED[0], REFUSED[4], REFUSED[6]] {
            let (mut kills, mut left) = (0, 0);
            for steps in spread(4) {
                let open = ["open", &name, "5000", "cx", "0600", "close"];
                let mut command = refusing(&driver, &launcher, refused, &open);
                command.stdout(Stdio::null());
                if kill_after(&mut command, steps, Step::SystemCall).unwrap() {
                    break;
                }
                kills += 1;
                left += temporary(driver.sandbox.path()).len();
                let next = [
                    "open", &name, "5000", "c", "0600", "size", "remove", &name, "stat",
                ];
                let mut next = refusing(&driver, &launcher, refused, &next);
                let next = support::stdout(&support::run(&mut next));
                let expected = "open: ok\nsize: 5000\nremove: ok\n";
                assert!(next.starts_with(expected), "{refused:?} {steps}: {next}");
                assert!(next.contains(" removed 1 "), "{refused:?} {steps}: {next}");
                // One that made nothing has not looked.
                let again = ["open", &name, "5000", "cx", "0600", "remove", &name];
                support::run(&mut refusing(&driver, &launcher, refused, &again));
                let remaining = temporary(driver.sandbox.path());
                assert_eq!(remaining, BTreeSet::new(), "{refused:?} {steps}");
            }
            assert!(kills > 5 && left > 0, "{refused:?}: {kills} {left}");
        }
    }

    #[test]
    fn a_living_creators_temporary_name_stays() {
        let driver = driver();
        let Some(launcher) = launcher(&driver.sandbox) else {
            return;
        };
        let living = driver.sandbox.join(".shmcomm-0x0123456789abcdef");
        let dead = driver.sandbox.join(".shmcomm-0x0123456789abcde0");
        let unlike = driver.sandbox.join(".shmcomm-0x0123456789abcdeg");
        let fifo = driver.sandbox.join(".shmcomm-0x0123456789abcde1");
        support::run(Command::new("mkfifo").arg(&fifo));
        for path in [&living, &dead, &unlike] {
            fs::write(path, "").unwrap();
        }
        let lock = fs::File::open(&living).unwrap();
        lock.lock_shared().unwrap();
        let name = driver.file();
        let open = ["open", &name, "64", "cx", "0600", "remove", &name];
        support::run(&mut refusing(&driver, &launcher, REFUSED[0], &open));
        assert!(living.exists() && !dead.exists() && unlike.exists() && fifo.exists());
    }

    #[test]
    fn without_proc_objects_are_made_and_never_replaced() {
        if !support::has("unshare") {
            return;
        }
        let driver = driver();
        for name in [driver.posix(), driver.file()] {
            let script = r#"
                mount -t tmpfs none /proc || exit 9
                "$0" open "$1" 64 cx 0600 size
                "$0" open "$1" 8 cxR 0600
                "$0" remove "$1"
            "#;
            let mut command = driver.sandbox.command("unshare");
            command.args(["--mount", "--user", "--map-root-user", "sh", "-c", script]);
            let output = command.arg(&driver.program).arg(&name).output().unwrap();
            if output.status.code() == Some(9) || support::stderr(&output).contains("unshare:") {
                return support::skip(support::stderr(&output).trim());
            }
            let in_use = failed("open", libc::EEXIST);
            let expected = format!("open: ok\nsize: 64\n{in_use}remove: ok\n");
            assert_eq!(support::stdout(&output), expected, "{name}");
        }
    }
}

mod reclaim {
    use super::*;

    /// A process that is stopped before and after each of its system calls.
    struct Stopped(std::process::Child);

    impl Stopped {
        /// After so many stops; `None` if it has ended before.
        fn after(command: &mut Command, stops: u64) -> Option<Self> {
            // SAFETY: ptrace is safe to call between fork and exec.
            unsafe {
                command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                    -1 => Err(io::Error::last_os_error()),
                    _ => Ok(()),
                });
            }
            let child = command.stdout(Stdio::piped()).spawn().unwrap();
            let stopped = Self(child);
            // The first stop is the end of exec.
            let mut runs = stopped.wait();
            for _ in 0..stops {
                stopped.go_on(libc::PTRACE_SYSCALL);
                runs = runs && stopped.wait();
            }
            runs.then_some(stopped)
        }

        fn pid(&self) -> libc::pid_t {
            self.0.id() as libc::pid_t
        }

        fn go_on(&self, request: libc::c_uint) {
            // SAFETY: takes no pointer; a child that has ended is refused.
            unsafe { libc::ptrace(request, self.pid(), 0, 0) };
        }

        /// Whether it stops, rather than ends.
        fn wait(&self) -> bool {
            let mut status = 0;
            // SAFETY: the pointer is valid.
            let pid = unsafe { libc::waitpid(self.pid(), &mut status, 0) };
            pid == self.pid() && libc::WIFSTOPPED(status)
        }

        /// Lets it go on to its end.
        fn finish(&self) {
            self.go_on(libc::PTRACE_DETACH);
            assert!(!self.wait());
        }
    }

    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Removes what has the name, as programs do that do not know this library, or by it.
    fn remove(driver: &Driver, name: &str, by_library: bool) {
        if by_library {
            driver.run(&["remove", name]);
        } else {
            let _ = fs::remove_file(path(driver, name));
        }
    }

    /// Between any two system calls of a reclaimer somebody removes the stale object, and another
    /// creates a new one: that one keeps its name.
    fn a_new_object_keeps_its_name(name: fn(&Driver) -> String, by_library: bool) {
        let driver = driver();
        let name = name(&driver);
        let mut kept = 0;
        for stops in spread(4) {
            driver.run(&["open", &name, "64", "cx", "0600", "put", "stale"]);
            let mut reclaimer = driver.command(&["open", &name, "8", "cxR", "0600"]);
            let Some(stopped) = Stopped::after(&mut reclaimer, stops) else {
                break;
            };
            remove(&driver, &name, by_library);
            let (user, opened) = user(&driver, &["open", &name, "64", "cx", "0600", "put", "new"]);
            if opened == "open: ok" {
                kept += 1;
                stopped.finish();
                let found = driver.run(&["open", &name, "0", "", "0", "show"]);
                assert_eq!(found, "open: ok\nshow: new\n", "{name} after {stops} stops");
            }
            drop((user, stopped));
            driver.run(&["remove", &name]);
        }
        assert!(kept > 10, "{kept}");
    }

    #[test]
    fn a_new_object_keeps_its_name_though_the_old_one_was_judged() {
        a_new_object_keeps_its_name(Driver::file, true);
        a_new_object_keeps_its_name(Driver::posix, true);
    }

    #[test]
    fn a_new_object_keeps_its_name_whoever_removed_the_old_one() {
        a_new_object_keeps_its_name(Driver::file, false);
        a_new_object_keeps_its_name(Driver::posix, false);
    }

    #[test]
    fn a_death_leaves_nothing_that_the_next_does_not_remove() {
        let driver = driver();
        let name = driver.file();
        for stops in spread(4) {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            let mut reclaimer = driver.command(&["open", &name, "8", "cxR", "0600"]);
            reclaimer.stdout(Stdio::null());
            let ended = kill_after(&mut reclaimer, stops, Step::SystemCall).unwrap();
            let next = driver.run(&["open", &name, "8", "cxR", "0600", "size"]);
            assert_eq!(next, "open: ok\nsize: 8\n", "{stops}");
            driver.run(&["open", &name, "8", "cxR", "0600", "remove", &name]);
            let left = temporary(driver.sandbox.path());
            assert_eq!(left, BTreeSet::new(), "{stops}");
            if ended {
                break;
            }
        }
    }

    #[test]
    fn a_remover_waits_for_a_reclaimer_but_not_for_ever() {
        let driver = driver();
        for name in [driver.posix(), driver.file()] {
            driver.run(&["open", &name, "64", "cx", "0600"]);
            let judged = fs::File::open(path(&driver, &name)).unwrap();
            judged.lock().unwrap();
            let started = std::time::Instant::now();
            assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
            let waited = started.elapsed().as_millis();
            assert!((200..5000).contains(&waited), "{waited}");
        }
    }
}
