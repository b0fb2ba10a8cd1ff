//! The checked-in headers are those that the source generates, and clean in every dialect of C and
//! C++.

pub mod declarations;
mod generate;

use std::path::Path;
use std::process::Command;
use std::{env, fs, str};

use crate::support::{self, Link, ROOT, Sandbox};

const UPDATE: &str = "SHMCOMM_UPDATE_HEADERS";

#[test]
fn the_checked_in_headers_are_what_the_source_generates() {
    for (name, generated) in generate::generated(Path::new(ROOT)) {
        let header = Path::new(ROOT).join("include").join(name);
        if fs::read_to_string(&header).unwrap() == generated {
            continue;
        }
        assert!(
            env::var_os(UPDATE).is_some(),
            "include/{name} is out of date: {UPDATE}=1 cargo test --test behaviour headers"
        );
        fs::write(header, generated).unwrap();
    }
}

#[test]
fn the_headers_are_written_for_a_terminal_and_a_c_programmer() {
    for (name, text) in generate::generated(Path::new(ROOT)) {
        for line in text.lines() {
            assert!(line.is_ascii() && line.len() <= 80, "{name}: {line}");
            for rust in ["Safety", "unsafe", "`", "None", "Some(", " ["] {
                assert!(!line.contains(rust), "{name}: {line}");
            }
        }
    }
}

#[test]
fn flags_are_hexadecimal_and_distinct() {
    let [_, (_, text)] = generate::generated(Path::new(ROOT));
    let constants = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define SHMC_")?.split_once(' '));
    let flags: Vec<_> = constants
        .filter(|(name, _)| !name.starts_with("VERSION") && !name.starts_with("PAGES_"))
        .map(|(name, value)| {
            let digits = value.strip_prefix("0x").unwrap_or_else(|| panic!("{name}"));
            u32::from_str_radix(digits, 16).unwrap()
        })
        .collect();
    let all = flags.iter().fold(0, |all, flag| all | flag);
    assert_eq!(all.count_ones() as usize, flags.len(), "{flags:x?}");
    assert_eq!(flags.iter().sum::<u32>(), all, "{flags:x?}");
}

/// A program compares the header that it includes with the library.
#[test]
fn versions_agree_and_spare_fields_are_zero() {
    let sandbox = Sandbox::new();
    let program = support::program("header.c", &["-Wall", "-Wextra", "-Werror"], Link::Shared);
    let name = format!("file:{}", sandbox.join("channel").display());
    let output = support::run(sandbox.command(program).arg(name));
    let [major, minor, patch] = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ]
    .map(|number| number.parse::<u32>().unwrap());
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        support::stdout(&output),
        format!("{major}.{minor}.{patch} 0x{major:02x}{minor:02x}{patch:02x} {version}\n")
    );
}

const C: &[&str] = &[
    "c89", "gnu89", "c99", "gnu99", "c11", "gnu11", "c17", "gnu17", "c2x", "gnu2x", "c23", "gnu23",
];
const CXX: &[&str] = &[
    "c++98", "gnu++98", "c++11", "gnu++11", "c++14", "c++17", "c++20", "gnu++20", "c++23",
    "gnu++23",
];

/// Whether a compiler knows a standard. Only newer compilers accept the names of the newest ones.
fn takes(compiler: &str, standard: &str) -> bool {
    let language = if standard.contains("++") { "c++" } else { "c" };
    let mut command = command(compiler);
    command.args(["-x", language, &format!("-std={standard}")]);
    let output = command.args(["-fsyntax-only", "/dev/null"]).output();
    output.unwrap().status.success()
}

fn command(compiler: &str) -> Command {
    match compiler {
        "cc" => support::cc(),
        compiler => Command::new(compiler),
    }
}

/// A program that includes the header twice, between `before` and `after`.
fn compile(compiler: &str, standard: &str, header: &str, before: &str, after: &str) {
    let sandbox = Sandbox::new();
    let source = sandbox.join("source");
    let header = format!("#include \"{header}\"\n");
    fs::write(&source, format!("{before}\n{header}{header}{after}\n")).unwrap();
    let language = if standard.contains("++") { "c++" } else { "c" };
    let mut command = command(compiler);
    command.args(["-x", language, &format!("-std={standard}")]);
    command.args([
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-fsyntax-only",
        "-I",
    ]);
    support::run(command.arg(Path::new(ROOT).join("include")).arg(source));
}

