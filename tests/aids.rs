//! The aids, `COMM_RECLAIM`, `COMM_WAIT_MS`, `COMM_MODE` and `COMM_EXPLAIN`, each off unless it is
//! set.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use support::{Child, Link, Sandbox, timed, within};

struct Driver {
    sandbox: Sandbox,
    program: PathBuf,
}

impl Driver {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let program = support::build(
            support::cc().arg(support::source("driver.c")),
            Link::Static,
            &sandbox.join("driver"),
        );
        Self { sandbox, program }
    }

    fn command(&self, variable: &str, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
        command.args(arguments);
        command
    }

    fn run(&self, variable: &str, arguments: &[&str]) -> Output {
        support::run(&mut self.command(variable, arguments))
    }

    /// Starts a process and waits until it has come to `pause`.
    fn start(&self, arguments: &[&str]) -> Child {
        let mut child = Child::start(&mut self.command("", arguments));
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "pause"), "{arguments:?}");
        child
    }

    /// A place that can be read from without an end.
    fn fifo(&self) -> PathBuf {
        let fifo = self.sandbox.join("fifo");
        let _ = support::run(Command::new("mkfifo").arg(&fifo));
        fifo
    }

    fn id(&self) -> i32 {
        support::segment(self.sandbox.key()).expect("a segment").id
    }

    /// That `create` with `COMM_RECLAIM=1` leaves the segment alone.
    fn assert_kept(&self, why: &str) {
        let id = self.id();
        let output = self.run("COMM_RECLAIM=1", &["create", "8", "errno"]);
        assert_eq!(support::stdout(&output), "create: -2\nerrno: 17\n", "{why}");
        assert_eq!(support::stderr(&output), "shmget: File exists\n", "{why}");
        assert_eq!(self.id(), id, "{why}");
    }

    /// That `create` with `COMM_RECLAIM=1` replaces the segment.
    fn assert_replaced(&self, why: &str) {
        let id = self.id();
        let output = self.run("COMM_RECLAIM=1", &["create", "8"]);
        assert_eq!(support::stdout(&output), "create: an id\n", "{why}");
        assert_eq!(support::stderr(&output), "", "{why}");
        let segment = support::segment(self.sandbox.key()).unwrap();
        assert_eq!((segment.id == id, segment.size), (false, 8), "{why}");
    }
}

#[test]
fn a_left_over_segment_is_replaced_only_on_demand() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let id = driver.id();
    for variable in ["", "COMM_RECLAIM=0"] {
        let output = driver.run(variable, &["create", "8"]);
        assert_eq!(support::stdout(&output), "create: -2\n");
        assert_eq!(driver.id(), id);
    }
    driver.assert_replaced("its creator has ended");
    driver.run("", &["get", "destroy", "create", "4"]);
    driver.assert_replaced("it is smaller than the new one");
}

#[test]
fn a_segment_of_a_creator_that_was_killed_is_replaced() {
    let driver = Driver::new();
    let mut creator = driver.start(&["create", "64", "at", "pause"]);
    driver.assert_kept("its creator is attached");
    creator.0.kill().unwrap();
    // Not waited for: dead, but not yet reaped.
    let killed = Instant::now();
    while support::segment(driver.sandbox.key()).unwrap().attached != 0 {
        assert!(killed.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(1));
    }
    driver.assert_replaced("its creator is a zombie");
}

#[test]
fn a_segment_of_a_living_creator_stays() {
    let driver = Driver::new();
    let mut creator = driver.start(&["create", "64", "at", "dt", "pause"]);
    driver.assert_kept("its creator lives, though not attached");
    creator.kill();
    driver.assert_replaced("its creator has ended");
}

#[test]
fn a_segment_that_somebody_else_has_attached_stays() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let mut user = driver.start(&["get", "at", "pause"]);
    driver.assert_kept("a user is attached");
    user.kill();
    driver.assert_replaced("nobody is attached");
}

#[test]
fn a_segment_of_another_owner_stays() {
    if !support::is_root() {
        return support::skip("only root can give a segment away");
    }
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    support::give_to_nobody(driver.id());
    driver.assert_kept("it belongs to another user");
}

/// Runs a script as process 1 of a pid namespace with a `/proc` of its own.
fn in_pid_namespace(driver: &Driver, script: &str) -> Option<String> {
    if !support::has("unshare") {
        return None;
    }
    let mut command = driver.sandbox.command("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
    ]);
    let output = command.arg(script).arg(&driver.program).output().unwrap();
    let stderr = support::stderr(&output);
    if stderr.contains("unshare:") || stderr.contains("ns_last_pid") {
        support::skip(stderr.trim());
        return None;
    }
    Some(support::stdout(&output) + &stderr)
}

#[test]
fn a_process_that_got_the_creators_pid_is_not_taken_for_it() {
    let driver = Driver::new();
    let script = r#"
        "$0" create 64 & creator=$!
        wait $creator
        sleep 4
        echo $((creator - 1)) > /proc/sys/kernel/ns_last_pid || exit
        sleep 60 & other=$!
        COMM_RECLAIM=1 "$0" create 8
        kill $other
        [ $other = $creator ] && echo the same pid
    "#;
    let Some(output) = in_pid_namespace(&driver, script) else {
        return;
    };
    assert_eq!(output, "create: an id\ncreate: an id\nthe same pid\n");
}

