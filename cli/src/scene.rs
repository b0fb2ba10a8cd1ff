//! What all objects of one look have in common: locks, users, paths of keys.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use shmcomm::key::Key;

use crate::failure::Failure;
use crate::locks::Locks;
use crate::system::{Users, geteuid};
use crate::text::escaped;

pub struct Scene {
    pub euid: u32,
    pub locks: Locks,
    pub users: Users,
    /// Paths whose keys are looked for.
    paths: Vec<CString>,
    /// Whether messages are followed one by one, which shows damage.
    pub is_thorough: bool,
}

impl Scene {
    pub fn new(paths: &[PathBuf], is_thorough: bool) -> Result<Self, Failure> {
        let mut scene = Self {
            euid: geteuid(),
            locks: Locks::read(),
            users: Users::default(),
            paths: Vec::new(),
            is_thorough,
        };
        for path in paths {
            let bytes = path.as_os_str().as_bytes();
            // The argument of a process has no NUL.
            let path = CString::new(bytes).unwrap_or_default();
            Key::from_path(&path, 1).map_err(|error| Failure::of(&escaped(bytes), error))?;
            scene.paths.push(path);
        }
        Ok(scene)
    }

    /// The path and the project id whose key this is.
    pub fn path_of(&self, key: Key) -> Option<(String, i32)> {
        let id = (key.raw() >> 24) & 0xff;
        let has_key = |path: &&CString| Key::from_path(path, id) == Ok(key);
        let path = self.paths.iter().find(has_key)?;
        Some((escaped(path.as_bytes()), id))
    }
}
