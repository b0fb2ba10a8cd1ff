//! A `file:` path through a symbolic link: followed to what exists, never created or replaced through.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::segment::{SegmentDriver, failed, user};

fn linked(driver: &SegmentDriver) -> (PathBuf, PathBuf, String) {
    let (link, target) = (driver.sandbox.join("link"), driver.sandbox.join("target"));
    symlink(&target, &link).unwrap();
    let name = format!("file:{}", link.display());
    (link, target, name)
}

#[test]
fn what_exists_is_followed() {
    let driver = SegmentDriver::new();
    let (link, target, name) = linked(&driver);
    let direct = format!("file:{}", target.display());
    driver.run(&["open", &direct, "64", "cx", "0600", "put", "there"]);
    for flags in ["", "r", "c"] {
        let read = driver.run(&["open", &name, "0", flags, "0600", "show"]);
        assert_eq!(read, "open: ok\nshow: there\n", "{flags}");
    }
    let exclusive = driver.run(&["open", &name, "64", "cx", "0600"]);
    assert_eq!(exclusive, failed("open", libc::EEXIST));
    // As unlink(2): the link goes.
    assert_eq!(driver.run(&["remove", &name]), "remove: ok\n");
    assert!(fs::symlink_metadata(&link).is_err() && target.exists());
}

#[test]
fn nothing_is_created_through_a_link() {
    let driver = SegmentDriver::new();
    let (link, target, name) = linked(&driver);
    // More than any file system has: the memory is not even asked for.
    let size = (1_u64 << 60).to_string();
    for flags in ["c", "cx", "cR", "cxR"] {
        let open = driver.run(&["open", &name, &size, flags, "0600"]);
        assert_eq!(open, failed("open", libc::ELOOP), "{flags}");
    }
    let open = driver.run(&["open", &name, "64", "", "0600"]);
    assert_eq!(open, failed("open", libc::ENOENT));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!target.exists());
}

#[test]
fn nothing_is_replaced_through_a_link() {
    let driver = SegmentDriver::new();
    let (link, target, name) = linked(&driver);
    let direct = format!("file:{}", target.display());
    let (mut creator, _) = user(&driver, &["open", &direct, "64", "cx", "0600", "put", "x"]);
    let open = driver.run(&["open", &name, "8", "cR", "0600", "show"]);
    assert_eq!(open, "open: ok\nshow: x\n", "its creator lives");
    creator.kill();
    for flags in ["cR", "cxR"] {
        let open = driver.run(&["open", &name, "8", flags, "0600"]);
        assert_eq!(open, failed("open", libc::ELOOP), "{flags}");
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let open = driver.run(&["open", &direct, "8", "cxR", "0600", "size"]);
    assert_eq!(open, "open: ok\nsize: 8\n");
}
