//! What the kernel offers: pipes, sockets, message queues.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{fs, ptr, slice};

use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::{Result, checked, failed};

use crate::peer::{Copies, wait_in_poll};

/// A pipe, or a pair of sockets of this type.
pub struct Files<const TYPE: c_int> {
    reader: File,
    writer: File,
}

pub type Pipe = Files<0>;
pub type Stream = Files<{ libc::SOCK_STREAM }>;
pub type SeqPacket = Files<{ libc::SOCK_SEQPACKET }>;

impl<const TYPE: c_int> Copies for Files<TYPE> {
    fn new(_: &Scratch, ring: usize, message: usize) -> Result<Self> {
        if TYPE == 0 {
            let (reader, writer) = pipe()?;
            let [reader, writer] = [OwnedFd::from(reader), OwnedFd::from(writer)].map(File::from);
            return Ok(Self { reader, writer });
        }
        let mut sockets = [-1; 2];
        // SAFETY: room for two.
        checked("socketpair", unsafe {
            libc::socketpair(libc::AF_UNIX, TYPE, 0, sockets.as_mut_ptr())
        })?;
        // SAFETY: new descriptors.
        let [reader, writer] =
            sockets.map(|socket| unsafe { File::from(OwnedFd::from_raw_fd(socket)) });
        // A packet must fit the buffer of its socket.
        if TYPE == libc::SOCK_SEQPACKET && message > 64 << 10 {
            buffer_size(&writer, libc::SO_SNDBUFFORCE, ring)
                .or_else(|_| buffer_size(&writer, libc::SO_SNDBUF, ring))?;
        }
        Ok(Self { reader, writer })
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let message = &message[1..];
        // SAFETY: words are bytes without padding.
        let bytes = unsafe { slice::from_raw_parts(message.as_ptr().cast(), size_of_val(message)) };
        Ok(self.writer.write_all(bytes)?)
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let message = &mut message[1..];
        let (bytes, size) = (message.as_mut_ptr().cast(), size_of_val(message));
        // SAFETY: as above, and any bytes are words.
        Ok(self
            .reader
            .read_exact(unsafe { slice::from_raw_parts_mut(bytes, size) })?)
    }
}

fn buffer_size(socket: &File, option: c_int, size: usize) -> Result<()> {
    let (size, length) = (size as c_int, size_of::<c_int>() as libc::socklen_t);
    // SAFETY: an integer of this size.
    checked("setsockopt", unsafe {
        let size = (&raw const size).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, size, length)
    })
    .map(drop)
}

/// A pipe whose reader waits in poll(2).
pub struct PipeInPoll(Pipe);

impl Copies for PipeInPoll {
    fn new(scratch: &Scratch, ring: usize, message: usize) -> Result<Self> {
        Pipe::new(scratch, ring, message).map(Self)
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        self.0.send(message)
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        wait_in_poll(self.0.reader.as_raw_fd())?;
        self.0.receive(message)
    }
}

/// A System V message queue.
pub struct SystemV(c_int);

impl Drop for SystemV {
    fn drop(&mut self) {
        // SAFETY: takes no buffer.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, ptr::null_mut()) };
    }
}

impl Copies for SystemV {
    fn new(_: &Scratch, _: usize, message: usize) -> Result<Self> {
        let max: usize = fs::read_to_string("/proc/sys/kernel/msgmax")?
            .trim()
            .parse()?;
        if message > max {
            return Err(format!("System V queue: {message} bytes are more than msgmax").into());
        }
        // SAFETY: takes no pointer.
        checked("msgget", unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) }).map(Self)
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let size = size_of_val(&message[1..]);
        // SAFETY: the first word is the type, 1; then this many bytes.
        let sent = unsafe { libc::msgsnd(self.0, message.as_ptr().cast(), size, 0) };
        checked("msgsnd", sent).map(drop)
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let size = size_of_val(&message[1..]);
        // SAFETY: room for the type and for this many bytes.
        let received = unsafe { libc::msgrcv(self.0, message.as_mut_ptr().cast(), size, 0, 0) };
        checked("msgrcv", received).map(drop)
    }
}

/// A POSIX message queue without a name.
pub struct Posix(libc::mqd_t);

/// Messages that every user may have, and that Linux allows at all.
const FEW: usize = 10;
const MANY: usize = 65_536;

impl Copies for Posix {
    fn new(scratch: &Scratch, ring: usize, message: usize) -> Result<Self> {
        let name = CString::new(format!("/{}", scratch.name()))?;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        for count in [MANY.min(ring / message), FEW] {
            // SAFETY: zeros are attributes; the name is this run's own.
            unsafe {
                let mut attributes: libc::mq_attr = std::mem::zeroed();
                attributes.mq_maxmsg = count as _;
                attributes.mq_msgsize = message as _;
                let queue = libc::mq_open(name.as_ptr(), flags, 0o600, &mut attributes);
                if queue >= 0 {
                    libc::mq_unlink(name.as_ptr());
                    return Ok(Self(queue));
                }
            }
        }
        failed("POSIX queue: mq_open")
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let message = &message[1..];
        // SAFETY: this many bytes.
        checked("mq_send", unsafe {
            libc::mq_send(self.0, message.as_ptr().cast(), size_of_val(message), 0)
        })
        .map(drop)
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let message = &mut message[1..];
        let (bytes, size) = (message.as_mut_ptr().cast(), size_of_val(message));
        // SAFETY: room for this many bytes.
        let received = unsafe { libc::mq_receive(self.0, bytes, size, ptr::null_mut()) };
        checked("mq_receive", received).map(drop)
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: open, and not used any more.
        unsafe { libc::mq_close(self.0) };
    }
}
