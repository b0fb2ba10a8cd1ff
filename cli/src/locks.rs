//! `/proc/locks`: which objects have a lock of flock(2), so that a process uses them.
//!
//! To ask for that lock would disturb the processes that use the object. `/proc/locks` shows the locks of
//! all users, but not those of processes outside the pid namespace of this `/proc`.

use std::collections::HashMap;
use std::fs;

/// Major and minor number of the device, and inode number.
type FileId = ((u32, u32), u64);

/// The number of locks on each file.
pub struct Locks(Option<HashMap<FileId, u64>>);

impl Locks {
    pub fn read() -> Self {
        Self(fs::read_to_string("/proc/locks").ok().map(|text| {
            let mut locks = HashMap::new();
            for file in text.lines().filter_map(file) {
                *locks.entry(file).or_default() += 1;
            }
            locks
        }))
    }

    /// The number of locks on this file; `None` if `/proc/locks` cannot be read.
    pub fn of(&self, (device, inode): (u64, u64)) -> Option<u64> {
        let locks = self.0.as_ref()?;
        let file = (crate::system::device(device), inode);
        Some(locks.get(&file).copied().unwrap_or(0))
    }
}

/// The file of a line such as `1: FLOCK  ADVISORY  READ 4711 00:1a:5 0 EOF`.
fn file(line: &str) -> Option<FileId> {
    let mut fields = line.split_whitespace().skip(1);
    if fields.next() != Some("FLOCK") {
        return None;
    }
    parse_file(fields.nth(3)?)
}

/// `MAJOR:MINOR:INODE`, the first two in hexadecimal.
pub fn parse_file(text: &str) -> Option<FileId> {
    let mut numbers = text.split(':');
    let mut hex = || u32::from_str_radix(numbers.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some((device, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_file() {
        let flock = "1: FLOCK  ADVISORY  READ 4711 00:1a:5 0 EOF";
        assert_eq!(file(flock), Some(((0, 0x1a), 5)));
        // One that waits, and locks of other kinds.
        assert_eq!(
            file("1: -> FLOCK  ADVISORY  WRITE 4711 00:1a:5 0 EOF"),
            None
        );
        assert_eq!(file("2: OFDLCK ADVISORY  WRITE -1 00:1a:5 0 0"), None);
        assert_eq!(file(""), None);
    }
}
