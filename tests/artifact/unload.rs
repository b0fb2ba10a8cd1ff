//! A program that loads the library with dlopen may unload it and fork afterwards.

use std::path::Path;
use std::process::Command;

use crate::support::{self, Link, ObjectName, Sandbox};

fn program(sandbox: &Sandbox) -> Command {
    let program = support::program("unload.c", &["-Wall", "-Wextra", "-Werror"], Link::Shared);
    sandbox.command(program)
}

fn load_unload_fork(library: &Path, remains: &str) {
    let (sandbox, object) = (Sandbox::new(), ObjectName::new());
    let mut command = program(&sandbox);
    command.arg(library).arg(object.name()).arg("20");
    assert_eq!(support::stdout(&support::run(&mut command)), remains);
}

#[test]
fn a_c_program_forks_after_it_unloaded_the_library() {
    load_unload_fork(&support::library().join("libshmcomm.so"), "loaded\n");
}

#[test]
fn a_c_program_forks_after_it_unloaded_a_plugin_with_the_library_inside() {
    let sandbox = Sandbox::new();
    let plugin = sandbox.join("plugin.so");
    let mut cc = support::cc();
    cc.args(["-shared", "-o"]).arg(&plugin);
    for function in ["shmc_channel_open", "shmc_channel_close"] {
        cc.arg(format!("-Wl,-u,{function}"));
    }
    support::run(cc.arg(support::library().join("libshmcomm.a")));
    load_unload_fork(&plugin, "unloaded\n");
}

#[test]
fn python_forks_after_it_unloaded_the_library() {
    if !support::has("python3") {
        return;
    }
    let (sandbox, object) = (Sandbox::new(), ObjectName::new());
    let script = Path::new(support::ROOT).join("tests/interop/unload.py");
    let mut command = sandbox.command("python3");
    command
        .arg(script)
        .arg(support::library().join("libshmcomm.so"))
        .arg(object.name());
    assert_eq!(support::stdout(&support::run(&mut command)), "forked\n");
}
