//! Where the key comes from: the environment, the program's own macros, the default.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::support::{self, Link, Sandbox};

/// Asserts that the only segment has the key of this path and id, and removes it.
fn assert_created(path: &Sandbox, id: i32, how: &str) {
    let key = support::ftok(path.path(), id);
    let keys: Vec<_> = path.segments().iter().map(|segment| segment.key).collect();
    assert_eq!(keys, [key], "{how}");
    for segment in path.segments() {
        // SAFETY: takes no buffer.
        unsafe { libc::shmctl(segment.id, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

fn own_key(flags: &[&str], link: Link<'_>, program: &Path) -> PathBuf {
    support::build(
        support::cc().args(flags).arg(support::source("own_key.c")),
        link,
        program,
    )
}

/// Builds a program that runs in a root directory without libraries.
fn keys(flags: &[&str], program: &Path) -> PathBuf {
    let mut cc = support::cc();
    cc.args(["-static", "-w"]).args(flags);
    support::build(cc.arg(support::source("keys.c")), Link::Static, program)
}

fn define(name: &str, path: &Sandbox) -> String {
    format!("-D{name}=\"{}\"", path.path().display())
}

#[test]
fn the_environment_goes_before_the_program() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    let own = define("OWN_PATH", &sandbox);
    let program = own_key(
        &[&own, "-DOWN_ID=7"],
        Link::Shared,
        &sandbox.join("program"),
    );
    let run = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&program);
        command
            .env_remove("COMM_PATH_NAME")
            .envs(variables.iter().copied());
        let output = support::run(&mut command);
        assert_eq!(support::stderr(&output), "");
    };
    let path = other.path().to_str().unwrap();

    run(&[]);
    assert_created(&sandbox, 7, "the program's choice");
    run(&[("COMM_PROJ_ID", "9")]);
    assert_created(&sandbox, 9, "the environment's id alone");
    run(&[("COMM_PATH_NAME", path)]);
    assert_created(&other, 7, "the environment's path alone");
    run(&[("COMM_PATH_NAME", path), ("COMM_PROJ_ID", "0x1234")]);
    assert_created(&other, 0x34, "both");
}

#[test]
fn the_programs_macros_count_however_it_is_built() {
    let sandbox = Sandbox::new();
    let own = define("OWN_PATH", &sandbox);
    let mut compilers = vec![(support::cc(), "c")];
    for (compiler, language) in [("clang", "c"), ("c++", "c++"), ("clang++", "c++")] {
        if support::has(compiler) {
            compilers.push((Command::new(compiler), language));
        }
    }
    for (compiler, language) in &compilers {
        let name = compiler.get_program().to_owned();
        for link in [Link::Shared, Link::Static] {
            for flags in [
                &["-O0"][..],
                &["-O1"],
                &["-O2"],
                &["-O3"],
                &["-O2", "-flto"],
            ] {
                let how = format!("{name:?} {language} {link:?} {flags:?}");
                if name.to_string_lossy().starts_with("clang") && flags.contains(&"-flto") {
                    // Needs a linker plugin that not every machine with clang has.
                    continue;
                }
                let mut command = Command::new(&name);
                command.args(compiler.get_args()).args(["-x", language]);
                command
                    .args(flags)
                    .args([&own, "-DOWN_ID='m'", "-DTWO_FILES"]);
                command.arg(support::source("own_key.c"));
                command
                    .arg(support::source("own_key_too.c"))
                    .args(["-x", "none"]);
                let program = support::build(&mut command, link, &sandbox.join("program"));
                let output = support::run(sandbox.command(program).env_remove("COMM_PATH_NAME"));
                let macros = format!("{} {}\n", sandbox.path().display(), i32::from(b'm'));
                assert_eq!(support::stdout(&output), macros);
                assert_created(&sandbox, b'm'.into(), &how);
            }
        }
    }
}

#[test]
fn a_definition_on_the_command_line_is_the_programs_too() {
    let sandbox = Sandbox::new();
    let path = define("_PATH_NAME_", &sandbox);
    let program = own_key(&[&path], Link::Static, &sandbox.join("program"));
    support::run(sandbox.command(program).env_remove("COMM_PATH_NAME"));
    assert_created(&sandbox, 0x66, "-D_PATH_NAME_ alone");
}

#[test]
fn of_two_source_files_the_first_one_linked_chooses() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    let (own, too) = (define("OWN_PATH", &sandbox), define("PATH_TOO", &other));
    let second = support::source("own_key_too.c");
    let flags = [&own[..], &too, "-DTWO_FILES"];
    let program = support::build(
        support::cc()
            .args(flags)
            .arg(support::source("own_key.c"))
            .arg(second),
        Link::Shared,
        &sandbox.join("program"),
    );
    support::run(sandbox.command(program).env_remove("COMM_PATH_NAME"));
    assert_created(&sandbox, 0x66, "the first one's");
    assert_eq!(other.segments(), []);
}

