//! What shared memory lacks, of `shmcomm.h`: semaphores, mutexes, wait and wake.
#![allow(non_camel_case_types)]

// build.rs writes it as `volatile void`, to which C and C++ convert a pointer to any word.
use core::ffi::c_void as volatile_void;
use core::ffi::{c_char, c_int};
use core::ptr::NonNull;

use libc::mode_t;
use shmcomm_core::mutex::Acquired;
use shmcomm_core::semaphore::{self, Kind, New};
use shmcomm_core::{Error, Mutex, Name, Semaphore, futex};

use crate::segment::{SHMC_CREATE, SHMC_EXCL, SHMC_INTR, parse};
use crate::{errno, heap};

/// For shmc_sem_open: the semaphore counts events that one process posts and another waits for.
/// Nothing is given back or taken back when one of them dies.
pub const SHMC_EVENTS: c_int = 128;

/// An open semaphore. A child of fork(2) has it too; each closes its own.
pub struct shmc_sem(Semaphore);

/// A mutex. It lives in shared memory, holds no address, and may be mapped anywhere and several
/// times; its contents are the library's own.
#[repr(C)]
pub struct shmc_mutex {
    /// Not for use.
    pub opaque: [u64; 2],
}

const _: () = assert!(size_of::<shmc_mutex>() == size_of::<Mutex>());

/// Opens a System V semaphore.
///
/// By default it is a lock, or a pool of places: one that shmc_sem_wait took is held by the process
/// until that posts, and given back by the kernel when that ends without (SEM_UNDO). So who waited
/// posts; a post by another process would be taken back when that one ends. With SHMC_EVENTS it
/// counts events, and any process may post.
///
/// name: a sysv: name, by the grammar at the top of this header.
/// value: the first value of a new semaphore, 0 to 32767: 1 for a lock.
/// flags: 0 or any of SHMC_CREATE, SHMC_EXCL, SHMC_EVENTS, SHMC_INTR. An existing semaphore stays
/// what it is (its value and mode too), and is opened as such also without SHMC_EVENTS and
/// SHMC_CREATE. SHMC_INTR holds for this handle alone.
/// mode: permission bits of a new semaphore; who uses it needs to read and write (0600: the owner
/// alone).
///
/// A semaphore is there with its first value or not at all, at whatever moment its creator is
/// killed; nobody waits for a creator. A set of semaphores that another program made is never
/// changed or removed, also one that has no value yet.
///
/// Returns the semaphore; NULL on failure, with errno:
///   EINVAL        the name, a flag, a value below 0, or a mode beyond 0777; SHMC_EXCL without
///                 SHMC_CREATE; "sysv:private" without, or a sysv:id: with SHMC_CREATE; there is one
///                 that another program made, or, with SHMC_CREATE or SHMC_EVENTS, one of the other
///                 kind
///   ERANGE        a value beyond 32767
///   ENAMETOOLONG  a path that is too long
///   ENOENT        there is no such semaphore, or no such path for the key
///   EEXIST        SHMC_EXCL, and there is one
///   EACCES        the mode does not permit it, or a directory of the path
///   ELOOP, ENOTDIR, EIO  as stat(2)
///   EPERM, ENOSYS  the kernel, or a sandbox, lacks System V semaphores
///   ENOSPC        no semaphore left in the system
///   ENOMEM        not enough memory
///   EIDRM         a sysv:id: that is gone
///   EBUSY         others made and removed it the whole time
///
/// Thread-safe. Not async-signal-safe. Follows semget(2), semop(2).
///
/// # Safety
///
/// name is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_open(
    name: *const c_char,
    value: c_int,
    flags: c_int,
    mode: mode_t,
) -> *mut shmc_sem {
    errno::handle(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { parse(name) }?;
        open(name, value, flags, mode).map(shmc_sem)
    })
}

fn open(name: Name<'_>, value: c_int, flags: c_int, mode: mode_t) -> Result<Semaphore, Error> {
    let has = |flag| flags & flag != 0;
    let other = !(SHMC_CREATE | SHMC_EXCL | SHMC_EVENTS | SHMC_INTR);
    if has(other) || (has(SHMC_EXCL) && !has(SHMC_CREATE)) {
        return Err(Error::INVALID);
    }
    let kind = if has(SHMC_EVENTS) {
        Kind::Events
    } else {
        Kind::Places
    };
    let semaphore = if has(SHMC_CREATE) {
        let new = New {
            value,
            mode,
            exclusive: has(SHMC_EXCL),
            kind,
        };
        Semaphore::create(name, new)?
    } else {
        Semaphore::open(name)?
    };
    if has(SHMC_EVENTS) && semaphore.kind() != kind {
        return Err(Error::INVALID);
    }
    Ok(match has(SHMC_INTR) {
        true => semaphore.interruptible(),
        false => semaphore,
    })
}

