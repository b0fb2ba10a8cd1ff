//! Boot, pid namespace and time namespace: a thread id and a time after boot mean the same to two
//! processes that have these three in common.
//!
//! A process remembers what it determines about itself in memory that the kernel wipes in a child of any
//! fork, `_Fork` and raw `clone(2)` included: a child may be in another pid namespace and still have its
//! parent's pid.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::fork::Wiped;
use crate::sys;

/// A fingerprint of the boot and one of the two namespaces, 20 bits each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespace(u64);

const HALF: u32 = 20;
const MASK: u64 = (1 << HALF) - 1;

/// What this process knows about itself, in memory that is zero in a child.
struct Known {
    namespace: Remembered<1>,
    creator: Remembered<4>,
}

/// Numbers that are looked up once. A look-up that failed is repeated.
struct Remembered<const N: usize> {
    /// | value | written by | means |
    /// |---|---|---|
    /// | [`UNKNOWN`] | the kernel, also in a child of a fork | `words` mean nothing |
    /// | [`LOOKING`] | a thread that writes `words` next | `words` mean nothing |
    /// | [`KNOWN`] and more | a thread that has written them, in the same process | `words` stay as they are; no ancestor had this value |
    state: AtomicU64,
    words: [AtomicU64; N],
}

const UNKNOWN: u64 = 0;
const LOOKING: u64 = 1;
const KNOWN: u64 = 2;

/// How many states of [`KNOWN`] or more this process and its ancestors have had.
static TIMES_KNOWN: AtomicU64 = AtomicU64::new(0);

impl<const N: usize> Remembered<N> {
    const fn nothing() -> Self {
        Self {
            state: AtomicU64::new(UNKNOWN),
            words: [const { AtomicU64::new(0) }; N],
        }
    }

    #[inline]
    fn get(&self) -> Option<[u64; N]> {
        (self.state.load(Acquire) >= KNOWN).then(|| self.words.each_ref().map(|w| w.load(Relaxed)))
    }

    /// Remembers the result of a look-up, unless the process forks meanwhile: the child's thread finds the
    /// state wiped. A thread or signal handler that interrupts another look-up makes one of its own, with
    /// the same result, and either may be the first to store it.
    fn look_up(&self, look_up: impl FnOnce() -> Option<[u64; N]>) -> Option<[u64; N]> {
        let _ = self
            .state
            .compare_exchange(UNKNOWN, LOOKING, Relaxed, Relaxed);
        let found = look_up();
        for (word, number) in self.words.iter().zip(found.iter().flatten()) {
            word.store(*number, Relaxed);
        }
        let state = match found {
            Some(_) => KNOWN.wrapping_add(TIMES_KNOWN.fetch_add(1, Relaxed)),
            None => UNKNOWN,
        };
        let _ = self
            .state
            .compare_exchange(LOOKING, state, Release, Relaxed);
        found
    }
}

// SAFETY: atomics, all zeros.
static THIS_PROCESS: Wiped<Known> = unsafe {
    Wiped::new(Known {
        namespace: Remembered::nothing(),
        creator: Remembered::nothing(),
    })
};

/// The result of a look-up. On a kernel before 4.14, which cannot wipe memory in a child, it is not
/// remembered.
#[cold]
fn look_up<const N: usize>(
    remembered: &Remembered<N>,
    determine: fn() -> Option<[u64; N]>,
) -> Option<[u64; N]> {
    match THIS_PROCESS.wipe_in_children() {
        true => remembered.look_up(determine),
        false => determine(),
    }
}

/// A number that no ancestor of this process had; `None` until [`Namespace::current`] is remembered.
#[inline]
pub fn generation() -> Option<u64> {
    let state = THIS_PROCESS.get().namespace.state.load(Acquire);
    (state >= KNOWN).then_some(state)
}

impl Namespace {
    /// The number of bits in [`Self::raw`].
    pub const BITS: u32 = 2 * HALF;

    /// That of this process; `None` if it cannot be determined, for example without `/proc`.
    #[inline(never)]
    pub fn current() -> Option<Self> {
        let remembered = &THIS_PROCESS.get().namespace;
        let [raw] = match remembered.get() {
            None => look_up(remembered, Self::determine)?,
            Some(raw) => raw,
        };
        Some(Self(raw))
    }

