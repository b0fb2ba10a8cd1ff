//! A process that overwrites the memory of a channel or a topic harms only the messages. The library touches no
//! byte outside the mapping (guard pages), no call outlasts its timeout, and each errno is
//! documented.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Link, ObjectName, Sandbox};

fn program(sandbox: &Sandbox, source: &str, link: Link<'_>) -> PathBuf {
    support::build(
        support::cc()
            .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
            .arg(support::source(source)),
        link,
        &sandbox.join(source.trim_end_matches(".c")),
    )
}

/// A busy machine may slow a call down, but not in each of five runs.
fn withstand(command: impl Fn() -> Command, patience_ms: &str, mode: &[&str]) {
    const SLOW: i32 = 4;

    for _ in 0..5 {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = seed.as_nanos().to_string();
        let object = ObjectName::new();
        let mut command = command();
        command
            .arg(object.path())
            .args(["1", &seed, patience_ms])
            .args(mode);
        println!("seed {seed} {mode:?}");
        let output = command.output().unwrap();
        println!("{}{}", support::stdout(&output), support::stderr(&output));
        match output.status.code() {
            Some(0) => return,
            Some(SLOW) => {}
            _ => panic!("{}", output.status),
        }
    }
    panic!("a call took too long, five times in a row");
}

#[test]
fn a_hostile_peer_harms_nothing_but_its_messages() {
    for link in [Link::Static, Link::Shared] {
        let sandbox = Sandbox::new();
        let program = program(&sandbox, "hostile.c", link);
        for mode in [&[][..], &["s"]] {
            withstand(|| sandbox.command(&program), "50", mode);
        }
    }
}

#[test]
fn a_hostile_process_harms_nothing_but_a_topics_messages() {
    let sandbox = Sandbox::new();
    let program = program(&sandbox, "hostile-topic.c", Link::Static);
    withstand(|| sandbox.command(&program), "50", &[]);
}

#[test]
fn valgrind_sees_no_harm_either() {
    if !support::has("valgrind") {
        return;
    }
    let sandbox = Sandbox::new();
    for (source, mode) in [
        ("hostile.c", &[][..]),
        ("hostile.c", &["s"]),
        ("hostile-topic.c", &[]),
    ] {
        let program = program(&sandbox, source, Link::Static);
        // Under valgrind the duration of a call means nothing.
        let command = || {
            let mut command = sandbox.command("valgrind");
            command.args(["-q", "--error-exitcode=99"]).arg(&program);
            command.stdin(Stdio::null());
            command
        };
        withstand(command, "5000", mode);
    }
}
