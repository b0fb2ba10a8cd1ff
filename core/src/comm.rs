//! Layer 1: the five functions of a hand-written `comm.c`, their key, and their aids.
//!
//! `ftok(3)` computes the key at each call, from the path and the project id in the environment
//! (`COMM_PATH_NAME`, `COMM_PROJ_ID`), else from the program's [own choice](choose_key), else from
//! [`DEFAULT_PATH`] and [`DEFAULT_ID`]. If the default path does not exist, the key comes from the
//! id alone. The environment is read once, at the first call that needs it.
//!
//! ```
//! use shmcomm::comm;
//!
//! // A path and an id of this program's own, as `#define _PATH_NAME_ "."` in C.
//! comm::choose_key(Some(c"."), 0x66);
//! match comm::get() {
//!     Ok(id) => println!("there is a segment, {id}"),
//!     Err(error) => println!("there is none: {error}"),
//! }
//! ```

use core::ffi::{c_int, c_void};

use crate::deadline::Deadline;
use crate::environment::{self, Settings};
use crate::error::{Call, Errno, Error};
use crate::explain::{self, Attempt};
use crate::key::Key;
use crate::{stale, sys};

pub use crate::environment::choose_key;
pub use crate::key::{DEFAULT_ID, DEFAULT_PATH};
pub use crate::sys::{shmctl_rmid as destroy, shmdt as detach};

/// The low 24 bits of the key if the default path does not exist: "tmp".
const FALLBACK: c_int = 0x0074_6d70;

/// Time between two looks of a waiting [`get`].
const LOOK_AGAIN_NS: i64 = 5_000_000;

/// Creates the segment of this program's key, `size` bytes, for everybody to read and write (0666) or
/// with the mode of `COMM_MODE`.
///
/// With `COMM_RECLAIM=1` it replaces a stale segment.
#[inline]
pub fn create(size: usize) -> Result<c_int, Error> {
    let settings = environment::settings();
    let key = key(settings)?;
    match sys::shmget(key.raw(), size, settings.creation()) {
        Err(error) if settings.reclaim() => create_again(settings, key, size, error),
        result => result,
    }
}

/// The segment of this program's key.
///
/// With `COMM_WAIT_MS`, it waits up to this number of milliseconds for the segment to appear.
#[inline]
pub fn get() -> Result<c_int, Error> {
    let settings = environment::settings();
    let found = match key(settings) {
        Ok(key) => sys::shmget(key.raw(), 0, libc::IPC_CREAT),
        Err(error) => Err(error),
    };
    match found {
        Ok(id) => Ok(id),
        Err(error) if settings.wait_ms() > 0 => get_later(settings, error),
        Err(error) => Err(error),
    }
}

/// Attaches the segment, writable, at an address of the kernel's choice.
#[inline]
pub fn attach(id: c_int) -> Result<*mut c_void, Error> {
    sys::shmat(id, 0)
}

/// Reports a failure as `comm.c` does, by `perror(3)` except for attach and detach; with
/// `COMM_EXPLAIN=1` and the feature `explain` explains it in one more line on stderr. `errno` is the
/// failure's afterwards.
#[cold]
#[inline(never)]
pub fn report(error: Error, attempt: Attempt) {
    if !matches!(attempt, Attempt::Attach(_) | Attempt::Detach(_)) {
        sys::perror(error);
    }
    let settings = environment::settings();
    if cfg!(feature = "explain") && settings.explain() {
        explain::print(attempt, error, key(settings).ok(), settings.path());
    }
    error.errno.set();
}

#[inline]
fn key(settings: Settings) -> Result<Key, Error> {
    match Key::from_shared_path(settings.path(), settings.id()) {
        Err(error) => key_without_path(settings, error),
        result => result,
    }
}

#[cold]
#[inline(never)]
fn key_without_path(settings: Settings, error: Error) -> Result<Key, Error> {
    if settings.path_is_default() && error.errno() == Errno::ENOENT {
        Ok(Key::from_raw(settings.id() << 24 | FALLBACK))
    } else {
        Err(error)
    }
}

#[cold]
#[inline(never)]
fn create_again(settings: Settings, key: Key, size: usize, error: Error) -> Result<c_int, Error> {
    if error.errno() != Errno::EEXIST {
        return Err(error);
    }
    match sys::shmget(key.raw(), 0, 0) {
        Ok(id) if !stale::remove_stale(id) => Err(error),
        _ => sys::shmget(key.raw(), size, settings.creation()),
    }
}

#[cold]
#[inline(never)]
fn get_later(settings: Settings, mut error: Error) -> Result<c_int, Error> {
    let deadline = Deadline::after_ms(settings.wait_ms());
    while is_absent(error) {
        let pause = deadline.remaining_at_most(LOOK_AGAIN_NS);
        if pause <= 0 {
            break;
        }
        sys::sleep_ns(pause);
        match key(settings).and_then(|key| sys::shmget(key.raw(), 0, libc::IPC_CREAT)) {
            Err(again) => error = again,
            found => return found,
        }
    }
    Err(error)
}

/// Whether the segment, or the path of its key, may still appear.
fn is_absent(error: Error) -> bool {
    match error.call() {
        Call::Ftok => error.errno() == Errno::ENOENT,
        _ => error.errno() == Errno::EINVAL,
    }
}
