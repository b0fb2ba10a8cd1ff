//! A new object gets the name of a stale one while a reclaimer replaces the stale one. The new
//! object keeps the name.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::support::driver::Driver;
use crate::support::ptrace::{Step, kill_after};
use crate::support::segment::{SegmentDriver, temporary_names, user};
use crate::support::spread;

/// A traced process, stopped before or after a system call.
struct Stopped(std::process::Child);

impl Stopped {
    /// Starts a process and lets it run to this number of stops; `None` if it exits before.
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
        // SAFETY: takes no pointer; a child that has exited is refused.
        unsafe { libc::ptrace(request, self.pid(), 0, 0) };
    }

    /// Waits until it stops or exits. Returns whether it stopped.
    fn wait(&self) -> bool {
        let mut status = 0;
        // SAFETY: the pointer is valid.
        let pid = unsafe { libc::waitpid(self.pid(), &mut status, 0) };
        pid == self.pid() && libc::WIFSTOPPED(status)
    }

    /// Lets it run until it exits.
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

/// Removes the name, through this library or as other programs do.
fn remove(driver: &SegmentDriver, name: &str, by_library: bool) {
    if by_library {
        driver.run(&["remove", name]);
    } else {
        let _ = fs::remove_file(driver.path(name));
    }
}

/// Between any two system calls of a reclaimer, one process removes the stale object and another
/// creates a new one. The new object keeps its name.
fn a_new_object_keeps_its_name(name: fn(&Driver) -> String, by_library: bool) {
    let driver = SegmentDriver::new();
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
fn a_new_object_keeps_its_name_after_this_library_removed_the_old_one() {
    a_new_object_keeps_its_name(Driver::file, true);
    a_new_object_keeps_its_name(Driver::posix, true);
}

#[test]
fn a_new_object_keeps_its_name_after_another_program_removed_the_old_one() {
    a_new_object_keeps_its_name(Driver::file, false);
    a_new_object_keeps_its_name(Driver::posix, false);
}

#[test]
fn the_next_reclaimer_removes_all_names_of_a_killed_one() {
    let driver = SegmentDriver::new();
    let name = driver.file();
    for stops in spread(4) {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        let mut reclaimer = driver.command(&["open", &name, "8", "cxR", "0600"]);
        reclaimer.stdout(Stdio::null());
        let ended = kill_after(&mut reclaimer, stops, Step::SystemCall).unwrap();
        let next = driver.run(&["open", &name, "8", "cxR", "0600", "size"]);
        assert_eq!(next, "open: ok\nsize: 8\n", "{stops}");
        driver.run(&["open", &name, "8", "cxR", "0600", "remove", &name]);
        let left = temporary_names(driver.sandbox.path());
        assert_eq!(left, BTreeSet::new(), "{stops}");
        if ended {
            break;
        }
    }
}

#[test]
fn a_remover_waits_for_a_reclaimer_but_not_for_ever() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        let judged = fs::File::open(driver.path(&name)).unwrap();
        judged.lock().unwrap();
        let started = std::time::Instant::now();
        assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        let waited = started.elapsed().as_millis();
        assert!((200..5000).contains(&waited), "{waited}");
    }
}
