//! Who holds a channel's sending or receiving end, and is it alive?
//!
//! Each end is a byte of the channel's file, and holding it is a lock on that byte, which the kernel
//! releases when its holder ends, however it ends. Several that share an end have a shared lock on
//! it, and an exclusive one on a byte of their own, their slot, by which each can be asked about.
//!
//! Such a lock belongs to the open file, which a child of `fork(2)` has too, by its descriptor and by
//! what it has mapped. So the child [closes the descriptor](crate::fork), and does not get the
//! mapping.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::error::{Call, Errno, Error};
use crate::fork::{Process, Registered};
use crate::stale;
use crate::sys::{self, Descriptor, Lock};

/// One of the two ends of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Where messages come in.
    Sender,
    /// Where they go out.
    Receiver,
}

/// The number of handles that may share an end.
const SLOTS: u32 = 63;

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
    file: Registered,
    side: Side,
    slot: u32,
    /// The process that has this end for itself; of a shared one, nobody.
    owner: Process,
}

impl Drop for Endpoint {
    #[inline(never)]
    fn drop(&mut self) {
        // A child that was forked a moment ago may not have closed the file yet.
        if !self.is_inherited() {
            sys::fcntl_unlck(self.file());
        }
    }
}

impl Endpoint {
    /// Takes an end, alone or shared; EBUSY where somebody else has it. `last_holder` is the pid of the
    /// process that took it last, 0 if none has.
    ///
    /// A holder that forks and dies leaves its end to the child until that runs for the first time and
    /// closes the file. So the end of a dead holder is waited for, for 100 ms at most.
    pub fn claim(
        file: Registered,
        side: Side,
        shared: bool,
        last_holder: &AtomicU32,
    ) -> Result<Self, Error> {
        /// One millisecond each.
        const MAX_NAPS: u32 = 100;

        let mut naps = 0..MAX_NAPS;
        let slot = loop {
            match lock_end(file.file(), side, shared) {
                Err(error)
                    if error.errno == Errno::EBUSY
                        && stale::process_has_exited(last_holder.load(Relaxed) as i32)
                        && naps.next().is_some() =>
                {
                    sys::sleep_ms(1);
                }
                locked => break locked?,
            }
        };
        last_holder.store(sys::getpid() as u32, Relaxed);
        Ok(Self {
            owner: match shared {
                true => Process::NOBODY,
                false => file.process(),
            },
            file,
            side,
            slot,
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

    /// The channel's file.
    pub fn file(&self) -> &Descriptor {
        self.file.file()
    }

    /// Whether anybody holds the other end.
    pub fn has_peer(&self) -> bool {
        self.is_held(self.side.other())
    }

    /// Whether anybody holds this end or the other.
    pub fn is_held(&self, side: Side) -> bool {
        side == self.side || sys::fcntl_getlk(self.file(), side.byte())
    }

    /// Whether the one who shares this end by this slot is alive.
    pub fn is_alive(&self, slot: u32) -> bool {
        // Other slots nobody has; their bytes are something else's.
        (1..=SLOTS).contains(&slot)
            && slot != self.slot
            && sys::fcntl_getlk(self.file(), self.side.slot_byte(slot))
    }

    /// Whether this is a child of the process that claimed the end: it has lost it.
    pub fn is_inherited(&self) -> bool {
        self.file.is_inherited()
    }
}

/// Takes the locks that are an end, and says which slot: 0 for an end that is not shared. EBUSY where
/// somebody else has it.
fn lock_end(file: &Descriptor, side: Side, shared: bool) -> Result<u32, Error> {
    let lock = |byte, lock| {
        sys::fcntl_setlk(file, byte, lock).map_err(|error| match error.errno {
            Errno::EAGAIN | Errno::EACCES => Call::Channel.failed(Errno::EBUSY),
            _ => error,
        })
    };
    if !shared {
        return lock(side.byte(), Lock::Exclusive).map(|()| 0);
    }
    lock(side.byte(), Lock::Shared)?;
    for slot in 1..=SLOTS {
        match lock(side.slot_byte(slot), Lock::Exclusive) {
            Err(error) if error.errno == Errno::EBUSY => {}
            locked => return locked.map(|()| slot),
        }
    }
    Err(Call::Channel.failed(Errno::EBUSY))
}
