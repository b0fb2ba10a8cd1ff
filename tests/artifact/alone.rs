//! Layer 1 alone, as `cargo build --release --no-default-features` builds it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{self, Link, Sandbox, run, stdout};

/// Each function that the library imports is looked up when a program starts, in about 550
/// instructions. The 24 of this one take 13,300 more than a C `comm.c` whose calls are bound when they
/// are first made, and 8,200 more than one that is linked with `-z now`, as Rust links.
const MAX_LOAD_INSTRUCTIONS: u64 = 15_000;

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
