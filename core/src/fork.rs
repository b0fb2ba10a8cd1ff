//! What a `fork(2)` does to this process: a child is distinguished from its parent, starts with some
//! memory empty, and closes some descriptors.
//!
//! A lock on a byte of a file belongs to the open file, which a child shares through its
//! descriptor. A fork handler closes the descriptor before anything else runs in the child, so the
//! lock of a dead holder is free although its child lives. A child of `_Fork` or of a bare
//! `clone(2)` runs no handler and keeps the descriptor. It is still distinguished from its parent,
//! because the kernel wipes a page in it.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::error::{Call, Errno, Error};
use crate::sys::{self, Advice, Descriptor};

/// A static value on pages of its own, of the largest page size of the architecture.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
pub struct Wiped<T>(T);

impl<T> Wiped<T> {
    /// # Safety
    ///
    /// The value is all zeros, and nothing in a child relies on what its parent stored there.
    pub const unsafe fn new(zeros: T) -> Self {
        Self(zeros)
    }

    #[inline(always)]
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Makes the kernel fill the value with zeros in each child, of `_Fork` and of `clone(2)` too.
    /// Returns whether it does; kernels before 4.14 cannot, and some emulators only claim to.
    pub fn wipe_in_children(&'static self) -> bool {
        let pages = NonNull::from(self).cast();
        let accepts = |advice| {
            // SAFETY: nothing else lies on these pages, and the promise of `new`.
            unsafe { sys::madvise(pages, size_of::<Self>(), advice) }.is_ok()
        };
        !accepts(Advice::Unknown) && accepts(Advice::WipeOnFork)
    }
}

/// A process, distinguished from its ancestors without a system call.
#[derive(Clone, Copy)]
pub struct Process(u32);

/// The number of this process:
///
/// | value | written by | means |
/// |---|---|---|
/// | 0 | the kernel and the fork handler, in a child | not chosen yet |
/// | else | the first thread that asks, relaxed | this process, unlike any of its ancestors |
// SAFETY: an atomic, zero.
static THIS_PROCESS: Wiped<AtomicU32> = unsafe { Wiped::new(AtomicU32::new(0)) };
/// The last number that this process or an ancestor has chosen.
static LAST_PROCESS: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// No process: none has that many ancestors.
    pub const NONE: Self = Self(u32::MAX);

    /// The calling process.
    pub fn current() -> Self {
        match THIS_PROCESS.get().load(Relaxed) {
            0 => Self::choose(),
            number => Self(number),
        }
    }

    #[cold]
    fn choose() -> Self {
        let next = LAST_PROCESS.fetch_add(1, Relaxed).wrapping_add(1);
        match THIS_PROCESS
            .get()
            .compare_exchange(0, next, Relaxed, Relaxed)
        {
            Ok(_) => Self(next),
            Err(number) => Self(number),
        }
    }

    /// Whether this is the calling process.
    #[inline(always)]
    pub fn is_this(self) -> bool {
        self.0 == THIS_PROCESS.get().load(Relaxed)
    }
}

/// The number of descriptors that a process may have registered.
const MAX_REGISTERED: usize = 256;

/// The descriptors that a child closes, as their complements: a free slot is 0, so that the table takes
/// no room in the library's file. No other process writes here.
static REGISTERED: [AtomicI32; MAX_REGISTERED] = [const { AtomicI32::new(0) }; MAX_REGISTERED];

/// The number of forks that this process has begun, and the number that it has completed.
static FORKS_BEGUN: AtomicU32 = AtomicU32::new(0);
static FORKS_DONE: AtomicU32 = AtomicU32::new(0);

/// 1 once the fork handlers are registered.
static PREPARED: AtomicU32 = AtomicU32::new(0);

/// Number of forks that this process has completed, or `None` during one. If it is the same before a
/// file is opened and after it is registered, no child inherited the file; except one whose fork began
/// before the handlers were registered.
#[inline(never)]
fn completed_forks() -> Option<u32> {
    let done = FORKS_DONE.load(Acquire);
    (FORKS_BEGUN.load(Acquire) == done).then_some(done)
}

/// Registers the fork handlers; ENOMEM if there is no memory for them.
fn prepare() -> Result<(), Error> {
    // Two threads may both register them: a handler may run twice.
    if PREPARED.load(Acquire) == 0 {
        sys::pthread_atfork(begin_fork, end_fork, close_registered)?;
        // The handler does it as well, for kernels that cannot.
        THIS_PROCESS.wipe_in_children();
        PREPARED.store(1, Release);
    }
    Ok(())
}

