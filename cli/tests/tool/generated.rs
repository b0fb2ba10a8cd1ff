//! The manual page and the completions are those of the arguments. They are checked in, so that `make install`
//! only copies.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::support::{ROOT, has_tool, output};

#[path = "../../src/arguments.rs"]
#[allow(dead_code)]
mod arguments;

/// Of the page, as in the other manual pages.
const DATE: &str = "2026-11-21";
/// What the arguments do not say.
const END: &str = "\
.SH ENVIRONMENT
.TP
NO_COLOR
No colour on a terminal.
.SH EXAMPLES
.TP
shmcomm ls \\-\\-path .
Which System V keys are those of the current directory?
.TP
shmcomm clean \\-\\-yes sysv:.
Removes the segment that a program with a comm.c left there, if it is stale.
.TP
tar \\-c . | shmcomm send \\-\\-create \\-\\-block 64K posix:/tar
Sends a stream, which
.B shmcomm recv \\-\\-create \\-\\-raw posix:/tar | tar \\-x
receives.
.SH SEE ALSO
.BR shmcomm (7),
.BR ipcs (1),
.BR lsipc (1)
";
const UPDATE: &str = "SHMCOMM_UPDATE_TOOL";

fn generated() -> Vec<(PathBuf, String)> {
    let directory = Path::new(ROOT).join("cli/share");
    let mut files = vec![(directory.join("shmcomm.1"), manual())];
    for (shell, name) in [
        (Shell::Bash, "shmcomm.bash"),
        (Shell::Zsh, "_shmcomm"),
        (Shell::Fish, "shmcomm.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(
            shell,
            &mut arguments::Arguments::command(),
            "shmcomm",
            &mut text,
        );
        files.push((directory.join(name), String::from_utf8(text).unwrap()));
    }
    files
}

/// One page: the command, then each subcommand.
fn manual() -> String {
    let mut command = arguments::Arguments::command();
    command.build();
    let title = Man::new(command.clone()).manual("shmcomm").date(DATE);
    let mut page = String::from_utf8(rendered(|to| title.render_title(to))).unwrap();
    page += &format!(".SH NAME\n{}", section(|to| title.render_name_section(to)));
    let (mut synopses, mut commands) = (Vec::new(), String::new());
    for subcommand in command.get_subcommands() {
        let manual = Man::new(subcommand.clone());
        synopses.push(section(|to| manual.render_synopsis_section(to)));
        commands += &format!(".SS {}\n", subcommand.get_name());
        commands += &section(|to| manual.render_description_section(to));
        commands += &section(|to| manual.render_options_section(to));
    }
    page += &format!(".SH SYNOPSIS\n{}", synopses.join(".br\n"));
    page += &format!(
        ".SH DESCRIPTION\n{}",
        section(|to| title.render_description_section(to))
    );
    page += &format!(".SH COMMANDS\n{commands}");
    page += ".SH EXIT STATUS\n";
    for line in arguments::EXIT_STATUS.lines().skip(1) {
        let (status, meaning) = line.split_at(5);
        match status.trim() {
            "" => page += &format!("{}\n", meaning.trim()),
            status => page += &format!(".TP\n{status}\n{}\n", meaning.trim()),
        }
    }
    page + END
}

fn rendered(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Vec<u8> {
    let mut text = Vec::new();
    render(&mut text).unwrap();
    text
}

/// The lines of a section, without its title and without forced breaks.
fn section(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let text = String::from_utf8(rendered(render)).unwrap();
    let is_kept = |line: &&str| {
        let is_noise = [".SH", ".ie", ".el", ".br"]
            .iter()
            .any(|start| line.starts_with(start));
        !is_noise && !line.is_empty()
    };
    let lines = text.lines().filter(is_kept);
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_manual_page_and_the_completions_are_up_to_date() {
    for (path, text) in generated() {
        if env::var_os(UPDATE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        let update = format!("{UPDATE}=1 cargo test -p shmcomm-cli generated");
        assert!(found == text, "{} is out of date: {update}", path.display());
    }
}

#[test]
fn the_manual_page_is_clean() {
    let page = Path::new(ROOT).join("cli/share/shmcomm.1");
    for (tool, arguments) in [
        ("mandoc", &["-T", "lint", "-W", "warning"][..]),
        ("groff", &["-ww", "-z", "-man", "-T", "utf8"]),
    ] {
        if has_tool(tool) {
            let (stdout, stderr, _) = output(Command::new(tool).args(arguments).arg(&page));
            assert_eq!((stdout.as_str(), stderr.as_str()), ("", ""));
        }
    }
}

#[test]
fn the_completions_are_programs_of_their_shells() {
    for (shell, name) in [
        ("bash", "shmcomm.bash"),
        ("zsh", "_shmcomm"),
        ("fish", "shmcomm.fish"),
    ] {
        let is_there = Command::new(shell).arg("--version").output().is_ok();
        if is_there {
            let file = Path::new(ROOT).join("cli/share").join(name);
            let (_, stderr, status) = output(Command::new(shell).arg("-n").arg(file));
            assert_eq!((stderr.as_str(), status), ("", 0), "{shell}");
        }
    }
}
