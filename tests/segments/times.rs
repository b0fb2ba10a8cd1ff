//! The times in `shmc_segment_stat`: of attach, of detach, and of the last change.

use std::fs::FileTimes;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use crate::support::driver::Driver;
use crate::support::{self, Child, Link};

fn driver() -> Driver {
    Driver::build("segment.c", Link::Static)
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64
}

/// Sleeps until the time in whole seconds is another one.
fn until_the_next_second() {
    thread::sleep(Duration::from_millis(1100));
}

/// The times of attach, detach and change in a line "times: ...".
fn times(line: &str) -> [i64; 3] {
    let fields = line.strip_prefix("times: ").expect(line);
    let times: Vec<i64> = fields
        .split(' ')
        .map(|time| time.trim().parse().unwrap())
        .collect();
    times.try_into().unwrap()
}

#[test]
fn a_system_v_segment_has_the_kernels_times() {
    let driver = driver();
    let name = driver.sysv();
    let calls = [
        "open", &name, "64", "cx", "0600", "times", "pause", "chmod", "0640", "times", "pause",
    ];
    let before = now();
    let mut creator = Child::start(&mut driver.command(&calls));
    let mut lines = BufReader::new(creator.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "open: ok");
    let [attached, detached, created] = times(&next());
    let is_now = before..=now();
    assert!(is_now.contains(&attached) && is_now.contains(&created));
    assert_eq!(detached, 0);
    assert_eq!(next(), "pause");

    until_the_next_second();
    driver.run(&["open", &name, "0", "", "0", "pause"]);
    until_the_next_second();
    creator.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(next(), "chmod: ok");
    let reported = times(&next());
    let id = support::segment(driver.sandbox.key()).unwrap().id;
    // SAFETY: all zeros are a valid value.
    let mut ds: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is of the type that IPC_STAT fills.
    assert_eq!(unsafe { libc::shmctl(id, libc::IPC_STAT, &mut ds) }, 0);
    assert_eq!(reported, [ds.shm_atime, ds.shm_dtime, ds.shm_ctime]);
    let [attached_last, detached, changed] = reported;
    assert!(created < attached_last && attached_last <= detached && detached < changed);
}

#[test]
fn an_object_has_the_times_of_its_file() {
    let driver = driver();
    for (name, path) in [
        (driver.posix(), driver.object.path().to_owned()),
        (driver.file(), driver.sandbox.join("file")),
    ] {
        driver.run(&["open", &name, "64", "cx", "0600"]);
        // A time in the future: no mapping of the file changes it then (relatime).
        set_accessed(&path, now() as u64 + 100_000);
        let reported =
            times(&driver.run(&["open", &name, "0", "", "0", "times"])["open: ok\n".len()..]);
        let file = fs::metadata(&path).unwrap();
        assert_eq!(reported, [file.atime(), 0, file.ctime()], "{name}");
        assert_ne!(reported[0], reported[2], "{name}");
        driver.run(&["remove", &name]);
    }
}

fn set_accessed(path: &Path, time: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(time);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_accessed(time)).unwrap();
}
