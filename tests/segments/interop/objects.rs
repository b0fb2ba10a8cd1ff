//! POSIX objects, files and anonymous memory, shared with other programs.

use std::fs;
use std::fs::{File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::others::*;
use crate::support;

/// Another program uses an object or a file of ours.
fn uses_our_object(other: &Other, fixture: &Fixture, name: &str, path: &Path) {
    let (uid, gid) = ids();
    let path = path.to_str().unwrap();
    assert_eq!(
        other.run(&["stat", path]),
        format!("errno {}", libc::ENOENT)
    );
    let mut ours = fixture.start(&[
        "umask", "077", "open", name, SIZE, "cx", "0640", "put", TEXT, "pause", "show", "chmod",
        "0604", "pause", "show", "stat", "pause", "stat",
    ]);
    let expected = |mode| format!("size {SIZE} mode {mode} uid {uid} gid {gid}");
    assert_eq!(other.run(&["stat", path]), expected("0640"));
    assert_eq!(other.run(&["read", path, "11"]), TEXT);
    let again = other.run(&["create", path, "10", "0600"]);
    assert_eq!(again, format!("errno {}", libc::EEXIST));
    let status = fs::metadata(path).unwrap();
    assert_eq!((status.len(), status.nlink()), (5000, 1));
    // All of it is there, not a hole.
    assert!(status.blocks() * 512 >= 5000, "{} blocks", status.blocks());

    assert_eq!(other.run(&["write", path, "fine"]), "0");
    assert_eq!(ours.go_on(), "show: fine\nchmod: ok\npause");
    assert_eq!(other.run(&["stat", path]), expected("0604"));

    // Larger by another's doing: true at once in stat, and for who opens it next.
    assert_eq!(other.run(&["resize", path, "9000"]), "0");
    let larger = fixture.run(&["open", name, "9000", "", "0", "size"]);
    assert_eq!(larger, "open: ok\nsize: 9000");
    assert_fields(
        ours.go_on().lines().nth(1).unwrap(),
        &[("size", "9000"), ("removed", "0")],
    );

    assert_eq!(other.run(&["remove", path]), "0");
    fixture.assert_absent(name);
    assert_fields(&ours.go_on(), &[("removed", "1"), ("attached", "-1")]);
}

/// We use an object or a file that another program made.
fn object_is_used_by_us(other: &Other, fixture: &Fixture, name: &str, path: &Path) {
    let (uid, gid) = ids();
    let path = path.to_str().unwrap();
    assert_eq!(other.run(&["create", path, SIZE, "0600"]), "0");
    assert_eq!(other.run(&["write", path, TEXT]), "0");
    let output = fixture.run(&[
        "open", name, SIZE, "", "0", "size", "show", "stat", "put", "fine", "sync",
    ]);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[..3], ["open: ok", "size: 5000", "show: how are you"]);
    let expected = [
        ("size", SIZE),
        ("mode", "0600"),
        ("uid", &uid),
        ("gid", &gid),
        ("key", "0x0"),
        ("id", "none"),
        ("creator", "unknown"),
        ("attached", "-1"),
        ("removed", "0"),
    ];
    assert_fields(lines[3], &expected);
    assert_eq!(lines[4], "sync: ok");
    assert_eq!(other.run(&["read", path, "4"]), "fine");

    let open = |size, flags| fixture.run(&["open", name, size, flags, "0600", "size"]);
    let refused = |errno| format!("{}\nsize: 0", failed("open", errno));
    assert_eq!(open("5001", ""), refused(libc::EINVAL));
    assert_eq!(open("5001", "c"), refused(libc::EINVAL));
    assert_eq!(open(SIZE, "cx"), refused(libc::EEXIST));
    assert_eq!(open("100", "c"), "open: ok\nsize: 5000");
    // Who made it cannot be told, so it stays.
    assert_eq!(open("100", "cR"), "open: ok\nsize: 5000");
    assert_eq!(open("100", "cxR"), refused(libc::EEXIST));

    // As others make them, between open and ftruncate.
    assert_eq!(other.run(&["resize", path, "0"]), "0");
    assert_eq!(open("0", ""), refused(libc::EINVAL));
    assert_eq!(open("100", "c"), refused(libc::EINVAL));
    assert_eq!(fs::metadata(path).unwrap().len(), 0);

    assert_eq!(fixture.run(&["remove", name]), "remove: ok");
    assert_eq!(
        other.run(&["stat", path]),
        format!("errno {}", libc::ENOENT)
    );
}

/// Both, for POSIX objects.
fn shares_objects(other: &Other) {
    let fixture = Fixture::new();
    let name = fixture.object.name();
    uses_our_object(other, &fixture, &name, &fixture.object.0);
    object_is_used_by_us(other, &fixture, &name, &fixture.object.0);
}

