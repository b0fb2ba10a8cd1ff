//! The ends of a channel: which processes hold one, and are they alive?
//!
//! Each end is a byte of the channel's file. A process holds an end with a lock on that byte, which
//! the kernel releases however the process exits. Processes that share an end have a shared lock on
//! that byte, and an exclusive one on a byte of their own, their slot. Any process can ask the kernel
//! whether the holder of a slot is alive.
//!
//! Such a lock belongs to the open file, which a child of `fork(2)` inherits through its descriptor
//! and its mapping. So the child [closes the descriptor](crate::fork), and is not given the mapping.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed},
};

use crate::error::{Call, Errno, Error};
use crate::fork::{Process, Registered};
use crate::object;
use crate::stale;
use crate::sys::{self, Descriptor, Lock};

/// One of the two ends of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The end that sends.
    Sender,
    /// The end that receives.
    Receiver,
}

/// Number of handles that may share an end.
pub(super) const MAX_SLOTS: u32 = 63;

impl Side {
    /// The byte whose lock is the end.
    pub(crate) fn byte(self) -> i64 {
        match self {
            Self::Sender => 0,
            Self::Receiver => 64,
        }
    }

    pub(super) fn slot_byte(self, slot: u32) -> i64 {
        self.byte().wrapping_add(slot.into())
    }

    /// The opposite side.
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
    /// The process whose handle this is; no process if it has a slot of a shared end.
    owner: Process,
    /// How often the other end had been opened when this one was.
    peers_before: u32,
    /// A process has held the other end since then.
    has_met_peer: bool,
}

impl Drop for Endpoint {
    #[inline(never)]
    fn drop(&mut self) {
        // To close the file is not enough: a child forked a moment ago may still have it open.
        if !self.is_inherited() {
            sys::fcntl_unlck(self.file());
        }
    }
}

impl Endpoint {
    /// Takes an end, alone or shared; EBUSY if another process has it. `last_holder` is the pid of the
    /// process that took it last, or 0. `peer_opens` is the number of opens of the other end.
    ///
    /// If a holder forks and dies, its child keeps the end locked until the child has run and closed
    /// the file. So a claim retries for 100 ms if the last holder is dead.
    pub fn claim(
        file: Registered,
        side: Side,
        shared: bool,
        last_holder: &AtomicU32,
        peer_opens: &AtomicU32,
    ) -> Result<Self, Error> {
        /// One retry each millisecond.
        const MAX_RETRIES: u32 = 100;

        let mut retries = 0..MAX_RETRIES;
        let slot = loop {
            match lock_end(file.file(), side, shared) {
                Err(error)
                    if error.errno == Errno::EBUSY
                        && stale::process_has_exited(last_holder.load(Relaxed) as i32)
                        && retries.next().is_some() =>
                {
                    sys::sleep_ms(1);
                }
                locked => break locked?,
            }
        };
        last_holder.store(sys::getpid() as u32, Relaxed);
        Ok(Self::new(file, side, slot, peer_opens))
    }

    /// An end that any number of processes may use without a lock, as the readers of a topic do.
    pub fn unlocked(file: Registered, side: Side, peer_opens: &AtomicU32) -> Self {
        Self::new(file, side, 0, peer_opens)
    }

    fn new(file: Registered, side: Side, slot: u32, peer_opens: &AtomicU32) -> Self {
        let mut endpoint = Self {
            owner: match slot {
                0 => file.process(),
                _ => Process::NONE,
            },
            file,
            side,
            slot,
            // Before the kernel is asked for a peer: a peer that opens in between counts as met.
            peers_before: peer_opens.load(Relaxed),
            has_met_peer: false,
        };
        endpoint.has_met_peer = endpoint.has_peer();
        endpoint
    }

    /// The side of this end.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The slot of this handle, from 1 on; 0 if the end is not shared.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether other handles may hold this end too.
    pub fn is_shared(&self) -> bool {
        self.slot != 0
    }

    /// Whether this process opened the handle, and no lock of a shared end is needed.
    #[inline(always)]
    pub fn is_exclusive(&self) -> bool {
        self.owner.is_this()
    }

    /// The channel's file.
    pub fn file(&self) -> &Descriptor {
        self.file.file()
    }

    /// Whether a process holds the other end.
    pub fn has_peer(&self) -> bool {
        self.is_held(self.side.other())
    }

    /// Whether a process holds the end of this side.
    pub fn is_held(&self, side: Side) -> bool {
        side == self.side || sys::fcntl_getlk(self.file(), side.byte())
    }

    /// EIDRM if the name is removed and no process holds the other end; EPIPE if this handle has met a
    /// peer there, which has closed that end or exited.
    pub fn peer_gone(&mut self, peer_opens: &AtomicU32) -> Option<Errno> {
        // Before the kernel is asked: a peer counts its open after it has locked its end, so one whose open
        // is counted here, and whose lock is not found, has gone.
        let opens = peer_opens.load(Acquire);
        if self.has_peer() {
            self.has_met_peer = true;
            return None;
        }
        if object::is_removed(self.file()) {
            return (!self.has_peer()).then_some(Errno::EIDRM);
        }
        self.has_met_peer |= opens != self.peers_before;
        self.has_met_peer.then_some(Errno::EPIPE)
    }

    /// Whether the process with this slot of this end, not the own one, is alive.
    pub fn is_alive(&self, slot: u32) -> bool {
        // No process has other slots: their bytes mean something else.
        (1..=MAX_SLOTS).contains(&slot)
            && slot != self.slot
            && sys::fcntl_getlk(self.file(), self.side.slot_byte(slot))
    }

    /// Whether this process is a child of the one that claimed the end. A child does not hold it.
    pub fn is_inherited(&self) -> bool {
        self.file.is_inherited()
    }

    /// The error of a call that this end does not allow.
    #[cold]
    #[inline(never)]
    pub fn refused(&self) -> Error {
        match self.is_inherited() {
            true => Call::Arguments.failed(Errno::EPERM),
            false => Error::INVALID,
        }
    }
}

/// Takes the locks of an end and returns the slot: 0 if the end is not shared. EBUSY if another process
/// has it.
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
    for slot in 1..=MAX_SLOTS {
        match lock(side.slot_byte(slot), Lock::Exclusive) {
            Err(error) if error.errno == Errno::EBUSY => {}
            locked => return locked.map(|()| slot),
        }
    }
    Err(Call::Channel.failed(Errno::EBUSY))
}
