//! The floor under every latency: a word of shared memory that another core changes, watched or slept
//! for.

use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use shmcomm_bench::Result;

use crate::link::{Link, Message, Receiver, Sender, failed};
use crate::place::Place;

/// A word on a page that both processes have.
struct Word(NonNull<AtomicU32>);

const PAGE: usize = 4096;

impl Word {
    fn new() -> Result<Self> {
        // SAFETY: a new mapping, of nothing that exists.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(page) {
            Some(page) if page.as_ptr() != libc::MAP_FAILED => Ok(Self(page.cast())),
            _ => failed("mmap"),
        }
    }

    fn get(&self) -> &AtomicU32 {
        // SAFETY: mapped until this is dropped, zeroed and aligned.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        // SAFETY: mapped above, and used no more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE) };
    }
}

/// One direction of a raw round trip: a store into a cache line, a loop that loads it.
pub struct CacheLine(Word);

/// One direction of a bare futex round trip: a store and a wake, a wait.
pub struct Futex(Word);

struct End<'a> {
    word: &'a AtomicU32,
    last: u32,
    sleeps: bool,
}

impl<'a> End<'a> {
    fn new(word: &'a Word, sleeps: bool) -> Self {
        let word = word.get();
        Self {
            word,
            last: 0,
            sleeps,
        }
    }
}

impl Sender<1> for End<'_> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<1>)) -> Result<()> {
        let mut message = [0];
        write(&mut message);
        self.word.store(message[0] as u32, Release);
        if self.sleeps {
            // SAFETY: a word, and no further pointers are used.
            unsafe { libc::syscall(libc::SYS_futex, self.word, libc::FUTEX_WAKE, 1) };
        }
        Ok(())
    }
}

impl Receiver<1> for End<'_> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<1>) -> T) -> Result<T> {
        loop {
            let word = self.word.load(Acquire);
            if word != self.last {
                self.last = word;
                return Ok(read(&[word.into()]));
            }
            if self.sleeps {
                let forever = ptr::null::<libc::timespec>();
                // SAFETY: a word; without a timeout.
                unsafe {
                    libc::syscall(
                        libc::SYS_futex,
                        self.word,
                        libc::FUTEX_WAIT,
                        self.last,
                        forever,
                    )
                };
            }
        }
    }
}

impl Link<1> for CacheLine {
    fn new(_: &Place) -> Result<Self> {
        Word::new().map(Self)
    }
    fn sender(&self) -> Result<impl Sender<1>> {
        Ok(End::new(&self.0, false))
    }
    fn receiver(&self) -> Result<impl Receiver<1>> {
        Ok(End::new(&self.0, false))
    }
}

impl Link<1> for Futex {
    fn new(_: &Place) -> Result<Self> {
        Word::new().map(Self)
    }
    fn sender(&self) -> Result<impl Sender<1>> {
        Ok(End::new(&self.0, true))
    }
    fn receiver(&self) -> Result<impl Receiver<1>> {
        Ok(End::new(&self.0, true))
    }
}

/// A word by which one process tells the other that it is done.
pub struct Flag(Word);

impl Flag {
    /// Not set.
    pub fn new() -> Result<Self> {
        Word::new().map(Self)
    }
    /// Sets it.
    pub fn set(&self) {
        self.0.get().store(1, Release);
    }
    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.get().load(Relaxed) != 0
    }
}
