//! What a release promises: one version everywhere, and a build that anyone can repeat.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::abi::EXPORTS;
use crate::support::{self, ROOT, Sandbox, run, stdout};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// `shmcomm.pc` is compared where it is installed, `SHMC_VERSION` where a program includes it.
#[test]
fn everything_has_one_version() {
    let changes = read("CHANGELOG.md");
    let newest = changes.lines().find_map(|line| line.strip_prefix("## "));
    assert_eq!(newest.unwrap().split(' ').next(), Some(VERSION));
    let debian = format!("shmcomm ({VERSION}-");
    assert!(read("debian/changelog").starts_with(&debian), "{debian}");
    if support::has("readelf") {
        let major = env!("CARGO_PKG_VERSION_MAJOR");
        let library = support::library().join("libshmcomm.so");
        let dynamic = run(Command::new("readelf").arg("-dW").arg(library));
        let soname = format!("[libshmcomm.so.{major}]");
        assert!(stdout(&dynamic).contains(&soname), "{soname}");
    }
}

#[test]
fn debian_lists_the_exports() {
    let symbols = read("debian/libshmcomm0.symbols");
    let symbols = symbols.lines().filter_map(|line| line.strip_prefix(' '));
    let symbols: Vec<_> = symbols
        .map(|line| line.split('@').next().unwrap())
        .collect();
    assert_eq!(symbols, EXPORTS);
}

#[test]
fn two_builds_in_two_directories_are_the_same_bytes() {
    if !support::may_rebuild() {
        return;
    }
    let [one, other] = ["a", "a/longer/path"].map(|place| {
        let sandbox = Sandbox::new();
        let copy = sandbox.join(place);
        fs::create_dir_all(&copy).unwrap();
        let mut cp = Command::new("cp");
        cp.arg("-r").current_dir(ROOT);
        cp.args(["Cargo.toml", "Cargo.lock", "build.rs", "src"]);
        // All members of the workspace.
        run(cp.args(["core", "bench", "cli", "fuzz"]).arg(&copy));
        let mut cargo = support::cargo();
        cargo.args(["build", "--release", "--offline", "--locked"]);
        cargo.args(["--package", "libshmcomm", "--target-dir", "target"]);
        run(cargo.current_dir(&copy));
        ["libshmcomm.so", "libshmcomm.a"]
            .map(|file| fs::read(copy.join("target/release").join(file)).unwrap())
    });
    assert!(one == other);
}
