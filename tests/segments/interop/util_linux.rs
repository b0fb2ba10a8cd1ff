//! The tools of util-linux show, create and remove System V segments.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::others::*;
use crate::support::{self, NOBODY};

/// Columns of `lsipc` for the segment with this id.
fn lsipc(id: &str, columns: &str) -> Option<String> {
    let mut command = Command::new("lsipc");
    command.args(["--shmems", "--raw", "--noheadings", "--notruncate"]);
    command.args(["--bytes", "--numeric-perms", "-o"]);
    let table = call(command.arg(format!("ID,{columns}")));
    let mut rows = table.lines().filter_map(|line| line.split_once(' '));
    let found = rows.find(|(first, _)| *first == id);
    found.map(|(_, columns)| columns.trim_end().into())
}

#[test]
fn util_linux_sees_and_removes_our_segment() {
    if !["ipcs", "lsipc", "ipcrm"].into_iter().all(support::has) {
        return;
    }
    let fixture = Fixture::new();
    let (uid, gid) = ids();
    let [path, key] = fixture.sysv();
    let key = key.strip_prefix("sysv:").unwrap();
    let mut ours = fixture.start(&["open", &path, SIZE, "cx", "0640", "pause", "pause", "stat"]);
    let pid = ours.pid();
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let id = id.to_string();

    let list = call(Command::new("ipcs").arg("--shmems"));
    let row = list.lines().find(|line| line.starts_with(key)).unwrap();
    let row: Vec<_> = row.split_whitespace().collect();
    assert_eq!([row[1], row[3], row[4], row[5]], [&id, "640", SIZE, "1"]);
    let details = call(Command::new("ipcs").args(["--shmems", "--id", &id]));
    let words: Vec<_> = details.split_whitespace().collect();
    for word in [
        format!("shmid={id}"),
        format!("uid={uid}"),
        format!("gid={gid}"),
        "mode=0640".into(),
        "bytes=5000".into(),
        "nattch=1".into(),
        format!("cpid={pid}"),
        format!("lpid={pid}"),
    ] {
        assert!(words.contains(&&word[..]), "no {word} in {details}");
    }

    let columns = "KEY,PERMS,UID,GID,SIZE,NATTCH,CPID,LPID";
    let expected = format!("{key} 0640 {uid} {gid} {SIZE} 1 {pid} {pid}");
    assert_eq!(lsipc(&id, columns), Some(expected));

    call(Command::new("ipcrm").args(["--shmem-key", key]));
    assert_eq!(
        lsipc(&id, "KEY,NATTCH,STATUS"),
        Some("0x00000000 1 dest".into())
    );
    fixture.assert_absent(&path);
    assert_eq!(ours.go_on(), "pause");
    assert_fields(
        &ours.go_on(),
        &[("removed", "1"), ("key", "0x0"), ("size", SIZE)],
    );
    ours.child.0.wait().unwrap();
    assert_eq!(lsipc(&id, "KEY"), None);

    let create = ["open", &path, SIZE, "cx", "0600", "lock"];
    assert_eq!(fixture.run(&create), "open: ok\nlock: ok");
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let id = id.to_string();
    assert_eq!(lsipc(&id, "NATTCH,STATUS"), Some("0 locked".into()));
    call(Command::new("ipcrm").args(["--shmem-id", &id]));
    fixture.assert_absent(&path);
}

#[test]
fn owner_and_group_are_those_that_others_see() {
    if !support::is_root() {
        return support::skip("only root can change the owner of a segment");
    }
    if !support::has("lsipc") {
        return;
    }
    let fixture = Fixture::new();
    let [path, _] = fixture.sysv();
    let owner = NOBODY.to_string();
    fixture.run(&["open", &path, SIZE, "cx", "0600", "chown", &owner, "7"]);
    let id = support::segment(fixture.sandbox.key()).unwrap().id;
    let columns = lsipc(&id.to_string(), "UID,GID,CUID,CGID");
    assert_eq!(columns, Some("65534 7 0 0".into()));

    let object = fixture.object.name();
    fixture.run(&["open", &object, SIZE, "cx", "0600", "chown", &owner, "7"]);
    let status = fs::metadata(&fixture.object.0).unwrap();
    assert_eq!((status.uid(), status.gid()), (NOBODY, 7));
}

#[test]
fn we_use_a_segment_of_ipcmk() {
    if !["ipcmk", "ipcs", "ipcrm"].into_iter().all(support::has) {
        return;
    }
    let fixture = Fixture::new();
    // ipcmk chooses a random key. The script has its own IPC namespace, so nothing stays after it.
    let script = r#"
        ipcmk --shmem 5000 --mode 0640 >&2
        set -- $(tail -n 1 /proc/sysvipc/shm)
        "$0" open sysv:id:$2 5000 "" 0 stat put hello close
        "$0" open sysv:0x$(printf %x $(($1 & 0xffffffff))) 0 "" 0 size show
        ipcrm --shmem-id $2
        "$0" open sysv:id:$2 0 "" 0
        "$0" open sysv:private 3000 c 0600
        ipcs --shmems | grep 0x00000000 | tr -s ' ' | cut -d ' ' -f 4-6
        set -- $(tail -n 1 /proc/sysvipc/shm)
        "$0" open sysv:id:$2 0 "" 0 stat close remove sysv:id:$2
        ipcs --shmems | grep -c 0x"#;
    let (sandbox, program) = (&fixture.sandbox, &fixture.segment);
    let Some(output) = support::in_namespaces(sandbox, &["--ipc"], script, program, &[]) else {
        return;
    };
    let output = support::stdout(&output);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 14, "{output}");
    assert_eq!(lines[0], "open: ok");
    assert_fields(
        lines[1],
        &[
            ("size", "5000"),
            ("mode", "0640"),
            ("creator", "other"),
            ("attached", "1"),
        ],
    );
    let expected = ["close: ok", "open: ok", "size: 5000", "show: hello"];
    assert_eq!(lines[2..6], expected);
    assert_eq!(lines[6], failed("open", libc::EINVAL));
    assert_eq!(lines[7], "open: ok");
    assert_eq!(lines[8], "600 3000 0");
    assert_eq!(lines[9], "open: ok");
    assert_fields(lines[10], &[("size", "3000"), ("key", "0x0")]);
    assert_eq!(lines[11..], ["close: ok", "remove: ok", "0"]);
}
