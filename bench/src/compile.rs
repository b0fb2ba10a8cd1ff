//! What is measured, built from its sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::{Result, has, run};

/// The root of the workspace.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The library as `cargo build --release` leaves it, built into a directory of the benchmarks' own.
pub fn library(target: &Path) -> Result<PathBuf> {
    let target = target.join("bench-library");
    run(Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--package", "libshmcomm"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(root())
        .env_remove("CARGO_BUILD_TARGET")
        .stderr(Stdio::inherit()))?;
    Ok(target.join("release/libshmcomm.so"))
}

/// The C compiler of this machine, `CC` respected.
pub fn cc() -> Command {
    let words = cc_words();
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}

/// Whether there is a C compiler.
pub fn has_cc() -> bool {
    let words = cc_words();
    let program = words.split_whitespace().next().unwrap_or("cc");
    Path::new(program).is_file() || has(program)
}

fn cc_words() -> String {
    env::var("CC").unwrap_or("cc".into())
}

/// Makes the compiler link by lld, that of Rust where there is one, since it links the library too.
pub fn link_by_lld(cc: &mut Command) -> Result<()> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"]))?.stdout;
    let targets = Path::new(String::from_utf8(sysroot)?.trim()).join("lib/rustlib");
    for target in fs::read_dir(targets)? {
        let linkers = target?.path().join("bin/gcc-ld");
        if linkers.is_dir() {
            cc.arg("-B").arg(linkers);
        }
    }
    cc.arg("-fuse-ld=lld");
    Ok(())
}
