//! The README's recipe for programs whose five functions have other names: their own `comm.h` stays.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{self, Link, ROOT, Sandbox};

/// A program's own header, without the prototypes that the recipe deletes.
const OWN_HEADER: &str = r#"
#ifndef COMM_H
#define COMM_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <string.h>
#include <unistd.h>

#define _PATH_NAME_ "."
#define _PROJ_ID_ 0x6666
#define SIZE 4096

"#;

const SERVER: &str = r#"
#include "comm.h"

int server(void)
{
    int id = CreateShm(SIZE);
    char *memory = (char *)AttachShm(id);
    if (id < 0 || memory == (char *)-1)
        return 1;
    strcpy(memory, "how are you");
    return DetachShm(memory);
}
"#;

const CLIENT: &str = r#"
#include "comm.h"

int server(void);

int main(void)
{
    char *memory;
    int id;

    if (server() != 0)
        return EXIT_FAILURE;
    id = GetShm();
    memory = (char *)AttachShm(id);
    if (id < 0 || memory == (char *)-1)
        return EXIT_FAILURE;
    puts(memory);
    if (DetachShm(memory) != 0)
        return EXIT_FAILURE;
    fflush(stdout);
    getchar();
    return DestroyShm(id) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
"#;

/// The lines that the README puts at the end of a program's own header.
fn recipe() -> String {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let (_, after) = readme
        .split_once("**Your functions have other names?**")
        .expect("the README has the recipe");
    let (_, after) = after.split_once("```c\n").unwrap();
    let (lines, _) = after.split_once("```").unwrap();
    let header = Path::new(ROOT).join("include/comm.h");
    let lines = lines.replace("../shmcomm/include/comm.h", header.to_str().unwrap());
    assert!(lines.contains(header.to_str().unwrap()), "{lines}");
    lines
}

/// The recipe, with the variant that the comment in this name's line shows.
fn with_variant(recipe: &str, name: &str) -> String {
    let lines = recipe.lines().map(|line| {
        if line.starts_with(&format!("#define {name} ")) {
            let (_, variant) = line.split_once(": ").expect(line);
            variant.trim_end_matches("*/").trim().to_owned()
        } else {
            line.to_owned()
        }
    });
    lines.map(|line| line + "\n").collect()
}

fn build(sandbox: &Sandbox, flags: &[&str], link: Link<'_>) -> PathBuf {
    let mut compiler = support::cc();
    compiler.args(["-Wall", "-Wextra", "-Werror"]).args(flags);
    // The compiler searches the program's own directory first, as in any build of that program.
    compiler.arg("-I").arg(sandbox.path());
    compiler.args([sandbox.join("server.c"), sandbox.join("client.c")]);
    support::build(&mut compiler, link, &sandbox.join("program"))
}

fn assert_works(recipe: &str, replaced: &[(&str, &str)], flags: &[&str], link: Link<'_>) {
    let sandbox = Sandbox::new();
    let header = format!("{OWN_HEADER}{recipe}\n#endif\n");
    fs::write(sandbox.join("comm.h"), header).unwrap();
    for (name, source) in [("server.c", SERVER), ("client.c", CLIENT)] {
        let change = |source: String, (from, to): &(&str, &str)| source.replace(from, to);
        let source = replaced.iter().fold(source.to_owned(), change);
        fs::write(sandbox.join(name), source).unwrap();
    }
    let program = build(&sandbox, flags, link);
    let mut command = sandbox.command(program);
    command.env_remove("COMM_PATH_NAME");
    let mut child = support::Child::start(command.current_dir(sandbox.path()));
    let mut text = [0; 12];
    std::io::Read::read_exact(child.0.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert_eq!(&text, b"how are you\n");
    // The key is that of the program's own header.
    let segment = support::segment(sandbox.key()).expect("a segment");
    assert_eq!((segment.size, segment.mode), (4096, 0o666));
    drop(child.0.stdin.take());
    assert!(child.0.wait().unwrap().success());
    assert_eq!(sandbox.segments(), []);
}

#[test]
fn a_program_with_its_own_header_and_names_works() {
    let recipe = recipe();
    for link in [Link::Shared, Link::Static] {
        for flags in [&["-std=gnu89"][..], &["-std=c11", "-O2"], &["-xc++", "-O2"]] {
            if flags[0] == "-xc++" && (link == Link::Static || !support::has("c++")) {
                continue;
            }
            assert_works(&recipe, &[], flags, link);
        }
    }
}

#[test]
fn a_create_without_a_size_works() {
    let recipe = with_variant(&recipe(), "CreateShm");
    let calls = [("CreateShm(SIZE)", "CreateShm()")];
    assert_works(&recipe, &calls, &["-O2"], Link::Shared);
}

#[test]
fn a_get_with_a_size_works() {
    let recipe = with_variant(&recipe(), "GetShm");
    let calls = [("GetShm()", "GetShm(SIZE)")];
    assert_works(&recipe, &calls, &["-O2"], Link::Shared);
}