#[test]
fn a_segment_from_another_pid_namespace_stays() {
    let driver = Driver::new();
    driver.run("", &["create", "64"]);
    let script = r#"COMM_RECLAIM=1 "$0" create 8"#;
    if let Some(output) = in_pid_namespace(&driver, script) {
        assert_eq!(output, "create: -2\nshmget: File exists\n");
    }
}

/// Runs `create` with `COMM_RECLAIM=1` where the kernel tells of processes in another way; the
/// segment of a living creator that has detached stays.
fn assert_kept_in(driver: &Driver, unshare: &[&str], before: &str) {
    let script = format!("{before} COMM_RECLAIM=1 \"$0\" create 8");
    let mut command = driver.sandbox.command("unshare");
    command.args(["--user", "--map-root-user"]).args(unshare);
    command.args(["sh", "-c", &script]).arg(&driver.program);
    if !support::has("unshare") {
        return;
    }
    let output = command.output().unwrap();
    let stderr = support::stderr(&output);
    if stderr.contains("unshare:") || stderr.contains("mount:") || stderr.contains("ns_last_pid") {
        return support::skip(stderr.trim());
    }
    assert_eq!(stderr, "shmget: File exists\n", "{before}");
    assert!(
        support::stdout(&output).ends_with("create: -2\n"),
        "{before}"
    );
}

#[test]
fn a_creator_that_cannot_be_looked_up_is_not_taken_for_dead() {
    let driver = Driver::new();
    let _creator = driver.start(&["create", "64", "pause"]);
    let hide = "mount -t tmpfs none /proc &&";
    assert_kept_in(&driver, &["--mount"], hide);
}

#[test]
fn a_creator_that_started_before_its_segment_is_told_by_the_boot_clock() {
    let driver = Driver::new();
    // As after a suspend of 100000 seconds, which only this clock counts.
    let namespace = [
        "--time",
        "--boottime",
        "100000",
        "--pid",
        "--mount-proc",
        "--fork",
    ];
    let before = format!(
        "exec 3<>{}; \"$0\" create 64 pause <&3 & sleep 1;",
        driver.fifo().display()
    );
    assert_kept_in(&driver, &namespace, &before);
}

#[test]
fn a_proc_of_another_pid_namespace_is_not_believed() {
    let driver = Driver::new();
    // A zombie, whose number the creator gets in its own namespace.
    let mut zombie = Command::new("true").spawn().unwrap();
    let before = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid || exit; exec 3<>{}; \"$0\" create 64 pause <&3 & \
         [ $! = {} ] || exit; sleep 1;",
        zombie.id() - 1,
        driver.fifo().display(),
        zombie.id(),
    );
    assert_kept_in(&driver, &["--pid", "--fork", "--kill-child"], &before);
    zombie.wait().unwrap();
}

#[test]
fn a_client_waits_for_its_server() {
    let driver = Driver::new();
    within(Duration::from_millis(100), 5, || {
        let mut client = driver.command("COMM_WAIT_MS=20000", &["get", "at", "show", "destroy"]);
        let client = client.stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(200));
        driver.run("", &["create", "64", "at"]);
        let (output, time) = timed(|| client.wait_with_output().unwrap());
        assert_eq!(
            support::stdout(&output),
            "get: an id\nat: an address\nshow: \ndestroy: 0\n"
        );
        ((), time)
    });
}

#[test]
fn a_client_waits_for_the_path_too() {
    let driver = Driver::new();
    let later = Sandbox::new();
    let aside = driver.sandbox.join("aside");
    fs::rename(later.path(), &aside).unwrap();
    let mut client = driver.command("COMM_WAIT_MS=20000", &["get", "destroy"]);
    client
        .env("COMM_PATH_NAME", later.path())
        .stdout(Stdio::piped());
    let client = client.spawn().unwrap();
    thread::sleep(Duration::from_millis(100));
    fs::rename(aside, later.path()).unwrap();
    let mut server = driver.command("", &["create", "64"]);
    support::run(server.env("COMM_PATH_NAME", later.path()));
    let output = client.wait_with_output().unwrap();
    assert_eq!(support::stdout(&output), "get: an id\ndestroy: 0\n");
}

#[test]
fn waiting_ends_when_its_time_is_over() {
    let driver = Driver::new();
    within(Duration::from_millis(400), 5, || {
        let (output, time) = timed(|| driver.run("COMM_WAIT_MS=300", &["get", "errno"]));
        assert_eq!(support::stdout(&output), "get: -2\nerrno: 22\n");
        assert_eq!(support::stderr(&output), "shmget: Invalid argument\n");
        assert!(time >= Duration::from_millis(300), "{time:?}");
        ((), time)
    });
}

