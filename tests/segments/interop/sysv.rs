//! System V segments, shared with Perl, Python and its packages.

use std::os::unix::process::ExitStatusExt;

use super::others::*;
use crate::support;

/// Another program with System V shared memory uses a segment of ours.
fn uses_our_segment(other: &Other) {
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let key = key.strip_prefix("sysv:").unwrap();
    let directory = fixture.sandbox.path().to_str().unwrap();
    assert_eq!(other.run(&["key", directory, "0x66"]), key);
    assert_eq!(other.run(&["find", key]), format!("errno {}", libc::ENOENT));

    let mut ours = fixture.start(&[
        "open", &path, SIZE, "cx", "0640", "put", TEXT, "pause", "show", "chmod", "0604", "pause",
        "stat",
    ]);
    let id = other.run(&["find", key]);
    let segment = support::segment(fixture.sandbox.key()).unwrap();
    assert_eq!(id, segment.id.to_string());
    let pid = ours.pid();
    let expected =
        |mode| format!("size {SIZE} mode {mode} uid {uid} gid {gid} creator {pid} attached 1");
    assert_eq!(other.run(&["stat", &id]), expected("0640"));
    assert_eq!(other.run(&["read", &id, "11"]), TEXT);
    let again = other.run(&["create", key, "10", "0600"]);
    assert_eq!(again, format!("errno {}", libc::EEXIST));

    assert_eq!(other.run(&["write", &id, "fine"]), "0");
    assert_eq!(ours.go_on(), "show: fine\nchmod: ok\npause");
    assert_eq!(other.run(&["stat", &id]), expected("0604"));

    assert_eq!(other.run(&["remove", &id]), "0");
    fixture.assert_absent(&path);
    let expected = [
        ("key", "0x0"),
        ("attached", "1"),
        ("removed", "1"),
        ("size", SIZE),
    ];
    assert_fields(&ours.go_on(), &expected);
    assert_eq!(fixture.sandbox.segments(), []);
}

/// We use a segment that another program made.
fn is_used_by_us(other: &Other) {
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let raw_key = key.strip_prefix("sysv:").unwrap();
    let id = other.run(&["create", raw_key, SIZE, "0640"]);
    assert_eq!(other.run(&["write", &id, TEXT]), "0");

    for name in [&path, &key, &format!("sysv:id:{id}")] {
        let output = fixture.run(&["open", name, SIZE, "", "0", "size", "show", "stat"]);
        let mut lines = output.lines();
        assert_eq!(lines.next(), Some("open: ok"), "{name}");
        assert_eq!(lines.next(), Some("size: 5000"), "{name}");
        assert_eq!(lines.next(), Some("show: how are you"), "{name}");
        let expected = [
            ("size", SIZE),
            ("mode", "0640"),
            ("uid", &uid),
            ("gid", &gid),
            ("key", raw_key),
            ("id", "one"),
            ("creator", "other"),
            ("last", "self"),
            ("attached", "1"),
            ("removed", "0"),
            ("locked", "0"),
        ];
        assert_fields(lines.next().unwrap(), &expected);
        assert_eq!(
            fixture.run(&["open", name, "5001", "", "0"]),
            failed("open", libc::EINVAL)
        );
        let mut write = fixture.sandbox.command(&fixture.segment);
        write.args(["open", name, "0", "r", "0", "put", "x"]);
        let status = write.output().unwrap().status;
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{name}");
    }
    for name in [&path, &key] {
        let exclusive = ["open", name, SIZE, "cx", "0600"];
        assert_eq!(fixture.run(&exclusive), failed("open", libc::EEXIST));
        let smaller = ["open", name, "100", "c", "0600", "size"];
        assert_eq!(fixture.run(&smaller), "open: ok\nsize: 5000");
    }

    // Layer 1 has the same key.
    let comm = fixture.comm(&["get", "at", "show", "put", "from comm.h", "create", "10"]);
    assert!(comm.ends_with("show: how are you\ncreate: -2"), "{comm}");
    assert_eq!(other.run(&["read", &id, "11"]), "from comm.h");

    fixture.run(&["open", &path, "0", "", "0", "put", "fine", "chmod", "0600"]);
    assert_eq!(other.run(&["read", &id, "4"]), "fine");
    assert_fields(
        &other.run(&["stat", &id]),
        &[("mode", "0600"), ("attached", "0")],
    );
    assert_eq!(fixture.run(&["remove", &key]), "remove: ok");
    assert_eq!(
        other.run(&["find", raw_key]),
        format!("errno {}", libc::ENOENT)
    );

    // One that was left over by a program without this library is replaced all the same.
    let left = other.run(&["create", raw_key, SIZE, "0600"]);
    let replaced = ["open", &path, "100", "cR", "0600", "size"];
    assert_eq!(fixture.run(&replaced), "open: ok\nsize: 100");
    let now = support::segment(fixture.sandbox.key()).unwrap().id;
    assert_ne!(left, now.to_string());
    assert!(fixture.comm(&["get", "destroy"]).ends_with("destroy: 0"));
    assert_eq!(fixture.sandbox.segments(), []);
}

