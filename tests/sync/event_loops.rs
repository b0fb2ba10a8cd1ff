//! Event libraries wait for a channel: GLib, libuv, Python's asyncio.

use std::process::Command;

use crate::support::{self, Link, ObjectName, Sandbox};

const COUNT: &str = "5000";

/// A program with the event library of this pkg-config name; `None` if that is not installed.
fn receive_with(package: &str, define: &str) {
    if !support::has("pkg-config") {
        return;
    }
    let asked = |flag: &str| {
        let mut command = Command::new("pkg-config");
        let output = command.args([flag, package]).output().unwrap();
        output.status.success().then(|| support::stdout(&output))
    };
    let (Some(flags), Some(libraries)) = (asked("--cflags"), asked("--libs")) else {
        return support::skip_without(package);
    };
    let (sandbox, object) = (Sandbox::new(), ObjectName::new());
    let mut cc = support::cc();
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", define]);
    cc.args(flags.split_whitespace());
    cc.arg(support::source("event-loop.c"));
    let program = sandbox.join("event-loop");
    // The library stands before those that its program uses.
    let program = support::build(
        cc.args(libraries.split_whitespace()),
        Link::Shared,
        &program,
    );
    let output = support::run(sandbox.command(program).args([&object.name(), COUNT]));
    assert_eq!(support::stdout(&output).trim(), COUNT);
}

#[test]
fn glib_waits_for_a_channel() {
    receive_with("glib-2.0", "-DGLIB");
}

#[test]
fn libuv_waits_for_a_channel() {
    receive_with("libuv", "-DLIBUV");
}

#[test]
fn asyncio_waits_for_a_channel() {
    if !support::has("python3") {
        return;
    }
    let object = ObjectName::new();
    let script = format!("{}/tests/interop/event_loop.py", support::ROOT);
    let library = support::library().join("libshmcomm.so");
    let mut python = Command::new("python3");
    python.arg(script).arg(library);
    let output = support::run(python.args([&object.name(), COUNT]));
    assert_eq!(support::stdout(&output).trim(), COUNT);
}
