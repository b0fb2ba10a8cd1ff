//! The semaphores, mutexes, wait and wake of `shmcomm.h`.
#![allow(non_camel_case_types)]

// The header has it as `volatile void`, to which C and C++ convert a pointer to any word.
use core::ffi::c_void as volatile_void;
use core::ffi::{c_char, c_int};
use core::ptr::NonNull;

use libc::mode_t;
use shmcomm_core::mutex::Acquired;
use shmcomm_core::semaphore::{self, Kind, New};
use shmcomm_core::{Error, Mutex, Name, Semaphore, futex};

use crate::open::{SHMC_CREATE, SHMC_EXCL, SHMC_INTR, parse};
use crate::segment::SHMC_RECLAIM;
use crate::{errno, heap};

/// shmc_sem_open: the semaphore counts events. Any process may post, and
/// nothing is returned when a process exits. posix: and file: names need this
/// flag.
pub const SHMC_EVENTS: c_int = 0x80;

/// An open semaphore.
pub struct shmc_sem(Semaphore);

/// A mutex in shared memory. It contains no address, so each process may map it
/// anywhere.
#[repr(C)]
pub struct shmc_mutex {
    /// The library alone reads and writes it.
    pub opaque: [u64; 2],
}

const _: () = assert!(size_of::<shmc_mutex>() == size_of::<Mutex>());

/// Opens a semaphore.
///
/// By default it is a lock, or a pool of units, and its name a sysv: name. A
/// unit taken by shmc_sem_wait belongs to the process until it posts; if the
/// process exits first, the kernel returns the unit (SEM_UNDO). So only the
/// process that waited should post: the kernel takes back a post by another
/// process when that process exits.
///
/// With SHMC_EVENTS the semaphore counts events, and any process may post. The
/// semaphore of a posix: or file: name lies in shared memory: shmc_sem_wait and
/// shmc_sem_post make no system call, unless a process sleeps, and take less
/// than a hundredth of the time of a sysv: name. It counts events only, since a
/// plain count does not tell whose units a killed process held; use a sysv:
/// name or shmc_mutex for a lock.
///
/// name: a sysv: name; with SHMC_EVENTS also a posix: or file: name.
/// value: initial value of a new semaphore, 0 to 32767, for a posix: or file:
/// name 0 to 1073741823; 1 for a lock.
/// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_EVENTS, SHMC_INTR, and for
/// a posix: or file: name SHMC_RECLAIM. An existing semaphore keeps its kind,
/// value and mode; without SHMC_EVENTS and SHMC_CREATE a semaphore of either
/// kind is opened. SHMC_INTR is a property of this handle.
/// mode: permission bits of a new semaphore. A process needs read and write
/// permission to use it; 0600 lets only the owner use it.
///
/// No process sees a semaphore without its initial value, even if its creator
/// is killed, and none waits for a creator. The library neither changes nor
/// removes another program's set of semaphores, not even one without a value.
///
/// Returns the semaphore; on failure NULL with errno:
///   EINVAL   the name or a flag is invalid, value is negative, or mode is
///            beyond 0777; SHMC_EXCL or SHMC_RECLAIM without SHMC_CREATE;
///            SHMC_RECLAIM with a sysv: name; SHMC_CREATE without SHMC_EVENTS
///            and with a posix: or file: name; "sysv:private" without
///            SHMC_CREATE; sysv:id: with SHMC_CREATE; the existing set is
///            another program's or, with SHMC_CREATE or SHMC_EVENTS, of the
///            other kind; the existing object is no regular file
///   EBADMSG  the existing object or file is no semaphore of this version
///   ERANGE   value is beyond the highest value
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such semaphore, or no such path for the key or the
///            file
///   EEXIST   SHMC_EXCL, and the semaphore exists
///   EACCES   the mode, or a directory of the path, does not permit it; or
///            SHMC_CREATE found a POSIX object of another user
///   EIDRM    a sysv:id: semaphore that was removed
///   EBUSY    other processes created and removed it at every attempt, or one
///            holds its flock(2)
///   ENOSPC   the system allows no further semaphore, or the file system is
///            full
///   ENOMEM   not enough memory
///   EMFILE, ENFILE  too many open files
///   EPERM, ENOSYS  the kernel or a sandbox lacks a call that it needs
///   ELOOP    the POSIX name is a symbolic link; SHMC_CREATE would create or
///            replace through one; or the path has too many of them
///   EIO, ENOTDIR  as in stat(2)
///   EAGAIN, EDQUOT, EFBIG, EINTR, EISDIR, ENODEV, ENXIO, EOPNOTSUPP,
///   EOVERFLOW, EROFS, ETXTBSY  as in shmc_segment_open
///
/// Follows semget(2), semop(2), sem_open(3).
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
    let only_with_create = SHMC_EXCL | SHMC_RECLAIM;
    let other = !(SHMC_CREATE | only_with_create | SHMC_EVENTS | SHMC_INTR);
    if has(other) || (has(only_with_create) && !has(SHMC_CREATE)) {
        return Err(Error::INVALID);
    }
    let kind = if has(SHMC_EVENTS) {
        Kind::Events
    } else {
        Kind::Units
    };
    let semaphore = if has(SHMC_CREATE) {
        let new = New {
            value,
            mode,
            exclusive: has(SHMC_EXCL),
            reclaim: has(SHMC_RECLAIM),
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

/// Takes a unit from the semaphore, or an event, and waits until there is one.
/// Another thread of the process may post the unit.
///
/// With SHMC_INTR a signal handler ends the wait, and so does the kernel when a
/// stopped process continues (SIGCONT). Let the handler set a flag, and test
/// the flag after EINTR. A handler that runs between the test and the wait does
/// not end the wait: if the signal comes only once, use a timeout, or let the
/// handler post an event to the semaphore.
///
/// If a process is killed between its post and the wake-up, a waiter of a
/// posix: or file: name learns of the event within 100 ms; the same holds for
/// a name that was removed by other means than shmc_sem_remove.
///
/// Returns 0; on failure -1 with errno:
///   ETIMEDOUT  there was none in time
///   EINTR      SHMC_INTR, and a signal handler ran; nothing is taken
///   EIDRM      the semaphore was removed, perhaps during the wait
///   EINVAL     sem is NULL
///   EACCES     the mode does not permit it
///   ERANGE     this process holds 32767 units already
///   ENOMEM, ENOSPC  no memory to record what this process holds
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows semtimedop(2); compare sem_timedwait(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_wait(sem: *mut shmc_sem, timeout_ms: c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, |sem| sem.wait(timeout_ms).map(|()| 0)) }
}

/// Returns a unit to the semaphore or, with SHMC_EVENTS, posts an event.
///
/// Returns 0; on failure -1 with errno:
///   ERANGE     the value of a sysv: semaphore is 32767 already
///   EOVERFLOW  the value of a posix: or file: semaphore is 1073741823 already
///   EIDRM      the semaphore was removed
///   EINVAL     sem is NULL
///   EACCES     the mode does not permit it
///   ENOMEM, ENOSPC  no memory to record what this process holds
///
/// Follows semop(2); compare sem_post(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_post(sem: *mut shmc_sem) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, |sem| sem.post().map(|()| 0)) }
}

