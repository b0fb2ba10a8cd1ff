//! ZeroMQ's PAIR sockets over ipc, where its library is installed.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use shmcomm_bench::scratch::Scratch;
use shmcomm_bench::{Result, library};

use crate::peer::{Copies, Side};

const ZMQ_PAIR: c_int = 0;

library! { Api {
    context = c"zmq_ctx_new"() -> *mut c_void;
    socket = c"zmq_socket"(*mut c_void, c_int) -> *mut c_void;
    bind = c"zmq_bind"(*mut c_void, *const c_char) -> c_int;
    connect = c"zmq_connect"(*mut c_void, *const c_char) -> c_int;
    send = c"zmq_send"(*mut c_void, *const u64, usize, c_int) -> c_int;
    receive = c"zmq_recv"(*mut c_void, *mut u64, usize, c_int) -> c_int;
} }

/// An address, and a socket.
pub struct Pair {
    api: &'static Api,
    address: CString,
    socket: *mut c_void,
}

impl Copies for Pair {
    fn new(scratch: &Scratch, _: usize, _: usize) -> Result<Self> {
        let api = Api::load("libzmq.so.5").map_err(|_| "libzmq.so.5 is not installed")?;
        let address = scratch.directory().join(scratch.name());
        let address = CString::new(format!("ipc://{}", address.display()))?;
        Ok(Self {
            api,
            address,
            socket: ptr::null_mut(),
        })
    }
    fn open(&mut self, side: Side) -> Result<()> {
        self.socket = (self.api.socket)((self.api.context)(), ZMQ_PAIR);
        let attach = if side == Side::Receiver {
            self.api.bind
        } else {
            self.api.connect
        };
        match attach(self.socket, self.address.as_ptr()) {
            0 => Ok(()),
            _ => Err(format!("{:?} cannot be used", self.address).into()),
        }
    }
    fn send(&mut self, message: &[u64]) -> Result<()> {
        let message = &message[1..];
        match (self.api.send)(self.socket, message.as_ptr(), size_of_val(message), 0) {
            -1 => Err("zmq_send failed".into()),
            _ => Ok(()),
        }
    }
    fn receive(&mut self, message: &mut [u64]) -> Result<()> {
        let message = &mut message[1..];
        match (self.api.receive)(self.socket, message.as_mut_ptr(), size_of_val(message), 0) {
            -1 => Err("zmq_recv failed".into()),
            _ => Ok(()),
        }
    }
}
