//! `COMM_MODE`: the permission bits of a new segment.

use super::driver::Driver;
use crate::support;

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
