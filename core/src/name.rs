//! The name grammar: one line of text that names a piece of shared memory.
//!
//! | name | memory |
//! |---|---|
//! | `sysv:PATH`, `sysv:PATH#ID` | System V, the key that `ftok(3)` computes from the path and 0x66 or the id |
//! | `sysv:0xKEY`, `sysv:private`, `sysv:id:N` | System V, that key; always new; the existing segment N |
//! | `posix:/NAME` | an object as `shm_open(3)` names it |
//! | `file:PATH` | a mapped regular file |
//! | `anon:` | anonymous memory, which children of `fork(2)` inherit |
//!
//! ```
//! use shmcomm::name::{Name, Reason};
//!
//! assert_eq!(Name::parse(b"posix:/greeting"), Ok(Name::Posix(b"greeting")));
//! let error = Name::parse(b"sysv:/tmp#one").unwrap_err();
//! assert_eq!(error.reason(), Reason::ProjectId);
//! assert!(error.to_string().contains("\"sysv:/tmp#one\""));
//! ```

use core::ffi::c_int;
use core::fmt;

use crate::error::{Call, Errno, Error};
use crate::key::{DEFAULT_ID, Key};
use crate::sys;
use crate::text::parse_number;

/// The name of a piece of shared memory, as [`Name::parse`] reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name<'a> {
    /// System V, the key of an existing path and the low 8 bits of a project id.
    SysvPath(&'a [u8], c_int),
    /// System V, this key.
    SysvKey(Key),
    /// System V, always a new segment, which has no key.
    SysvPrivate,
    /// System V, the segment with this id.
    SysvId(c_int),
    /// POSIX, without the leading slash.
    Posix(&'a [u8]),
    /// A file, by its path.
    File(&'a [u8]),
    /// Anonymous memory.
    Anonymous,
}

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It does not begin with `sysv:`, `posix:`, `file:` or `anon:`.
    Kind,
    /// It has a control character.
    ControlCharacter,
    /// There is no path.
    EmptyPath,
    /// The text after `#` is not a number from 0 to 2147483647, decimal or after `0x`.
    ProjectId,
    /// The text after `sysv:0x` is not a key: 1 to ffffffff.
    Key,
    /// The text after `sysv:id:` is not a number from 0 to 2147483647.
    SegmentId,
    /// A POSIX name is a slash and 1 to 255 bytes without one, and neither `.` nor `..`.
    PosixName,
    /// Something follows `anon:`.
    AfterAnonymous,
    /// A path of more than 4095 bytes, or a POSIX name of more than 255.
    TooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "it begins with none of sysv: posix: file: anon:",
            Self::ControlCharacter => "it has a control character",
            Self::EmptyPath => "its path is empty",
            Self::ProjectId => "what follows # is not a number from 0 to 2147483647",
            Self::Key => "what follows sysv:0x is not a key from 1 to ffffffff",
            Self::SegmentId => "what follows sysv:id: is not a number from 0 to 2147483647",
            Self::PosixName => "a POSIX name is / and 1 to 255 bytes without another /",
            Self::AfterAnonymous => "nothing follows anon:",
            Self::TooLong => "it is longer than the system takes",
        })
    }
}

impl core::error::Error for Reason {}

/// A text that is no name, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameError<'a> {
    text: &'a [u8],
    reason: Reason,
}

impl NameError<'_> {
    /// The reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// ENAMETOOLONG or EINVAL.
    pub fn errno(&self) -> Errno {
        match self.reason {
            Reason::TooLong => Errno::ENAMETOOLONG,
            _ => Errno::EINVAL,
        }
    }
}

/// Prints the name and the reason.
impl fmt::Display for NameError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.text.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            if !chunk.invalid().is_empty() {
                f.write_str("?")?;
            }
        }
        write!(f, "\" is no name of shared memory: {}", self.reason)
    }
}

impl core::error::Error for NameError<'_> {}

impl From<NameError<'_>> for Error {
    fn from(error: NameError<'_>) -> Self {
        Call::Arguments.failed(error.errno())
    }
}

/// The longest path that the system takes, in bytes.
const MAX_PATH: usize = libc::PATH_MAX as usize - 1;
const MAX_POSIX_NAME: usize = 255;

impl<'a> Name<'a> {
    /// Reads a name. Only the form of a path is checked, not its existence.
    pub fn parse(text: &'a [u8]) -> Result<Self, NameError<'a>> {
        Self::read(text).map_err(|reason| NameError { text, reason })
    }

    fn read(text: &'a [u8]) -> Result<Self, Reason> {
        if text.iter().any(u8::is_ascii_control) {
            return Err(Reason::ControlCharacter);
        }
        if let Some(rest) = text.strip_prefix(b"sysv:") {
            sysv(rest)
        } else if let Some(rest) = text.strip_prefix(b"posix:") {
            posix(rest)
        } else if let Some(path) = text.strip_prefix(b"file:") {
            Ok(Self::File(checked_path(path)?))
        } else if let Some(rest) = text.strip_prefix(b"anon:") {
            match rest {
                [] => Ok(Self::Anonymous),
                _ => Err(Reason::AfterAnonymous),
            }
        } else {
            Err(Reason::Kind)
        }
    }

    /// The System V key of the name; EINVAL for a name that has none.
    #[inline(never)]
    pub(crate) fn key(self) -> Result<Key, Error> {
        match self {
            Self::SysvKey(key) => Ok(key),
            Self::SysvPath(path, id) => {
                let path = sys::Path::new(&[path])?;
                Key::from_path(&path, id)
            }
            _ => Err(Error::INVALID),
        }
    }
}

fn sysv(text: &[u8]) -> Result<Name<'_>, Reason> {
    if text == b"private" {
        return Ok(Name::SysvPrivate);
    }
    if let Some(id) = text.strip_prefix(b"id:") {
        return number(id, 10).map(Name::SysvId).ok_or(Reason::SegmentId);
    }
    if let Some(key) = text.strip_prefix(b"0x") {
        return match parse_number(key, 16) {
            None | Some(0) => Err(Reason::Key),
            Some(key) => Ok(Name::SysvKey(Key::from_raw(key as libc::key_t))),
        };
    }
    let Some(separator) = text.iter().rposition(|byte| *byte == b'#') else {
        return Ok(Name::SysvPath(checked_path(text)?, DEFAULT_ID));
    };
    let (path, id) = text.split_at_checked(separator).unwrap_or_default();
    let id = id.strip_prefix(b"#").unwrap_or_default();
    let id = match id.strip_prefix(b"0x") {
        Some(digits) => number(digits, 16),
        None => number(id, 10),
    };
    Ok(Name::SysvPath(
        checked_path(path)?,
        id.ok_or(Reason::ProjectId)?,
    ))
}

