//! Names with control characters, readers that stop reading, many objects, colour.

use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::measure::timed;
use crate::support::*;

#[test]
fn a_name_controls_neither_line_nor_terminal() {
    let object = Object::with("\n\x1b[2J\u{202e} other");
    std::fs::write(object.path(), "of another library").unwrap();
    for arguments in [&["ls", "--all"][..], &["ls", "--all", "--json"]] {
        let (stdout, stderr, status) = output(&mut tool(arguments));
        assert_eq!((stderr.as_str(), status), ("", 0));
        assert!(!stdout.contains(['\x1b', '\u{202e}']), "{stdout}");
        assert!(stdout.lines().all(|line| !line.starts_with(" other")));
    }
    let (stdout, ..) = run(["ls", "--all"]);
    let text = object.text();
    let shown = text.split('\n').next().unwrap();
    let line = stdout.lines().find(|line| line.starts_with(shown)).unwrap();
    assert!(
        line.contains("\\n\\u{1b}[2J\\u{202e}\\x20other object "),
        "{line}"
    );
    // The library gives no object such a name, so nobody names it on a command line.
    let (_, stderr, status) = run(["info", &object.text()]);
    assert!(
        status == 2 && stderr.contains("it has a control character"),
        "{stderr}"
    );
}

#[test]
fn bytes_that_are_no_text_are_escaped() {
    let path = std::env::temp_dir().join(std::ffi::OsStr::from_bytes(b"shmcomm-tool-\xff"));
    let name = [b"file:", path.as_os_str().as_bytes()].concat();
    let (_, stderr, status) = output(tool(["ls"]).arg(std::ffi::OsStr::from_bytes(&name)));
    assert!(
        status == 1 && stderr.contains("shmcomm-tool-\\xff: there is none"),
        "{stderr}"
    );
}

#[test]
fn a_reader_may_stop_reading() {
    let object = Object::new();
    object.stale_channel(&[]);
    for arguments in [
        vec!["ls".to_owned()],
        vec!["check".to_owned()],
        vec!["info".to_owned(), object.text()],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut tool = tool(&arguments);
        let output = tool.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr),
            (Some(0), vec![]),
            "{arguments:?}"
        );
    }
}

/// On a terminal the columns are aligned, and a state that asks for attention is coloured, unless NO_COLOR is set.
#[test]
fn a_terminal_gets_a_table_and_colour() {
    if !has_tool("script") {
        return;
    }
    let object = Object::new();
    object.stale_channel(&[]);
    let on_terminal = |environment: &str| {
        let command = format!("{environment} {TOOL} ls {}", object.text());
        let mut script = Command::new("script");
        script
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .stdin(Stdio::null());
        output(&mut script).0
    };
    let (plain, coloured) = (on_terminal("NO_COLOR=1"), on_terminal(""));
    assert!(
        !plain.contains('\x1b') && plain.contains("  stale"),
        "{plain}"
    );
    assert!(
        plain.contains("  68K   0600  ") && plain.contains("NAME   "),
        "{plain}"
    );
    assert!(coloured.contains("\x1b[33mstale\x1b[0m"), "{coloured}");
    assert!(!run(["ls", &object.text()]).0.contains('\x1b'));
}

/// In an IPC namespace of their own. A generous bound: it takes a tenth of a second.
#[test]
fn four_thousand_segments_are_listed_at_once() {
    const SEGMENTS: usize = 4000;

    let mut tool = tool(["ls"]);
    // SAFETY: makes system calls alone.
    unsafe {
        tool.pre_exec(|| {
            let namespaces = match libc::geteuid() {
                0 => libc::CLONE_NEWIPC,
                _ => libc::CLONE_NEWIPC | libc::CLONE_NEWUSER,
            };
            if libc::unshare(namespaces) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            for _ in 0..SEGMENTS {
                if libc::shmget(libc::IPC_PRIVATE, 1, 0o600) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    let mut child = match tool.stdout(Stdio::piped()).spawn() {
        Err(error) => return skip(&format!("this user may not make namespaces: {error}")),
        Ok(child) => Child(child),
    };
    // From the end of exec on: the segments are there.
    let (lines, time) = timed(|| {
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        lines
            .filter(|line| line.as_ref().unwrap().starts_with("sysv:id:"))
            .count()
    });
    assert_eq!(lines, SEGMENTS);
    assert!(time < Duration::from_secs(10), "{time:?}");
    println!("{SEGMENTS} segments: {time:?}");
}
