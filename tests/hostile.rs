//! A process that overwrites a channel's memory harms nobody but the messages: no touch outside the
//! mapping (there are guard pages), no wait beyond the timeout, no errno but the documented ones.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Link, ObjectName, Sandbox};

fn program(sandbox: &Sandbox, link: Link<'_>) -> PathBuf {
    support::build(
        support::cc()
            .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
            .arg(support::source("hostile.c")),
        link,
        &sandbox.join("hostile"),
    )
}

fn withstand(command: &mut Command, seconds: &str, mode: &[&str]) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = seed.as_nanos().to_string();
    let object = ObjectName::new();
    command.arg(object.path()).args([seconds, &seed]).args(mode);
    println!("seed {seed} {mode:?}");
    print!("{}", support::stdout(&support::run(command)));
}

#[test]
fn a_hostile_peer_harms_nothing_but_its_messages() {
    for link in [Link::Static, Link::Shared] {
        let sandbox = Sandbox::new();
        let program = program(&sandbox, link);
        for mode in [&[][..], &["s"]] {
            withstand(&mut sandbox.command(&program), "1", mode);
        }
    }
}

#[test]
fn valgrind_sees_no_harm_either() {
    if !support::has("valgrind") {
        return;
    }
    let sandbox = Sandbox::new();
    let program = program(&sandbox, Link::Static);
    for mode in [&[][..], &["s"]] {
        let mut command = sandbox.command("valgrind");
        command.args(["-q", "--error-exitcode=99"]).arg(&program);
        command.stdin(Stdio::null());
        withstand(&mut command, "1", mode);
    }
}
