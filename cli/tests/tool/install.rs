//! `make install` copies the tool, its manual page and the completions; `make uninstall` removes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{ROOT, TOOL, has_tool, output, run};

/// All files below a directory that belong to the tool.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_tool_is_installed_with_its_page_and_completions() {
    if !has_tool("make") {
        return;
    }
    let directory = std::env::temp_dir().join(format!("shmcomm tool {}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    let library = directory.join("built");
    fs::create_dir_all(&library).unwrap();
    // make install only copies: any files serve as the library.
    for name in ["libshmcomm.so", "libshmcomm.a"] {
        fs::write(library.join(name), "").unwrap();
    }
    let make = |target: &str, tool: &str| {
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "-C", ROOT, target, "PREFIX=/usr"]);
        make.arg(format!("LIBRARY={}", library.display()));
        make.arg(format!("DESTDIR={}", directory.join("root").display()));
        make.arg(format!("TOOL={tool}"));
        for variable in ["MAKEFLAGS", "MAKELEVEL"] {
            make.env_remove(variable);
        }
        output(&mut make)
    };
    let root = directory.join("root/usr");
    let of_tool = || {
        let files = files(&root).into_iter();
        let names = files.map(|file| file.strip_prefix(&root).unwrap().to_owned());
        let is_library = |name: &PathBuf| {
            let first = [
                "lib",
                "include",
                "share/doc",
                "share/man/man3",
                "share/man/man7",
            ];
            first.iter().any(|first| name.starts_with(first))
        };
        names.filter(|name| !is_library(name)).collect::<Vec<_>>()
    };
    let with = make("install", TOOL);
    let installed = of_tool();
    let (version, ..) = output(Command::new(root.join("bin/shmcomm")).arg("--version"));
    let without_tool = make("uninstall", TOOL);
    let left = files(&root);
    let without = make("install", "");
    let none = of_tool();
    let absent = make("install", "/nonexistent/shmcomm");
    fs::remove_dir_all(&directory).unwrap();

    assert_eq!((with.1.as_str(), with.2), ("", 0));
    let expected = [
        "bin/shmcomm",
        "share/bash-completion/completions/shmcomm",
        "share/fish/vendor_completions.d/shmcomm.fish",
        "share/man/man1/shmcomm.1",
        "share/zsh/site-functions/_shmcomm",
    ];
    assert_eq!(installed, expected.map(PathBuf::from));
    assert_eq!(version, run(["--version"]).0);
    assert_eq!((without_tool.2, left), (0, vec![]));
    assert_eq!((without.2, none), (0, vec![]));
    assert!(absent.2 != 0 && absent.1.contains("TOOL="), "{absent:?}");
}
