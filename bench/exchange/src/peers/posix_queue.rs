//! POSIX message queues.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ptr;

use shmcomm_bench::Result;

use crate::link::{Link, Message, Receiver, Sender, buffer, checked, failed, slots};
use crate::place::Place;

/// What everybody may have.
const FEW: usize = 10;
/// What Linux allows at all.
const MANY: usize = 65_536;

/// A queue without a name.
pub struct Queue(libc::mqd_t);

impl Queue {
    fn open(place: &Place, message: usize, count: usize) -> Result<Self> {
        let name = CString::new(format!("/{}", place.name()))?;
        // SAFETY: zeros are attributes; strings; the name is this run's own.
        let queue = unsafe {
            let mut attributes: libc::mq_attr = MaybeUninit::zeroed().assume_init();
            attributes.mq_maxmsg = count as _;
            attributes.mq_msgsize = message as _;
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
            let queue = libc::mq_open(name.as_ptr(), flags, 0o600, &mut attributes);
            if queue < 0 {
                return failed("mq_open");
            }
            libc::mq_unlink(name.as_ptr());
            queue
        };
        Ok(Self(queue))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: open, and no more used.
        unsafe { libc::mq_close(self.0) };
    }
}

struct End<const WORDS: usize> {
    queue: libc::mqd_t,
    message: Box<Message<WORDS>>,
}

impl<const WORDS: usize> Sender<WORDS> for End<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(&mut self.message);
        // SAFETY: so many bytes.
        let sent = unsafe { libc::mq_send(self.queue, self.message.as_ptr().cast(), 8 * WORDS, 0) };
        checked("mq_send", sent).map(drop)
    }
}

impl<const WORDS: usize> Receiver<WORDS> for End<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let message = self.message.as_mut_ptr().cast();
        // SAFETY: room for so many bytes.
        let received = unsafe { libc::mq_receive(self.queue, message, 8 * WORDS, ptr::null_mut()) };
        checked("mq_receive", received)?;
        Ok(read(&self.message))
    }
}

impl<const WORDS: usize> Link<WORDS> for Queue {
    fn new(place: &Place) -> Result<Self> {
        let message = size_of::<Message<WORDS>>();
        Self::open(place, message, slots(message).min(MANY))
            .or_else(|_| Self::open(place, message, FEW))
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        Ok(End {
            queue: self.0,
            message: buffer(),
        })
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        Ok(End {
            queue: self.0,
            message: buffer(),
        })
    }
}
