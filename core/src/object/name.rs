//! The name of an object: where it lies.

use core::ffi::CStr;

use crate::error::Error;
use crate::name::Name;
use crate::sys::Path;

/// The path of a POSIX object or of a file.
#[derive(Clone, Copy)]
pub struct ObjectName<'a> {
    pub path: &'a CStr,
    /// A file's. The name of a POSIX object is never followed if it is a symbolic link, same as in
    /// shm_open(3).
    pub is_file: bool,
}

impl<'a> ObjectName<'a> {
    /// Builds the path of the name in `path`, which is empty; EINVAL for a name that stands for no object.
    pub fn new(name: Name<'_>, path: &'a mut Path) -> Result<Self, Error> {
        let (path, is_file) = match name {
            // The directory of shm_open(3).
            Name::Posix(name) => (path.fill(&[b"/dev/shm/", name])?, false),
            Name::File(name) => (path.fill(&[name])?, true),
            _ => return Err(Error::INVALID),
        };
        Ok(Self { path, is_file })
    }

    /// The directory, with the slash at its end.
    #[inline(never)]
    pub fn directory(self) -> &'a [u8] {
        let path = self.path.to_bytes();
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(last) => path.get(..=last).unwrap_or_default(),
            None => b"./",
        }
    }
}
