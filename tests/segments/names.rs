//! Names and descriptors at their limits, and an object that is removed while it is opened.

use std::fs;
use std::os::unix::process::CommandExt;

use crate::support::driver::Driver;
use crate::support::segment::{SegmentDriver, failed};
use crate::support::{self, Link, NOBODY, ObjectName};

#[test]
fn no_descriptor_is_a_standard_one() {
    let driver = Driver::build("descriptors.c", Link::Static);
    let output = driver.run(&[&driver.posix(), &driver.file()]);
    assert_eq!(output, "done\n");
}

#[test]
fn the_longest_names_work() {
    let driver = SegmentDriver::new();
    let object = ObjectName::new();
    let short = object.name();
    let posix = format!("{short}{}", "x".repeat(255 + "posix:/".len() - short.len()));
    let mut path = driver.sandbox.path().to_owned();
    while 4095 - path.as_os_str().len() > 256 {
        path.push("d".repeat((4095 - path.as_os_str().len() - 2).min(255)));
    }
    fs::create_dir_all(&path).unwrap();
    path.push("f".repeat(4095 - path.as_os_str().len() - 1));
    assert_eq!(path.as_os_str().len(), 4095);
    for name in [posix, format!("file:{}", path.display())] {
        let open = [
            "open", &name, "64", "cx", "0600", "open", &name, "64", "", "0",
        ];
        let output = driver.run(&[&open[..], &["size", "remove", &name]].concat());
        assert_eq!(output, "open: ok\nopen: ok\nsize: 64\nremove: ok\n");
        let longer = format!("{name}x");
        let output = driver.run(&["open", &longer, "64", "cx", "0600"]);
        assert_eq!(output, failed("open", libc::ENAMETOOLONG));
    }
}

#[test]
fn a_creator_that_is_not_root_opens_its_object_twice() {
    if !support::is_root() {
        return support::skip("only root can become another user");
    }
    let driver = SegmentDriver::for_all_users();
    let object = ObjectName::new();
    let name = object.name();
    let open = ["open", &name, "64", "c", "0600"];
    let mut command = driver.command(&[&open[..], &open, &["size", "remove", &name]].concat());
    let output = match command.uid(NOBODY).gid(NOBODY).output() {
        Ok(output) => support::stdout(&output),
        Err(error) => return support::skip(&error.to_string()),
    };
    assert_eq!(output, "open: ok\nopen: ok\nsize: 64\nremove: ok\n");
}

#[test]
fn a_creator_with_one_descriptor_left_is_recorded() {
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file()] {
        let script = r#"ulimit -n 4; "$0" open "$1" 64 cx 0600 stat remove "$1""#;
        let mut command = driver.sandbox.command("sh");
        command.args(["-c", script]).arg(&driver.program).arg(&name);
        let output = support::stdout(&support::run(&mut command));
        assert!(output.contains(" creator self "), "{name}: {output}");
    }
}

#[test]
fn anonymous_memory_has_its_mode() {
    let output = SegmentDriver::new().run(&["open", "anon:", "64", "c", "0640", "stat"]);
    assert!(output.contains(" mode 0640 "), "{output}");
}

#[test]
fn an_object_removed_between_open_and_lock_is_not_opened() {
    let driver = Driver::build("moments.c", Link::Static);
    for name in [driver.posix(), driver.file()] {
        let path = driver.path(&name).display().to_string();
        let output = driver.run(&["removed", &name, &path]);
        let absent = failed("open", libc::ENOENT);
        // With SHMC_CREATE the open creates another object, of the size that it requests.
        assert!(output.starts_with(&absent), "{output}");
        let made = format!("{absent}open: 32 bytes, removed 0\n");
        assert_eq!(output, made, "{name}");
        let output = driver.run(&["replaced", &name, &path]);
        assert_eq!(output, "open: 128 bytes, removed 0\n".repeat(2), "{name}");
    }
}

#[test]
fn a_limit_of_file_sizes_gives_a_signal_or_an_errno() {
    use std::os::unix::process::ExitStatusExt;
    let driver = SegmentDriver::new();
    for name in [driver.posix(), driver.file(), "anon:".into()] {
        for (trap, signal) in [("trap '' XFSZ;", None), ("", Some(libc::SIGXFSZ))] {
            let script =
                format!("{trap} ulimit -c 0; ulimit -f 8; exec \"$0\" open \"$1\" 65536 cx 0600");
            let mut command = driver.sandbox.command("sh");
            command
                .args(["-c", &script])
                .arg(&driver.program)
                .arg(&name);
            let output = command.output().unwrap();
            assert_eq!(output.status.signal(), signal, "{name}");
            if signal.is_none() {
                assert_eq!(support::stdout(&output), failed("open", libc::EFBIG));
            }
        }
        if name != "anon:" {
            let open = driver.run(&["open", &name, "0", "", "0"]);
            assert_eq!(open, failed("open", libc::ENOENT));
        }
    }
}

#[test]
fn lock_unlock_and_sync_reach_the_kernel() {
    let driver = Driver::build("moments.c", Link::Static);
    let name = driver.file();
    let output = driver.command(&["memory", &name]).output().unwrap();
    if output.status.code() == Some(77) {
        return support::skip("this user may not lock memory");
    }
    let expected = "open: 0 kB locked\nlock: 64 kB locked\nunlock: 0 kB locked\n\
        msync: 65536 bytes, synchronously: 1\n";
    assert_eq!(support::stdout(&output), expected);
}
