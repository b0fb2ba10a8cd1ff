//! Tests that step through a process stay on one core. The tests of `core` use this file, too.

use std::{io, mem};

/// Keeps the calling thread and its children on their core. A step then takes a tenth of the time,
/// because no other core has to be woken.
pub struct OneCore(libc::cpu_set_t);

impl OneCore {
    pub fn new() -> io::Result<Self> {
        // SAFETY: all zeros are a valid set, of this size.
        unsafe {
            let (mut allowed, mut only): (libc::cpu_set_t, _) = (mem::zeroed(), mem::zeroed());
            checked(libc::sched_getaffinity(
                0,
                size_of_val(&allowed),
                &mut allowed,
            ))?;
            libc::CPU_SET(checked(libc::sched_getcpu())? as usize, &mut only);
            checked(libc::sched_setaffinity(0, size_of_val(&only), &only))?;
            Ok(Self(allowed))
        }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        // SAFETY: a set of this size.
        unsafe { libc::sched_setaffinity(0, size_of_val(&self.0), &self.0) };
    }
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}
