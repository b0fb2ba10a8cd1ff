//! What a `fork(2)` does to this process's handles: which process owns one, and which descriptors a
//! child closes.
//!
//! A lock on a byte of a file belongs to the open file, which a child has too, through its descriptor.
//! So that a dead holder's lock is free although its child lives, the child closes the descriptor
//! before anything else runs there. A child of `_Fork` or of a bare `clone(2)` runs no handler and
//! keeps the descriptors; but it, too, is told apart from its parent, since the kernel empties a page
//! in it.

use core::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::error::{Call, Errno, Error};
use crate::sys::{self, Advice, Descriptor};

/// The number of descriptors that a process may have registered.
const MAX_REGISTERED: usize = 256;

/// A process, distinguished from its children without a system call.
#[derive(Clone, Copy)]
pub struct Process(u32);

/// A page of this module's own, of the largest page size that the architecture has.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Page {
    /// The process that this is.
    ///
    /// | value | written by | means |
    /// |---|---|---|
    /// | 0 | the kernel and the fork handler, in a child | not asked yet |
    /// | else | whoever asks first, relaxed | this process, unlike any of its ancestors |
    generation: AtomicU32,
}

static PAGE: Page = Page {
    generation: AtomicU32::new(0),
};
/// The last generation that this process or an ancestor has had.
static LAST_GENERATION: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// No process: nobody forks as often.
    pub const NOBODY: Self = Self(u32::MAX);

    /// The calling process.
    pub fn current() -> Self {
        match PAGE.generation.load(Relaxed) {
            0 => Self::first_asked(),
            generation => Self(generation),
        }
    }

    #[cold]
    fn first_asked() -> Self {
        let next = LAST_GENERATION.fetch_add(1, Relaxed).wrapping_add(1);
        match PAGE.generation.compare_exchange(0, next, Relaxed, Relaxed) {
            Ok(_) => Self(next),
            Err(generation) => Self(generation),
        }
    }

    /// Whether it is the calling process.
    #[inline(always)]
    pub fn is_this(self) -> bool {
        self.0 == PAGE.generation.load(Relaxed)
    }
}

/// The complements of the descriptors that a child closes; 0 in a place that is free, so that the table
/// takes no room in the library's file. Only this process writes here.
static REGISTERED: [AtomicI32; MAX_REGISTERED] = [const { AtomicI32::new(0) }; MAX_REGISTERED];

/// The number of forks that this process has begun, and the number of those that have returned.
static FORKS_BEGUN: AtomicU32 = AtomicU32::new(0);
static FORKS_DONE: AtomicU32 = AtomicU32::new(0);

/// 0: nothing was registered yet; 1: the handlers are in force.
static PREPARED: AtomicU32 = AtomicU32::new(0);

/// Number of forks that this process has completed, or `None` during one. If it is the same before a
/// file is opened and after it is registered, no child inherited the file; except one whose fork had
/// begun before the handlers were in force.
#[inline(never)]
fn completed_forks() -> Option<u32> {
    let done = FORKS_DONE.load(Acquire);
    (FORKS_BEGUN.load(Acquire) == done).then_some(done)
}

/// Puts the handlers in force; ENOMEM where there is no memory for them.
fn prepare() -> Result<(), Error> {
    // Twice does no harm.
    if PREPARED.load(Acquire) == 0 {
        sys::pthread_atfork(begin_fork, end_fork, close_registered)?;
        let page = (&raw const PAGE).cast_mut().cast();
        if let Some(page) = core::ptr::NonNull::new(page) {
            // SAFETY: nothing else lies on this page, and a child expects it to be empty. Kernels
            // before 4.14 refuse, and leave it to the handler.
            let _ = unsafe { sys::madvise(page, size_of::<Page>(), Advice::WipeOnFork) };
        }
        PREPARED.store(1, Release);
    }
    Ok(())
}

/// Opens something while no other thread forks, so that no child inherits it before it is registered
/// or kept from children; begins again where a fork came in between.
///
/// A fork that lasts longer than 20 ms is not waited for: it may be waiting for this thread. Its child
/// keeps what is opened.
pub fn undisturbed<T>(mut open: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    /// One millisecond each.
    const MAX_NAPS: u32 = 20;

    prepare()?;
    let mut naps = 0;
    loop {
        let forks = completed_forks();
        let is_last = naps == MAX_NAPS;
        if forks.is_some() || is_last {
            let opened = open()?;
            if is_last || completed_forks() == forks {
                return Ok(opened);
            }
        }
        sys::sleep_ms(1);
        naps = naps.saturating_add(1);
    }
}

/// A descriptor that children of this process close.
pub struct Registered {
    file: Descriptor,
    process: Process,
    place: usize,
}

impl Registered {
    /// EMFILE where too many are registered. Only within [`undisturbed`].
    #[inline(never)]
    pub fn new(file: Descriptor) -> Result<Self, Error> {
        let place = REGISTERED.iter().position(|place| {
            place
                .compare_exchange(0, !file.raw(), Relaxed, Relaxed)
                .is_ok()
        });
        Ok(Self {
            place: place.ok_or(Call::Open.failed(Errno::EMFILE))?,
            file,
            process: Process::current(),
        })
    }

    pub fn file(&self) -> &Descriptor {
        &self.file
    }

    /// The process that registered it.
    pub fn process(&self) -> Process {
        self.process
    }

    /// Whether a parent of this process registered it, so that it is closed here.
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
        } else if let Some(place) = REGISTERED.get(self.place) {
            place.store(0, Relaxed);
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
    PAGE.generation.store(0, Relaxed);
    FORKS_DONE.store(FORKS_BEGUN.load(Relaxed), Relaxed);
    for place in &REGISTERED {
        let file = place.swap(0, Relaxed);
        if file != 0 {
            sys::close(!file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    // One test: the second half is a fork that lasts, for the first half too.
    #[test]
    fn what_is_opened_while_another_thread_forks_is_opened_again_but_not_for_ever() {
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
}
