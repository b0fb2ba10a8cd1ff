//! Names the shared library as C programs expect it, and generates its headers.
//!
//! The headers go to `OUT_DIR`, where a test compares them with those that are checked in; with
//! `SHMCOMM_UPDATE_HEADERS` set, also into their place.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use cbindgen::{Config, DocumentationStyle, Language};

const SONAME: &str = "libshmcomm.so.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=core/src/key.rs");
    println!("cargo::rerun-if-env-changed=SHMCOMM_UPDATE_HEADERS");
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

    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let update = env::var_os("SHMCOMM_UPDATE_HEADERS").is_some();
    if update {
        println!("cargo::rerun-if-changed=include");
    }
    for (name, header) in [
        ("comm.h", comm_header(&root)),
        ("shmcomm.h", shmcomm_header(&root)),
    ] {
        header.write_to_file(out.join(name));
        if update {
            header.write_to_file(root.join("include").join(name));
        }
    }

    // rustc builds no shared library for static musl.
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = is_musl && features.split(',').any(|feature| feature == "crt-static");
    if !is_static && let Err(error) = link_soname(&out) {
        println!("cargo::warning=no symbolic link {SONAME} beside the library: {error}");
    }
}

/// Programs ask for the library by its soname, also those that run from the target directory.
fn link_soname(out: &Path) -> io::Result<()> {
    // OUT_DIR is PROFILE/build/PACKAGE/out, and the library is in PROFILE.
    let profile = out.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    let link = profile.join(SONAME);
    if let Err(error) = fs::remove_file(&link)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    std::os::unix::fs::symlink("libshmcomm.so", link)
}

fn comm_header(root: &Path) -> cbindgen::Bindings {
    let environment = fs::read_to_string(root.join("core/src/key.rs"))
        .expect("the default path and id are defined there");
    let path = constant(&environment, "DEFAULT_PATH").trim_start_matches('c');
    let id = constant(&environment, "DEFAULT_ID");
    generate(
        root,
        "comm",
        &["comm"],
        &["errno.h", "sys/ipc.h", "sys/shm.h", "string.h"],
        &include_str!("src/comm.h.in")
            .replace("@DEFAULT_PATH@", path)
            .replace("@DEFAULT_ID@", id),
        &["shmc_comm_key"],
    )
}

/// The value of a constant as it is written; cbindgen drops strings and turns hexadecimal numbers
/// into decimal ones.
fn constant<'a>(source: &'a str, name: &str) -> &'a str {
    source
        .lines()
        .find_map(|line| {
            line.strip_prefix(&format!("pub const {name}: "))?
                .split_once(" = ")?
                .1
                .strip_suffix(';')
        })
        .unwrap_or_else(|| panic!("no constant {name}"))
}

fn shmcomm_header(root: &Path) -> cbindgen::Bindings {
    generate(
        root,
        "shmcomm",
        &["segment", "exchange", "channel"],
        &["stddef.h", "stdint.h", "sys/ipc.h", "sys/types.h"],
        include_str!("src/shmcomm.h.in"),
        &[],
    )
}

/// A header for these files of the C edge, with `preamble` between its includes and the rest.
fn generate(
    root: &Path,
    name: &str,
    sources: &[&str],
    includes: &[&str],
    preamble: &str,
    written_by_hand: &[&str],
) -> cbindgen::Bindings {
    let guard = format!("SHMCOMM_{}_H", name.to_uppercase());
    let config = Config {
        language: Language::C,
        documentation_style: DocumentationStyle::Doxy,
        // The include guard stands here and in the trailer, for cbindgen ends its own before that.
        header: Some(format!(
            "/* {name}.h, generated from the Rust source: do not edit. */\n\n\
             #ifndef {guard}\n#define {guard}"
        )),
        no_includes: true,
        sys_includes: includes.iter().map(ToString::to_string).collect(),
        after_includes: Some(format!(
            "\n{preamble}\n#ifdef __cplusplus\nextern \"C\" {{\n#endif"
        )),
        trailer: Some(format!(
            "#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */"
        )),
        usize_is_size_t: true,
        export: cbindgen::ExportConfig {
            exclude: written_by_hand.iter().map(ToString::to_string).collect(),
            // Rust has no such type.
            rename: [("volatile_void".into(), "volatile void".into())].into(),
            ..Default::default()
        },
        ..Default::default()
    };
    let builder = cbindgen::Builder::new().with_config(config);
    sources
        .iter()
        .fold(builder, |builder, source| {
            builder.with_src(root.join(format!("src/{source}.rs")))
        })
        .generate()
        .expect("cbindgen reads the C edge")
}
