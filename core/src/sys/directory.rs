//! Names in a directory: changing and listing them.

use core::ffi::{CStr, c_int};

use super::file::open_directory;
use crate::error::{Call, Error};

/// Renames a file; a file that has the new name loses it.
pub fn rename(from: &CStr, to: &CStr) -> Result<(), Error> {
    // SAFETY: the paths end with NUL.
    Call::Rename.checked(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) })
}

/// Renames a file; EEXIST if the new name is taken (`RENAME_NOREPLACE`).
pub fn renameat2(from: &CStr, to: &CStr) -> Result<(), Error> {
    // SAFETY: the paths end with NUL. Not the function, which old C libraries lack.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    Call::Rename.checked(result as c_int)
}

/// Calls `each` with the names in a directory, as far as it can be read. Names that appear or disappear
/// meanwhile may be missing.
pub fn for_each_name(directory: &CStr, mut each: impl FnMut(&[u8])) {
    /// Offsets of the length and of the name in an entry: `getdents64(2)`.
    const LENGTH: usize = 16;
    const NAME: usize = 19;

    #[repr(align(8))]
    struct Entries([u8; 2048]);

    let Ok(directory) = open_directory(directory) else {
        return;
    };
    let mut entries = Entries([0; 2048]);
    loop {
        let size = entries.0.len();
        let to = entries.0.as_mut_ptr();
        // SAFETY: the length is the buffer's.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, directory.raw(), to, size) };
        let read = usize::try_from(read).unwrap_or(0);
        let mut rest = entries.0.get(..read).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        while let Some(length) = rest.get(LENGTH..).and_then(|at| at.first_chunk()) {
            let Some((entry, next)) = rest.split_at_checked(u16::from_ne_bytes(*length).into())
            else {
                break;
            };
            let name = entry.get(NAME..).unwrap_or_default();
            let Ok(name) = CStr::from_bytes_until_nul(name) else {
                break;
            };
            each(name.to_bytes());
            rest = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Path;

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
        for_each_name(&path, |name| {
            seen.push(String::from_utf8(name.to_vec()).unwrap());
        });
        std::fs::remove_dir_all(&directory).unwrap();
        seen.retain(|name| name != "." && name != "..");
        seen.sort();
        let mut names = names;
        names.sort();
        assert_eq!(seen, names);
        for_each_name(&path, |_| panic!("the directory is removed"));
    }
}
