//! The name of an object: where it lies.

use crate::error::Error;
use crate::name::Name;
use crate::sys::Path;

/// The path of a POSIX object or of a file.
pub struct ObjectName {
    path: Path,
    is_file: bool,
}

impl ObjectName {
    /// EINVAL for a name that stands for no object.
    #[inline(never)]
    pub fn new(name: Name<'_>) -> Result<Self, Error> {
        let (path, is_file) = match name {
            // The directory of shm_open(3).
            Name::Posix(name) => (Path::new(&[b"/dev/shm/", name]), false),
            Name::File(path) => (Path::new(&[path]), true),
            _ => return Err(Error::INVALID),
        };
        path.map(|path| Self { path, is_file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a file's. The name of a POSIX object is never followed if it is a symbolic link, same
    /// as in shm_open(3).
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// The directory, with the slash at its end.
    #[inline(never)]
    pub fn directory(&self) -> &[u8] {
        let path = self.path.as_c_str().to_bytes();
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(last) => path.get(..=last).unwrap_or_default(),
            None => b"./",
        }
    }
}
