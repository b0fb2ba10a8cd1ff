//! Names the shared library as C programs expect it.

use std::path::PathBuf;
use std::{env, fs, io};

const SONAME: &str = concat!("libshmcomm.so.", env!("CARGO_PKG_VERSION_MAJOR"));

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
    // Fork handlers stay registered, so their code stays mapped after dlclose(3).
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The libc crate names its library only where std asks for it.
    let is_musl = env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl");
    if is_musl {
        println!("cargo::rustc-cdylib-link-arg=-lc");
    }
    // Without constructors it needs none of the files that call them.
    println!("cargo::rustc-cdylib-link-arg=-nostartfiles");

    // The tests ask for the C compiler of this target.
    let target = env::var("TARGET").expect("set by cargo");
    println!("cargo::rustc-env=TARGET={target}");

    // rustc builds no shared library for static musl.
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = is_musl && features.split(',').any(|feature| feature == "crt-static");
    if !is_static && let Err(error) = link_soname() {
        println!("cargo::warning=no symbolic link {SONAME} beside the library: {error}");
    }
}

/// Programs ask for the library by its soname, also those that run from the target directory.
fn link_soname() -> io::Result<()> {
    // OUT_DIR is PROFILE/build/PACKAGE/out, and the library is in PROFILE.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let profile = out.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    let link = profile.join(SONAME);
    if let Err(error) = fs::remove_file(&link)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    std::os::unix::fs::symlink("libshmcomm.so", link)
}
