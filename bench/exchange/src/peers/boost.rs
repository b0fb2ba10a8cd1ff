//! Boost's message queue, through a few lines of C++ that are compiled where its headers are there.

use std::env;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;
use std::sync::OnceLock;

use shmcomm_bench::{Result, compile, run};

use crate::dynamic::Library;
use crate::link::{Link, Message, Receiver, Sender, buffer, slots};
use crate::place::Place;

type Handle = NonNull<c_void>;

struct Api {
    open: extern "C" fn(*const c_char, usize, usize) -> Option<Handle>,
    send: extern "C" fn(Handle, *const c_void, usize) -> c_int,
    receive: extern "C" fn(Handle, *mut c_void, usize) -> c_int,
}

static API: OnceLock<Api> = OnceLock::new();

/// Compiles the library, unless that is done, and loads it.
pub fn load(directory: &Path) -> Result<()> {
    let library = directory.join("boost.so");
    if !library.exists() {
        let compiler = env::var_os("CXX").unwrap_or("c++".into());
        run(Command::new(compiler)
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(compile::root().join("bench/exchange/c/boost.cpp")))
        .map_err(|_| "Boost's headers are not installed")?;
    }
    let library = Library::load(&library)?;
    // SAFETY: these are the functions' types in c/boost.cpp.
    let loaded = unsafe {
        Api {
            open: library.function(c"bench_open")?,
            send: library.function(c"bench_send")?,
            receive: library.function(c"bench_receive")?,
        }
    };
    API.get_or_init(|| loaded);
    Ok(())
}

/// A queue of this name.
pub struct Queue(CString);

struct End<const WORDS: usize> {
    api: &'static Api,
    queue: Handle,
    message: Box<Message<WORDS>>,
}

impl<const WORDS: usize> End<WORDS> {
    fn open(link: &Queue) -> Result<Self> {
        let api = API.get().ok_or("not loaded")?;
        let size = size_of::<Message<WORDS>>();
        let queue = (api.open)(link.0.as_ptr(), slots(size), size);
        Ok(Self {
            api,
            queue: queue.ok_or("a message_queue cannot be opened")?,
            message: buffer(),
        })
    }
}

impl<const WORDS: usize> Sender<WORDS> for End<WORDS> {
    #[inline]
    fn send(&mut self, write: impl FnOnce(&mut Message<WORDS>)) -> Result<()> {
        write(&mut self.message);
        match (self.api.send)(self.queue, self.message.as_ptr().cast(), 8 * WORDS) {
            0 => Ok(()),
            _ => Err("message_queue::send failed".into()),
        }
    }
}

impl<const WORDS: usize> Receiver<WORDS> for End<WORDS> {
    #[inline]
    fn receive<T>(&mut self, read: impl FnOnce(&Message<WORDS>) -> T) -> Result<T> {
        match (self.api.receive)(self.queue, self.message.as_mut_ptr().cast(), 8 * WORDS) {
            0 => Ok(read(&self.message)),
            _ => Err("message_queue::receive failed".into()),
        }
    }
}

impl<const WORDS: usize> Link<WORDS> for Queue {
    fn new(place: &Place) -> Result<Self> {
        Ok(Self(CString::new(place.name())?))
    }
    fn sender(&self) -> Result<impl Sender<WORDS>> {
        End::open(self)
    }
    fn receiver(&self) -> Result<impl Receiver<WORDS>> {
        End::open(self)
    }
}
