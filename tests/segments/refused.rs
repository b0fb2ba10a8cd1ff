//! Wrong arguments, foreign objects and limits: each gets its errno.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::segment::{SegmentDriver, failed};
use crate::support::{self, NOBODY};

#[test]
fn garbage_gets_an_errno() {
    let driver = SegmentDriver::new();
    let long = format!("file:{}", "x".repeat(10_000));
    driver.assert_open_fails(&long, "1", "c", libc::ENAMETOOLONG);
    let long = format!("file:{}", "x".repeat(256));
    driver.assert_open_fails(&long, "1", "c", libc::ENAMETOOLONG);
    for name in [
        "",
        ":",
        "posix:/..",
        "posix:/a/../b",
        "posix:/\x01",
        "sysv:",
        "anon:x",
    ] {
        driver.assert_open_fails(name, "1", "c", libc::EINVAL);
        assert_eq!(
            driver.run(&["remove", name]),
            failed("remove", libc::EINVAL)
        );
    }
    let kinds = [
        &driver.names()[..],
        &["anon:".into(), "sysv:private".into()],
    ]
    .concat();
    for name in kinds {
        driver.assert_open_fails(&name, "0", "cx", libc::EINVAL);
        driver.assert_open_fails(&name, "0", "c", libc::EINVAL);
        driver.assert_open_fails(&name, &usize::MAX.to_string(), "c", libc::EINVAL);
        driver.assert_open_fails(&name, "1", "x", libc::EINVAL);
        driver.assert_open_fails(&name, "1", "R", libc::EINVAL);
        let beyond = isize::MAX.to_string();
        let output = driver.run(&["open", &name, &beyond, "c", "0600"]);
        let errno: i32 = output
            .trim_start_matches("open: errno ")
            .trim()
            .parse()
            .unwrap();
        let expected = [libc::EINVAL, libc::ENOSPC, libc::EFBIG, libc::ENOMEM];
        assert!(expected.contains(&errno), "{name}: {output}");
    }
    for name in driver.names() {
        driver.assert_open_fails(&name, "1", "", libc::ENOENT);
        assert_eq!(
            driver.run(&["remove", &name]),
            failed("remove", libc::ENOENT)
        );
    }
}

#[test]
fn an_object_that_is_no_segment_is_refused() {
    let driver = SegmentDriver::new();
    let directory = format!("file:{}", driver.sandbox.path().display());
    driver.assert_open_fails(&directory, "0", "", libc::EISDIR);
    driver.assert_open_fails("file:/dev/null", "0", "", libc::EINVAL);
    let below = format!("{}/below", driver.file());
    driver.assert_open_fails(&below, "1", "c", libc::ENOENT);
    fs::write(driver.sandbox.join("file"), "").unwrap();
    driver.assert_open_fails(&below, "1", "c", libc::ENOTDIR);
    driver.assert_open_fails(&driver.file(), "0", "", libc::EINVAL);
    let fifo = driver.sandbox.join("fifo");
    support::run(Command::new("mkfifo").arg(&fifo));
    for flags in ["", "r"] {
        driver.assert_open_fails(
            &format!("file:{}", fifo.display()),
            "0",
            flags,
            libc::EINVAL,
        );
    }
    // A creator that uses shm_open and dies before ftruncate leaves such an object.
    fs::write(driver.object.path(), "").unwrap();
    driver.assert_open_fails(&driver.posix(), "0", "", libc::EINVAL);
    driver.assert_open_fails(&driver.posix(), "64", "c", libc::EINVAL);
    driver.assert_open_fails("sysv:id:2147483647", "0", "", libc::EINVAL);
    driver.assert_open_fails("sysv:id:0", "1", "c", libc::EINVAL);
    driver.assert_open_fails("sysv:/no such path", "1", "c", libc::ENOENT);
    assert_eq!(
        driver.run(&["remove", "sysv:private"]),
        failed("remove", libc::EINVAL)
    );
}