#[test]
fn a_constructor_of_the_programs_own_finds_its_choice() {
    let sandbox = Sandbox::new();
    let own = define("OWN_PATH", &sandbox);
    for link in [Link::Shared, Link::Static] {
        let program = own_key(&[&own, "-DEARLY"], link, &sandbox.join("program"));
        support::run(sandbox.command(program).env_remove("COMM_PATH_NAME"));
        assert_created(&sandbox, 0x66, "by a constructor");
    }
}

#[test]
fn the_environment_is_read_once() {
    let sandbox = Sandbox::new();
    let driver = support::program("comm-driver.c", &[], Link::Shared);
    let mut command = sandbox.command(driver);
    support::run(command.args(["get", "putenv", "COMM_PROJ_ID=9", "create", "8"]));
    assert_created(&sandbox, 0x66, "the environment at the first call");
}

#[test]
fn a_relative_path_is_looked_up_at_each_call() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    let program = own_key(
        &["-DOWN_PATH=\".\""],
        Link::Shared,
        &sandbox.join("program"),
    );
    let mut command = sandbox.command(program);
    command
        .env_remove("COMM_PATH_NAME")
        .current_dir(sandbox.path());
    support::run(&mut command);
    assert_created(&sandbox, 0x66, "the directory in which it starts");
    support::run(command.arg(other.path()));
    assert_created(&other, 0x66, "the directory to which it has changed");

    let driver = support::program("comm-driver.c", &[], Link::Shared);
    let there = other.path().to_str().unwrap();
    let here = sandbox.path().to_str().unwrap();
    let mut command = sandbox.command(driver);
    command
        .env("COMM_PATH_NAME", ".")
        .current_dir(sandbox.path());
    command.args([
        "create", "8", "chdir", there, "get", "chdir", here, "get", "destroy",
    ]);
    let output = support::run(&mut command);
    assert_eq!(
        support::stdout(&output),
        "create: an id\nget: -2\nget: an id\ndestroy: 0\n"
    );
}

#[test]
fn a_chosen_path_that_is_missing_is_reported() {
    let sandbox = Sandbox::new();
    let missing = sandbox.join("missing");
    let driver = support::program("comm-driver.c", &[], Link::Shared);
    let mut command = sandbox.command(driver);
    command.env("COMM_PATH_NAME", &missing);
    let output = support::run(command.args(["create", "8", "errno", "get", "errno"]));
    let each = format!("-1\nerrno: {}\n", libc::ENOENT);
    assert_eq!(
        support::stdout(&output),
        format!("create: {each}get: {each}")
    );
    let line = "ftok: No such file or directory\n";
    assert_eq!(support::stderr(&output), line.repeat(2));
}