/// Reads the semaphore's present value.
///
/// Returns the number of units or events, 0 or more; on failure -1 with errno:
///   EIDRM   the semaphore was removed
///   EINVAL  sem is NULL
///   EACCES  the mode does not permit it
///
/// Follows semctl(2) with GETVAL; compare sem_getvalue(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_value(sem: *mut shmc_sem) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(sem, Semaphore::value) }
}

/// Frees the handle. The semaphore stays. The process keeps the units that it
/// has taken until it exits.
///
/// Returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_close(sem: *mut shmc_sem) -> c_int {
    if let Some(sem) = NonNull::new(sem) {
        // SAFETY: from shmc_sem_open, and the caller's promise.
        let _ = unsafe { heap::from_heap(sem) };
    }
    0
}

/// Removes a semaphore at once. Processes that wait for it get EIDRM, and so do
/// later calls with its open handles. If the caller may remove a posix: or
/// file: name but not open it, waiters learn of it within 100 ms, and other
/// calls with open handles still succeed.
///
/// name: the name of a semaphore, but not "sysv:private".
///
/// Returns 0; on failure -1 with errno:
///   EINVAL   the name is invalid; another program's set of semaphores; the
///            object is no regular file
///   EBADMSG  the object or file is no semaphore of this version
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such semaphore, or no such path
///   EIDRM    a sysv:id: semaphore that was removed
///   EACCES, EPERM  not permitted
///   EBUSY    another process holds its flock(2)
///   EMFILE, ENFILE  too many open files
///   EIO, ELOOP, ENOMEM, ENOTDIR  as in stat(2)
///   ENOSYS   the kernel or a sandbox lacks a call that it needs
///   EAGAIN, EINTR, EISDIR, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, EROFS,
///   ETXTBSY  as in shmc_segment_open
///
/// Follows semctl(2) with IPC_RMID; compare sem_unlink(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_sem_remove(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    errno::done(unsafe { parse(name) }.and_then(semaphore::remove))
}

