//! System V: message queues, and the textbook's shared memory with two semaphores.

use std::{fs, ptr};

use shmcomm_bench::Result;

use crate::link::{Link, Message, Receiver, Sender, checked, failed};
use crate::place::Place;

const MODE: libc::c_int = 0o600;

/// A message queue.
pub struct Queue(libc::c_int);

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: takes no buffer.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, ptr::null_mut()) };
    }
}

struct QueueEnd {
    queue: libc::c_int,
    /// The type of the message, then its words.
    message: Vec<u64>,
}

impl QueueEnd {
    fn new(queue: &Queue, words: usize) -> Self {
        let mut message = vec![0; words + 1];
        message[0] = 1;
        Self {
            queue: queue.0,
            message,
        }
    }

    fn words<const WORDS: usize>(&mut self) -> Result<&mut Message<WORDS>> {
        let words = self.message.last_chunk_mut();
        words.ok_or("a message of another size".into())
    }
}

impl<const WORDS: usize> Sender<WORDS> for QueueEnd {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(self.words()?);
        // SAFETY: a type, and so many bytes after it.
        let sent = unsafe { libc::msgsnd(self.queue, self.message.as_ptr().cast(), 8 * WORDS, 0) };
        checked("msgsnd", sent).map(drop)
    }
}

impl<const WORDS: usize> Receiver<WORDS> for QueueEnd {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let message = self.message.as_mut_ptr().cast();
        // SAFETY: room for a type, and for so many bytes after it.
        let received = unsafe { libc::msgrcv(self.queue, message, 8 * WORDS, 0, 0) };
        checked("msgrcv", received)?;
        Ok(read(self.words()?))
    }
}

impl<const WORDS: usize> Link<WORDS> for Queue {
    fn new(_: &Place) -> Result<Self> {
        let most: usize = fs::read_to_string("/proc/sys/kernel/msgmax")?
            .trim()
            .parse()?;
        if 8 * WORDS > most {
            return Err(format!("the system takes messages of {most} bytes at most").into());
        }
        // SAFETY: takes no pointer.
        let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, MODE) };
        checked("msgget", queue).map(Self)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        Ok(QueueEnd::new(self, WORDS))
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        Ok(QueueEnd::new(self, WORDS))
    }
}

/// One buffer in shared memory, and two semaphores that say whose turn it is.
pub struct Textbook {
    memory: *mut libc::c_void,
    semaphores: libc::c_int,
}

const FREE: u16 = 0;
const FULL: u16 = 1;

impl Drop for Textbook {
    fn drop(&mut self) {
        // SAFETY: attached, and no more used; the other takes no argument.
        unsafe {
            libc::shmdt(self.memory);
            libc::semctl(self.semaphores, 0, libc::IPC_RMID);
        }
    }
}

struct TextbookEnd<'a, const WORDS: usize> {
    message: &'a mut Message<WORDS>,
    semaphores: libc::c_int,
}

impl<'a, const WORDS: usize> TextbookEnd<'a, WORDS> {
    fn new(link: &'a Textbook) -> Self {
        Self {
            // SAFETY: attached, zeroed, of this size; the semaphores give it to one end at a time.
            message: unsafe { &mut *link.memory.cast() },
            semaphores: link.semaphores,
        }
    }

    fn change(&self, semaphore: u16, by: i16) -> Result<()> {
        let mut operation = libc::sembuf {
            sem_num: semaphore,
            sem_op: by,
            sem_flg: 0,
        };
        // SAFETY: one operation.
        let changed = unsafe { libc::semop(self.semaphores, &mut operation, 1) };
        checked("semop", changed).map(drop)
    }
}

impl<const WORDS: usize> Sender<WORDS> for TextbookEnd<'_, WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        self.change(FREE, -1)?;
        write(self.message);
        self.change(FULL, 1)
    }
}

impl<const WORDS: usize> Receiver<WORDS> for TextbookEnd<'_, WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        self.change(FULL, -1)?;
        let result = read(self.message);
        self.change(FREE, 1)?;
        Ok(result)
    }
}

impl<const WORDS: usize> Link<WORDS> for Textbook {
    fn new(_: &Place) -> Result<Self> {
        // SAFETY: takes no pointer.
        let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, 8 * WORDS, MODE) };
        checked("shmget", segment)?;
        // SAFETY: attached where nothing is, and removed when nobody has it any more.
        let memory = unsafe {
            let memory = libc::shmat(segment, ptr::null(), 0);
            libc::shmctl(segment, libc::IPC_RMID, ptr::null_mut());
            memory
        };
        if memory.addr() == usize::MAX {
            return failed("shmat");
        }
        // SAFETY: takes no pointer.
        let semaphores = checked("semget", unsafe {
            libc::semget(libc::IPC_PRIVATE, 2, MODE)
        })?;
        let link = Self { memory, semaphores };
        // SAFETY: takes an integer.
        let set = unsafe { libc::semctl(semaphores, FREE.into(), libc::SETVAL, 1) };
        checked("semctl", set).map(|_| link)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        Ok(TextbookEnd::new(self))
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        Ok(TextbookEnd::new(self))
    }
}
