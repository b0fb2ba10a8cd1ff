//! `errno`: how a call's result becomes an error, how `errno` is set, and how the system describes it.

use core::ffi::{CStr, c_int};
use core::fmt;
use core::mem::MaybeUninit;

use crate::error::{Call, Errno, Error};

impl Errno {
    /// The value that the last failed call of this thread has set.
    pub(super) fn last() -> Self {
        // SAFETY: points at this thread's errno.
        Self::from_raw(unsafe { *libc::__errno_location() })
    }

    /// Makes it the `errno` of this thread.
    pub fn set(self) {
        // SAFETY: points at this thread's errno.
        unsafe { *libc::__errno_location() = self.raw() }
    }
}

/// The system's own description, as `strerror(3)` gives it.
impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 128];
        // SAFETY: the length is the buffer's.
        let result = unsafe { libc::strerror_r(self.raw(), text.as_mut_ptr().cast(), text.len()) };
        match CStr::from_bytes_until_nul(&text).map(CStr::to_str) {
            Ok(Ok(text)) if result == 0 => f.write_str(text),
            _ => write!(f, "errno {}", self.raw()),
        }
    }
}

impl Call {
    /// The error of this call, which has just failed and set `errno`.
    pub(super) fn has_failed(self) -> Error {
        self.failed(Errno::last())
    }

    /// The result of a call that returns 0, or -1 and `errno`.
    #[inline]
    pub(super) fn checked(self, result: c_int) -> Result<(), Error> {
        self.not_negative(result).map(drop)
    }

    /// The result of a call that returns an id or a descriptor, or -1 and `errno`.
    #[inline]
    pub(super) fn not_negative(self, result: c_int) -> Result<c_int, Error> {
        match result {
            ..0 => Err(self.has_failed()),
            _ => Ok(result),
        }
    }

    /// The result of a call that returns its error.
    pub(super) fn zero(self, result: c_int) -> Result<(), Error> {
        match result {
            0 => Ok(()),
            errno => Err(self.failed(Errno::from_raw(errno))),
        }
    }

    /// The value that a call fills in.
    ///
    /// # Safety
    ///
    /// If the call succeeds, it has filled a value of this type.
    pub(super) unsafe fn filled<T>(self, call: impl FnOnce(*mut T) -> c_int) -> Result<T, Error> {
        let mut value = MaybeUninit::uninit();
        self.checked(call(value.as_mut_ptr()))?;
        // SAFETY: the caller's promise.
        Ok(unsafe { value.assume_init() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_its_call_and_the_systems_description() {
        let error = Call::Shmget.failed(Errno::EEXIST);
        assert_eq!(error.to_string(), "shmget: File exists");
    }

    #[test]
    fn an_unknown_errno_is_printed_too() {
        let text = Errno::from_raw(99_999).to_string();
        assert!(text.contains("99999"), "{text}");
    }
}
