//! Boost's message queue, through a few lines of C++ that are compiled where its headers are
//! installed.

use std::env;
use std::ffi::{CString, c_char, c_int, c_void};
use std::process::Command;
use std::ptr;

use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::{Result, compile, library, run};

use crate::peer::{Copies, Side};

library! { Api {
    open = c"bench_open"(*const c_char, usize, usize) -> *mut c_void;
    send = c"bench_send"(*mut c_void, *const u64, usize) -> c_int;
    receive = c"bench_receive"(*mut c_void, *mut u64, usize) -> c_int;
} }

/// A queue, with its name, number of messages and their size.
pub struct Queue {
    api: &'static Api,
    name: CString,
    sizes: [usize; 2],
    queue: *mut c_void,
}

impl Copies for Queue {
    fn new(scratch: &Scratch, ring: usize, message: usize) -> Result<Self> {
        let library = scratch.directory().join("boost.so");
        if !library.exists() {
            let compiler = env::var_os("CXX").unwrap_or("c++".into());
            run(Command::new(compiler)
                .args(["-O2", "-shared", "-fPIC", "-o"])
                .arg(&library)
                .arg(compile::root().join("bench/exchange/c/boost.cpp")))
            .map_err(|_| "Boost's headers are not installed")?;
        }
        Ok(Self {
            api: Api::load(&library.display().to_string())?,
            name: CString::new(scratch.name())?,
            sizes: [ring / message, message],
            queue: ptr::null_mut(),
        })
    }
    fn open(&mut self, _: Side) -> Result<()> {
        self.queue = (self.api.open)(self.name.as_ptr(), self.sizes[0], self.sizes[1]);
        if self.queue.is_null() {
            return Err("message_queue cannot be opened".into());
        }
        Ok(())
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        match (self.api.send)(self.queue, message[1..].as_ptr(), self.sizes[1]) {
            0 => Ok(()),
            _ => Err("message_queue::send failed".into()),
        }
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        match (self.api.receive)(self.queue, message[1..].as_mut_ptr(), self.sizes[1]) {
            0 => Ok(()),
            _ => Err("message_queue::receive failed".into()),
        }
    }
}
