//! Our channel, through the C interface of `libshmcomm.so`, as a C program uses it; and once through
//! the Rust package.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;

use shmcomm::Name;
use shmcomm::channel::{Channel, Options, Side};
use shmcomm_bench::Result;

use crate::dynamic::Library;
use crate::link::{Link, Message, Receiver, Sender, buffer, failed, ring};
use crate::place::Place;

// As include/shmcomm.h has them.
const SHMC_CREATE: c_int = 1;
const SHMC_SEND: c_int = 256;
const SHMC_RECV: c_int = 512;
const SHMC_SHARED: c_int = 1024;

const MODE: u32 = 0o600;
const FOREVER: c_int = -1;

type Handle = NonNull<c_void>;

struct Api {
    open: extern "C" fn(*const c_char, usize, c_int, u32) -> Option<Handle>,
    send: extern "C" fn(Handle, *const c_void, usize, c_int) -> c_int,
    recv: extern "C" fn(Handle, *mut c_void, usize, c_int) -> isize,
    reserve: extern "C" fn(Handle, usize, c_int) -> Option<NonNull<c_void>>,
    commit: extern "C" fn(Handle, usize) -> c_int,
    peek: extern "C" fn(Handle, *mut usize, c_int) -> Option<NonNull<c_void>>,
    release: extern "C" fn(Handle) -> c_int,
    close: extern "C" fn(Handle) -> c_int,
}

static API: OnceLock<Api> = OnceLock::new();

fn api() -> Result<&'static Api> {
    API.get().ok_or("libshmcomm.so is not loaded".into())
}

/// Loads the library, which the C links need.
pub fn load(library: &Path) -> Result<()> {
    let library = Library::load(library)?;
    // SAFETY: these are the functions' types in include/shmcomm.h.
    let loaded = unsafe {
        Api {
            open: library.function(c"shmc_channel_open")?,
            send: library.function(c"shmc_send")?,
            recv: library.function(c"shmc_recv")?,
            reserve: library.function(c"shmc_reserve")?,
            commit: library.function(c"shmc_commit")?,
            peek: library.function(c"shmc_peek")?,
            release: library.function(c"shmc_release")?,
            close: library.function(c"shmc_channel_close")?,
        }
    };
    API.get_or_init(|| loaded);
    Ok(())
}

fn name(place: &Place) -> Result<CString> {
    Ok(CString::new(format!("posix:/{}", place.name()))?)
}

struct End {
    api: &'static Api,
    channel: Handle,
}

impl End {
    fn open(name: &CStr, message: usize, flags: c_int) -> Result<Self> {
        let api = api()?;
        let flags = flags | SHMC_CREATE;
        match (api.open)(name.as_ptr(), ring(message), flags, MODE) {
            Some(channel) => Ok(Self { api, channel }),
            None => failed("shmc_channel_open"),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        (self.api.close)(self.channel);
    }
}

/// Messages are written and read where they lie.
pub struct InPlace(CString);

/// The same, between ends that several may hold.
pub struct Shared(CString);

/// Messages are copied in and out.
pub struct Copying(CString);

struct InPlaceEnd(End);

impl<const WORDS: usize> Sender<WORDS> for InPlaceEnd {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let End { api, channel } = self.0;
        let length = size_of::<Message<WORDS>>();
        let Some(place) = (api.reserve)(channel, length, FOREVER) else {
            return failed("shmc_reserve");
        };
        // SAFETY: as many bytes, aligned as a length word is, and nobody else's until the commit.
        write(unsafe { place.cast().as_mut() });
        match (api.commit)(channel, length) {
            0 => Ok(()),
            _ => failed("shmc_commit"),
        }
    }
}

impl<const WORDS: usize> Receiver<WORDS> for InPlaceEnd {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let End { api, channel } = self.0;
        let mut length = 0;
        let message = match (api.peek)(channel, &mut length, FOREVER) {
            Some(message) if length == size_of::<Message<WORDS>>() => message,
            _ => return failed("shmc_peek"),
        };
        // SAFETY: of this length and aligned; its sender does not touch it until the release.
        let result = read(unsafe { message.cast().as_ref() });
        match (api.release)(channel) {
            0 => Ok(result),
            _ => failed("shmc_release"),
        }
    }
}

