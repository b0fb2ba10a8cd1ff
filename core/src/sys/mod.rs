//! Every system and libc call. A function that makes one call has the call's name, and returns a
//! finished error; a function that needs several calls is named after what it finds out. Nothing else
//! calls the kernel.

mod barrier;
mod clock;
mod directory;
mod errno;
mod file;
mod futex;
mod ipc;
mod memory;
mod process;
mod semaphore;
mod stdio;

pub use barrier::*;
pub use clock::*;
pub use directory::*;
pub use file::*;
pub use futex::*;
pub use ipc::*;
pub use memory::*;
pub use process::*;
pub use semaphore::*;
pub use stdio::*;
