//! Another user may do what a segment's mode permits, and nothing else. A setuid program ignores
//! its caller's environment.

use std::fs;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{self, Child, Link, NOBODY, Sandbox};

/// A program in a directory that another user can reach; `None` if the test cannot become that
/// user.
fn program(sandbox: &Sandbox, source: &str, flags: &[&str]) -> Option<PathBuf> {
    if !support::is_root() {
        support::skip("only root can become another user");
        return None;
    }
    let program = support::build(
        support::cc().args(flags).arg(support::source(source)),
        Link::Static,
        &sandbox.join("program"),
    );
    let mut test = Command::new("test");
    let reached = as_nobody(test.arg("-x").arg(&program)).status().unwrap();
    if !reached.success() {
        support::skip("another user cannot reach the tests' directory");
        return None;
    }
    Some(program)
}

fn as_nobody(command: &mut Command) -> &mut Command {
    command.uid(NOBODY).gid(NOBODY)
}

#[test]
fn another_user_may_do_what_the_mode_permits() {
    let sandbox = Sandbox::for_all_users();
    let Some(program) = program(&sandbox, "comm-driver.c", &[]) else {
        return;
    };
    let root = |arguments: &[&str]| {
        let output = support::run(sandbox.command(&program).args(arguments));
        support::stdout(&output)
    };
    let nobody = |arguments: &[&str]| {
        let mut command = sandbox.command(&program);
        as_nobody(command.args(arguments)).env("COMM_EXPLAIN", "1");
        let output = support::run(&mut command);
        (support::stdout(&output), support::stderr(&output))
    };

    root(&["create", "64", "at", "put", "from root"]);
    let (stdout, stderr) = nobody(&["get", "at", "show", "put", "from nobody", "dt"]);
    assert!(stdout.contains("show: from root"), "{stdout}");
    assert_eq!(stderr, "");
    assert!(root(&["get", "at", "show"]).contains("show: from nobody"));

    let (stdout, stderr) = nobody(&["get", "destroy", "errno"]);
    assert_eq!(
        stdout,
        format!("get: an id\ndestroy: -1\nerrno: {}\n", libc::EPERM)
    );
    let mut lines = stderr.lines();
    assert_eq!(lines.next(), Some("shmctl: Operation not permitted"));
    let line = lines.next().unwrap();
    for part in [
        "destory_shm: uid 65534 may not remove",
        "owner uid 0",
        "mode 0666",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }

    let id = support::segment(sandbox.key()).unwrap().id;
    set_mode(id, 0o640);
    let (stdout, stderr) = nobody(&["get", "at", "errno"]);
    assert_eq!(
        stdout,
        format!("get: an id\nat: -1\nerrno: {}\n", libc::EACCES)
    );
    for part in [
        "shm_at: uid 65534 may not read and write",
        "owner uid 0",
        "mode 0640",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
    let mut command = sandbox.command(&program);
    as_nobody(command.args(["create", "8"])).env("COMM_RECLAIM", "1");
    let output = support::run(command.env("COMM_EXPLAIN", "1"));
    assert_eq!(support::stdout(&output), "create: -2\n");
    assert!(
        support::stderr(&output).contains("another user's"),
        "{output:?}"
    );
    assert_eq!(support::segment(sandbox.key()).unwrap().id, id);
}

fn set_mode(id: i32, mode: u16) {
    // SAFETY: all zeros are a valid value.
    let mut info: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that both calls take.
    unsafe {
        assert_eq!(libc::shmctl(id, libc::IPC_STAT, &mut info), 0);
        info.shm_perm.mode = mode;
        assert_eq!(libc::shmctl(id, libc::IPC_SET, &mut info), 0);
    }
}

#[test]
fn a_path_that_may_not_be_searched_has_no_key() {
    let sandbox = Sandbox::for_all_users();
    let Some(program) = program(&sandbox, "comm-driver.c", &[]) else {
        return;
    };
    let closed = sandbox.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let mut command = sandbox.command(&program);
    command
        .env("COMM_PATH_NAME", closed.join("x"))
        .env("COMM_EXPLAIN", "1");
    let output = support::run(as_nobody(command.args(["create", "8", "errno"])));
    let expected = format!("create: -1\nerrno: {}\n", libc::EACCES);
    assert_eq!(support::stdout(&output), expected);
    let stderr = support::stderr(&output);
    assert!(
        stderr.contains("uid 65534 may not search a directory"),
        "{stderr}"
    );
}

#[test]
fn a_setuid_program_ignores_the_environment() {
    let (sandbox, other) = (Sandbox::for_all_users(), Sandbox::for_all_users());
    let own = format!("-D_PATH_NAME_=\"{}\"", sandbox.path().display());
    let Some(program) = program(&sandbox, "comm-driver.c", &[&own]) else {
        return;
    };
    let create = |program: &Path| {
        let mut command = Command::new(program);
        as_nobody(command.args(["create", "64", "create", "64"]));
        command
            .env("COMM_PATH_NAME", other.path())
            .env("COMM_EXPLAIN", "1");
        support::stderr(&support::run(&mut command))
    };
    let stderr = create(&program);
    assert!(stderr.contains("shmcomm: "), "{stderr}");
    assert_eq!((sandbox.segments().len(), other.segments().len()), (0, 1));

    // SAFETY: takes no buffer.
    unsafe { libc::shmctl(other.segments()[0].id, libc::IPC_RMID, std::ptr::null_mut()) };
    fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    let stderr = create(&program);
    if other.segments().iter().any(|made| made.uid == NOBODY) {
        return support::skip("setuid has no effect on this file system");
    }
    assert_eq!(stderr, "shmget: File exists\n");
    assert_eq!((sandbox.segments().len(), other.segments().len()), (1, 0));
}

#[test]
fn a_segment_whose_creator_is_another_users_process_stays() {
    let sandbox = Sandbox::for_all_users();
    let Some(program) = program(&sandbox, "comm-driver.c", &[]) else {
        return;
    };
    let mut creator = sandbox.command(&program);
    let mut creator = Child::start(creator.args(["create", "64", "pause"]));
    let lines = BufReader::new(creator.0.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line == "pause"));
    let id = support::segment(sandbox.key()).unwrap().id;
    support::give_to_nobody(id);
    let mut command = sandbox.command(&program);
    as_nobody(command.args(["create", "8"])).env("COMM_RECLAIM", "1");
    assert_eq!(support::stdout(&support::run(&mut command)), "create: -2\n");
    assert_eq!(support::segment(sandbox.key()).unwrap().id, id);
}