    fn determine() -> Option<[u64; 1]> {
        let namespaces = sys::namespaces()?;
        let namespaces = fingerprint(namespaces.into_iter().flat_map(u64::to_ne_bytes));
        let boot = fingerprint(sys::boot_id()?.into_iter());
        Some([(boot << HALF) | namespaces])
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

/// What another process needs to determine whether this one has exited: its pid, its start in milliseconds
/// after boot, its pid namespace, its time namespace. `None` if that cannot be determined.
pub fn this_process() -> Option<[u64; 4]> {
    let remembered = &THIS_PROCESS.get().creator;
    match remembered.get() {
        // A child that shares its parent's memory is another process.
        Some(process) if process.first() == Some(&(sys::getpid() as u64)) => Some(process),
        Some(_) => determine_process(),
        None => look_up(remembered, determine_process),
    }
}

fn determine_process() -> Option<[u64; 4]> {
    let pid = sys::getpid();
    let [pid_namespace, time_namespace] = sys::namespaces()?;
    let start_ms = sys::process_stat(pid)?.start_ms as u64;
    Some([pid as u64, start_ms, pid_namespace, time_namespace])
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
    use core::ffi::{c_int, c_void};

    use super::*;

    #[test]
    fn a_namespace_stays_what_it_is() {
        let namespace = Namespace::current().unwrap();
        assert_eq!(Namespace::current(), Some(namespace));
        assert_eq!(Namespace::determine(), Some([namespace.raw()]));
        assert_eq!(Namespace::from_raw(namespace.raw() | 1 << 63), namespace);
    }

    /// Other versions of the library compute the same.
    #[test]
    fn fingerprints_stay_what_they_are() {
        assert_eq!(fingerprint(b"".iter().copied()), 0x799fb);
        assert_eq!(fingerprint(b"shmcomm".iter().copied()), 0xbe03e);
    }

    #[test]
    fn boots_and_namespaces_differ() {
        let own = Namespace::current().unwrap();
        let another_boot = Namespace::from_raw(own.raw() ^ (1 << HALF));
        let another_namespace = Namespace::from_raw(own.raw() ^ 1);
        assert!(!own.is_same_boot(another_boot));
        assert!(own.is_same_boot(another_namespace));
        assert_ne!(own, another_namespace);
    }

    #[test]
    fn what_could_not_be_determined_is_looked_up_again() {
        let remembered = Remembered::<2>::nothing();
        assert_eq!(remembered.look_up(|| None), None);
        assert_eq!(remembered.get(), None);
        assert_eq!(remembered.look_up(|| Some([1, 2])), Some([1, 2]));
        assert_eq!(remembered.get(), Some([1, 2]));
    }

    #[test]
    fn what_was_looked_up_before_a_fork_is_not_remembered_after_it() {
        let remembered = Remembered::<1>::nothing();
        let wipe = || {
            remembered.state.store(UNKNOWN, Relaxed);
            Some([1])
        };
        assert_eq!(remembered.look_up(wipe), Some([1]));
        assert_eq!(remembered.get(), None);
    }

    #[test]
    fn a_child_remembers_nothing() {
        Namespace::current().unwrap();
        this_process().unwrap();
        // SAFETY: the child only loads, and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let known = THIS_PROCESS.get();
            let remembers = known.namespace.get().is_some() || known.creator.get().is_some();
            // SAFETY: ends the child.
            unsafe { libc::_exit(remembers.into()) };
        }
        let mut status = -1;
        // SAFETY: the pointer is valid.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
        assert!(THIS_PROCESS.get().namespace.get().is_some());
    }

    #[test]
    fn a_child_that_shares_memory_is_another_process() {
        extern "C" fn is_found_wrong(_: *mut c_void) -> c_int {
            let pid = this_process().map(|[pid, ..]| pid);
            (pid != Some(sys::getpid() as u64)).into()
        }
        this_process().unwrap();
        let mut stack = [0_u128; 4096];
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let top = stack.as_mut_ptr_range().end.cast();
        // SAFETY: this thread waits until the child, which has a stack of its own, has exited.
        let child = unsafe { libc::clone(is_found_wrong, top, flags, core::ptr::null_mut()) };
        let mut status = -1;
        // SAFETY: the pointer is valid.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
    }
}
