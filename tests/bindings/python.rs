//! The Python package: its own tests with every Python that is installed, and its wheel.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Link, ROOT, Sandbox, library, run, stderr, stdout};

/// From the oldest that is supported; "t" is built without a global lock.
const OTHERS: [&str; 9] = [
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.13t",
    "python3.14",
    "python3.14t",
    "python3.15",
];

fn package() -> PathBuf {
    Path::new(ROOT).join("python")
}

/// Python with the package as it lies in the source tree, and the library of the tests.
pub fn python(interpreter: &str, sandbox: &Sandbox) -> Command {
    let mut python = sandbox.command(interpreter);
    python.env("PYTHONPATH", package());
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("SHMCOMM_LIBRARY", library().join("libshmcomm.so"));
    if interpreter.ends_with('t') {
        // Else a package that is not prepared for it would switch the lock on.
        python.env("PYTHON_GIL", "0");
    }
    python
}

fn works(interpreter: &str) -> bool {
    // Version managers leave programs that only say that the version is not active.
    support::is_installed(interpreter)
        && Command::new(interpreter)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
}

fn test_with(interpreter: &str) {
    let sandbox = Sandbox::new();
    let programs = sandbox.join("programs");
    fs::create_dir(&programs).unwrap();
    for name in ["channel", "segment", "topic"] {
        let built = support::program(&format!("{name}.c"), &["-O2"], Link::Static);
        fs::hard_link(built, programs.join(name)).unwrap();
    }
    let sizes = run(&mut Command::new(support::program(
        "sizes.c",
        &[],
        Link::Static,
    )));
    let mut tests = python(interpreter, &sandbox);
    tests.args(["-m", "unittest", "discover"]);
    tests.current_dir(package().join("tests"));
    tests.env("SHMCOMM_TEST_PROGRAMS", programs);
    tests.env("SHMCOMM_TEST_SIZES", stdout(&sizes).trim());
    let output = run(&mut tests);
    let said = stderr(&output);
    let last = said.lines().last().unwrap_or_default();
    if last.contains("skipped=") {
        support::skip(&format!("{interpreter}: {last}"));
    }
}

#[test]
fn its_own_tests_pass() {
    if !support::has("python3") {
        return;
    }
    test_with("python3");
    for other in OTHERS {
        if support::all() && works(other) {
            test_with(other);
        }
    }
}

/// The wheel has the library inside, and an installed package finds it there.
#[test]
fn pip_installs_it() {
    if !support::has("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut pip = python("python3", &sandbox);
    pip.args(["-m", "pip", "--version"]);
    if !pip.output().unwrap().status.success() {
        return support::skip_without("pip");
    }
    // The build writes nothing into the source tree, which another test may read meanwhile.
    let target = sandbox.join("installed");
    let mut pip = python("python3", &sandbox);
    pip.env_remove("PYTHONPATH");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-cache-dir",
    ]);
    pip.args([
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--target",
    ]);
    run(pip.arg(&target).arg(package()));

    let program = "import shmcomm, sys; print(shmcomm.library_version)
segment = shmcomm.Segment('anon:', 10)
print(shmcomm._library._library._name)";
    let mut python = sandbox.command("python3");
    python.args(["-c", program]).env("PYTHONPATH", &target);
    python
        .env_remove("SHMCOMM_LIBRARY")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = stdout(&run(&mut python));
    let inside = target.join("shmcomm/libshmcomm.so");
    let expected = format!("{}\n{}\n", env!("CARGO_PKG_VERSION"), inside.display());
    assert_eq!(output, expected);
    assert!(target.join("shmcomm/py.typed").exists());
    let information = target.join(format!("shmcomm-{}.dist-info", env!("CARGO_PKG_VERSION")));
    assert!(information.join("METADATA").exists());

    // The tag claims no system whose glibc lacks a function.
    if !support::has("readelf") {
        return;
    }
    let mut readelf = Command::new("readelf");
    let symbols = stdout(&run(readelf.args(["--wide", "--dyn-syms"]).arg(inside)));
    let minor = |line: &str| {
        line.split_once("@GLIBC_2.")?
            .1
            .split([' ', '.'])
            .next()?
            .parse()
            .ok()
    };
    let newest: u32 = symbols.lines().filter_map(minor).max().unwrap();
    let wheel = fs::read_to_string(information.join("WHEEL")).unwrap();
    let tag = format!(
        "\nTag: py3-none-manylinux_2_{newest}_{}\n",
        env::consts::ARCH
    );
    assert!(wheel.contains(&tag), "{tag} is not in {wheel}");
}

/// A source archive has all that a wheel is built from, and two of them are the same bytes.
#[test]
fn a_source_archive_builds_the_wheel() {
    if !support::has("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let program = "import backend, sys
for directory in sys.argv[1:]:
    print(backend.build_sdist(directory))";
    let directories = ["one", "other"].map(|name| sandbox.join(name));
    for directory in &directories {
        fs::create_dir(directory).unwrap();
    }
    let mut python = python("python3", &sandbox);
    python.args(["-c", program]).args(&directories);
    let names = stdout(&run(&mut python));
    let name = format!("shmcomm-{}.tar.gz", env!("CARGO_PKG_VERSION"));
    assert_eq!(names, format!("{name}\n{name}\n"));
    let [one, other] = directories.map(|directory| fs::read(directory.join(&name)).unwrap());
    assert!(one == other);
    let mut tar = Command::new("tar");
    run(tar
        .arg("-xzf")
        .arg(sandbox.join("one").join(&name))
        .arg("-C")
        .arg(sandbox.path()));
    let unpacked = sandbox.join(format!("shmcomm-{}", env!("CARGO_PKG_VERSION")));
    for file in [
        "pyproject.toml",
        "rust/Cargo.lock",
        "rust/core/src/lib.rs",
        "rust/src/lib.rs",
    ] {
        assert!(unpacked.join(file).exists(), "{file}");
    }
    if !support::may_rebuild() {
        return;
    }
    let mut wheel = Command::new("python3");
    wheel.args([
        "-c",
        "import backend, sys; backend.build_wheel(sys.argv[1])",
    ]);
    wheel.arg(sandbox.path()).current_dir(&unpacked);
    run(wheel
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("SHMCOMM_LIBRARY"));
    assert!(unpacked.join("rust/target/release/libshmcomm.so").exists());
}

#[test]
fn it_has_the_version_of_the_library() {
    for file in ["pyproject.toml", "shmcomm/__init__.py"] {
        let text = fs::read_to_string(package().join(file)).unwrap();
        let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
        let dunder = format!("__version__ = \"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&version) || text.contains(&dunder), "{file}");
    }
}
