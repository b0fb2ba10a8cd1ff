//! ZeroMQ's PAIR sockets over ipc, where its library is there.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use shmcomm_bench::Result;

use crate::dynamic::Library;
use crate::link::{Link, Message, Receiver, Sender, buffer};
use crate::place::Place;

const ZMQ_PAIR: c_int = 0;

type Handle = NonNull<c_void>;

struct Api {
    new_context: extern "C" fn() -> Option<Handle>,
    end_context: extern "C" fn(Handle) -> c_int,
    socket: extern "C" fn(Handle, c_int) -> Option<Handle>,
    close: extern "C" fn(Handle) -> c_int,
    bind: extern "C" fn(Handle, *const c_char) -> c_int,
    connect: extern "C" fn(Handle, *const c_char) -> c_int,
    send: extern "C" fn(Handle, *const c_void, usize, c_int) -> c_int,
    receive: extern "C" fn(Handle, *mut c_void, usize, c_int) -> c_int,
}

static API: OnceLock<Api> = OnceLock::new();

/// Loads the library.
pub fn load() -> Result<()> {
    let library = Library::load("libzmq.so.5").map_err(|_| "libzmq.so.5 is not installed")?;
    // SAFETY: these are the functions' types in zmq.h.
    let loaded = unsafe {
        Api {
            new_context: library.function(c"zmq_ctx_new")?,
            end_context: library.function(c"zmq_ctx_term")?,
            socket: library.function(c"zmq_socket")?,
            close: library.function(c"zmq_close")?,
            bind: library.function(c"zmq_bind")?,
            connect: library.function(c"zmq_connect")?,
            send: library.function(c"zmq_send")?,
            receive: library.function(c"zmq_recv")?,
        }
    };
    API.get_or_init(|| loaded);
    Ok(())
}

/// An address.
pub struct Pair(CString);

struct End<const WORDS: usize> {
    api: &'static Api,
    context: Handle,
    socket: Handle,
    message: Box<Message<WORDS>>,
}

impl<const WORDS: usize> End<WORDS> {
    fn open(address: &CStr, binds: bool) -> Result<Self> {
        let api = API.get().ok_or("not loaded")?;
        let context = (api.new_context)().ok_or("zmq_ctx_new failed")?;
        let socket = (api.socket)(context, ZMQ_PAIR).ok_or("zmq_socket failed")?;
        let attach = if binds { api.bind } else { api.connect };
        if attach(socket, address.as_ptr()) != 0 {
            return Err(format!("{address:?} cannot be used").into());
        }
        Ok(Self {
            api,
            context,
            socket,
            message: buffer(),
        })
    }
}

impl<const WORDS: usize> Drop for End<WORDS> {
    fn drop(&mut self) {
        (self.api.close)(self.socket);
        (self.api.end_context)(self.context);
    }
}

impl<const WORDS: usize> Sender<WORDS> for End<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(&mut self.message);
        match (self.api.send)(self.socket, self.message.as_ptr().cast(), 8 * WORDS, 0) {
            -1 => Err("zmq_send failed".into()),
            _ => Ok(()),
        }
    }
}

impl<const WORDS: usize> Receiver<WORDS> for End<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        match (self.api.receive)(self.socket, self.message.as_mut_ptr().cast(), 8 * WORDS, 0) {
            -1 => Err("zmq_recv failed".into()),
            _ => Ok(read(&self.message)),
        }
    }
}

impl<const WORDS: usize> Link<WORDS> for Pair {
    fn new(place: &Place) -> Result<Self> {
        let socket = place.directory().join(place.name());
        Ok(Self(CString::new(format!("ipc://{}", socket.display()))?))
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::open(&self.0, false)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::open(&self.0, true)
    }
}