#[test]
fn perl_and_we_share_objects_as_files() {
    if let Some(perl) = Other::perl("file.pl") {
        shares_objects(&perl);
    }
}

#[test]
fn python_and_we_share_objects() {
    if let Some(python) = Other::python("posix_standard.py") {
        shares_objects(&python);
    }
}

#[test]
fn posix_ipc_and_we_share_objects() {
    if let Some(python) = Other::python_with_packages("posix_package.py") {
        shares_objects(&python);
    }
}

#[test]
fn perl_and_we_share_files() {
    let Some(perl) = Other::perl("file.pl") else {
        return;
    };
    let fixture = Fixture::new();
    let path = fixture.sandbox.join("a file");
    let name = format!("file:{}", path.display());
    uses_our_object(&perl, &fixture, &name, &path);
    object_is_used_by_us(&perl, &fixture, &name, &path);
}

#[test]
fn files_are_handled_as_files() {
    let fixture = Fixture::new();
    for (name, path) in [
        (fixture.object.name(), fixture.object.0.clone()),
        (
            format!("file:{}", fixture.sandbox.join("f").display()),
            fixture.sandbox.join("f"),
        ),
    ] {
        // Made by a program that knows of no shared memory.
        fs::write(&path, "seven b").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = fixture.run(&["open", &name, "7", "r", "0", "size", "show"]);
        assert_eq!(read, "open: ok\nsize: 7\nshow: seven b", "{name}");

        // Copied and moved, as backups and editors do.
        let copy = fixture.sandbox.join("copy");
        fixture.run(&["open", &name, "0", "", "0", "put", "SEVEN"]);
        fs::copy(&path, &copy).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"SEVEN\0b");
        let aside = path.with_extension("aside");
        let mut ours = fixture.start(&["open", &name, "0", "", "0", "pause", "show", "stat"]);
        fs::write(&aside, "a longer text").unwrap();
        fs::rename(&aside, &path).unwrap();
        let output = ours.go_on();
        assert!(output.starts_with("show: SEVEN\n"), "{output}");
        let expected = [("size", "7"), ("removed", "1")];
        assert_fields(output.lines().nth(1).unwrap(), &expected);
        let read = fixture.run(&["open", &name, "0", "", "0", "show"]);
        assert_eq!(read, "open: ok\nshow: a longer text");

        // Locked by a program that uses flock(2) for its own ends.
        let file = File::open(&path).unwrap();
        let lock = |how| {
            // SAFETY: the descriptor is open.
            assert_eq!(unsafe { libc::flock(file.as_raw_fd(), how) }, 0);
        };
        lock(libc::LOCK_EX);
        let open = ["open", &name, "0", "", "0"];
        assert_eq!(fixture.run(&open), failed("open", libc::EBUSY));
        lock(libc::LOCK_SH);
        assert_eq!(fixture.run(&open), "open: ok");
        fs::remove_file(&path).unwrap();
        fixture.assert_absent(&name);
    }
}

#[test]
fn anonymous_memory_is_seen_in_proc() {
    let fixture = Fixture::new();
    let ours = fixture.start(&["open", "anon:", SIZE, "c", "0600", "put", TEXT, "pause"]);
    let process = Path::new("/proc").join(ours.pid());
    let maps = fs::read_to_string(process.join("maps")).unwrap();
    assert!(maps.contains("/memfd:shmcomm (deleted)"), "{maps}");
    let descriptors = fs::read_dir(process.join("fd")).unwrap().flatten();
    let memory = descriptors
        .map(|entry| entry.path())
        .find(|path| {
            fs::read_link(path)
                .unwrap()
                .starts_with("/memfd:shmcomm (deleted)")
        })
        .expect("a descriptor");
    let content = fs::read(memory).unwrap();
    assert_eq!(content.len(), 5000);
    assert_eq!(&content[..TEXT.len()], TEXT.as_bytes());
}

#[test]
fn python_calls_the_library() {
    let Some(python) = Other::python("library.py") else {
        return;
    };
    let fixture = Fixture::new();
    let library = support::library().join("libshmcomm.so");
    let object = fixture.object.name();
    let file = format!("file:{}", fixture.sandbox.join("file").display());
    let sysv = format!("sysv:{}#0x51", fixture.sandbox.path().display());
    let names = [&sysv[..], &object, &file];
    let mut command = python.command(&[library.to_str().unwrap()]);
    command
        .args(names)
        .env("COMM_PATH_NAME", fixture.sandbox.path());
    let each = "None File exists 5000 how are you\n0 0\n0 -1 No such file or directory\n";
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        call(&mut command),
        format!("version {version}\n{}fine 0\n0", each.repeat(names.len()))
    );
    assert_eq!(fixture.sandbox.segments(), []);
}
