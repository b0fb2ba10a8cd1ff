//! The memory of a segment: its size, protection, huge pages, locks, and a full file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};

use crate::support::segment::{SegmentDriver, failed};
use crate::support::{self, NOBODY};

#[test]
fn the_size_is_the_one_that_the_kernel_reports() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        for size in [1, 4095, 4096, 4097, 1 << 30] {
            let (bytes, more) = (size.to_string(), (size + 1).to_string());
            let made = driver.run(&["open", &name, &bytes, "c", "0600", "size", "stat"]);
            if size == 1 << 30 && made == failed("open", libc::ENOSPC) {
                support::skip("no room for 1 GiB");
                continue;
            }
            assert!(
                made.starts_with(&format!("open: ok\nsize: {size}\nsize {size} ")),
                "{made}"
            );
            let opened = format!("open: ok\nsize: {size}\n");
            for smaller in ["0", "1", &bytes] {
                for flags in ["", "r", "c"] {
                    let open = ["open", &name, smaller, flags, "0", "size"];
                    assert_eq!(driver.run(&open), opened, "{open:?}");
                }
            }
            for flags in ["", "c"] {
                let open = driver.run(&["open", &name, &more, flags, "0"]);
                assert_eq!(open, failed("open", libc::EINVAL), "{name} {more}");
            }
            assert_eq!(driver.run(&["open", &name, "0", "", "0", "size"]), opened);
            assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
        }
    }
}

#[test]
fn a_full_file_system_gives_an_errno_and_no_fault() {
    let driver = SegmentDriver::new();
    let directory = driver.sandbox.join("small");
    fs::create_dir(&directory).unwrap();
    let file = format!("file:{}/file", directory.display());
    for name in [&driver.posix(), &file] {
        let script = r#"
            mount -t tmpfs -o size=64k none /dev/shm && mount --bind /dev/shm "$1" || exit 9
            "$0" open "$2" 65537 c 0600
            ls -A /dev/shm
            "$0" open "$2" 65536 c 0600 fill size
            "$0" open posix:/another 1 c 0600
            "$0" remove "$2"
            "$0" open posix:/another 4096 c 0600 fill remove posix:/another
        "#;
        let arguments = [directory.as_os_str(), name.as_ref()];
        let Some(output) = driver.in_namespaces(&["--mount"], script, &arguments) else {
            return;
        };
        if output.status.code() == Some(9) {
            return support::skip(support::stderr(&output).trim());
        }
        let full = failed("open", libc::ENOSPC);
        let expected =
            format!("{full}open: ok\nsize: 65536\n{full}remove: ok\nopen: ok\nremove: ok\n");
        assert_eq!(
            support::stdout(&output),
            expected,
            "{}",
            support::stderr(&output)
        );
    }
}

#[test]
fn a_read_only_segment_faults_when_written() {
    let driver = SegmentDriver::new();
    for name in driver.names() {
        driver.run(&["open", &name, "64", "cx", "0600", "put", "kept"]);
        let output = driver.output(&["open", &name, "0", "r", "0", "show", "put", "written"]);
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{name}");
        assert_eq!(support::stdout(&output), "open: ok\nshow: kept\n", "{name}");
        let made = driver.output(&[
            "remove", &name, "open", &name, "64", "crp", "0600", "show", "fill",
        ]);
        assert_eq!(made.status.signal(), Some(libc::SIGSEGV), "{name}");
        assert_eq!(
            support::stdout(&made),
            "remove: ok\nopen: ok\nshow: \n",
            "{name}"
        );
        driver.run(&["remove", &name]);
    }
}

#[test]
fn huge_pages_prefault_and_locking_do_what_they_can() {
    let driver = SegmentDriver::new();
    for name in [&driver.names()[..], &["anon:".to_owned()]].concat() {
        let output = driver.run(&["open", &name, "5000", "chp", "0600", "fill", "stat", "size"]);
        let pages = output.split("pages ").nth(1).expect(&output).as_bytes()[0];
        assert!((b'0'..=b'2').contains(&pages), "{output}");
        let size = output.split("size: ").nth(1).unwrap().trim();
        if pages == b'2' && name == "anon:" {
            assert_eq!(size.parse::<u64>().unwrap() % (1 << 21), 0, "{output}");
        } else {
            assert_eq!(size, "5000", "{output}");
        }
        let _ = driver.run(&["remove", &name]);

        let locked = [
            "open", &name, "5000", "cl", "0600", "stat", "unlock", "stat", "lock", "stat",
        ];
        let locked = driver.run(&locked);
        if locked.starts_with("open: ok") {
            let states: Vec<_> = locked
                .lines()
                .filter_map(|line| Some(line.split(" locked ").nth(1)?.as_bytes()[0]))
                .collect();
            assert_eq!(states, b"101", "{name}: {locked}");
        } else {
            support::skip("this user may not lock memory");
        }
        let _ = driver.run(&["remove", &name]);
    }
}

#[test]
fn locking_more_than_is_allowed_fails_and_creates_nothing() {
    let driver = SegmentDriver::for_all_users();
    if !support::is_root() {
        return support::skip("only root can become a user with a limit");
    }
    for name in driver.names() {
        let mut command = driver.command(&["open", &name, "1000000", "cxl", "0600"]);
        command.uid(NOBODY).gid(NOBODY);
        // SAFETY: setrlimit is safe to call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let none = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                libc::setrlimit(libc::RLIMIT_MEMLOCK, &none);
                Ok(())
            });
        }
        if name.starts_with("file:") {
            fs::set_permissions(driver.sandbox.path(), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let output = match command.output() {
            Ok(output) => support::stdout(&output),
            Err(error) => return support::skip(&error.to_string()),
        };
        assert_eq!(output, failed("open", libc::EPERM), "{name}");
        driver.assert_absent(&name);
    }
}
