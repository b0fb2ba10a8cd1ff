//! Semaphores as a C program uses them: events, waits that a signal handler ends, wake-ups.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use crate::support::{self, Child, Link, ObjectName, Sandbox};

struct Driver {
    sandbox: Sandbox,
    object: ObjectName,
    program: std::path::PathBuf,
}

impl Driver {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let program = support::program("semaphore.c", &["-O2"], Link::Static);
        let object = ObjectName::new();
        Self {
            sandbox,
            object,
            program,
        }
    }

    fn path(&self) -> &Path {
        self.sandbox.path()
    }

    fn name(&self) -> String {
        format!("sysv:{}#1", self.path().display())
    }

    /// A name of each kind.
    fn names(&self) -> [String; 3] {
        let file = self.path().join("semaphore");
        [
            self.name(),
            self.object.name(),
            format!("file:{}", file.display()),
        ]
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        support::stdout(&support::run(&mut self.command(arguments)))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: neither takes a pointer.
        unsafe {
            let id = libc::semget(support::ftok(self.path(), 1), 0, 0);
            libc::semctl(id, 0, libc::IPC_RMID);
        }
    }
}

fn failed(call: &str, errno: i32) -> String {
    format!("{call}: errno {errno}\n")
}

#[test]
fn events_stay_when_their_process_exits() {
    let driver = Driver::new();
    for name in driver.names() {
        let made = driver.run(&["open", &name, "2", "cxe", "post", "value"]);
        assert_eq!(made, "open: 0\npost: 0\nvalue: 3\n");
        // An existing semaphore counts events also for an open without the flag. The open's value is
        // ignored.
        for flags in ["", "e", "ce"] {
            let taken = driver.run(&["open", &name, "9", flags, "wait", "0"]);
            assert_eq!(taken, "open: 0\nwait: 0\n", "{flags}");
        }
        let none = driver.run(&["open", &name, "9", "", "value", "wait", "0", "wait", "20"]);
        let timed_out = failed("wait", libc::ETIMEDOUT);
        assert_eq!(none, format!("open: 0\nvalue: 0\n{timed_out}{timed_out}"));

        let refused = driver.run(&["open", &name, "1", "c", "open", &name, "1", "cxe"]);
        let expected = failed("open", libc::EINVAL) + &failed("open", libc::EEXIST);
        assert_eq!(refused, expected);
        let removed = driver.run(&["remove", &name, "open", &name, "0", "e"]);
        assert_eq!(
            removed,
            "remove: 0\n".to_owned() + &failed("open", libc::ENOENT)
        );
    }
}

