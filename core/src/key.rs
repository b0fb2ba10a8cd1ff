//! System V keys: the number under which processes find the same segment.

use core::ffi::{CStr, c_int};

use crate::error::Error;
use crate::sys::{self, SharedPath};

/// The path of a key, unless the program or its user chooses another.
pub const DEFAULT_PATH: &CStr = c"/temp";
/// The project id, unless the program or its user chooses another; `ftok(3)` takes its low 8 bits.
pub const DEFAULT_ID: c_int = 0x6666;

/// A System V key, see `sysvipc(7)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(libc::key_t);

impl Key {
    /// The key of no name: each segment created with it is a new one.
    pub const PRIVATE: Self = Self(libc::IPC_PRIVATE);

    /// A key that was chosen as a number.
    pub const fn from_raw(key: libc::key_t) -> Self {
        Self(key)
    }

    /// The key of an existing file or directory and the low 8 bits of `id`, by `ftok(3)`. It
    /// stays the same as long as the file is not replaced, and is not always unique.
    #[inline]
    pub fn from_path(path: &CStr, id: c_int) -> Result<Self, Error> {
        sys::ftok(path, id).map(Self)
    }

    /// Same as [`Self::from_path`], for the path of this process.
    #[inline]
    pub(crate) fn from_shared_path(path: &SharedPath, id: c_int) -> Result<Self, Error> {
        sys::ftok_shared(path, id).map(Self)
    }

    /// The number.
    pub const fn raw(self) -> libc::key_t {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Call, Errno};

    #[test]
    #[cfg_attr(miri, ignore = "calls ftok(3)")]
    fn only_the_low_8_bits_of_the_id_count() {
        let root = Key::from_path(c"/", 0x66).unwrap();
        assert_eq!(Key::from_path(c"/", 0x6666), Ok(root));
        assert_ne!(Key::from_path(c"/", 0x67), Ok(root));
        assert_eq!(root.raw() >> 24, 0x66);
    }

    #[test]
    #[cfg_attr(miri, ignore = "calls ftok(3)")]
    fn a_missing_path_has_no_key() {
        let error = Key::from_path(c"/nowhere at all", 1).unwrap_err();
        assert_eq!((error.call(), error.errno()), (Call::Ftok, Errno::ENOENT));
    }
}
