//! System V keys for tests.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use shmcomm::Name;

/// A key that no other test uses. Its segment and its semaphore are removed at first and in the end.
pub struct SysvKey(String);

impl SysvKey {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Relaxed);
        assert!(next < 1 << 10);
        let key = Self(format!(
            "sysv:0x5e{:06x}",
            std::process::id() << 10 & 0xff_fc00 | next
        ));
        key.remove();
        key
    }

    pub fn name(&self) -> Name<'_> {
        Name::parse(self.0.as_bytes()).unwrap()
    }

    pub fn raw(&self) -> i32 {
        i32::from_str_radix(self.0.trim_start_matches("sysv:0x"), 16).unwrap()
    }

    fn remove(&self) {
        // SAFETY: none of these calls takes a pointer that it needs.
        unsafe {
            libc::semctl(libc::semget(self.raw(), 0, 0), 0, libc::IPC_RMID);
            let id = libc::shmget(self.raw(), 0, 0);
            libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
        }
    }
}

impl Drop for SysvKey {
    fn drop(&mut self) {
        self.remove();
    }
}
