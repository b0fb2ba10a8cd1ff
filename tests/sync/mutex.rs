//! For whom a mutex takes its caller: the calling thread is remembered without a system call, and is
//! never taken for its parent, for an earlier thread of its memory or its id, or for nobody after exec.

use std::process::Command;

use crate::support::{self, Link};

/// Runs the program with the library linked in either way, and with a library that it loads.
fn check(what: &str) {
    let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"];
    let linked = |link| support::program("mutex.c", &flags, link);
    let library = support::library().join("libshmcomm.so");
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        if output.status.code() == Some(77) {
            return support::skip(support::stderr(&output).trim());
        }
        assert!(output.status.success(), "{what}: {output:?}");
        assert_eq!(support::stdout(&output), "fine\n");
    };
    for link in [Link::Shared, Link::Static] {
        run(Command::new(linked(link)).arg(what));
    }
    run(Command::new(linked(Link::Static)).arg(what).arg(library));
}

#[test]
fn a_free_mutex_is_locked_and_unlocked_without_a_system_call() {
    check("quiet");
}

#[test]
fn a_child_of_any_fork_is_not_its_parent() {
    for how in ["fork", "_Fork", "clone"] {
        check(how);
    }
}

#[test]
fn a_thread_is_not_an_earlier_one_that_had_its_memory() {
    check("threads");
}

#[test]
fn a_process_is_not_an_earlier_one_that_had_its_id() {
    check("reuse");
}

#[test]
fn a_thread_holds_what_it_held_before_exec() {
    check("exec");
}

#[test]
fn a_signal_handler_may_lock_whatever_it_interrupts() {
    check("handler");
}