#[test]
fn a_planted_object_is_neither_followed_nor_trusted() {
    let driver = SegmentDriver::new();
    let target = driver.sandbox.join("target");
    fs::write(&target, [b'x'; 64]).unwrap();
    symlink(&target, driver.object.path()).unwrap();
    for flags in ["", "r", "c"] {
        driver.assert_open_fails(&driver.posix(), "64", flags, libc::ELOOP);
    }
    driver.assert_open_fails(&driver.posix(), "64", "cx", libc::EEXIST);
    driver.assert_open_fails(&driver.posix(), "64", "cxR", libc::EEXIST);
    assert_eq!(fs::read(&target).unwrap(), [b'x'; 64]);
    fs::remove_file(driver.object.path()).unwrap();

    if !support::is_root() {
        return support::skip("only root can plant another user's object");
    }
    fs::write(driver.object.path(), [b'x'; 64]).unwrap();
    fs::set_permissions(driver.object.path(), fs::Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::chown(driver.object.path(), Some(1), Some(1)).unwrap();
    driver.assert_open_fails(&driver.posix(), "64", "c", libc::EACCES);
    driver.assert_open_fails(&driver.posix(), "64", "cR", libc::EACCES);
    let opened = driver.run(&["open", &driver.posix(), "64", "", "0", "size"]);
    assert_eq!(
        opened, "open: ok\nsize: 64\n",
        "an open without SHMC_CREATE"
    );
}

#[test]
fn another_user_gets_what_the_mode_permits() {
    let driver = SegmentDriver::for_all_users();
    if !support::is_root() {
        return support::skip("only root can become another user");
    }
    for name in [driver.sysv(), driver.posix()] {
        let nobody = |arguments: &[&str]| {
            let mut command = driver.command(arguments);
            support::stdout(&support::run(command.uid(NOBODY).gid(NOBODY)))
        };
        driver.run(&["open", &name, "64", "cx", "0644", "put", "for all to read"]);
        let read = nobody(&["open", &name, "0", "r", "0", "show", "chmod", "0666"]);
        let refused = failed("chmod", libc::EPERM);
        assert_eq!(
            read,
            format!("open: ok\nshow: for all to read\n{refused}"),
            "{name}"
        );
        let write = nobody(&["open", &name, "0", "", "0"]);
        assert_eq!(write, failed("open", libc::EACCES), "{name}");
        let removed = nobody(&["remove", &name]);
        let errno = [libc::EPERM, libc::EACCES];
        assert!(
            errno
                .map(|errno| failed("remove", errno))
                .contains(&removed),
            "{removed}"
        );
        driver.run(&["open", &name, "0", "", "0", "chmod", "0600"]);
        let read = nobody(&["open", &name, "0", "r", "0"]);
        assert_eq!(read, failed("open", libc::EACCES), "{name}");
        driver.run(&["remove", &name]);
    }
}

#[test]
fn a_reclaimers_lock_keeps_openers_out() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        driver.run(&["open", &name, "64", "c", "0600"]);
        let file = fs::File::open(driver.path(&name)).unwrap();
        file.lock().unwrap();
        driver.assert_open_fails(&name, "64", "", libc::EBUSY);
        file.unlock().unwrap();
        let opened = driver.run(&["open", &name, "64", "", "0", "remove", &name]);
        assert_eq!(opened, "open: ok\nremove: ok\n");
    }
}

#[test]
fn limits_of_the_process_give_errnos() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file(), "anon:".into()] {
        let script = r#"ulimit -n 4; "$0" open "$1" 64 c 0600 open "$1" 64 c 0600"#;
        let mut command = driver.sandbox.command("sh");
        command.args(["-c", script]).arg(&driver.program).arg(&name);
        let output = support::stdout(&support::run(&mut command));
        let full = failed("open", libc::EMFILE);
        assert_eq!(output, format!("open: ok\n{full}"), "{name}");
        let _ = driver.run(&["remove", &name]);
    }
    for name in [&driver.names()[..], &["anon:".to_owned()]].concat() {
        let script = r#"ulimit -v 100000; "$0" open "$1" 268435456 cx 0600"#;
        let mut command = driver.sandbox.command("sh");
        command.args(["-c", script]).arg(&driver.program).arg(&name);
        let output = support::stdout(&support::run(&mut command));
        let errnos = [libc::ENOMEM, libc::ENOSPC].map(|errno| failed("open", errno));
        assert!(errnos.contains(&output), "{name}: {output}");
        if name != "anon:" {
            driver.assert_absent(&name);
        }
    }
}

#[test]
fn a_read_only_file_system_gives_an_errno() {
    let driver = SegmentDriver::new();
    let script = r#"mount -t tmpfs -o ro none /dev/shm && "$0" open "$1" 64 c 0600"#;
    let name = driver.posix();
    let Some(output) = driver.in_namespaces(&["--mount"], script, &[name.as_ref()]) else {
        return;
    };
    if !output.status.success() {
        return support::skip(support::stderr(&output).trim());
    }
    assert_eq!(support::stdout(&output), failed("open", libc::EROFS));
}

#[test]
fn a_removal_that_is_impossible_gets_an_errno() {
    let driver = SegmentDriver::new();
    let remove = |name: &str| driver.run(&["remove", name]);
    let directory = format!("file:{}", driver.sandbox.path().display());
    assert_eq!(remove(&directory), failed("remove", libc::EISDIR));
    fs::write(driver.sandbox.join("file"), "").unwrap();
    let below = format!("{}/below", driver.file());
    assert_eq!(remove(&below), failed("remove", libc::ENOTDIR));
    let long = format!("posix:/{}", "x".repeat(256));
    assert_eq!(remove(&long), failed("remove", libc::ENAMETOOLONG));
    assert_eq!(remove("sysv:/no such path"), failed("remove", libc::ENOENT));
    assert_eq!(remove("sysv:id:2147483647"), failed("remove", libc::EINVAL));
}

#[test]
fn a_null_segment_is_refused_but_may_be_closed() {
    let driver = SegmentDriver::new();
    let calls = [
        "size", "stat", "chmod", "0600", "chown", "0", "0", "lock", "unlock", "sync",
    ];
    let output = driver.run(&[&calls[..], &["close"]].concat());
    let invalid = |call| failed(call, libc::EINVAL);
    let expected: String = ["stat", "chmod", "chown", "lock", "unlock", "sync"]
        .map(invalid)
        .concat();
    assert_eq!(output, format!("size: 0\n{expected}close: ok\n"));
    let open = driver.run(&["open", "anon:", "1", "c", "01000"]);
    assert_eq!(open, invalid("open"), "a mode beyond 0777");
    let mode = driver.run(&["open", "anon:", "1", "c", "0600", "chmod", "01000"]);
    assert_eq!(mode, format!("open: ok\n{}", invalid("chmod")));
}
