//! Files and names of a run, all of which it removes.

use std::cell::Cell;
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs, process, ptr};

use crate::Result;

/// The project id that `comm.h` takes by default.
const PROJECT: libc::c_int = 0x6666;
const PREFIX: &str = "shmcomm-bench-";
const OBJECTS: &str = "/dev/shm";
/// ftok uses 24 bits of a file's identity, so another file may have the same key.
const KEYS: u32 = 100;

/// A directory, a System V key, and names of POSIX objects. When it is dropped, it removes the
/// directory, the segment of that key and the objects.
pub struct Scratch {
    directory: PathBuf,
    next: Cell<u32>,
}

impl Scratch {
    /// Creates one, and removes what a killed run left.
    pub fn new() -> Result<Self> {
        // On a disk, since file: segments are measured in it; short, since sockets are named by it.
        let parent = env::var_os("TMPDIR").map_or("/var/tmp".into(), PathBuf::from);
        for directory in [&*parent, Path::new(OBJECTS)] {
            sweep(directory, &parent)?;
        }
        let scratch = Self::within(parent.join(format!("{PREFIX}{}", process::id())), 0);
        fs::create_dir(&scratch.directory)?;
        let scratch = ManuallyDrop::into_inner(scratch);
        for number in 0..KEYS {
            let file = scratch.directory.join(number.to_string());
            fs::write(&file, "")?;
            if segment(&file)?.is_none() {
                fs::rename(file, scratch.key_path())?;
                return Ok(scratch);
            }
        }
        Err("no System V key is free".into())
    }

    /// Another process's, which removes it; names count from `first`.
    pub fn within(directory: PathBuf, first: u32) -> ManuallyDrop<Self> {
        let next = Cell::new(first);
        ManuallyDrop::new(Self { directory, next })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that makes the System V key.
    pub fn key_path(&self) -> PathBuf {
        self.directory.join("key")
    }

    /// A prefix of POSIX names, all of which are this run's.
    pub fn prefix(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        format!("{}-", name.display())
    }

    /// A POSIX name without its slash, a new one each time.
    pub fn name(&self) -> String {
        let number = self.next.replace(self.next.get() + 1);
        format!("{}{number}", self.prefix())
    }

    /// Removes the POSIX objects, which no process uses any more.
    pub fn clear(&self) {
        let prefix = self.prefix();
        for entry in fs::read_dir(OBJECTS).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(Some(id)) = segment(&self.key_path()) {
            // SAFETY: takes no buffer.
            unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
        }
        self.clear();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Drops the scratch of each exited process that has an entry in this directory.
fn sweep(directory: &Path, parent: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().display().to_string();
        let Some(pid) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let pid = pid.split('-').next().unwrap_or(pid);
        if !Path::new("/proc").join(pid).exists() {
            let stale = Scratch::within(parent.join(format!("{PREFIX}{pid}")), 0);
            drop(ManuallyDrop::into_inner(stale));
        }
    }
    Ok(())
}

/// The segment with the key that a file makes.
fn segment(file: &Path) -> Result<Option<libc::c_int>> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: the path ends with NUL.
    let key = unsafe { libc::ftok(path.as_ptr(), PROJECT) };
    if key == -1 {
        return Ok(None);
    }
    // SAFETY: takes no pointer.
    let id = unsafe { libc::shmget(key, 0, 0) };
    Ok((id >= 0).then_some(id))
}