/// Takes one from the semaphore, and waits until there is one.
///
/// timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all.
/// Without SHMC_INTR, a signal handler that runs meanwhile neither ends the wait nor makes it longer.
///
/// With SHMC_INTR, a signal handler that runs in the waiting thread ends the wait, with or without
/// SA_RESTART. The kernel also ends it when a stopped process continues (SIGCONT), so let the
/// handler set a flag, and look at the flag after EINTR. A handler that runs after the program has
/// looked at its flag and before the wait begins does not end that wait: where the signal comes only
/// once, use a timeout, or let the handler post an event (SHMC_EVENTS) to the semaphore.
///
/// Returns 0; -1 on failure, with errno:
///   ETIMEDOUT  there was none in time
///   EINTR      SHMC_INTR, and a signal handler has run; nothing is taken
///   EIDRM      the semaphore is removed, also while waiting
///   EINVAL     sem is NULL
///   EACCES     the mode does not permit it
///   ERANGE     this process holds 32767 already
///   ENOSPC, ENOMEM  no room to note what this process holds
///
/// Thread-safe: what one thread took another may post. Async-signal-safe. A child of fork(2) holds
/// nothing of what its parent holds. Follows semop(2).
///
/// # Safety
///
/// sem is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_wait(sem: *mut shmc_sem, timeout_ms: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, |sem| sem.wait(timeout_ms).map(|()| 0)) }
}

/// Gives one back to the semaphore, or, with SHMC_EVENTS, tells of an event.
///
/// Returns 0; -1 on failure, with errno:
///   ERANGE  the value is 32767 already
///   EIDRM   the semaphore is removed
///   EINVAL  sem is NULL
///   EACCES  the mode does not permit it
///   ENOSPC, ENOMEM  no room to note what this process holds
///
/// Thread-safe. Async-signal-safe. Follows semop(2).
///
/// # Safety
///
/// sem is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_post(sem: *mut shmc_sem) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, |sem| sem.post().map(|()| 0)) }
}

/// The semaphore's value now: how many could be taken.
///
/// Returns 0 or more; -1 on failure, with errno:
///   EIDRM   the semaphore is removed
///   EINVAL  sem is NULL
///   EACCES  the mode does not permit it
///
/// Thread-safe. Async-signal-safe. Follows semctl(2) with GETVAL.
///
/// # Safety
///
/// sem is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_value(sem: *mut shmc_sem) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, Semaphore::value) }
}

/// Frees the handle. The semaphore stays, and what this process took from it stays taken until it
/// ends. NULL is fine.
///
/// Returns 0.
///
/// Thread-safe, for a handle that no other thread uses. Not async-signal-safe.
///
/// # Safety
///
/// sem is NULL or open, and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_close(sem: *mut shmc_sem) -> c_int {
    if let Some(sem) = NonNull::new(sem) {
        // SAFETY: from shmc_sem_open, and the caller's promise.
        let _ = unsafe { heap::from_heap(sem) };
    }
    0
}

/// Removes the semaphore of this name at once; who waits for it gets EIDRM.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL        no sysv: name, or "sysv:private"; another program's semaphore
///   ENAMETOOLONG  a path that is too long
///   ENOENT        there is no such semaphore, or no such path
///   ELOOP, ENOTDIR, EIO, ENOMEM  as stat(2)
///   ENOSYS        the kernel, or a sandbox, lacks System V semaphores
///   EACCES, EPERM  not permitted
///   EIDRM         a sysv:id: that is gone
///
/// Thread-safe. Async-signal-safe. Follows semctl(2) with IPC_RMID.
///
/// # Safety
///
/// name is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_remove(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    errno::done(unsafe { parse(name) }.and_then(semaphore::remove))
}

/// Makes the memory an unlocked mutex, whatever it holds; what is a mutex already stays as it is,
/// also if it is locked. So each process may call this before it uses the mutex, in any order.
///
/// mutex: in shared memory, aligned to 8 bytes. Fill it with zeros to begin anew.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL      mutex is NULL or not aligned
///   EOPNOTSUPP  it is a mutex of another pid or time namespace (another container), where this
///               process could not tell whether a holder lives; or this process cannot read which
///               its own are: /proc is not mounted, or no descriptor is left
///
/// Thread-safe. Async-signal-safe. There is nothing to destroy.
///
/// # Safety
///
/// mutex is NULL or memory that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_mutex_init(mutex: *mut shmc_mutex) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_mutex(mutex, |mutex| mutex.init().map(|()| 0)) }
}

