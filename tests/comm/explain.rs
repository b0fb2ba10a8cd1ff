//! `COMM_EXPLAIN`: one line more on stderr after each failure.

use std::fs;
use std::path::Path;

use super::driver::{Driver, assert_explained};
use crate::support;

#[test]
fn paths_without_a_key_are_explained() {
    let driver = Driver::new();
    let path = driver.sandbox.join("missing");
    let name = path.to_str().unwrap();
    driver.assert_path_explained(&path, &["create_shm: no key", name, "does not exist"]);
    fs::write(&path, "").unwrap();
    let below = path.join("below");
    driver.assert_path_explained(
        &below,
        &[below.to_str().unwrap(), "cannot be followed", "20"],
    );
    let circle = driver.sandbox.join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    driver.assert_path_explained(&circle, &["cannot be followed", "40"]);
    driver.assert_path_explained(Path::new(&"x".repeat(256)), &["cannot be followed", "36"]);
}

#[test]
fn a_relative_path_is_explained_with_its_directory() {
    let driver = Driver::new();
    let directory = fs::canonicalize(driver.sandbox.path()).unwrap();
    let shown = format!("\"missing\" in the directory \"{}\"", directory.display());
    let relative = |path: &str, arguments: &[&str]| {
        let mut command = driver.command("", arguments);
        command.env("COMM_PATH_NAME", path).current_dir(&directory);
        command
    };
    let mut command = relative("missing", &["create", "8", "errno"]);
    assert_explained(&mut command, &[&shown, "does not exist"]);
    let shown = format!("\".\" in the directory \"{}\"", directory.display());
    assert_explained(&mut relative(".", &["get"]), &[&shown, "no segment"]);
    // The directory of the call, not that of the first one.
    let shown = "\"missing\" in the directory \"/\"";
    let mut command = relative("missing", &["chdir", "/", "create", "8"]);
    assert_explained(&mut command, &[shown]);

    let gone = driver.sandbox.join("gone");
    fs::create_dir(&gone).unwrap();
    let mut command = driver.sandbox.command("sh");
    command.args(["-c", r#"cd "$1" && rmdir "$1" && exec "$0" create 8"#]);
    command.arg(&driver.program).arg(&gone);
    command
        .env("COMM_PATH_NAME", "missing")
        .env("COMM_EXPLAIN", "1");
    let stderr = support::stderr(&support::run(&mut command));
    assert!(
        stderr.contains("\"missing\" in a directory that has no path"),
        "{stderr}"
    );
    // A path from the root says all.
    let missing = directory.join("missing");
    let mut command = driver.command("COMM_EXPLAIN=1", &["create", "8"]);
    let stderr = support::stderr(&support::run(command.env("COMM_PATH_NAME", missing)));
    assert!(!stderr.contains("in the directory"), "{stderr}");
}

#[test]
fn a_taken_key_is_explained() {
    let driver = Driver::new();
    let key = format!("key {:#010x}", driver.sandbox.key());
    let mut creator = driver.start(&["create", "64", "at", "pause"]);
    let (id, pid) = (driver.id(), creator.0.id());
    let id = format!("id {id} ");
    let running = format!("creator pid {pid} (running)");
    let parts = [
        "create_shm: there is already",
        &id,
        &key,
        "size 64 bytes",
        "mode 0666",
        "owner uid ",
        &running,
        "age ",
        "attached 1 times",
        "may be in use",
    ];
    driver.assert_explained(&["create", "8", "errno"], &parts);
    creator.kill();
    let ended = format!("creator pid {pid} (ended)");
    let parts = [
        &ended[..],
        "attached 0 times",
        "left over",
        "COMM_RECLAIM=1",
        "ipcrm -m",
    ];
    driver.assert_explained(&["create", "8", "errno"], &parts);
    let mut command = driver.command("COMM_EXPLAIN=1", &["create", "8"]);
    let stderr = support::stderr(&support::run(&mut command));
    let age = stderr
        .split("age ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!((0..60).contains(&age.parse::<i64>().unwrap()), "{stderr}");
    if support::is_root() {
        support::give_to_nobody(driver.id());
        driver.assert_explained(&["create", "8"], &["owner uid 65534", "another user's"]);
    }
}

#[test]
fn wrong_arguments_and_wrong_order_are_explained() {
    let driver = Driver::new();
    let key = format!("key {:#010x}", driver.sandbox.key());
    let path = driver.sandbox.path().to_str().unwrap();
    driver.assert_explained(
        &["create", "0", "errno"],
        &["create_shm: a size of 0 bytes", "shmmax"],
    );
    driver.assert_explained(&["create", "-5", "errno"], &["-5 bytes"]);
    driver.assert_explained(
        &["get", "errno"],
        &["get_shm: there is no segment", &key, path, "COMM_WAIT_MS"],
    );
    let key = format!("key {:#010x}", support::ftok(driver.sandbox.path(), 1));
    let mut command = driver.command("COMM_PROJ_ID=1", &["get"]);
    assert_explained(&mut command, &[&key]);
    driver.assert_explained(&["id", "-2", "at", "errno"], &["shm_at: -2 is no id"]);
    let none = i32::MAX.to_string();
    let parts = ["shm_at: there is no segment with id 2147483647"];
    driver.assert_explained(&["id", &none, "at", "errno"], &parts);
    driver.assert_explained(
        &["dt", "errno"],
        &["shm_dt: no segment is attached at 0x0:"],
    );
    let parts = ["destory_shm: there is no segment with id 2147483647"];
    driver.assert_explained(&["id", &none, "destroy", "errno"], &parts);
}

#[test]
fn limits_are_explained() {
    let driver = Driver::new();
    let script = r#"echo 0 > /proc/sys/kernel/shmmni && COMM_EXPLAIN=1 "$0" create 64 errno"#;
    let mut command = driver.sandbox.command("unshare");
    command.args(["--ipc", "--user", "--map-root-user", "sh", "-c", script]);
    if support::has("unshare") {
        let output = command.arg(&driver.program).output().unwrap();
        let stderr = support::stderr(&output);
        if stderr.contains("shmmni:") || stderr.contains("unshare:") {
            support::skip(stderr.trim());
        } else {
            assert_eq!(support::stdout(&output), "create: -2\nerrno: 28\n");
            let key = format!("key {:#010x}", driver.sandbox.key());
            let line = stderr.lines().nth(1).unwrap();
            assert!(line.contains("no room for 64 bytes"), "{line}");
            assert!(line.contains(&key), "{line}");
        }
    }

    let script = r#"ulimit -v 200000; COMM_EXPLAIN=1 "$0" create 268435456 at errno destroy"#;
    let mut command = driver.sandbox.command("sh");
    let output = support::run(command.args(["-c", script]).arg(&driver.program));
    assert_eq!(
        support::stdout(&output),
        "create: an id\nat: -1\nerrno: 12\ndestroy: 0\n"
    );
    let stderr = support::stderr(&output);
    assert!(
        stderr.starts_with("shmcomm: shm_at: not enough"),
        "{stderr}"
    );
}
