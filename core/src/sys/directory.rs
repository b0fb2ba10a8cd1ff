//! Names in a directory: changing and listing them.

use core::ffi::{CStr, c_int};

use super::{Path, checked, not_negative, open_directory};
use crate::error::Errno;

/// Gives a file another name, and takes that from what has it.
pub fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    // SAFETY: the paths end with NUL.
    checked(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) })
}

/// Gives a file another name; EEXIST where that is taken.
pub fn rename_to_new(from: &Path, to: &Path) -> Result<(), Errno> {
    // SAFETY: the paths end with NUL. Not the function, which old C libraries lack.
    checked(unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    } as c_int)
}

/// Calls `each` with the names in a directory; those that come or go meanwhile may be left out.
pub fn for_each_name(directory: &Path, mut each: impl FnMut(&[u8])) -> Result<(), Errno> {
    /// Where in an entry its length and its name are: `getdents64(2)`.
    const LENGTH: usize = 16;
    const NAME: usize = 19;

    #[repr(align(8))]
    struct Entries([u8; 2048]);

    let directory = open_directory(directory)?;
    let mut entries = Entries([0; 2048]);
    loop {
        let size = entries.0.len();
        let to = entries.0.as_mut_ptr();
        // SAFETY: the buffer is as long as said.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, directory.raw(), to, size) };
        let read = not_negative(read as c_int)?;
        let mut rest = entries.0.get(..read as usize).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while let Some(length) = rest.get(LENGTH..).and_then(|at| at.first_chunk()) {
            let Some((entry, next)) = rest.split_at_checked(u16::from_ne_bytes(*length).into())
            else {
                break;
            };
            let name = entry.get(NAME..).unwrap_or_default();
            if let Ok(name) = CStr::from_bytes_until_nul(name) {
                each(name.to_bytes());
            } else {
                break;
            }
            rest = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_directory_are_seen() {
        let directory = std::env::temp_dir().join(format!("shmcomm-names-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let names: Vec<String> = (0..100).map(|n| format!("{n}-{}", "x".repeat(n))).collect();
        for name in &names {
            std::fs::write(directory.join(name), "").unwrap();
        }
        let mut seen = Vec::new();
        let path = Path::new(&[directory.as_os_str().as_encoded_bytes()]).unwrap();
        let result = for_each_name(&path, |name| {
            seen.push(String::from_utf8(name.to_vec()).unwrap());
        });
        std::fs::remove_dir_all(&directory).unwrap();
        result.unwrap();
        seen.retain(|name| name != "." && name != "..");
        seen.sort();
        let mut names = names;
        names.sort();
        assert_eq!(seen, names);
        assert!(for_each_name(&path, |_| ()).is_err());
    }
}
