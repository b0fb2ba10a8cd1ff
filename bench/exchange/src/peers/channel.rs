//! Our channel, through the C interface of `libshmcomm.so`, as a C program uses it; and once through
//! the Rust package.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use shmcomm::Name;
use shmcomm::channel::{Channel, Options, Side as End};
use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::{Result, compile, failed, library};

use crate::peer::{Copies, Message, Peer, Side, wait_in_poll};

// As include/shmcomm.h has them.
const SHMC_CREATE: c_int = 1;
const SHMC_SEND: c_int = 256;
const SHMC_RECV: c_int = 512;
const SHMC_SHARED: c_int = 1024;

const MODE: u32 = 0o600;
const FOREVER: c_int = -1;

library! { Api {
    open = c"shmc_channel_open"(*const c_char, usize, c_int, u32) -> *mut c_void;
    send = c"shmc_send"(*mut c_void, *const u64, usize, c_int) -> c_int;
    recv = c"shmc_recv"(*mut c_void, *mut u64, usize, c_int) -> isize;
    reserve = c"shmc_reserve"(*mut c_void, usize, c_int) -> *mut c_void;
    commit = c"shmc_commit"(*mut c_void, usize) -> c_int;
    peek = c"shmc_peek"(*mut c_void, &mut usize, c_int) -> *const c_void;
    release = c"shmc_release"(*mut c_void) -> c_int;
    fd = c"shmc_channel_fd"(*mut c_void) -> c_int;
} }

/// A channel, and this process's end of it, whose messages are written and read in place.
pub struct InPlace<const SHARED: bool> {
    api: &'static Api,
    name: CString,
    ring: usize,
    end: *mut c_void,
}

impl<const SHARED: bool> InPlace<SHARED> {
    fn create(scratch: &Scratch, ring: usize) -> Result<Self> {
        let api = Api::load(&compile::library()?)?;
        let name = CString::new(format!("posix:/{}", scratch.name()))?;
        Ok(Self {
            api,
            name,
            ring,
            end: ptr::null_mut(),
        })
    }

    fn open_end(&mut self, side: Side) -> Result<()> {
        let side = if side == Side::Sender {
            SHMC_SEND
        } else {
            SHMC_RECV
        };
        let flags = SHMC_CREATE | side | if SHARED { SHMC_SHARED } else { 0 };
        self.end = (self.api.open)(self.name.as_ptr(), self.ring, flags, MODE);
        if self.end.is_null() {
            return failed("shmc_channel_open");
        }
        Ok(())
    }
}

impl<const SHARED: bool, const WORDS: usize> Peer<WORDS> for InPlace<SHARED> {
    fn new(scratch: &Scratch, ring: usize) -> Result<Self> {
        Self::create(scratch, ring)
    }
    fn open(&mut self, side: Side) -> Result<()> {
        self.open_end(side)
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let message: *mut Message<WORDS> = (self.api.reserve)(self.end, 8 * WORDS, FOREVER).cast();
        // SAFETY: NULL, or this many bytes, aligned to 8, and this process's until the commit.
        match unsafe { message.as_mut() } {
            Some(message) => write(message),
            None => return failed("shmc_reserve"),
        }
        match (self.api.commit)(self.end, 8 * WORDS) {
            0 => Ok(()),
            _ => failed("shmc_commit"),
        }
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let mut length = 0;
        let message: *const Message<WORDS> = (self.api.peek)(self.end, &mut length, FOREVER).cast();
        // SAFETY: NULL, or aligned to 8; its sender does not touch it until the release.
        let result = match unsafe { message.as_ref() } {
            Some(message) if length == 8 * WORDS => read(message),
            _ => return failed("shmc_peek"),
        };
        match (self.api.release)(self.end) {
            0 => Ok(result),
            _ => failed("shmc_release"),
        }
    }
}

/// The same; the receiver waits for its descriptor in poll(2).
pub struct InPoll(InPlace<false>, c_int);

impl<const WORDS: usize> Peer<WORDS> for InPoll {
    fn new(scratch: &Scratch, ring: usize) -> Result<Self> {
        InPlace::create(scratch, ring).map(|channel| Self(channel, -1))
    }
    fn open(&mut self, side: Side) -> Result<()> {
        self.0.open_end(side)?;
        self.1 = (self.0.api.fd)(self.0.end);
        match self.1 {
            -1 => failed("shmc_channel_fd"),
            _ => Ok(()),
        }
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        self.0.send(write)
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let mut length = 0;
        // A message, or a failure that the receive below reports.
        while (self.0.api.peek)(self.0.end, &mut length, 0).is_null() {
            wait_in_poll(self.1)?;
        }
        self.0.receive(read)
    }
}

/// The same, copied in and out.
pub struct Copying(InPlace<false>);

impl Copies for Copying {
    fn new(scratch: &Scratch, ring: usize, _: usize) -> Result<Self> {
        InPlace::create(scratch, ring).map(Self)
    }
    fn open(&mut self, side: Side) -> Result<()> {
        self.0.open_end(side)
    }
    #[inline]
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let message = &message[1..];
        match (self.0.api.send)(self.0.end, message.as_ptr(), size_of_val(message), FOREVER) {
            0 => Ok(()),
            _ => failed("shmc_send"),
        }
    }
    #[inline]
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let message = &mut message[1..];
        let size = size_of_val(message);
        match (self.0.api.recv)(self.0.end, message.as_mut_ptr(), size, FOREVER) {
            received if received == size as isize => Ok(()),
            _ => failed("shmc_recv"),
        }
    }
}

/// In place, by the Rust package, whose functions are part of the program.
pub struct Rust {
    name: String,
    ring: usize,
    channel: Option<Channel>,
}

impl<const WORDS: usize> Peer<WORDS> for Rust {
    fn new(scratch: &Scratch, ring: usize) -> Result<Self> {
        Ok(Self {
            name: format!("posix:/{}", scratch.name()),
            ring,
            channel: None,
        })
    }
    fn open(&mut self, side: Side) -> Result<()> {
        let options = Options {
            capacity: self.ring,
            mode: MODE,
            create: true,
            ..Options::new(if side == Side::Sender {
                End::Sender
            } else {
                End::Receiver
            })
        };
        let name = Name::parse(self.name.as_bytes()).map_err(|_| "no name")?;
        self.channel = Some(options.open(name)?);
        Ok(())
    }
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let channel = self.channel.as_mut().ok_or("not open")?;
        let message = channel.reserve(8 * WORDS, FOREVER)?;
        // SAFETY: this many bytes, aligned to 8, and this process's until the commit.
        write(unsafe { message.cast().as_mut() });
        Ok(channel.commit(8 * WORDS)?)
    }
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let channel = self.channel.as_mut().ok_or("not open")?;
        let (message, length) = channel.peek(FOREVER)?;
        if length != 8 * WORDS {
            return Err("a message of another size".into());
        }
        // SAFETY: of this length, aligned to 8; its sender does not touch it until the release.
        let result = read(unsafe { message.cast().as_ref() });
        channel.release()?;
        Ok(result)
    }
}