fn posix(text: &[u8]) -> Result<Name<'_>, Reason> {
    match text {
        [] | [b'/'] | [b'/', b'.'] | [b'/', b'.', b'.'] => Err(Reason::PosixName),
        _ if text.iter().rposition(|byte| *byte == b'/') != Some(0) => Err(Reason::PosixName),
        [_, name @ ..] if name.len() > MAX_POSIX_NAME => Err(Reason::TooLong),
        [_, name @ ..] => Ok(Name::Posix(name)),
    }
}

fn checked_path(path: &[u8]) -> Result<&[u8], Reason> {
    match path.len() {
        0 => Err(Reason::EmptyPath),
        1..=MAX_PATH => Ok(path),
        _ => Err(Reason::TooLong),
    }
}

fn number(text: &[u8], base: u32) -> Option<c_int> {
    parse_number(text, base).and_then(|number| c_int::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        let key = |key: u32| Name::SysvKey(Key::from_raw(key as i32));
        for (text, name) in [
            ("sysv:/tmp", Name::SysvPath(b"/tmp", 0x6666)),
            ("sysv:.#1", Name::SysvPath(b".", 1)),
            ("sysv:../#2015", Name::SysvPath(b"../", 2015)),
            ("sysv:/a#b#0x66", Name::SysvPath(b"/a#b", 0x66)),
            ("sysv:./private", Name::SysvPath(b"./private", 0x6666)),
            ("sysv:0x1", key(1)),
            ("sysv:0xFFFFffff", key(u32::MAX)),
            ("sysv:private", Name::SysvPrivate),
            ("sysv:id:0", Name::SysvId(0)),
            ("sysv:id:2147483647", Name::SysvId(i32::MAX)),
            ("posix:/x", Name::Posix(b"x")),
            ("posix:/...", Name::Posix(b"...")),
            ("file:x", Name::File(b"x")),
            ("file:../x", Name::File(b"../x")),
            ("anon:", Name::Anonymous),
        ] {
            assert_eq!(Name::parse(text.as_bytes()), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long_path = format!("file:{}", "x".repeat(4096));
        let long_name = format!("posix:/{}", "x".repeat(256));
        for (text, reason) in [
            ("", Reason::Kind),
            ("x", Reason::Kind),
            ("SYSV:/tmp", Reason::Kind),
            ("anon", Reason::Kind),
            ("anon:x", Reason::AfterAnonymous),
            ("sysv:", Reason::EmptyPath),
            ("sysv:#1", Reason::EmptyPath),
            ("file:", Reason::EmptyPath),
            ("sysv:/tmp#", Reason::ProjectId),
            ("sysv:/tmp#a", Reason::ProjectId),
            ("sysv:/tmp#-1", Reason::ProjectId),
            ("sysv:/tmp#0x", Reason::ProjectId),
            ("sysv:/tmp#2147483648", Reason::ProjectId),
            ("sysv:0x", Reason::Key),
            ("sysv:0x0", Reason::Key),
            ("sysv:0x100000000", Reason::Key),
            ("sysv:0xg", Reason::Key),
            ("sysv:id:", Reason::SegmentId),
            ("sysv:id:-1", Reason::SegmentId),
            ("sysv:id:2147483648", Reason::SegmentId),
            ("posix:", Reason::PosixName),
            ("posix:x", Reason::PosixName),
            ("posix:/", Reason::PosixName),
            ("posix:/.", Reason::PosixName),
            ("posix:/..", Reason::PosixName),
            ("posix:/../x", Reason::PosixName),
            ("posix:/a/b", Reason::PosixName),
            ("file:a\nb", Reason::ControlCharacter),
            ("posix:/\u{1b}[2J", Reason::ControlCharacter),
            (&long_path, Reason::TooLong),
            (&long_name, Reason::TooLong),
        ] {
            let error = Name::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), reason, "{text}");
            let errno = if reason == Reason::TooLong {
                Errno::ENAMETOOLONG
            } else {
                Errno::EINVAL
            };
            assert_eq!(Error::from(error).errno(), errno);
        }
    }

    #[test]
    fn an_error_prints_the_name_and_the_reason() {
        let error = Name::parse(b"posix:/a\xff/b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"posix:/a?/b\" is no name of shared memory: \
             a POSIX name is / and 1 to 255 bytes without another /"
        );
    }
}
