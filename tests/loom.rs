//! The ring and the handshake under loom: see `core/tests/loom.rs`.

mod support;

use std::path::Path;
use std::process::Command;
use std::{env, str};

#[test]
fn the_ring_and_the_handshake_hold_in_all_interleavings() {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "test",
        "--release",
        "--package",
        "shmcomm",
        "--test",
        "loom",
    ]);
    command.arg("--target-dir");
    command.arg(Path::new(support::TEMPORARY).join("loom"));
    command
        .current_dir(support::ROOT)
        .env("RUSTFLAGS", "--cfg loom");
    // What they save at run time is less than what they cost here.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off");
    command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env_remove("CARGO_BUILD_TARGET");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = support::run(&mut command);
    let text = str::from_utf8(&output.stdout).unwrap();
    // An empty run would pass too.
    assert!(text.contains(" 7 passed"), "{text}");
}
