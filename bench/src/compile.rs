//! What is measured, built from its sources.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::{Result, run};

/// The root of the workspace.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where [`build`] puts the library: a target directory of the benchmarks.
pub fn library() -> Result<String> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2);
    let target = target.ok_or("not started from a target directory")?;
    let library = target.join("bench-library/release/libshmcomm.so");
    Ok(library.display().to_string())
}

/// Builds the library as `cargo build --release` does.
pub fn build() -> Result<()> {
    let library = library()?;
    run(Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--release", "--locked", "--package", "libshmcomm"])
        .args([
            "--target-dir",
            library.trim_end_matches("/release/libshmcomm.so"),
        ])
        .current_dir(root())
        .env_remove("CARGO_BUILD_TARGET")
        .stderr(Stdio::inherit()))?;
    Ok(())
}

/// The C compiler of this machine, `CC` respected.
pub fn cc() -> Command {
    let words = env::var("CC").unwrap_or("cc".into());
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}

/// Makes the compiler link with lld: Rust's own if there is one, since it links the library too.
pub fn link_with_lld(cc: &mut Command) -> Result<()> {
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
