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

/// Where POSIX objects are.
const OBJECTS: &str = "/dev/shm";

/// A directory of a run's own, in it a file whose System V key is free, and names of POSIX objects.
/// When it is dropped, the directory is gone, and so are the segment with that key and the objects.
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

    /// A POSIX name; it and all that begin with it are this run's.
    pub fn object(&self) -> String {
        let benchmark = self.0.parent().and_then(Path::file_name);
        let [benchmark, run] =
            [benchmark, self.0.file_name()].map(|name| name.unwrap_or_default().to_string_lossy());
        format!("/shmcomm-bench-{benchmark}-{run}-")
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
        let object = self.object();
        for entry in fs::read_dir(OBJECTS).into_iter().flatten().flatten() {
            if format!("/{}", entry.file_name().display()).starts_with(&object) {
                let _ = fs::remove_file(entry.path());
            }
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