/// Initialises a mutex, unlocked. An initialised mutex stays as it is, even if
/// it is locked. So each process may call this before it uses the mutex, in any
/// order. Nothing needs to be destroyed.
///
/// mutex: shared memory, aligned to 8 bytes, with any contents. Zeros discard
/// an earlier mutex.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL      mutex is NULL or not aligned
///   EOPNOTSUPP  the mutex belongs to another pid or time namespace (another
///               container), whose threads this process cannot see; or this
///               process cannot determine its own namespaces, because /proc is
///               not mounted or no descriptor is left
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_mutex_init(mutex: *mut shmc_mutex) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_mutex(mutex, |mutex| mutex.init().map(|()| 0)) }
}

/// Locks the mutex for the calling thread, and waits until it is free.
///
/// If the holder, a thread or its whole process, exits without unlocking, the
/// next caller gets the mutex and 1 as the result. The data that the mutex
/// protects may then be half changed, and the caller repairs it before it
/// unlocks. A death is noticed within 50 ms, or at once after a reboot. exec(2)
/// is no death: the new program holds what the process's first thread held. A
/// child of vfork(2) must not use a mutex. A mutex that is unmapped while it is
/// locked stays locked until the thread exits.
///
/// Returns 0, or 1 if the last holder died; on failure -1 with errno:
///   ETIMEDOUT   another thread held it all the time
///   EDEADLK     the calling thread holds it already, for example in the code
///               that this signal handler interrupted
///   EINVAL      mutex is NULL, not aligned, not initialised, or overwritten
///   EOPNOTSUPP  as shmc_mutex_init
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Compare pthread_mutex_lock(3p) with PTHREAD_MUTEX_ROBUST.
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
/// Returns 0; on failure -1 with errno:
///   EPERM       the calling thread does not hold it
///   EINVAL      mutex is NULL, not aligned, not initialised, or overwritten
///   EOPNOTSUPP  as shmc_mutex_init
///
/// Compare pthread_mutex_unlock(3p).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_mutex_unlock(mutex: *mut shmc_mutex) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with_mutex(mutex, |mutex| mutex.unlock().map(|()| 0)) }
}

/// Sleeps while a word of shared memory has the expected value, until
/// shmc_wake.
///
/// word: 32 bits, aligned to 4 bytes, in memory that processes or threads
/// share; a read-only mapping is enough. Its type may be uint32_t or int, also
/// volatile, _Atomic or std::atomic.
/// expected: the value that the program has read and waits to see changed.
///
/// Load the word atomically, once in each turn of a loop. The compiler may read
/// a plain variable only once, and earlier writes of the other process may not
/// be visible yet.
///
///   C11, _Atomic uint32_t word:
///     while ((value = atomic_load(&word)) == 0)
///         shmc_wait(&word, 0, -1);
///   C++11, std::atomic<uint32_t> word:
///     while ((value = word.load()) == 0)
///         shmc_wait(&word, 0, -1);
///   gcc and clang, any other word:
///     while ((value = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) == 0)
///         shmc_wait(&word, 0, -1);
///
/// The other side changes it with atomic_store, store or __atomic_store_n, and
/// then calls shmc_wake.
///
/// Returns 0 if the word has another value or a wake came. That may happen
/// early, so test the word again. On failure -1 with errno:
///   ETIMEDOUT  the word has the expected value, and no wake came
///   EINVAL     word is NULL or not aligned to 4 bytes
///   EFAULT     there is no memory
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows futex(2).
#[unsafe(no_mangle)]
pub extern "C" fn shmc_wait(word: *const volatile_void, expected: u32, timeout_ms: c_int) -> c_int {
    if word.is_null() {
        return errno::failed(Error::INVALID);
    }
    errno::done(futex::wait_at(word.cast(), expected, timeout_ms))
}

/// Wakes threads that sleep on the word in shmc_wait. Change the word first.
///
/// how_many: the most to wake; INT_MAX wakes all.
///
/// Returns the number of woken threads; on failure -1 with errno:
///   EINVAL  word is NULL or not aligned to 4 bytes, or how_many is negative
///   EFAULT  there is no memory
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows futex(2).
#[unsafe(no_mangle)]
pub extern "C" fn shmc_wake(word: *const volatile_void, how_many: c_int) -> c_int {
    if word.is_null() {
        return errno::failed(Error::INVALID);
    }
    errno::result(futex::wake_at(word.cast(), how_many))
}

/// Calls the core with a semaphore; NULL is EINVAL.
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

/// Calls the core with a mutex; NULL and unaligned memory are EINVAL.
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
