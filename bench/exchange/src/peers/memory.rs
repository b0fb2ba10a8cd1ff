//! Shared memory without the library: the textbook's buffer with two semaphores, and `memcpy` twice,
//! which is the least that a copying channel can do.

use std::hint::spin_loop;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::shared::Shared;
use shmcomm_bench::{Result, checked, failed};

use crate::peer::{Copies, Message, Peer, Side};

/// One System V buffer, and two semaphores that say whose turn it is.
pub struct Textbook {
    memory: *mut libc::c_void,
    semaphores: libc::c_int,
}

const FREE: u16 = 0;
const FULL: u16 = 1;

impl Textbook {
    fn change(&self, sem_num: u16, sem_op: i16) -> Result<()> {
        let mut operation = libc::sembuf {
            sem_num,
            sem_op,
            sem_flg: 0,
        };
        // SAFETY: one operation.
        let changed = unsafe { libc::semop(self.semaphores, &mut operation, 1) };
        checked("semop", changed).map(drop)
    }
}

impl<const WORDS: usize> Peer<WORDS> for Textbook {
    fn new(_: &Scratch, _: usize) -> Result<Self> {
        // SAFETY: attached where nothing is; removed when no process has it attached.
        unsafe {
            let segment = libc::shmget(libc::IPC_PRIVATE, 8 * WORDS, 0o600);
            checked("shmget", segment)?;
            let memory = libc::shmat(segment, ptr::null(), 0);
            libc::shmctl(segment, libc::IPC_RMID, ptr::null_mut());
            if memory.addr() == usize::MAX {
                return failed("shmat");
            }
            let semaphores = checked("semget", libc::semget(libc::IPC_PRIVATE, 2, 0o600))?;
            let link = Self { memory, semaphores };
            link.change(FREE, 1).map(|()| link)
        }
    }
    fn open(&mut self, _: Side) -> Result<()> {
        Ok(())
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        self.change(FREE, -1)?;
        // SAFETY: attached, of this size; the semaphores give it to one end at a time.
        write(unsafe { &mut *self.memory.cast() });
        self.change(FULL, 1)
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        self.change(FULL, -1)?;
        // SAFETY: as above.
        let result = read(unsafe { &*self.memory.cast() });
        self.change(FREE, 1).map(|()| result)
    }
}

impl Drop for Textbook {
    fn drop(&mut self) {
        // SAFETY: attached, and not used any more; the other takes no argument.
        unsafe {
            libc::shmdt(self.memory);
            libc::semctl(self.semaphores, 0, libc::IPC_RMID);
        }
    }
}

/// Two counters of messages, and the ring.
#[repr(C, align(128))]
struct Counter(AtomicU64);
#[repr(C)]
struct Ring {
    sent: Counter,
    received: Counter,
    bytes: [u8; 8 << 20],
}

/// `memcpy` into a ring and out of it; waits by polling the counters.
pub struct Memcpy {
    ring: Shared<Ring>,
    slots: u64,
    next: u64,
}

impl Memcpy {
    fn slot(&self, size: usize) -> *mut u64 {
        let offset = (self.next % self.slots) as usize * size;
        let bytes: *const u8 = self.ring.bytes.as_ptr();
        bytes.wrapping_add(offset).cast_mut().cast()
    }
}

impl Copies for Memcpy {
    fn new(_: &Scratch, ring: usize, message: usize) -> Result<Self> {
        let slots = (ring / message) as u64;
        // SAFETY: zeros are counters and bytes, and the counters say whose a slot is.
        let ring = unsafe { Shared::zeroed()? };
        Ok(Self {
            ring,
            slots,
            next: 0,
        })
    }
    #[inline]
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let message = &message[1..];
        while self.next - self.ring.received.0.load(Acquire) == self.slots {
            spin_loop();
        }
        let slot = self.slot(size_of_val(message));
        // SAFETY: within the ring, and free.
        unsafe { slot.copy_from_nonoverlapping(message.as_ptr(), message.len()) };
        self.next += 1;
        self.ring.sent.0.store(self.next, Release);
        Ok(())
    }
    #[inline]
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let message = &mut message[1..];
        while self.next == self.ring.sent.0.load(Acquire) {
            spin_loop();
        }
        let slot = self.slot(size_of_val(message));
        // SAFETY: within the ring, and full.
        unsafe { slot.copy_to_nonoverlapping(message.as_mut_ptr(), message.len()) };
        self.next += 1;
        self.ring.received.0.store(self.next, Release);
        Ok(())
    }
}
