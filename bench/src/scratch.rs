//! What a benchmark needs while it runs, and leaves nothing of.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs, process, ptr};

use crate::Result;

/// The project id that `comm.h` takes by default.
const ID: libc::c_int = 0x6666;
/// So many files with a key that is taken are bad luck no more.
const TRIES: u32 = 100;

/// The directory that cargo built this program into.
pub fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2);
    Ok(target.ok_or("not started from a target directory")?.into())
}

/// A directory of a run's own, and in it a file whose System V key is free. When it is dropped,
/// both are gone, and so is the segment with that key.
pub struct Scratch(PathBuf);

impl Scratch {
    /// For the benchmark of this name.
    pub fn new(benchmark: &str) -> Result<Self> {
        let all = target()?.join("bench-scratch").join(benchmark);
        fs::create_dir_all(&all)?;
        sweep(&all)?;
        let scratch = Self(all.join(process::id().to_string()));
        fs::create_dir(scratch.path())?;
        scratch.make_key()?;
        Ok(scratch)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file that makes the key.
    pub fn key_path(&self) -> PathBuf {
        self.0.join("key")
    }

    /// ftok takes few bits of a file's identity, so another file may have the same.
    fn make_key(&self) -> Result<()> {
        for number in 0..TRIES {
            let file = self.0.join(format!("key-{number}"));
            fs::write(&file, "")?;
            if segment(&file)?.is_none() {
                return Ok(fs::rename(file, self.key_path())?);
            }
        }
        Err("no key is free".into())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(Some(id)) = segment(&self.key_path()) {
            // SAFETY: takes no buffer.
            unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) };
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Drops what runs left that were killed.
fn sweep(all: &Path) -> Result<()> {
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if !Path::new("/proc").join(entry.file_name()).exists() {
            drop(Scratch(entry.path()));
        }
    }
    Ok(())
}

/// The segment with the key that a file makes.
fn segment(file: &Path) -> Result<Option<libc::c_int>> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: the path ends with NUL.
    let key = unsafe { libc::ftok(path.as_ptr(), ID) };
    if key == -1 {
        return Ok(None);
    }
    // SAFETY: takes no pointer.
    let id = unsafe { libc::shmget(key, 0, 0) };
    Ok((id >= 0).then_some(id))
}
