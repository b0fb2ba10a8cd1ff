//! `make install` and `cargo cinstall`: the installed library is whole, and a program built with it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, ROOT, Sandbox, library, run, stderr};

const TOOLS: [&str; 2] = ["make", "pkg-config"];

/// `make` with the Makefile at the root, for the library of the tests.
fn make(make: &str, arguments: &[String]) -> Command {
    let mut make = Command::new(make);
    make.args(["--no-print-directory", "-C", ROOT]);
    make.arg(format!("LIBRARY={}", library().display()));
    // The tests of cli/ install the tool.
    make.arg("TOOL=");
    for variable in ["MAKEFLAGS", "MAKELEVEL", "DESTDIR", "CARGO"] {
        make.env_remove(variable);
    }
    make.args(arguments);
    make
}

/// The script that judges what is installed.
fn installed(prefix: &str, destination: &str, variables: &[String]) -> Command {
    let mut sh = Command::new("sh");
    sh.arg(Path::new(ROOT).join("tests/artifact/installed.sh"));
    sh.args([prefix, destination]);
    sh.envs(
        variables
            .iter()
            .map(|variable| variable.split_once('=').unwrap()),
    );
    sh
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

/// Installs, builds a program with that, runs it, uninstalls.
fn come_and_go(prefix: &str, destination: &str, variables: &[String], directory: &Path) {
    let mut arguments = vec![format!("PREFIX={prefix}")];
    if !destination.is_empty() {
        arguments.push(format!("DESTDIR={destination}"));
    }
    arguments.extend_from_slice(variables);
    let with = |target: &str| [&[target.to_owned()], arguments.as_slice()].concat();
    // The second time over the first.
    for _ in 0..2 {
        let output = run(&mut make("make", &with("install")));
        assert_eq!(stderr(&output), "");
    }
    let output = run(&mut installed(prefix, destination, variables));
    assert_eq!(stderr(&output), "");
    run(&mut make("make", &with("uninstall")));
    assert_eq!(files(directory), [] as [PathBuf; 0]);
    for own in ["include/shmcomm", "share/doc/shmcomm"] {
        let own = format!("{destination}{prefix}/{own}");
        assert!(!Path::new(&own).exists(), "{own}");
    }
}

#[test]
fn a_user_installs_at_home() {
    if !TOOLS.into_iter().all(support::has) {
        return;
    }
    let sandbox = Sandbox::new();
    let prefix = sandbox.join(".local");
    come_and_go(prefix.to_str().unwrap(), "", &[], sandbox.path());
}

#[test]
fn a_distribution_installs_into_a_package() {
    if !TOOLS.into_iter().all(support::has) {
        return;
    }
    let sandbox = Sandbox::new();
    let libraries = "LIBDIR=/usr/lib/some-linux-gnu".to_owned();
    let destination = sandbox.path().to_str().unwrap();
    come_and_go("/usr", destination, &[libraries], sandbox.path());
}

#[test]
fn all_that_is_written_is_below_the_destination() {
    if !support::has("make") || !support::has("unshare") {
        return;
    }
    let sandbox = Sandbox::new();
    let make = make(
        "make",
        &[
            "install".to_owned(),
            format!("DESTDIR={}", sandbox.path().display()),
        ],
    );
    let writable = sandbox.path();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--map-root-user", "sh", "-c"]);
    unshare.arg("mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro / || exit 77; exec \"$@\"");
    unshare.arg(writable).arg("make").args(make.get_args());
    let output = unshare.output().unwrap();
    if stderr(&output).contains("Operation not permitted") || output.status.code() == Some(77) {
        return support::skip("this user may not make namespaces");
    }
    assert!(output.status.success(), "{output:?}");
    assert!(files(writable).len() > 40);
}

#[test]
fn make_check_tries_what_is_built() {
    if TOOLS.into_iter().all(support::has) {
        run(&mut make("make", &["check".to_owned()]));
    }
}

#[test]
fn what_is_missing_is_one_line() {
    if !support::has("make") {
        return;
    }
    let sandbox = Sandbox::new();
    let programs = sandbox.join("programs");
    fs::create_dir(&programs).unwrap();
    // Any program serves as the compiler that is there; nothing calls it.
    for (name, program) in [("cc", "sh"), ("sed", "sed")] {
        symlink(support::find(program).unwrap(), programs.join(name)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let nowhere = format!("LIBRARY={}", sandbox.path().display());
    for (arguments, path, message) in [
        (
            ["all", "CC=/nonexistent"],
            path.as_str(),
            "no C compiler \"/nonexistent\"",
        ),
        (
            ["all", "CC=cc"],
            programs.to_str().unwrap(),
            "no cargo: install Rust",
        ),
        (["install", &nowhere], &path, "run make first"),
    ] {
        let program = support::find("make").unwrap();
        let arguments = arguments.map(str::to_owned);
        let mut command = make(program.to_str().unwrap(), &arguments);
        let output = command.env("PATH", path).output().unwrap();
        assert!(!output.status.success(), "{message}");
        let said = stderr(&output);
        // make itself adds a line where a command fails.
        let lines: Vec<_> = said
            .lines()
            .filter(|line| !line.contains("is-built"))
            .collect();
        assert!(lines.len() == 1 && lines[0].contains(message), "{said}");
    }
}

#[test]
fn cargo_c_installs_the_same() {
    if !support::may_rebuild() {
        return;
    }
    if !support::has("cargo-cinstall") || !support::has("pkg-config") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut cargo = support::cargo();
    cargo.args(["cinstall", "--release", "--locked", "--offline"]);
    cargo.args([
        "--package",
        "libshmcomm",
        "--prefix=/usr",
        "--libdir=/usr/lib",
    ]);
    cargo.arg(format!("--destdir={}", sandbox.path().display()));
    cargo
        .arg("--target-dir")
        .arg(Path::new(support::TEMPORARY).join("cargo-c"));
    run(&mut cargo);
    let mut by_cargo = files(&sandbox.join("usr"));
    run(&mut installed(
        "/usr",
        sandbox.path().to_str().unwrap(),
        &[],
    ));
    let other = Sandbox::new();
    let destination = format!("DESTDIR={}", other.path().display());
    run(&mut make(
        "make",
        &["install".into(), "PREFIX=/usr".into(), destination],
    ));
    let mut by_make = files(&other.join("usr"));
    for (files, sandbox) in [(&mut by_cargo, &sandbox), (&mut by_make, &other)] {
        files.sort();
        for file in files {
            *file = file.strip_prefix(sandbox.path()).unwrap().to_owned();
        }
    }
    assert_eq!(by_cargo, by_make);
}
