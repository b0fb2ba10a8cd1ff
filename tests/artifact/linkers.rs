//! Other linkers, another C library, another processor.
//!
//! Tests that rebuild the library run only with `SHMCOMM_TEST_ALL`.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Link, ObjectName, Sandbox};

/// The linkers that are installed.
fn linkers() -> impl Iterator<Item = &'static str> {
    // Newer distributions have no gold.
    let has_gold = support::is_installed("ld.gold");
    if !has_gold {
        support::skip("ld.gold is not installed");
    }
    let others = ["bfd", "lld"].into_iter();
    others
        .filter(|linker| support::has(&format!("ld.{linker}")))
        .chain(has_gold.then_some("gold"))
}

/// The symbols of the dynamic table, without their versions.
fn dynamic_symbols(library: &Path, which: &str) -> Vec<String> {
    // Gold also lists a local symbol there, that of the thread-local memory.
    let mut nm = Command::new("nm");
    let listing = support::run(nm.args(["-D", "--extern-only", which]).arg(library));
    let names = support::stdout(&listing);
    let name = |line: &str| {
        Some(
            line.split_whitespace()
                .last()?
                .split('@')
                .next()?
                .to_owned(),
        )
    };
    names.lines().filter_map(name).collect()
}

/// Asserts that a library of this linker has the exports of the one that all other tests use, needs
/// libc alone, has its soname and is never unloaded.
fn assert_same_interface(library: &Path, linker: &str) {
    let usual = support::library().join("libshmcomm.so");
    let exports = |library| dynamic_symbols(library, "--defined-only");
    assert_eq!(exports(library), exports(&usual), "{linker}");
    let imports = dynamic_symbols(library, "--undefined-only");
    assert!(
        !imports.iter().any(|name| name == "__dso_handle"),
        "{linker}"
    );
    let dynamic = support::run(Command::new("readelf").arg("-dW").arg(library));
    let dynamic = support::stdout(&dynamic);
    let needed: Vec<_> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .collect();
    assert!(
        needed.len() == 1 && needed[0].contains("[libc.so.6]"),
        "{linker}: {needed:?}"
    );
    for flag in ["NODELETE", "[libshmcomm.so.0]"] {
        assert!(
            dynamic.contains(flag),
            "{linker}: {flag} is not in {dynamic}"
        );
    }
}

/// A command that runs a program, with `runner` if it is for another processor.
fn through(sandbox: &Sandbox, program: &Path, runner: &[&str]) -> Command {
    match runner {
        [] => sandbox.command(program),
        [runner, arguments @ ..] => {
            let mut command = sandbox.command(runner);
            command.args(arguments).arg(program);
            command
        }
    }
}

/// Runs the program that does a little of everything, with `runner` if it is for another processor.
fn run_portable(sandbox: &Sandbox, program: &Path, runner: &[&str]) {
    let object = ObjectName::new();
    let mut command = through(sandbox, program, runner);
    command.arg(object.name());
    command.arg(format!("sysv:{}#2", sandbox.path().display()));
    assert_eq!(support::stdout(&support::run(&mut command)), "fine\n");
}

fn portable(compiler: &mut Command) -> &mut Command {
    compiler
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"])
        .arg(support::source("portable.c"))
}

#[test]
fn a_little_of_everything_works() {
    let sandbox = Sandbox::new();
    for link in [Link::Shared, Link::Static] {
        let program = sandbox.join("program");
        support::build(portable(&mut support::cc()), link, &program);
        run_portable(&sandbox, &program, &[]);
    }
}

/// A distribution may link its own shared library from the static one.
#[test]
fn each_linker_makes_a_shared_library_of_the_static_one() {
    if !support::has("nm") {
        return;
    }
    let usual = support::library();
    for linker in linkers() {
        let sandbox = Sandbox::new();
        let library = sandbox.join("libshmcomm.so");
        let mut cc = support::cc();
        cc.arg(format!("-fuse-ld={linker}"));
        cc.args(["-shared", "-nostartfiles", "-o"]).arg(&library);
        cc.args(["-Wl,-z,defs", "-Wl,--gc-sections"]);
        for name in dynamic_symbols(&usual.join("libshmcomm.so"), "--defined-only") {
            cc.arg(format!("-Wl,-u,{name}"));
        }
        support::run(cc.arg(usual.join("libshmcomm.a")));
        let imports = dynamic_symbols(&library, "--undefined-only");
        assert!(
            !imports.iter().any(|name| name == "__dso_handle"),
            "{linker}"
        );
        let program = sandbox.join("program");
        support::build(
            portable(&mut support::cc()),
            Link::Other(sandbox.path()),
            &program,
        );
        run_portable(&sandbox, &program, &[]);
    }
}

