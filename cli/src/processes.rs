//! Which processes use an object, and how: `/proc/PID/fd`, `fdinfo` and `maps`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::arguments::Kind;
use crate::entry::{Entry, Holder, Role};
use crate::locks::parse_file;
use crate::system;

/// A flag of `/proc/PID/stat`: the process is a thread of the kernel.
const PF_KTHREAD: u64 = 0x0020_0000;

/// What a look at all processes has not seen.
#[derive(Default)]
pub struct Unseen {
    /// Processes that this user may not look into.
    pub processes: u64,
    /// `/proc` hides the processes of other users: `hidepid` of proc(5).
    pub is_hidden: bool,
}

impl Unseen {
    /// A warning for people; `None` if all was seen.
    pub fn warning(&self) -> Option<String> {
        match (self.is_hidden, self.processes) {
            (true, _) => Some("/proc hides the processes of other users".to_owned()),
            (false, 0) => None,
            (false, number) => {
                let processes = crate::text::count(number, "process");
                Some(format!("this user may not look into {processes}"))
            }
        }
    }
}

/// Finds the holders of these objects. With `maps`, those that have an object only mapped or attached, too:
/// this takes longer.
pub fn find_holders(entries: &mut [Entry], maps: bool) -> Unseen {
    let mut unseen = Unseen {
        processes: 0,
        is_hidden: is_hidden(),
    };
    let mut files = HashMap::new();
    let mut segments = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(identity) = entry.identity {
            files.insert(identity, index);
        } else if let (Kind::Segment, Some(sysv)) = (entry.kind, &entry.sysv) {
            segments.insert(sysv.id as u64, index);
        }
    }
    if files.is_empty() && (segments.is_empty() || !maps) {
        return unseen;
    }
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let mut found = Vec::new();
        let mut is_seen = descriptors(&process.path(), &files, entries, &mut found);
        if is_seen && maps {
            is_seen = mappings(&process.path(), &files, &segments, &mut found);
        }
        if !is_seen && !is_gone_or_kernel(&process.path()) {
            unseen.processes += 1;
        }
        found.sort();
        found.dedup();
        for (index, role) in found {
            let holders = &mut entries[index].holders;
            // An end is a role of its own; of the others, the first says all.
            let is_end = role < Role::User;
            if is_end || holders.iter().all(|holder| holder.pid != pid) {
                holders.push(Holder { pid, role });
            }
        }
    }
    for entry in entries {
        entry
            .holders
            .sort_by_key(|holder| (holder.role, holder.pid));
    }
    unseen
}

/// The roles that a process has by its descriptors. Returns whether they could be looked at.
fn descriptors(
    process: &Path,
    files: &HashMap<(u64, u64), usize>,
    entries: &[Entry],
    found: &mut Vec<(usize, Role)>,
) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    for descriptor in descriptors.flatten() {
        // Follows the link, without opening anything.
        let Ok(status) = fs::metadata(descriptor.path()) else {
            continue;
        };
        let Some(index) = files.get(&(status.dev(), status.ino())) else {
            continue;
        };
        let info = process.join("fdinfo").join(descriptor.file_name());
        let info = fs::read_to_string(info).unwrap_or_default();
        let kind = entries[*index].kind;
        // An end says more than the lock that each user has.
        let role = info.lines().filter_map(|line| role(line, kind)).min();
        found.push((*index, role.unwrap_or(Role::Opener)));
    }
    true
}

/// The role of a line such as `lock: 1: OFDLCK ADVISORY WRITE -1 00:1a:5 0 0`.
fn role(line: &str, kind: Kind) -> Option<Role> {
    let mut fields = line.strip_prefix("lock:")?.split_whitespace().skip(1);
    match fields.next()? {
        "FLOCK" if kind == Kind::Topic => Some(Role::Reader),
        "FLOCK" => Some(Role::User),
        "OFDLCK" if kind == Kind::Topic => Some(Role::Writer),
        "OFDLCK" if kind == Kind::Channel => match fields.nth(4)?.parse().ok()? {
            // docs/architecture.md: the bytes of the ends and of their slots.
            0..64_u64 => Some(Role::Sender),
            64..128 => Some(Role::Receiver),
            _ => None,
        },
        _ => None,
    }
}

