//! An event semaphore in shared memory, of a `posix:` or `file:` name: a [word] on which processes sleep,
//! futex(2). A call that need not wait makes no system call.
//!
//! The object holds a magic word and the semaphore's own. It has its name only when both are written, so
//! no process sees a semaphore without its first value. Nothing is recorded of a process that waits, so
//! its death leaves nothing to repair.

use core::ffi::c_int;
use core::hint::spin_loop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, Ordering::Relaxed};

use super::word::{self, Word};
use crate::deadline::{Deadline, SLICE_NS};
use crate::error::{Call, Errno, Error};
use crate::futex;
use crate::name::Name;
use crate::object::{self, ObjectName, OpenMode, Opened, Unpublished};
use crate::sys::{self, Access, Descriptor, Path};

/// The first word of an event semaphore, with the version of the format.
const MAGIC: u64 = 0x0001_6870_616d_6573;

/// Number of looks before a waiter sleeps, about 2 µs.
const SPINS: u32 = 100;

/// What the object holds. The creator writes `magic` before publication. [`word`] has the state table of
/// `word`.
#[repr(C)]
struct Memory {
    magic: AtomicU64,
    word: AtomicU32,
    unused: [AtomicU32; 13],
}

pub const SIZE: usize = size_of::<Memory>();

/// An open event semaphore.
pub struct Events {
    memory: NonNull<Memory>,
    file: Descriptor,
}

// SAFETY: the memory belongs to the process, not to a thread, and holds only atomics.
unsafe impl Send for Events {}
// SAFETY: as above.
unsafe impl Sync for Events {}

impl Drop for Events {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: mapped with this size, and its owner uses the memory no more.
        let _ = unsafe { sys::munmap(self.memory.cast(), SIZE) };
    }
}

impl Events {
    /// Opens the semaphore of this name, or creates it with this value. EBADMSG if the object is something
    /// else.
    #[inline(never)]
    pub fn open(name: Name<'_>, mode: OpenMode, value: u32) -> Result<Self, Error> {
        let mut path = Path::empty();
        let name = ObjectName::new(name, &mut path)?;
        object::until_settled(|| match object::open(name, mode)? {
            Opened::Found(file, SIZE) => {
                let events = Self::map(file)?;
                match events.memory().magic.load(Relaxed) {
                    MAGIC => Ok(events),
                    _ => Err(Call::Semaphore.failed(Errno::EBADMSG)),
                }
            }
            Opened::Found(..) => Err(Call::Semaphore.failed(Errno::EBADMSG)),
            Opened::Fresh(Unpublished { file, link }) => {
                let events = Self::map(file)?;
                events.memory().magic.store(MAGIC, Relaxed);
                events.memory().word.store(value, Relaxed);
                // The name comes last, when nothing else can fail.
                link.publish(&events.file)?;
                Ok(events)
            }
        })
    }

    fn map(file: Descriptor) -> Result<Self, Error> {
        let memory = sys::mmap(&file, SIZE, Access::ReadWrite)?.cast();
        Ok(Self { memory, file })
    }

    #[inline(always)]
    fn memory(&self) -> &Memory {
        // SAFETY: mapped for as long as self, on a page boundary; any bytes are these atomics.
        unsafe { self.memory.as_ref() }
    }

    /// Takes an event if that needs neither a wait nor a second attempt.
    #[inline(always)]
    pub fn try_take(&self) -> bool {
        word::try_take(&self.memory().word)
    }

    /// Takes an event, and waits for it.
    #[inline(never)]
    pub fn wait(&self, timeout_ms: c_int, interruptible: bool) -> Result<(), Error> {
        let word = &self.memory().word;
        let deadline = Deadline::after_ms(timeout_ms);
        if timeout_ms != 0 {
            for _ in 0..SPINS {
                if word::try_take(word) {
                    return Ok(());
                }
                spin_loop();
            }
        }
        let has_no_name = || object::is_removed(&self.file);
        word::wait(word, deadline, !interruptible, has_no_name).map_err(failed)
    }

    /// Posts an event if that needs neither a wake-up nor a second attempt.
    #[inline(always)]
    pub fn try_post(&self) -> bool {
        word::try_post(&self.memory().word)
    }

    /// Posts an event.
    #[inline(never)]
    pub fn post(&self) -> Result<(), Error> {
        word::post(&self.memory().word).map_err(failed)
    }

    /// Number of events that can be taken now.
    pub fn value(&self) -> Result<c_int, Error> {
        word::value(&self.memory().word)
            .map(|value| value as c_int)
            .map_err(failed)
    }
}

/// The number of events in an object of this size, for tools, without a change; `None` if it is no
/// semaphore.
pub fn look(file: &Descriptor, size: usize) -> Result<Option<u32>, Error> {
    let mut bytes = [0; size_of::<AtomicU64>() + size_of::<AtomicU32>()];
    if size != SIZE || !object::copy_beginning(file, &mut bytes)? {
        return Ok(None);
    }
    let (magic, word) = bytes.split_at(size_of::<AtomicU64>());
    let is_semaphore = magic == MAGIC.to_ne_bytes();
    let word = word.first_chunk().map(|word| u32::from_ne_bytes(*word));
    Ok(word.filter(|_| is_semaphore).map(|word| word & word::MAX))
}

/// Removes the semaphore of this name; EBADMSG if the object is something else. The owner may remove a
/// semaphore that it may not open; its waiters then learn of that when they look on their own.
#[inline(never)]
pub fn remove(name: Name<'_>) -> Result<(), Error> {
    let opened = match Events::open(name, OpenMode::existing(Access::ReadWrite), 0) {
        Err(error) if error.errno != Errno::EACCES => return Err(error),
        opened => opened,
    };
    object::remove(ObjectName::new(name, &mut Path::empty())?)?;
    // A file may have further names.
    if let Ok(events) = opened
        && object::is_removed(&events.file)
    {
        word::remove(&events.memory().word);
    }
    Ok(())
}

fn failed(errno: Errno) -> Error {
    Call::Semaphore.failed(errno)
}

impl Word for AtomicU32 {
    type Deadline = Deadline;

    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline(always)]
    fn compare_exchange(&self, from: u32, to: u32, success: Ordering) -> Result<u32, u32> {
        self.compare_exchange(from, to, success, Relaxed)
    }

    fn sleep(&self, expected: u32, deadline: Deadline) -> Result<(), Errno> {
        // A process may have died between its post and the wake-up, or removed the name without one.
        let until = deadline.or_earlier(Deadline::after_ns(SLICE_NS));
        match sys::futex_wait(self.as_ptr(), expected, until.at_ns()) {
            Err(error) if error.errno != Errno::EWOULDBLOCK => Err(error.errno),
            _ => Ok(()),
        }
    }

    fn wake(&self, how_many: c_int) {
        let _ = futex::wake(self, how_many);
    }

    fn has_passed(deadline: Deadline) -> bool {
        deadline.has_passed()
    }
}
