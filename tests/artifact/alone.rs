//! Layer 1 alone, as `cargo build --release --no-default-features` builds it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{self, Link, ObjectName, Sandbox, run, stdout};

/// What a program takes to load and exit beyond one with a C `comm.c`. Each function that the loader looks
/// up at once takes about 370 instructions; all calls but those of the compiler are looked up when they are
/// first made.
const MAX_LOAD_INSTRUCTIONS: u64 = 3_000;

#[test]
fn the_five_functions_alone_weigh_what_the_c_file_does() {
    if !support::may_rebuild() {
        return;
    }
    if !support::has("nm") || !support::has("valgrind") {
        return;
    }
    let library = support::build_library_with(&["--no-default-features"], "alone", &[]);
    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only"]);
    let listing = run(nm.arg(library.join("libshmcomm.so")));
    let listing = stdout(&listing);
    let exports: Vec<_> = listing
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .collect();
    let six = [
        "create_shm",
        "destory_shm",
        "get_shm",
        "shm_at",
        "shm_dt",
        "shmc_comm_key",
    ];
    assert_eq!(exports, six);

    let c = Sandbox::new();
    let reference = c.join("libshmcomm.so");
    support::build_reference(c.path(), &reference);
    run(Command::new("strip").arg(&reference));
    let size = |file: &Path| fs::metadata(file).unwrap().len();
    let (ours, theirs) = (size(&library.join("libshmcomm.so")), size(&reference));
    println!("{ours} bytes, {theirs} in C");
    assert!(ours <= theirs, "{ours} bytes, {theirs} in C");

    let idle = c.join("idle.c");
    let text =
        "#include \"comm.h\"\nint main(int n, char **v) { return n > 1 ? create_shm(n) : 0; }";
    fs::write(&idle, text).unwrap();
    let program = support::build(
        support::cc().arg(&idle),
        Link::Other(c.path()),
        &c.join("idle"),
    );
    let [with_c, with_rust] = [c.path(), &library].map(|library| {
        let mut valgrind = c.command("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.env("LD_LIBRARY_PATH", library).arg(&program);
        let log = support::stderr(&run(&mut valgrind));
        let count = log
            .split("Collected :")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        count.unwrap().trim().parse::<u64>().unwrap()
    });
    println!("{with_rust} instructions to load and exit, {with_c} in C");
    assert!(
        with_rust <= with_c + MAX_LOAD_INSTRUCTIONS,
        "{with_rust}, {with_c} in C"
    );

    let example = Path::new(support::ROOT).join("man/examples/comm.c");
    let program = support::build(
        support::cc().arg(example),
        Link::Other(&library),
        &c.join("comm"),
    );
    let output = run(c.command(program).current_dir(c.path()));
    assert_eq!(stdout(&output), "how are you\n");
}

/// The most that a program weighs which calls the five functions, linked statically without
/// `--gc-sections`; one of the same text with its own `comm.c` has 14,500 bytes.
const MAX_STATIC_BYTES: u64 = 24_000;

#[test]
fn a_static_program_gets_the_five_functions_alone() {
    if !support::may_rebuild() || !support::has("make") {
        return;
    }
    let comm = ["--no-default-features", "--features", "explain"];
    let comm = support::build_library_with(&comm, "comm", &[]);
    let sandbox = Sandbox::new();
    let archive = sandbox.join("libshmcomm.a");
    fs::copy(support::library().join("libshmcomm.a"), &archive).unwrap();
    let mut make = Command::new("make");
    make.args(["-C", support::ROOT, "archive"]);
    make.arg(format!("LIBRARY={}", sandbox.path().display()));
    make.arg(format!("COMM={}", comm.display()));
    // Twice: its own result is as good as cargo's.
    for _ in 0..2 {
        run(make.env_remove("MAKEFLAGS"));
    }

    let root = Path::new(support::ROOT);
    let build = |source: &str| {
        let program = sandbox.join("program");
        let mut cc = support::cc();
        cc.arg(root.join(source)).arg(&archive);
        run(cc
            .args(["-O2", "-s", "-o"])
            .arg(&program)
            .arg("-I")
            .arg(root.join("include")));
        program
    };
    let program = build("man/examples/comm.c");
    let size = fs::metadata(&program).unwrap().len();
    println!("{size} bytes");
    assert!(size <= MAX_STATIC_BYTES, "{size} bytes");
    let output = run(sandbox.command(program).current_dir(sandbox.path()));
    assert_eq!(stdout(&output), "how are you\n");

    // With both headers, both objects.
    let program = build("tests/c/portable.c");
    let object = ObjectName::new();
    let key = format!("sysv:{}#2", sandbox.path().display());
    let output = run(sandbox.command(program).args([object.name(), key]));
    assert_eq!(stdout(&output), "fine\n");
}
