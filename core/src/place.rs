//! Where a thread id and a time after boot mean the same to two processes: in one boot of one
//! machine, one pid namespace and one time namespace.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sys;

/// A fingerprint of the boot and one of the namespaces, 20 bits each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u64);

const HALF: u32 = 20;
const MASK: u64 = (1 << HALF) - 1;

/// The place of the process whose pid is above it: a forked child may be elsewhere.
///
/// | value | written by | means |
/// |---|---|---|
/// | 0 | nobody | not looked up yet |
/// | else | any thread that finds another pid there | what that process found, whole in one word |
static FOUND: AtomicU64 = AtomicU64::new(0);

impl Place {
    /// How many bits of [`Self::raw`] count.
    pub const BITS: u32 = 2 * HALF;

    /// Where this process is; `None` without `/proc`.
    #[inline]
    pub fn current() -> Option<Self> {
        let pid = sys::pid() as u64;
        let found = FOUND.load(Relaxed);
        if found >> Self::BITS == pid {
            Some(Self::from_raw(found))
        } else {
            Self::look_up(pid)
        }
    }

    #[cold]
    fn look_up(pid: u64) -> Option<Self> {
        let namespaces = [sys::pid_namespace()?, sys::time_namespace()];
        let namespaces = fingerprint(namespaces.into_iter().flat_map(u64::to_ne_bytes));
        let boot = fingerprint(sys::boot_id().into_iter());
        let place = (boot << HALF) | namespaces;
        FOUND.store((pid << Self::BITS) | place, Relaxed);
        Some(Self(place))
    }

    pub const fn from_raw(raw: u64) -> Self {
        Self(raw & ((1 << Self::BITS) - 1))
    }

    pub const fn raw(self) -> u64 {
        self.0
    }

    pub const fn is_same_boot(self, other: Self) -> bool {
        self.0 >> HALF == other.0 >> HALF
    }
}

/// FNV-1a, folded.
fn fingerprint(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> HALF) ^ (hash >> (2 * HALF))) & MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stays_what_it_is() {
        let place = Place::current().unwrap();
        assert_eq!(Place::current(), Some(place));
        assert_eq!(Place::look_up(sys::pid() as u64), Some(place));
        assert_eq!(Place::from_raw(place.raw() | 1 << 63), place);
    }

    #[test]
    fn boots_and_namespaces_differ() {
        let place = Place::current().unwrap();
        let another_boot = Place::from_raw(place.raw() ^ (1 << HALF));
        let another_namespace = Place::from_raw(place.raw() ^ 1);
        assert!(!place.is_same_boot(another_boot));
        assert!(place.is_same_boot(another_namespace));
        assert_ne!(place, another_namespace);
    }
}