/// The objects that a process has mapped or attached. Returns whether they could be looked at.
fn mappings(
    process: &Path,
    files: &HashMap<(u64, u64), usize>,
    segments: &HashMap<u64, usize>,
    found: &mut Vec<(usize, Role)>,
) -> bool {
    let Ok(maps) = fs::read(process.join("maps")) else {
        return false;
    };
    let files: HashMap<_, _> = files
        .iter()
        .map(|((device, inode), index)| ((system::device(*device), *inode), *index))
        .collect();
    for line in String::from_utf8_lossy(&maps).lines() {
        let mut fields = line.split_whitespace().skip(3);
        let (Some(device), Some(inode)) = (fields.next(), fields.next()) else {
            continue;
        };
        let Some((device, inode)) = parse_file(&format!("{device}:{inode}")) else {
            continue;
        };
        // A file of the kernel's own, whose inode number is the id of the segment.
        let is_segment = fields.next().is_some_and(|path| path.starts_with("/SYSV"))
            && fields.next() == Some("(deleted)")
            && device.0 == 0;
        let index = match is_segment {
            true => segments.get(&inode),
            false => files.get(&(device, inode)),
        };
        found.extend(index.map(|index| (*index, Role::Mapper)));
    }
    true
}

/// Whether a process has exited, or is a thread of the kernel: neither uses an object.
fn is_gone_or_kernel(process: &Path) -> bool {
    let Some(fields) = stat(process) else {
        return true;
    };
    if matches!(fields.first().map(String::as_str), Some("Z" | "X")) {
        return true;
    }
    let flags = fields.get(6).and_then(|flags| flags.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// The fields of `/proc/PID/stat` after the name.
fn stat(process: &Path) -> Option<Vec<String>> {
    let text = fs::read(process.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Facts about one process.
pub struct Process {
    pub uid: u32,
    /// When it started, in seconds since 1970.
    pub since: Option<i64>,
    pub command: String,
}

impl Process {
    /// `None` if it has exited.
    pub fn look_up(pid: i32) -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let uid = fs::metadata(&process).ok()?.uid();
        let command = fs::read(process.join("comm")).unwrap_or_default();
        Some(Self {
            uid,
            since: since(&process),
            command: crate::text::escaped(command.trim_ascii_end()),
        })
    }
}

fn since(process: &Path) -> Option<i64> {
    let ticks: i64 = stat(process)?.get(19)?.parse().ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<i64>().ok()? + ticks / system::ticks_per_second())
}

/// Whether `/proc` hides the processes of other users from this one.
fn is_hidden() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut options = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next() == Some("/proc"))
            .then(|| fields.nth(1))
            .flatten()
    });
    // The last mount covers the others.
    let hides = options.next_back().is_some_and(|options| {
        let value = options
            .split(',')
            .find_map(|option| option.strip_prefix("hidepid="));
        value.is_some_and(|value| !matches!(value, "0" | "off"))
    });
    // Root sees all the same, as does who may trace init.
    hides && system::geteuid() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_tells_the_role() {
        let line =
            |kind, start| format!("lock:\t1: {kind} ADVISORY  WRITE -1 00:1a:5 {start} {start}");
        for (line, of, expected) in [
            (line("OFDLCK", 0), Kind::Channel, Some(Role::Sender)),
            (line("OFDLCK", 63), Kind::Channel, Some(Role::Sender)),
            (line("OFDLCK", 64), Kind::Channel, Some(Role::Receiver)),
            (line("OFDLCK", 127), Kind::Channel, Some(Role::Receiver)),
            (line("OFDLCK", 128), Kind::Channel, None),
            (line("OFDLCK", 0), Kind::Topic, Some(Role::Writer)),
            (line("FLOCK ", 0), Kind::Topic, Some(Role::Reader)),
            (line("OFDLCK", 0), Kind::Object, None),
            (line("FLOCK ", 0), Kind::Segment, Some(Role::User)),
            ("pos:\t0".to_owned(), Kind::Channel, None),
        ] {
            assert_eq!(role(&line, of), expected, "{line}");
        }
    }
}