/// Another program that is attached counts, and is spared.
fn counts_when_attached(other: &Other) {
    let fixture = Fixture::new();
    let [path, key] = fixture.sysv();
    let id = other.run(&["create", key.strip_prefix("sysv:").unwrap(), SIZE, "0600"]);
    let mut holder = Paused::start(&mut other.command(&["hold", &id]));
    let attached = |count| {
        let output = fixture.run(&["open", &path, "0", "", "0", "stat"]);
        assert_fields(output.lines().nth(1).unwrap(), &[("attached", count)]);
    };
    attached("2");
    let kept = ["open", &path, "100", "cR", "0600", "size"];
    assert_eq!(fixture.run(&kept), "open: ok\nsize: 5000");
    assert_eq!(fixture.run(&["remove", &path]), "remove: ok");
    assert_eq!(
        fixture.run(&["open", &path, "100", "cx", "0600"]),
        "open: ok"
    );
    // By its id, the removed one is there until its holder ends.
    let by_id = format!("sysv:id:{id}");
    let removed = fixture.run(&["open", &by_id, "0", "", "0", "stat"]);
    let expected = [
        ("size", SIZE),
        ("removed", "1"),
        ("key", "0x0"),
        ("attached", "2"),
    ];
    assert_fields(removed.lines().nth(1).unwrap(), &expected);
    assert_eq!(holder.go_on(), "0");
    holder.child.0.wait().unwrap();
    let gone = fixture.run(&["open", &by_id, "0", "", "0"]);
    assert_eq!(gone, failed("open", libc::EINVAL));
}

#[test]
fn perl_uses_our_segment() {
    if let Some(perl) = Other::perl("sysv.pl") {
        uses_our_segment(&perl);
    }
}

#[test]
fn we_use_perls_segment() {
    if let Some(perl) = Other::perl("sysv.pl") {
        is_used_by_us(&perl);
    }
}

#[test]
fn ctypes_uses_our_segment() {
    if let Some(python) = Other::python("sysv_ctypes.py") {
        uses_our_segment(&python);
    }
}

#[test]
fn we_use_a_segment_of_ctypes() {
    if let Some(python) = Other::python("sysv_ctypes.py") {
        is_used_by_us(&python);
        counts_when_attached(&python);
    }
}

#[test]
fn sysv_ipc_uses_our_segment() {
    if let Some(python) = Other::python_with_packages("sysv_package.py") {
        uses_our_segment(&python);
    }
}

#[test]
fn we_use_a_segment_of_sysv_ipc() {
    if let Some(python) = Other::python_with_packages("sysv_package.py") {
        is_used_by_us(&python);
        counts_when_attached(&python);
    }
}