/// Compiles with each standard except those in `skip`. Each takes one compiler and one of `before`,
/// in turn; with `SHMCOMM_TEST_ALL`, all pairs of them.
fn compile_everywhere(header: &str, skip: &[&str], before: &[&str], after: &str) {
    for (compilers, standards) in [(["cc", "clang"], C), (["c++", "clang++"], CXX)] {
        let installed = |compiler: &&str| *compiler == "cc" || support::has(compiler);
        let compilers: Vec<_> = compilers.into_iter().filter(installed).collect();
        let wanted = standards.iter().filter(|standard| !skip.contains(standard));
        for (index, standard) in wanted.enumerate() {
            let takes = |compiler: &&&str| takes(compiler, standard);
            let variants: Vec<_> = compilers
                .iter()
                .filter(takes)
                .flat_map(|compiler| before.iter().map(move |before| (compiler, before)))
                .collect();
            // In steps of three, each of 2, 4 or 8 variants has its turn, and both parts change.
            let first = 3 * index % variants.len().max(1);
            let count = if support::all() { variants.len() } else { 1 };
            for (compiler, before) in variants.iter().cycle().skip(first).take(count) {
                compile(compiler, standard, header, before, after);
            }
        }
    }
}

#[test]
fn comm_h_is_clean_in_every_dialect() {
    // Programs rely on the header for these declarations.
    let uses = "int main(void) { errno = (int)strlen(_PATH_NAME_) + _PROJ_ID_ + IPC_CREAT;
        return create_shm(0) + get_shm() + destory_shm(0) + shm_dt(shm_at(0)); }";
    let own_path = "#define _PATH_NAME_ \".\"";
    let own_id = "#define _PROJ_ID_ 'a'";
    let both = format!("#include <stdio.h>\n{own_path}\n{own_id}");
    compile_everywhere("comm.h", &[], &["", own_path, own_id, &both], uses);
}

#[test]
fn shmcomm_h_is_clean_from_c99_and_cxx11_on() {
    let uses = "int main(void) { shmc_segment_info info;
        shmc_segment *segment = shmc_segment_open(\"anon:\", 1, SHMC_CREATE | SHMC_EXCL, 0600);
        int failed = shmc_segment_stat(segment, &info) + shmc_segment_chmod(segment, 0600)
            + shmc_segment_chown(segment, info.uid, info.gid) + shmc_segment_lock(segment)
            + shmc_segment_unlock(segment) + shmc_segment_sync(segment)
            + (shmc_segment_addr(segment) == NULL) + (shmc_segment_size(segment) == info.size)
            + shmc_segment_close(segment) + shmc_remove(\"anon:\") + (shmc_version() == NULL);
        return failed + (info.pages == SHMC_PAGES_HUGE) + (SHMC_VERSION < 0x000100); }";
    let old = ["c89", "gnu89", "c++98", "gnu++98"];
    compile_everywhere("shmcomm.h", &old, &["", "#include \"comm.h\""], uses);
}

#[test]
fn any_word_is_waited_for_without_a_cast() {
    let uses = "
        static uint32_t plain;
        static volatile uint32_t changing;
        static const volatile uint32_t watched = 0;
        static int number;
        #if defined(__cplusplus)
        static std::atomic<uint32_t> shared;
        static volatile std::atomic<int> other;
        static uint32_t read_it(void) { return shared.load() + (uint32_t)other.load(); }
        #elif __STDC_VERSION__ >= 201112L
        static _Atomic uint32_t shared;
        static volatile atomic_int other;
        static uint32_t read_it(void) {
            return atomic_load(&shared) + (uint32_t)atomic_load(&other);
        }
        #else
        static volatile uint32_t shared, other;
        static uint32_t read_it(void) { return shared + other; }
        #endif
        int main(void) {
            return shmc_wait(&plain, 0, 0) + shmc_wait(&changing, 0, 0)
                + shmc_wait(&watched, 0, 0) + shmc_wait(&number, 0, 0)
                + shmc_wait(&shared, read_it(), 0) + shmc_wait(&other, 0, 0)
                + shmc_wake(&plain, 1) + shmc_wake(&changing, 1) + shmc_wake(&watched, 1)
                + shmc_wake(&number, 1) + shmc_wake(&shared, 1) + shmc_wake(&other, 1);
        }";
    let atomics = "
        #if defined(__cplusplus)
        #include <atomic>
        #elif __STDC_VERSION__ >= 201112L
        #include <stdatomic.h>
        #endif";
    let old = ["c89", "gnu89", "c++98", "gnu++98"];
    compile_everywhere("shmcomm.h", &old, &[atomics], uses);
}

#[test]
fn the_header_declares_exactly_the_five_functions() {
    let mut command = support::cc();
    command
        .args(["-E", "-P", "-include"])
        .arg(Path::new(ROOT).join("include/comm.h"));
    let before = support::run(command.args(["-x", "c", "/dev/null"]));
    let text = str::from_utf8(&before.stdout).unwrap();
    let declarations: Vec<_> = text
        .lines()
        .filter(|line| line.contains("shm") && line.contains('('))
        .filter(|line| !line.starts_with("extern"))
        .collect();
    assert_eq!(
        declarations,
        [
            "int create_shm(int size);",
            "int get_shm(void);",
            "int destory_shm(int shm_id);",
            "void *shm_at(int shm_id);",
            "int shm_dt(void *shmaddr);",
        ]
    );
}