impl Driver {
    /// Runs the program under strace; its output, and how often it called shmget.
    fn traced(&self, variable: &str, inject: &str, arguments: &[&str]) -> Option<(Output, usize)> {
        if !support::has("strace") {
            return None;
        }
        let log = self.sandbox.join("calls");
        let mut command = self.sandbox.command("strace");
        command.arg("-o").arg(&log);
        command.args(["-e", "trace=shmget,nanosleep,clock_nanosleep", "-e", inject]);
        command.args(["-E", variable, "--"]).arg(&self.program);
        let output = support::run(command.args(arguments));
        let calls = fs::read_to_string(log).unwrap().matches("shmget(").count();
        Some((output, calls))
    }
}

#[test]
fn waiting_sleeps_in_between_and_goes_on_after_a_signal() {
    let driver = Driver::new();
    let Some((_, calls)) = driver.traced("COMM_WAIT_MS=300", "signal=none", &["get"]) else {
        return;
    };
    assert!((3..=70).contains(&calls), "{calls}");
    let signals = "inject=nanosleep,clock_nanosleep:error=EINTR:when=1..5";
    let begin = Instant::now();
    driver
        .traced("COMM_WAIT_MS=300", signals, &["get"])
        .unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_segment_that_goes_while_it_is_looked_at_is_in_nobodys_way() {
    let driver = Driver::new();
    let taken = "inject=shmget:error=EEXIST:when=1";
    let create = ["create", "8", "destroy"];
    let Some((output, _)) = driver.traced("COMM_RECLAIM=1", taken, &create) else {
        return;
    };
    assert_eq!(support::stdout(&output), "create: an id\ndestroy: 0\n");
    let (output, _) = driver
        .traced("COMM_EXPLAIN=1", taken, &["create", "8"])
        .unwrap();
    assert!(
        support::stderr(&output).contains("has just gone"),
        "{output:?}"
    );
}

#[test]
fn waiting_is_only_for_what_may_come() {
    let driver = Driver::new();
    let file = driver.sandbox.join("file");
    fs::write(&file, "").unwrap();
    let mut command = driver.command("COMM_WAIT_MS=600000", &["get", "errno"]);
    let output = support::run(command.env("COMM_PATH_NAME", file.join("below a file")));
    assert_eq!(support::stdout(&output), "get: -1\nerrno: 20\n");
}

#[test]
fn a_new_segment_gets_the_mode_that_is_set() {
    let driver = Driver::new();
    let mode = || support::segment(driver.sandbox.key()).unwrap().mode;
    for (variable, expected) in [
        ("", 0o666),
        ("COMM_MODE=0600", 0o600),
        ("COMM_MODE=640", 0o640),
        ("COMM_MODE=0", 0),
        ("COMM_MODE=0777", 0o777),
        ("COMM_MODE=9", 0o666),
    ] {
        let output = driver.run(variable, &["create", "64"]);
        assert_eq!(support::stdout(&output), "create: an id\n", "{variable}");
        assert_eq!(mode(), expected, "{variable}");
        let mut replace = driver.command(variable, &["create", "8"]);
        support::run(replace.env("COMM_RECLAIM", "1"));
        assert_eq!(mode(), expected, "{variable}, replaced");
        // The mode is for new segments: nobody creates by get, and what is there stays as it is.
        driver.run("COMM_MODE=0604", &["get"]);
        assert_eq!(mode(), expected, "{variable}, found");
        let id = driver.id().to_string();
        driver.run(variable, &["id", &id, "destroy"]);
        let output = driver.run(variable, &["get", "errno"]);
        assert_eq!(support::stdout(&output), "get: -2\nerrno: 22\n");
        assert_eq!(driver.sandbox.segments(), []);
    }
}

#[test]
fn the_mode_keeps_others_out() {
    if !support::is_root() {
        return support::skip("only root can be another user");
    }
    let driver = Driver::new();
    driver.run("COMM_MODE=0600", &["create", "64"]);
    let id = driver.id();
    // SAFETY: the calls take no pointers but NULL; the child makes only these.
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            let refused = libc::setuid(support::NOBODY) == 0
                && libc::shmat(id, std::ptr::null(), 0).addr() == usize::MAX
                && *libc::__errno_location() == libc::EACCES;
            libc::_exit(i32::from(!refused));
        }
        let mut status = 1;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        status
    };
    assert_eq!(status, 0);
}

/// That the last line on stderr is an explanation that names all these, and that without
/// `COMM_EXPLAIN` all is the same but for that line.
fn assert_explained(command: &mut Command, parts: &[&str]) {
    let plain = support::run(command.env_remove("COMM_EXPLAIN"));
    let output = support::run(command.env("COMM_EXPLAIN", "1"));
    assert_eq!(support::stdout(&plain), support::stdout(&output));
    let stderr = support::stderr(&output);
    let line = stderr
        .strip_prefix(&support::stderr(&plain))
        .expect("the same before it");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("shmcomm: "), "{line}");
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
}

impl Driver {
    fn assert_explained(&self, arguments: &[&str], parts: &[&str]) {
        assert_explained(&mut self.command("", arguments), parts);
    }

    fn assert_path_explained(&self, path: &Path, parts: &[&str]) {
        let mut command = self.command("", &["create", "8", "errno"]);
        assert_explained(command.env("COMM_PATH_NAME", path), parts);
    }
}

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