#[test]
fn each_linker_links_the_library() {
    if !support::may_rebuild() || !support::has("nm") || !support::has("readelf") {
        return;
    }
    for linker in linkers() {
        let directory = build_for(
            env!("TARGET"),
            &[
                "-Clinker-flavor=gcc",
                "-Clinker=cc",
                &format!("-Clink-arg=-fuse-ld={linker}"),
            ],
        );
        assert_same_interface(&directory.join("libshmcomm.so"), linker);
        let sandbox = Sandbox::new();
        let program = sandbox.join("program");
        support::build(
            portable(&mut support::cc()),
            Link::Other(&directory),
            &program,
        );
        run_portable(&sandbox, &program, &[]);
    }
}

/// Builds the library for a target with these flags of rustc. Returns the directory that holds it.
fn build_for(target: &str, flags: &[&str]) -> PathBuf {
    let directory = Path::new(support::TEMPORARY).join("targets");
    let mut command = support::cargo();
    command.args(["build", "--release", "--offline", "--package", "libshmcomm"]);
    command.args(["--features", "prove-panic-free", "--target", target]);
    command.arg("--target-dir").arg(&directory);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    support::run(&mut command);
    directory.join(target).join("release")
}

/// Whether rustc has this target and its tools are installed.
fn has_target(target: &str, tools: &[&str]) -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    let output = support::run(rustc.args(["--print", "target-libdir", "--target", target]));
    if !Path::new(support::stdout(&output).trim()).is_dir() {
        support::skip(&format!(
            "rustc has no {target}: rustup target add {target}"
        ));
        return false;
    }
    tools.iter().all(|tool| support::has(tool))
}

#[test]
fn it_works_with_musl() {
    let target = &format!("{}-unknown-linux-musl", env::consts::ARCH);
    if !support::may_rebuild() || !has_target(target, &["musl-gcc"]) {
        return;
    }
    for (flag, link) in [("-crt-static", Link::Shared), ("+crt-static", Link::Static)] {
        let directory = build_for(
            target,
            &[&format!("-Ctarget-feature={flag}"), "-Clinker=musl-gcc"],
        );
        run_elsewhere("musl-gcc", &directory, link, &[]);
    }
}

#[test]
fn it_works_on_aarch64() {
    let (target, cc) = ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc");
    if env!("TARGET") == target {
        return support::skip("all tests run on aarch64");
    }
    if !support::may_rebuild() || !has_target(target, &[cc, "qemu-aarch64"]) {
        return;
    }
    let directory = build_for(target, &[&format!("-Clinker={cc}")]);
    for link in [Link::Shared, Link::Static] {
        let runner = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];
        run_elsewhere(cc, &directory, link, &runner);
    }
}

/// The examples that run by themselves, with their arguments.
const EXAMPLES: [&str; 7] = [
    "private",
    "posix",
    "mapped-file",
    "status",
    "removal sysv:.#16",
    "semaphore",
    "channel-killed",
];

/// Builds the examples, the program that does a little of everything and the one of the mutex with a
/// cross compiler, and runs them.
fn run_elsewhere(compiler: &str, directory: &Path, link: Link<'_>, runner: &[&str]) {
    let sandbox = Sandbox::new();
    let build = |source: PathBuf| {
        let program = sandbox.join(source.file_name().unwrap()).with_extension("");
        let mut cc = Command::new(compiler);
        cc.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]);
        cc.arg(source).arg("-I");
        cc.arg(Path::new(support::ROOT).join("include"));
        cc.arg("-o").arg(&program);
        if link == Link::Static {
            cc.arg("-static").arg(directory.join("libshmcomm.a"));
        } else {
            cc.arg("-L").arg(directory).arg("-lshmcomm");
            cc.arg(format!("-Wl,-rpath,{}", directory.display()));
        }
        support::run(&mut cc);
        program
    };
    run_portable(&sandbox, &build(support::source("portable.c")), runner);
    // Each processor and each way of linking reaches thread-local memory differently.
    let program = build(support::source("mutex.c"));
    for what in ["fork", "clone", "threads"] {
        let mut command = through(&sandbox, &program, runner);
        assert_eq!(support::stdout(&support::run(command.arg(what))), "fine\n");
    }
    for example in EXAMPLES {
        let mut words = example.split(' ');
        let source = format!("c-examples/{}.c", words.next().unwrap());
        let program = build(Path::new(support::ROOT).join(source));
        let mut command = through(&sandbox, &program, runner);
        // One of them reads a word.
        command.stdin(File::open(support::source("mutex.c")).unwrap());
        support::run(command.args(words).current_dir(sandbox.path()));
    }
}
