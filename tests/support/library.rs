//! The library that the tests judge, and the C `comm.c` beside it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{ROOT, TEMPORARY, all, cc, run, skip, source};

/// The library of `cargo build --release`, built into the tests' own target directory. The linker
/// proves that nothing in it panics.
pub fn library() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| build_library("library", &[]))
}

/// Builds the library into its own target directory. Returns the directory that holds it.
pub fn build_library(target: &str, profile: &[(&str, &str)]) -> PathBuf {
    build_library_with(&[], target, profile)
}

/// The same with more arguments for cargo.
pub fn build_library_with(arguments: &[&str], target: &str, profile: &[(&str, &str)]) -> PathBuf {
    let target = Path::new(TEMPORARY).join(target);
    let mut command = cargo();
    command.args(["build", "--release", "--offline", "--package", "libshmcomm"]);
    command.args(["--features", "prove-panic-free", "--target-dir"]);
    command.arg(&target).args(arguments);
    run(command.envs(profile.iter().copied()));
    target.join("release")
}

/// Cargo for this project and this machine.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(ROOT).env_remove("CARGO_BUILD_TARGET");
    cargo
}

/// Whether a test may rebuild the library, which takes many seconds; otherwise the test skips.
pub fn may_rebuild() -> bool {
    if !all() {
        skip("it rebuilds the library: set SHMCOMM_TEST_ALL=1");
    }
    all()
}

/// Builds the C `comm.c` as a shared library, for keys of this path.
pub fn build_reference(path: &Path, library: &Path) {
    // Debugging information is for abidiff.
    run(cc()
        .args([
            "-O2",
            "-shared",
            "-fPIC",
            "-Wl,-soname,libshmcomm.so.0",
            "-I",
        ])
        .arg(Path::new(ROOT).join("include"))
        .arg(format!("-D_PATH_NAME_=\"{}\"", path.display()))
        .arg("-o")
        .arg(library)
        .arg(source("comm.c")));
    let _ = std::os::unix::fs::symlink(library, library.with_extension("so.0"));
}