/// Locks the mutex for the calling thread, and waits until it can.
///
/// timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all. A
/// signal handler that runs meanwhile neither ends the wait nor makes it longer.
///
/// Returns 0; 1 if it is locked, but the last holder, process or thread, ended without unlocking: what
/// the mutex protects may be half changed, and is the caller's to repair before it unlocks (the next
/// one gets 0). A death is noticed within 50 ms, a holder of before a reboot at once. exec(2) is no
/// death. -1 on failure, with errno:
///   ETIMEDOUT   somebody else holds it
///   EDEADLK     the calling thread holds it already
///   EINVAL      mutex is NULL, not aligned, or no mutex: not initialised, or overwritten
///   EOPNOTSUPP  as shmc_mutex_init
///   ENOMEM, ENOSYS  as futex(2)
///
/// Thread-safe. Async-signal-safe; where the interrupted thread holds it, EDEADLK. A child of fork(2)
/// holds nothing of what its parent holds. Memory that is unmapped while it is locked stays locked
/// until the thread ends. Compare pthread_mutex_lock(3p) with PTHREAD_MUTEX_ROBUST.
///
/// # Safety
///
/// mutex is NULL or memory that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_mutex_lock(mutex: *mut shmc_mutex, timeout_ms: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        with_mutex(mutex, |mutex| {
            mutex.lock(timeout_ms).map(|acquired| match acquired {
                Acquired::Clean => 0,
                Acquired::OwnerDied => 1,
            })
        })
    }
}

/// Unlocks the mutex.
///
/// Returns 0; -1 on failure, with errno:
///   EPERM       the calling thread does not hold it
///   EINVAL      mutex is NULL, not aligned, or no mutex
///   EOPNOTSUPP  as shmc_mutex_init
///
/// Thread-safe. Async-signal-safe.
///
/// # Safety
///
/// mutex is NULL or memory that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_mutex_unlock(mutex: *mut shmc_mutex) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_mutex(mutex, |mutex| mutex.unlock().map(|()| 0)) }
}

/// Sleeps while a word of shared memory is as expected, until shmc_wake.
///
/// word: 32 bits, aligned to 4 bytes, in memory that is shared between the processes, or between
/// threads; it may be mapped for reading only. Its type may be uint32_t or int, volatile, _Atomic, or
/// std::atomic.
/// expected: the value that the program has read, for which it waits to change.
/// timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all. A
/// signal handler that runs meanwhile neither ends the wait nor makes it longer.
///
/// Read the word once in each turn of a loop, as an atomic object: the compiler may read a plain one
/// just once, and what another process wrote before it changed the word may not be visible yet.
///
///   while ((value = atomic_load(&word)) == 0)      C11, _Atomic uint32_t word
///   while ((value = word.load()) == 0)             C++11, std::atomic<uint32_t> word
///   while ((value = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) == 0)   gcc, clang: another word
///       shmc_wait(&word, 0, -1);
///
/// Change it with atomic_store, store or __atomic_store_n, then call shmc_wake.
///
/// Returns 0 when the word is not as expected, or a wake came; that may happen early, so look at the
/// word again. -1 on failure, with errno:
///   ETIMEDOUT  the word is as expected, and nobody woke
///   EINVAL     word is NULL or not aligned to 4 bytes
///   EFAULT     no memory there
///   ENOMEM, ENOSYS  as futex(2)
///
/// Thread-safe. Async-signal-safe. Follows futex(2).
#[unsafe(no_mangle)]
pub extern "C" fn shmc_wait(word: *const volatile_void, expected: u32, timeout_ms: c_int) -> c_int {
    if word.is_null() {
        return errno::failed(Error::INVALID);
    }
    errno::done(futex::wait_at(word.cast(), expected, timeout_ms))
}

/// Wakes who sleeps on the word in shmc_wait. Change the word first, then wake.
///
/// how_many: at most so many; INT_MAX for all.
///
/// Returns how many were woken; -1 on failure, with errno:
///   EINVAL  word is NULL or not aligned to 4 bytes, or how_many is negative
///   EFAULT  no memory there
///   ENOMEM, ENOSYS  as futex(2)
///
/// Thread-safe. Async-signal-safe. Follows futex(2).
#[unsafe(no_mangle)]
pub extern "C" fn shmc_wake(word: *const volatile_void, how_many: c_int) -> c_int {
    if word.is_null() {
        return errno::failed(Error::INVALID);
    }
    errno::result(futex::wake_at(word.cast(), how_many))
}

/// # Safety
///
/// The semaphore is NULL or open.
unsafe fn with(
    sem: *const shmc_sem,
    call: impl FnOnce(&Semaphore) -> Result<c_int, Error>,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { sem.as_ref() } {
        Some(sem) => errno::result(call(&sem.0)),
        None => errno::failed(Error::INVALID),
    }
}

/// # Safety
///
/// The mutex is NULL or memory that may be written.
unsafe fn with_mutex(
    mutex: *mut shmc_mutex,
    call: impl FnOnce(&Mutex) -> Result<c_int, Error>,
) -> c_int {
    let mutex = mutex.cast::<Mutex>();
    if mutex.is_null() || !mutex.is_aligned() {
        return errno::failed(Error::INVALID);
    }
    // SAFETY: not NULL, aligned, any bytes are a mutex of atomics, and the caller's promise.
    errno::result(call(unsafe { &*mutex }))
}
