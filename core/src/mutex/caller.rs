//! The calling thread, as a mutex names it: determined once, later without a system call.
//!
//! Each thread keeps its name in thread-local memory, with the generation of its process, which no
//! ancestor shares. So a child of any fork, `_Fork` and raw `clone(2)` included, determines its own name.
//! A child that shares memory and thread-local memory with its parent (`vfork(2)`, and `clone(2)` with
//! CLONE_VM and without CLONE_SETTLS) is taken for its parent: it must not use a mutex.

use core::sync::atomic::{
    Ordering::{Relaxed, Release},
    compiler_fence,
};

use super::{MAGIC, SINCE_SHIFT, TID};
use crate::namespace::{self, Namespace};
use crate::sys;

/// A thread, in the words of a mutex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The first word of a mutex that it holds and no thread waits for.
    pub(super) holder: u64,
    /// The second word of each mutex of its namespace.
    pub(super) kind: u64,
}

impl Caller {
    /// The thread with this id, alive at this time in milliseconds after boot, in this namespace of 40
    /// bits.
    pub const fn new(tid: u32, at_ms: i64, namespace: u64) -> Self {
        Self {
            holder: ((at_ms as u64) << SINCE_SHIFT) | (tid as u64 & TID),
            kind: (MAGIC << Namespace::BITS) | namespace,
        }
    }

    /// The calling thread; `None` if its namespace cannot be determined.
    pub(super) fn current() -> Option<Self> {
        Self::remembered().or_else(Self::determine)
    }

    fn determine() -> Option<Self> {
        // From here on it is remembered, if it ever is.
        Namespace::current()?;
        // First: if a signal handler forks now, the child's generation differs from this one.
        let generation = namespace::generation();
        let namespace = Namespace::current()?.raw();
        let caller = Self::new(sys::gettid() as u32, sys::boot_clock_ms(), namespace);
        if let Some(generation) = generation {
            sys::with_thread_words(|[known_in, holder, kind]| {
                holder.store(caller.holder, Relaxed);
                kind.store(caller.kind, Relaxed);
                compiler_fence(Release);
                known_in.store(generation, Relaxed);
            });
        }
        Some(caller)
    }

    /// The calling thread, if its name has been determined in this process.
    #[inline(always)]
    pub(super) fn remembered() -> Option<Self> {
        let generation = namespace::generation()?;
        sys::with_thread_words(|[known_in, holder, kind]| {
            (known_in.load(Relaxed) == generation).then(|| Self {
                holder: holder.load(Relaxed),
                kind: kind.load(Relaxed),
            })
        })
    }
}