/// Runs a program in its own root directory and IPC namespace, so that the test decides whether the
/// default path exists.
fn run_alone(program: &Path, root: &Path, arguments: &[&str]) -> Option<String> {
    if !support::has("unshare") {
        return None;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--ipc", "--user", "--map-root-user", "--root"])
        .arg(root);
    for (name, _) in env::vars() {
        if name.starts_with("COMM_") {
            command.env_remove(name);
        }
    }
    command.arg(Path::new("/").join(program.file_name().unwrap()));
    let output = command.args(arguments).output().unwrap();
    if support::stderr(&output).contains("unshare:") {
        support::skip(support::stderr(&output).trim());
        return None;
    }
    Some(support::stdout(&output) + &support::stderr(&output))
}

#[test]
fn by_default_the_key_is_that_of_temp_or_a_fixed_one() {
    let sandbox = Sandbox::new();
    let program = keys(&[], &sandbox.join("keys"));
    let run = |arguments: &[&str]| run_alone(&program, sandbox.path(), arguments);
    let Some(without) = run(&[]) else { return };
    assert_eq!(without, "0x66746d70\n", "without /temp");
    assert_eq!(run(&["COMM_PROJ_ID=0x41"]).unwrap(), "0x41746d70\n");
    let chosen = run(&["COMM_PATH_NAME=/temp"]).unwrap();
    assert_eq!(
        chosen, "-1\nftok: No such file or directory\n",
        "/temp in the environment"
    );

    let own_id = keys(&["-D_PROJ_ID_=0xc2"], &sandbox.join("own_id"));
    let own_id = run_alone(&own_id, sandbox.path(), &[]).unwrap();
    assert_eq!(own_id, "0xc2746d70\n", "the program's own id");

    std::os::unix::fs::symlink("temp", sandbox.join("temp")).unwrap();
    let circle = "-1\nftok: Too many levels of symbolic links\n";
    assert_eq!(
        run(&[]).unwrap(),
        circle,
        "/temp is a symbolic link to itself"
    );
    fs::remove_file(sandbox.join("temp")).unwrap();

    fs::create_dir(sandbox.join("temp")).unwrap();
    let key = |id| format!("{:#010x}\n", support::ftok(&sandbox.join("temp"), id));
    assert_eq!(run(&[]).unwrap(), key(0x66), "with /temp");
    assert_eq!(run(&["COMM_PROJ_ID=3"]).unwrap(), key(3));
}

#[test]
fn an_unusable_setting_is_reported_once_and_ignored() {
    let sandbox = Sandbox::new();
    let path = define("_PATH_NAME_", &sandbox);
    let driver = support::build(
        support::cc()
            .arg(path)
            .arg(support::source("comm-driver.c")),
        Link::Shared,
        &sandbox.join("driver"),
    );
    let long = "x".repeat(4096);
    let longer = "7".repeat(6000);
    let longest = format!("{:/<4095}", sandbox.path().to_str().unwrap());
    for (name, value, usable) in [
        ("COMM_PATH_NAME", "", false),
        ("COMM_PATH_NAME", &long, false),
        ("COMM_PATH_NAME", &longest, true),
        ("COMM_PROJ_ID", "", false),
        ("COMM_PROJ_ID", "a", false),
        ("COMM_PROJ_ID", "-1", false),
        ("COMM_PROJ_ID", "2147483648", false),
        ("COMM_PROJ_ID", "0x66", true),
        ("COMM_RECLAIM", "", false),
        ("COMM_RECLAIM", "yes", false),
        ("COMM_RECLAIM", "2", false),
        ("COMM_RECLAIM", "0", true),
        ("COMM_WAIT_MS", "", false),
        ("COMM_WAIT_MS", "soon", false),
        ("COMM_WAIT_MS", "1.5", false),
        ("COMM_WAIT_MS", "99999999999999999999", false),
        ("COMM_WAIT_MS", &longer, false),
        ("COMM_WAIT_MS", "2147483648", false),
        ("COMM_WAIT_MS", "2147483647", true),
        ("COMM_WAIT_MS", "0", true),
        ("COMM_MODE", "", false),
        ("COMM_MODE", "rw", false),
        ("COMM_MODE", "0800", false),
        ("COMM_MODE", "0x1ff", false),
        ("COMM_MODE", "1777", false),
        ("COMM_MODE", "0600", true),
        ("COMM_EXPLAIN", " 1", false),
        ("COMM_EXPLAIN", "2", false),
        ("COMM_EXPLAIN", "1", true),
    ] {
        let mut command = sandbox.command(&driver);
        command.env_remove("COMM_PATH_NAME").env(name, value);
        let output = support::run(command.args(["create", "8", "get", "get", "destroy"]));
        assert_eq!(
            support::stdout(&output),
            "create: an id\nget: an id\nget: an id\ndestroy: 0\n",
            "{name}={value}"
        );
        let stderr = support::stderr(&output);
        if usable {
            assert_eq!(stderr, "", "{name}={value}");
        } else {
            let shown = &value[..value.len().min(4096)];
            let beginning = format!("shmcomm: {name}=\"{shown}");
            assert!(stderr.starts_with(&beginning), "{name}={value}: {stderr}");
            assert!(
                stderr.contains("\" is ignored: "),
                "{name}={value}: {stderr}"
            );
            assert_eq!(stderr.matches('\n').count(), 1, "{name}={value}: {stderr}");
            assert!(stderr.ends_with('\n'), "{name}={value}: {stderr}");
        }
    }
}

#[test]
fn several_threads_and_a_forked_child_may_make_the_first_call() {
    let sandbox = Sandbox::new();
    let program = support::program("threads.c", &["-O2", "-pthread"], Link::Shared);
    for _ in 0..50 {
        let mut command = sandbox.command(&program);
        let output = support::run(command.env("COMM_WAIT_MS", "never"));
        assert_eq!(support::stdout(&output), "all the same\n");
        let stderr = support::stderr(&output);
        assert_eq!(stderr.matches("COMM_WAIT_MS").count(), 1, "{stderr}");
    }
    assert_eq!(sandbox.segments(), []);
}