#[test]
fn events_of_one_process_end_the_waits_of_another() {
    let driver = Driver::new();
    for name in driver.names() {
        assert_eq!(driver.run(&["open", &name, "0", "cxe"]), "open: 0\n");
        let waits = [
            "open", &name, "0", "", "pause", "wait", "20000", "wait", "20000", "value",
        ];
        let mut waiter = Child::start(&mut driver.command(&waits));
        let mut lines = BufReader::new(waiter.0.stdout.take().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap();
        assert_eq!((next(), next()), ("open: 0".into(), "pause".into()));
        std::io::Write::write_all(waiter.0.stdin.as_mut().unwrap(), b"\n").unwrap();
        for _ in 0..2 {
            // This process exits at once. Its event must stay.
            assert_eq!(
                driver.run(&["open", &name, "0", "e", "post"]),
                "open: 0\npost: 0\n"
            );
            assert_eq!(next(), "wait: 0");
        }
        assert_eq!(next(), "value: 0");
    }
}

#[test]
fn shared_memory_counts_events_alone() {
    let driver = Driver::new();
    for name in &driver.names()[1..] {
        for flags in ["c", "cx"] {
            let output = driver.run(&["open", name, "1", flags]);
            assert_eq!(output, failed("open", libc::EINVAL));
        }
        let full = driver.run(&["open", name, "1073741823", "cxe", "post", "value"]);
        let overflow = failed("post", libc::EOVERFLOW);
        assert_eq!(full, format!("open: 0\n{overflow}value: 1073741823\n"));
        let beyond = driver.run(&["open", name, "1073741824", "ce"]);
        assert_eq!(beyond, failed("open", libc::ERANGE));
    }
    let [sysv, _, file] = driver.names();
    std::fs::write(driver.path().join("semaphore"), "no semaphore").unwrap();
    let foreign = driver.run(&["open", &file, "1", "ce", "remove", &file]);
    let bad = |call| failed(call, libc::EBADMSG);
    assert_eq!(foreign, bad("open") + &bad("remove"));
    // What is stale is replaced in shared memory alone.
    for (name, flags) in [(&sysv, "cl"), (&file, "el"), (&file, "cl")] {
        let output = driver.run(&["open", name, "1", flags]);
        assert_eq!(output, failed("open", libc::EINVAL), "{flags}");
    }
}

#[test]
fn a_stale_semaphore_is_replaced_on_request() {
    let driver = Driver::new();
    let name = driver.object.name();
    driver.run(&["open", &name, "5", "ce"]);
    let kept = driver.run(&["open", &name, "1", "ce", "value"]);
    assert_eq!(kept, "open: 0\nvalue: 5\n");
    let replaced = driver.run(&["open", &name, "1", "cel", "value"]);
    assert_eq!(replaced, "open: 0\nvalue: 1\n");
}

#[test]
fn a_post_and_a_wait_make_no_system_call() {
    let driver = Driver::new();
    for name in &driver.names()[1..] {
        let output = driver.run(&["open", name, "0", "cxe", "quiet", "value"]);
        assert_eq!(output, "open: 0\nquiet: 0\nvalue: 0\n");
    }
}

#[test]
fn a_death_returns_units_but_not_events() {
    let driver = Driver::new();
    let name = driver.name();
    for (flags, left) in [("cx", "value: 1\n"), ("cxe", "value: 0\n")] {
        let taken = driver.run(&["open", &name, "1", flags, "wait", "0"]);
        assert_eq!(taken, "open: 0\nwait: 0\n");
        let value = driver.run(&["open", &name, "0", "", "value", "remove", &name]);
        assert_eq!(value, format!("open: 0\n{left}remove: 0\n"), "{flags}");
    }
}

#[test]
fn the_other_kind_of_semaphore_is_refused() {
    let driver = Driver::new();
    let name = driver.name();
    assert_eq!(driver.run(&["open", &name, "1", "cx"]), "open: 0\n");
    for flags in ["e", "ce", "r", "x"] {
        let output = driver.run(&["open", &name, "1", flags]);
        assert_eq!(output, failed("open", libc::EINVAL), "{flags}");
    }
    assert_eq!(
        driver.run(&["open", &name, "1", "c", "value"]),
        "open: 0\nvalue: 1\n"
    );
}

#[test]
fn a_signal_handler_ends_the_wait_of_an_interruptible_handle() {
    let driver = Driver::new();
    let name = driver.name();
    let object = driver.object.name();
    for (name, flags) in [(&name, "cxi"), (&name, "cxei"), (&object, "cxei")] {
        let calls = ["interrupt", "200", "wait", "20000", "post", "value"];
        let open = ["open", name, "0", flags];
        let output = driver.run(&[&open[..], &calls].concat());
        let expected = failed("wait", libc::EINTR);
        assert_eq!(output, format!("open: 0\n{expected}post: 0\nvalue: 1\n"));
        driver.run(&["remove", name]);
    }
    // Another handle of the same semaphore waits on.
    driver.run(&["open", &name, "0", "cxei"]);
    let waits = ["open", &name, "0", "e", "interrupt", "50", "wait", "300"];
    let output = driver.run(&waits);
    assert_eq!(
        output,
        format!("open: 0\n{}", failed("wait", libc::ETIMEDOUT))
    );
    // A call that finds an event does not wait, so no signal ends it.
    let taken = [
        "open",
        &name,
        "0",
        "ei",
        "post",
        "interrupt",
        "1",
        "wait",
        "-1",
    ];
    assert_eq!(driver.run(&taken), "open: 0\npost: 0\nwait: 0\n");
}

#[test]
fn a_sleeper_is_woken_within_10_ms() {
    let driver = Driver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "0", "cxe"]);
        let mut medians = Vec::new();
        // A busy machine may spoil one measurement.
        let in_time = (0..5).any(|_| {
            let output = driver.run(&["open", &name, "0", "e", "latency"]);
            let (_, median) = output.trim().rsplit_once(' ').unwrap();
            let median: i64 = median.parse().unwrap();
            assert!(median >= 0, "{output}");
            medians.push(median);
            median < 10_000
        });
        println!("{name}: medians of 50 wake-ups in µs: {medians:?}");
        assert!(in_time, "{name}: {medians:?}");
    }
}
