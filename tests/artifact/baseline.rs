//! The binary interface: what the headers declare is what `libshmcomm.abi` has recorded, and what the
//! library has.
//!
//! Both are compared with a library in C that defines what the headers declare. A description of the
//! Rust library itself would hold its inner types, which differ by compiler.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::headers::declarations::Declarations;
use crate::support::{self, ROOT, Sandbox, run};

const UPDATE: &str = "SHMCOMM_UPDATE_ABI";

/// A library with the types of the headers.
fn declared(sandbox: &Sandbox) -> PathBuf {
    let mut source = String::from("#include \"comm.h\"\n#include \"shmcomm.h\"\n");
    source += "void shmc_comm_key(const char *path_name, int proj_id) {}\n";
    for function in Declarations::read(Path::new(ROOT)).functions {
        let parameters = function.parameters.join(", ");
        let (result, name) = (function.result, function.name);
        writeln!(source, "{result} {name}({parameters}) {{ return 0; }}").unwrap();
    }
    fs::write(sandbox.join("headers.c"), source).unwrap();
    let library = sandbox.join("libshmcomm.so");
    let mut cc = support::cc();
    cc.args([
        "-g",
        "-shared",
        "-fPIC",
        "-Wl,-soname,libshmcomm.so.0",
        "-I",
    ]);
    cc.arg(Path::new(ROOT).join("include"));
    cc.arg("headers.c").arg("-o").arg(&library);
    run(cc.current_dir(sandbox.path()));
    library
}

/// What differs, in abidiff's words.
fn difference(old: &Path, new: &Path) -> Option<String> {
    let output = Command::new("abidiff").args([old, new]).output().unwrap();
    (!output.status.success()).then(|| support::stdout(&output) + &support::stderr(&output))
}

#[test]
fn the_interface_is_the_recorded_one() {
    if env!("TARGET") != "x86_64-unknown-linux-gnu" {
        return support::skip("the record is that of x86-64 with glibc");
    }
    if !support::has("abidiff") || !support::has("abidw") {
        return;
    }
    let sandbox = Sandbox::new();
    let library = declared(&sandbox);
    let record = Path::new(ROOT).join("tests/artifact/libshmcomm.abi");
    let Some(difference) = difference(&record, &library) else {
        return;
    };
    assert!(
        env::var_os(UPDATE).is_some(),
        "{difference}\nWhat is removed or changed needs another soname; then, or for what is \
         added: {UPDATE}=1 cargo test --test behaviour baseline"
    );
    let mut abidw = Command::new("abidw");
    abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs"]);
    run(abidw.arg("--out-file").arg(record).arg(library));
}

#[test]
fn the_library_has_the_types_of_the_headers() {
    if !support::may_rebuild() {
        return;
    }
    if !support::has("abidiff") {
        return;
    }
    let profile = [
        ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
        ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ];
    let library = support::build_library("debuggable", &profile).join("libshmcomm.so");
    let sandbox = Sandbox::new();
    assert_eq!(difference(&declared(&sandbox), &library), None);
}
