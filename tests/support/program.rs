//! C programs of the tests: compiled, linked with the library, each at most once in a run.

use std::collections::BTreeMap;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use super::{ROOT, Sandbox, TEMPORARY, library, run};

/// The C compiler of this machine, `CC` respected.
pub fn cc() -> Command {
    let target = env!("TARGET");
    cc::Build::new()
        .no_default_flags(true)
        .cargo_metadata(false)
        .target(target)
        .host(target)
        .opt_level(0)
        .get_compiler()
        .to_command()
}

/// A C source of the tests.
pub fn source(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/c").join(name)
}

/// How a program gets the library.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Link<'a> {
    Shared,
    Static,
    /// A directory with another `libshmcomm.so`.
    Other(&'a Path),
}

/// Builds a program; `command` is the compiler with flags and sources.
pub fn build(command: &mut Command, link: Link<'_>, program: &Path) -> PathBuf {
    command.arg("-I").arg(Path::new(ROOT).join("include"));
    command.arg("-o").arg(program);
    let directory = match link {
        Link::Other(directory) => directory,
        Link::Shared | Link::Static => library(),
    };
    if link == Link::Static {
        command.arg(directory.join("libshmcomm.a"));
    } else {
        command.arg("-L").arg(directory).arg("-lshmcomm");
        command.arg(format!("-Wl,-rpath,{}", directory.display()));
    }
    if link == Link::Shared {
        // Cargo's LD_LIBRARY_PATH names directories with older libraries: this path goes before them.
        command.arg("-Wl,--disable-new-dtags");
    }
    run(command);
    // Other users may run it, whatever the umask is.
    fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
    program.to_owned()
}

/// A program of one source, linked with the library.
pub fn program(name: &str, flags: &[&str], link: Link<'_>) -> PathBuf {
    let key = format!("{name} {link:?} {}", flags.join(" "));
    let key = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    once(&key, |path| {
        build(cc().args(flags).arg(source(name)), link, path);
    })
}

/// A library to preload, which interposes some calls of the C library.
pub fn preload(name: &str) -> PathBuf {
    once(name, |path| {
        let mut cc = cc();
        cc.args(["-shared", "-fPIC", "-I"]);
        cc.arg(Path::new(ROOT).join("include")).arg("-o").arg(path);
        run(cc.arg(source(name)).arg("-ldl"));
    })
}

/// A file that all tests of a run use. Another run at the same time may replace it with its own.
pub fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    type Files = BTreeMap<String, Arc<OnceLock<PathBuf>>>;
    static FILES: Mutex<Files> = Mutex::new(Files::new());
    let file = FILES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .entry(name.to_owned())
        .or_default()
        .clone();
    let path = file.get_or_init(|| {
        let directory = Path::new(TEMPORARY).join("programs");
        fs::create_dir_all(&directory).unwrap();
        let (sandbox, path) = (Sandbox::new(), directory.join(name));
        make(&sandbox.join(name));
        fs::rename(sandbox.join(name), &path).unwrap();
        path
    });
    path.clone()
}
