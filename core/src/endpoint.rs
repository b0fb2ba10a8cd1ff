//! Who holds a channel's sending or receiving end, and is it alive?
//!
//! Each end is a byte of the channel's file, and holding it is a lock on that byte, which the kernel
//! releases when its holder ends, however it ends. Several that share an end have a shared lock on
//! it, and an exclusive one on a byte of their own, their slot, by which each can be asked about.
//!
//! Such a lock belongs to the open file, which a child of `fork(2)` has too, by its descriptor and by
//! what it has mapped. So that a dead holder's end is free although its child lives, the child closes
//! the descriptor at once, and does not get the mapping.

use core::sync::atomic::{
    AtomicI32, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::error::{Call, Errno, Error};
use crate::sys::{self, ByteLock, Descriptor};

/// One of the two ends of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Where messages come in.
    Sender,
    /// Where they go out.
    Receiver,
}

/// As many may share an end.
const SLOTS: u32 = 63;
/// How many channels a process may have open.
const OPEN_AT_MOST: usize = 256;

impl Side {
    /// The byte whose lock is the end.
    fn byte(self) -> i64 {
        match self {
            Self::Sender => 0,
            Self::Receiver => 64,
        }
    }

    fn slot_byte(self, slot: u32) -> i64 {
        self.byte().wrapping_add(slot.into())
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// An end that this process holds until it is dropped.
pub struct Endpoint {
    file: Held,
    side: Side,
    slot: u32,
    /// The process that has this end for itself; of a shared one, nobody.
    owner: Process,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A child that was forked a moment ago may not have closed the file yet.
        if !self.is_inherited() {
            sys::unlock_bytes(self.file());
        }
    }
}

impl Endpoint {
    /// Takes an end, alone or shared; EBUSY where somebody else has it.
    pub fn claim(file: Descriptor, side: Side, shared: bool) -> Result<Self, Error> {
        let file = Held::new(file)?;
        let kind = match shared {
            true => ByteLock::Shared,
            false => ByteLock::Exclusive,
        };
        claimed(sys::lock_byte(&file.file, side.byte(), kind))?;
        let mut slot = 0;
        if shared {
            slot = 1;
            while let Err(errno) =
                sys::lock_byte(&file.file, side.slot_byte(slot), ByteLock::Exclusive)
            {
                slot = slot.wrapping_add(1);
                if slot > SLOTS {
                    return claimed(Err(errno));
                }
            }
        }
        let owner = match shared {
            true => Process::NOBODY,
            false => file.process,
        };
        Ok(Self {
            file,
            side,
            slot,
            owner,
        })
    }

    /// Which end it is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Its slot, from 1 on; 0 for an end that is not shared.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether others may have this end too.
    pub fn is_shared(&self) -> bool {
        self.slot != 0
    }

    /// Whether this process has it for itself.
    #[inline(always)]
    pub fn is_exclusive(&self) -> bool {
        self.owner.is_this()
    }

    fn file(&self) -> &Descriptor {
        &self.file.file
    }

    /// Whether anybody holds the other end.
    pub fn has_peer(&self) -> bool {
        self.is_held(self.side.other())
    }

    /// Whether anybody holds this end or the other.
    pub fn is_held(&self, side: Side) -> bool {
        // If the kernel does not say, somebody may.
        side == self.side || sys::is_byte_locked(self.file(), side.byte()).unwrap_or(true)
    }

    /// Whether the one who shares this end by this slot is alive.
    pub fn is_alive(&self, slot: u32) -> bool {
        // Other slots nobody has; their bytes are something else's.
        (1..=SLOTS).contains(&slot)
            && slot != self.slot
            && sys::is_byte_locked(self.file(), self.side.slot_byte(slot)).unwrap_or(true)
    }

    /// Whether this is a child of the process that claimed the end: it has lost it.
    pub fn is_inherited(&self) -> bool {
        !self.file.process.is_this()
    }
}

fn claimed<T>(result: Result<T, Errno>) -> Result<T, Error> {
    result.map_err(|errno| {
        Call::Fcntl.failed(match errno {
            Errno::EAGAIN | Errno::EACCES => Errno::EBUSY,
            errno => errno,
        })
    })
}

/// The descriptors that a child closes; -1 where there is none. Only this process writes here.
static OPEN: [AtomicI32; OPEN_AT_MOST] = [const { AtomicI32::new(-1) }; OPEN_AT_MOST];

/// A process as its children tell it from themselves, without a system call.
#[derive(Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// None: nobody forks as often.
    const NOBODY: Self = Self(u32::MAX);

    /// The one that asks.
    pub fn current() -> Self {
        Self(GENERATION.load(Relaxed))
    }

    /// Whether it is the one that asks.
    #[inline(always)]
    pub fn is_this(self) -> bool {
        self.0 == GENERATION.load(Relaxed)
    }
}

/// How often this process is a child of one that had channels.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many times this process has begun to fork, and how many times that was done.
static FORKS_BEGUN: AtomicU32 = AtomicU32::new(0);
static FORKS_DONE: AtomicU32 = AtomicU32::new(0);

/// 0: no channel was opened yet; 1: forks are counted, and children close what they inherit.
static PREPARED: AtomicU32 = AtomicU32::new(0);

/// How many times this process has forked; `None` while it does. Where that is the same before a file
/// was opened and after its end was claimed, no child has it open; but one whose fork had begun before
/// the first call of this.
pub fn forks() -> Option<u32> {
    // Twice does no harm.
    if PREPARED.load(Acquire) == 0 {
        sys::at_fork(begin_fork, end_fork, close_inherited);
        PREPARED.store(1, Release);
    }
    let done = FORKS_DONE.load(Acquire);
    (FORKS_BEGUN.load(Acquire) == done).then_some(done)
}

/// A descriptor that children of this process do not keep.
struct Held {
    file: Descriptor,
    process: Process,
    place: usize,
}

impl Held {
    fn new(file: Descriptor) -> Result<Self, Error> {
        let place = OPEN.iter().position(|place| {
            place
                .compare_exchange(-1, file.raw(), Relaxed, Relaxed)
                .is_ok()
        });
        Ok(Self {
            place: place.ok_or(Call::Open.failed(Errno::EMFILE))?,
            file,
            process: Process::current(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.process.is_this() {
            // Closed already, and the number may be another file's by now.
            self.file.forget();
        } else if let Some(place) = OPEN.get(self.place) {
            place.store(-1, Relaxed);
        }
    }
}

extern "C" fn begin_fork() {
    FORKS_BEGUN.fetch_add(1, AcqRel);
}

extern "C" fn end_fork() {
    FORKS_DONE.fetch_add(1, AcqRel);
}

extern "C" fn close_inherited() {
    GENERATION.fetch_add(1, Relaxed);
    FORKS_DONE.store(FORKS_BEGUN.load(Relaxed), Relaxed);
    for place in &OPEN {
        let file = place.swap(-1, Relaxed);
        if file >= 0 {
            sys::close(file);
        }
    }
}
