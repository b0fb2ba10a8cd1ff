//! Pipes and sockets.

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use shmcomm_bench::Result;

use crate::link::{
    Link, Message, Receiver, Sender, buffer, bytes, bytes_mut, checked, failed, ring,
};
use crate::place::Place;

struct Ends {
    reader: File,
    writer: File,
}

struct End<const WORDS: usize> {
    file: File,
    message: Box<Message<WORDS>>,
}

impl<const WORDS: usize> End<WORDS> {
    fn new(file: &File) -> Result<Self> {
        Ok(Self {
            file: file.try_clone()?,
            message: buffer(),
        })
    }
}

impl<const WORDS: usize> Sender<WORDS> for End<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(&mut self.message);
        Ok(self.file.write_all(bytes(&self.message))?)
    }
}

impl<const WORDS: usize> Receiver<WORDS> for End<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        self.file.read_exact(bytes_mut(&mut self.message))?;
        Ok(read(&self.message))
    }
}

/// A pipe, as pipe(2) makes it.
pub struct Pipe(Ends);

impl<const WORDS: usize> Link<WORDS> for Pipe {
    fn new(_: &Place) -> Result<Self> {
        let (reader, writer) = pipe()?;
        let [reader, writer] = [OwnedFd::from(reader), OwnedFd::from(writer)].map(File::from);
        Ok(Self(Ends { reader, writer }))
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::new(&self.0.writer)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::new(&self.0.reader)
    }
}

/// A Unix socket of this type.
pub struct Socket<const TYPE: libc::c_int>(Ends);

/// A stream of bytes.
pub type Stream = Socket<{ libc::SOCK_STREAM }>;
/// Messages.
pub type SeqPacket = Socket<{ libc::SOCK_SEQPACKET }>;

impl<const WORDS: usize, const TYPE: libc::c_int> Link<WORDS> for Socket<TYPE> {
    fn new(_: &Place) -> Result<Self> {
        let mut sockets = [-1; 2];
        // SAFETY: room for two.
        checked("socketpair", unsafe {
            libc::socketpair(libc::AF_UNIX, TYPE, 0, sockets.as_mut_ptr())
        })?;
        // SAFETY: new, and nobody else's.
        let [reader, writer] =
            sockets.map(|socket| unsafe { File::from(OwnedFd::from_raw_fd(socket)) });
        let message = size_of::<Message<WORDS>>();
        if TYPE == libc::SOCK_SEQPACKET && message > 64 << 10 {
            make_room(&writer, ring(message))?;
        }
        Ok(Self(Ends { reader, writer }))
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::new(&self.0.writer)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::new(&self.0.reader)
    }
}

/// A message must fit the buffer of its socket.
fn make_room(socket: &File, size: usize) -> Result<()> {
    let size = size as libc::c_int;
    for option in [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF] {
        // SAFETY: an integer of this size.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const size).cast(),
                size_of_val(&size) as libc::socklen_t,
            )
        };
        if result == 0 {
            return Ok(());
        }
    }
    failed("setsockopt")
}
