//! Every system and libc call, with a finished error; nothing else calls the kernel. A function has the
//! name of its call, unless it converts units or answers a question, as `sleep_ms` or `process_exists`.

mod barrier;
mod clock;
mod directory;
mod errno;
mod file;
mod futex;
mod inotify;
mod ipc;
mod memory;
mod process;
mod semaphore;
mod stdio;
mod thread;

pub use barrier::*;
pub use clock::*;
pub use directory::*;
pub use file::*;
pub use futex::*;
pub use inotify::*;
pub use ipc::*;
pub use memory::*;
pub use process::*;
pub use semaphore::*;
pub use stdio::*;
pub use thread::*;
