//! Generates the headers from the source of the C edge.

use std::fs;
use std::path::Path;

use cbindgen::{Config, DocumentationStyle, Language};

/// The headers: names and texts.
pub fn generated(root: &Path) -> [(&'static str, String); 2] {
    [
        ("comm.h", comm_header(root)),
        ("shmcomm.h", shmcomm_header(root)),
    ]
}

fn comm_header(root: &Path) -> String {
    let environment = fs::read_to_string(root.join("core/src/environment.rs"))
        .expect("the default path and id are defined there");
    let path = constant(&environment, "DEFAULT_PATH").trim_start_matches('c');
    let id = constant(&environment, "DEFAULT_ID");
    generate(
        root,
        "comm",
        &["comm"],
        &["errno.h", "sys/ipc.h", "sys/shm.h", "string.h"],
        &include_str!("../../src/comm.h.in")
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

fn shmcomm_header(root: &Path) -> String {
    generate(
        root,
        "shmcomm",
        &["segment", "exchange", "channel"],
        &["stddef.h", "stdint.h", "sys/ipc.h", "sys/types.h"],
        include_str!("../../src/shmcomm.h.in"),
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
) -> String {
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
    let bindings = sources
        .iter()
        .fold(builder, |builder, source| {
            builder.with_src(root.join(format!("src/{source}.rs")))
        })
        .generate()
        .expect("cbindgen reads the C edge");
    let mut header = Vec::new();
    bindings.write(&mut header);
    String::from_utf8(header).unwrap()
}
