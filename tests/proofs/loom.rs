//! The ring, the wake-up, the mutex and the semaphore under loom: see `core/tests/loom/`, `loom_mutex.rs`
//! and `loom_semaphore.rs`.

use std::path::Path;
use std::str;

use crate::support;

#[test]
fn the_ring_and_the_wakeup_hold_in_all_interleavings() {
    explore("loom", 20);
}

#[test]
fn the_mutex_holds_in_all_interleavings() {
    explore("loom_mutex", 7);
}

#[test]
fn the_semaphore_holds_in_all_interleavings() {
    explore("loom_semaphore", 6);
}

/// Runs the models of a file, which must be this many.
fn explore(models: &str, count: u32) {
    let mut command = support::cargo();
    command.args([
        "test",
        "--release",
        "--package",
        "shmcomm",
        "--test",
        models,
    ]);
    command.arg("--target-dir");
    command.arg(Path::new(support::TEMPORARY).join("loom"));
    command.env("RUSTFLAGS", "--cfg loom");
    // Optimising these crates takes longer than it saves at run time.
    for unused in ["regex-automata", "regex-syntax", "tracing-subscriber"] {
        command.arg("--config");
        command.arg(format!("profile.release.package.{unused}.opt-level=0"));
    }
    command.env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = support::run(&mut command);
    let text = str::from_utf8(&output.stdout).unwrap();
    // A run without any model would also pass.
    assert!(text.contains(&format!(" {count} passed")), "{text}");
}