/// Opens something while no other thread forks, so that no child inherits it before it is registered
/// or kept from children. Repeats `open` if a fork came in between.
///
/// The call waits at most 20 ms for a fork, because the fork may wait for this thread. The child of
/// a longer fork inherits the opened file.
pub fn undisturbed<T>(mut open: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    /// One retry each millisecond.
    const MAX_RETRIES: u32 = 20;

    prepare()?;
    let mut retries = 0;
    loop {
        let forks = completed_forks();
        let is_last = retries == MAX_RETRIES;
        if forks.is_some() || is_last {
            let opened = open()?;
            if is_last || completed_forks() == forks {
                return Ok(opened);
            }
        }
        sys::sleep_ms(1);
        retries = retries.saturating_add(1);
    }
}

/// A descriptor that children of this process close.
pub struct Registered {
    file: Descriptor,
    process: Process,
    slot: usize,
}

impl Registered {
    /// Registers a descriptor; only within [`undisturbed`]. EMFILE if there are [`MAX_REGISTERED`].
    #[inline(never)]
    pub fn new(file: Descriptor) -> Result<Self, Error> {
        let slot = REGISTERED.iter().position(|slot| {
            slot.compare_exchange(0, !file.raw(), Relaxed, Relaxed)
                .is_ok()
        });
        Ok(Self {
            slot: slot.ok_or(Call::Open.failed(Errno::EMFILE))?,
            file,
            process: Process::current(),
        })
    }

    pub fn file(&self) -> &Descriptor {
        &self.file
    }

    /// The process that registered the descriptor.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Whether a parent of this process registered the descriptor, so that it is closed here.
    pub fn is_inherited(&self) -> bool {
        !self.process.is_this()
    }
}

impl Drop for Registered {
    #[inline(never)]
    fn drop(&mut self) {
        if self.is_inherited() {
            // The number may be another file's by now.
            self.file.forget();
        } else if let Some(slot) = REGISTERED.get(self.slot) {
            slot.store(0, Relaxed);
        }
    }
}

/// A mapping that children of this process do not have: it would keep the file open there, and so its
/// locks.
pub struct Mapping {
    start: NonNull<c_void>,
    size: usize,
    process: Process,
}

impl Mapping {
    /// Keeps a mapping of this size from children.
    ///
    /// # Safety
    ///
    /// It is mapped, and nothing uses the memory after this value is dropped.
    pub unsafe fn new(start: NonNull<c_void>, size: usize) -> Result<Self, Error> {
        let mapping = Self {
            start,
            size,
            process: Process::current(),
        };
        // SAFETY: mapped, of this size.
        unsafe { sys::madvise(start, size, Advice::DontFork) }?;
        Ok(mapping)
    }

    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Mapping {
    #[inline(never)]
    fn drop(&mut self) {
        // A child may have mapped something else there.
        if self.process.is_this() {
            // SAFETY: the promise of `new`.
            let _ = unsafe { sys::munmap(self.start, self.size) };
        }
    }
}

extern "C" fn begin_fork() {
    FORKS_BEGUN.fetch_add(1, AcqRel);
}

extern "C" fn end_fork() {
    FORKS_DONE.fetch_add(1, AcqRel);
}

extern "C" fn close_registered() {
    THIS_PROCESS.get().store(0, Relaxed);
    FORKS_DONE.store(FORKS_BEGUN.load(Relaxed), Relaxed);
    for slot in &REGISTERED {
        let file = slot.swap(0, Relaxed);
        if file != 0 {
            sys::close(!file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    // One test, because the fork that lasts in the second half would disturb the first.
    #[test]
    fn an_open_during_a_fork_is_repeated_but_not_for_ever() {
        let mut times = 0;
        let opened = undisturbed(|| {
            times += 1;
            if times == 1 {
                begin_fork();
                end_fork();
            }
            Ok(times)
        });
        assert!((2..20).contains(&opened.unwrap()));
        let soon = (0..1000).any(|_| {
            sys::sleep_ms(1);
            completed_forks().is_some()
        });
        assert!(soon);

        begin_fork();
        let begin = Instant::now();
        times = 0;
        let opened = undisturbed(|| {
            times += 1;
            Ok(())
        });
        end_fork();
        assert!(opened.is_ok() && times == 1);
        assert!(begin.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn the_handlers_are_registered_once() {
        const OPENS: u32 = 1000;
        // Other tests fork too, each a few times.
        const MAX_FORKS: u32 = 100;

        for _ in 0..OPENS {
            undisturbed(|| Ok(())).unwrap();
        }
        let before = FORKS_BEGUN.load(Relaxed);
        // SAFETY: the child only exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: the status is not wanted.
        unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) };
        let handled = FORKS_BEGUN.load(Relaxed).wrapping_sub(before);
        assert!((1..MAX_FORKS).contains(&handled), "{handled}");
    }
}
