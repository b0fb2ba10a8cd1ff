//! Names of a run's own, of which nothing is left.

use std::cell::Cell;
use std::ffi::OsStr;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use shmcomm_bench::Result;

const PREFIX: &str = "shmcomm-bench-";
const OBJECTS: &str = "/dev/shm";

/// A directory, and names that start with the name of that directory. When it is dropped, the
/// directory and the objects in shared memory with such names are gone.
pub struct Place {
    directory: PathBuf,
    next: Cell<u32>,
}

impl Place {
    /// A new one; what runs left that were killed is dropped.
    pub fn new() -> Result<Self> {
        for parent in [&env::temp_dir(), Path::new(OBJECTS)] {
            sweep(parent)?;
        }
        let directory = env::temp_dir().join(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&directory)?;
        let next = Cell::new(0);
        Ok(Self { directory, next })
    }

    /// Within another run's directory, which keeps it and cleans up.
    pub fn within(directory: PathBuf) -> ManuallyDrop<Self> {
        // No name that the other run uses itself.
        let next = Cell::new(1 << 30);
        ManuallyDrop::new(Self { directory, next })
    }

    /// A directory for files and sockets.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What all names start with.
    pub fn prefix(&self) -> String {
        let name = self.directory.file_name().unwrap_or(OsStr::new(PREFIX));
        format!("{}-", name.display())
    }

    /// A name for an object in shared memory, another one each time.
    pub fn name(&self) -> String {
        let number = self.next.get();
        self.next.set(number + 1);
        format!("{}{number}", self.prefix())
    }
}

impl Place {
    /// Removes the objects in shared memory, which nobody uses any more.
    pub fn clear(&self) {
        let prefix = self.prefix();
        for entry in fs::read_dir(OBJECTS).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
        self.clear();
    }
}

fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let name = entry?.file_name();
        let name = name.display().to_string();
        let pid = name.strip_prefix(PREFIX).map(|name| name.split('-').next());
        if let Some(Some(pid)) = pid
            && !Path::new("/proc").join(pid).exists()
        {
            drop(Place {
                directory: env::temp_dir().join(format!("{PREFIX}{pid}")),
                next: Cell::new(0),
            });
        }
    }
    Ok(())
}