impl<const WORDS: usize> Link<WORDS> for InPlace {
    fn new(place: &Place) -> Result<Self> {
        name(place).map(Self)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::open(&self.0, 8 * WORDS, SHMC_SEND).map(InPlaceEnd)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::open(&self.0, 8 * WORDS, SHMC_RECV).map(InPlaceEnd)
    }
}

impl<const WORDS: usize> Link<WORDS> for Shared {
    fn new(place: &Place) -> Result<Self> {
        name(place).map(Self)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::open(&self.0, 8 * WORDS, SHMC_SEND | SHMC_SHARED).map(InPlaceEnd)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::open(&self.0, 8 * WORDS, SHMC_RECV | SHMC_SHARED).map(InPlaceEnd)
    }
}

struct CopyingEnd<const WORDS: usize> {
    end: End,
    message: Box<Message<WORDS>>,
}

impl<const WORDS: usize> CopyingEnd<WORDS> {
    fn open(name: &CStr, flags: c_int) -> Result<Self> {
        Ok(Self {
            end: End::open(name, 8 * WORDS, flags)?,
            message: buffer(),
        })
    }
}

impl<const WORDS: usize> Sender<WORDS> for CopyingEnd<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let End { api, channel } = self.end;
        write(&mut self.message);
        let message = self.message.as_ptr().cast();
        match (api.send)(channel, message, size_of::<Message<WORDS>>(), FOREVER) {
            0 => Ok(()),
            _ => failed("shmc_send"),
        }
    }
}

impl<const WORDS: usize> Receiver<WORDS> for CopyingEnd<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let End { api, channel } = self.end;
        let message = self.message.as_mut_ptr().cast();
        let size = size_of::<Message<WORDS>>();
        if (api.recv)(channel, message, size, FOREVER) != size as isize {
            return failed("shmc_recv");
        }
        Ok(read(&self.message))
    }
}

impl<const WORDS: usize> Link<WORDS> for Copying {
    fn new(place: &Place) -> Result<Self> {
        name(place).map(Self)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        CopyingEnd::open(&self.0, SHMC_SEND)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        CopyingEnd::open(&self.0, SHMC_RECV)
    }
}

/// In place, by the Rust package, whose functions are part of the program.
pub struct Rust(CString);

struct RustEnd<const WORDS: usize> {
    channel: Channel,
    size: PhantomData<Message<WORDS>>,
}

impl<const WORDS: usize> RustEnd<WORDS> {
    fn open(name: &CStr, side: Side) -> Result<Self> {
        let options = Options {
            side,
            capacity: ring(8 * WORDS),
            mode: MODE,
            create: true,
            exclusive: false,
            shared: false,
            interruptible: false,
        };
        Ok(Self {
            channel: options.open(Name::parse(name.to_bytes()).map_err(|_| "no name")?)?,
            size: PhantomData,
        })
    }
}

impl<const WORDS: usize> Sender<WORDS> for RustEnd<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        let place = self.channel.reserve(8 * WORDS, FOREVER)?;
        // SAFETY: as many bytes, aligned as a length word is, and nobody else's until the commit.
        write(unsafe { place.cast().as_mut() });
        Ok(self.channel.commit(8 * WORDS)?)
    }
}

impl<const WORDS: usize> Receiver<WORDS> for RustEnd<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        let (message, length) = self.channel.peek(FOREVER)?;
        if length != 8 * WORDS {
            return Err("a message of another size".into());
        }
        // SAFETY: of this length and aligned; its sender does not touch it until the release.
        let result = read(unsafe { message.cast().as_ref() });
        self.channel.release()?;
        Ok(result)
    }
}

impl<const WORDS: usize> Link<WORDS> for Rust {
    fn new(place: &Place) -> Result<Self> {
        name(place).map(Self)
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        RustEnd::open(&self.0, Side::Sender)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        RustEnd::open(&self.0, Side::Receiver)
    }
}
