//! A process that cannot be looked up counts as alive. No living holder loses its lock, no living
//! creator loses its object, and no doubtful answer is remembered.

use crate::support::driver::Driver;
use crate::support::{self, Link, ObjectName, Sandbox};

/// The program's output; `None` if this user may not create namespaces.
fn outcome(driver: &Driver, arguments: &[&str]) -> Option<String> {
    let output = driver.command(arguments).output().unwrap();
    if output.status.code() == Some(77) {
        support::skip(support::stderr(&output).trim());
        return None;
    }
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Some(support::stdout(&output))
}

fn driver() -> Driver {
    let sandbox = Sandbox::new();
    let program = support::program(
        "doubt.c",
        &["-std=gnu11", "-Wall", "-Wextra", "-Werror"],
        Link::Static,
    );
    Driver {
        sandbox,
        object: ObjectName::new(),
        program,
    }
}

/// The output of all calls on a mutex that is refused to this process.
fn refused() -> String {
    ["init", "lock", "unlock"]
        .map(|call| format!("{call}: errno {}\n", libc::EOPNOTSUPP))
        .concat()
}

#[test]
fn a_living_holders_mutex_is_refused_where_nothing_can_be_read() {
    let driver = driver();
    for what in [
        "no-descriptor",
        "no-boot-id",
        "no-time-namespace",
        "no-proc",
        "subset",
    ] {
        let Some(output) = outcome(&driver, &[what]) else {
            continue;
        };
        let later = format!("readable again\nlock: errno {}\n", libc::ETIMEDOUT);
        assert_eq!(output, refused() + &later, "{what}");
    }
}

#[test]
fn a_kernel_without_time_namespaces_is_no_reason_for_doubt() {
    let output = outcome(&driver(), &["old-kernel"]);
    assert_eq!(output.as_deref(), Some("own init: 0\nown lock: 0\n"));
}

#[test]
fn a_child_of_the_same_pid_in_another_namespace_is_another_process() {
    let driver = driver();
    for how in ["fork", "_Fork", "clone"] {
        let Some(output) = outcome(&driver, &["nested", how]) else {
            return;
        };
        let expected = format!("parent's lock: 0\n{}parent's unlock: 0\n", refused());
        assert_eq!(output, expected, "{how}");
    }
}

#[test]
fn a_mutex_of_another_pid_namespace_is_refused() {
    if let Some(output) = outcome(&driver(), &["pid-namespace"]) {
        assert_eq!(output, refused());
    }
}

#[test]
fn an_object_whose_creator_lives_in_another_time_namespace_stays() {
    let driver = driver();
    for name in [driver.posix(), driver.file()] {
        let Some(output) = outcome(&driver, &["time-namespace", &name]) else {
            return;
        };
        assert_eq!(
            output,
            format!("reclaim: errno {}\n", libc::EEXIST),
            "{name}"
        );
    }
}
