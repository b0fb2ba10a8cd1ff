//! Shared memory between processes on Linux: segments under one grammar of names, and what shared memory
//! itself lacks. `libshmcomm` is the C interface of this crate.
//!
//! It is not a broker, a serializer or a network protocol: one machine, bytes, no daemon. It starts no
//! threads, does not use `std`, and never trusts what another process writes into the memory.
//!
//! # Layer 1: the five functions of a `comm.c`
//!
//! Many C programs share one System V segment through five functions of their own; [`comm`] behaves the
//! same, so that Rust programs can talk to them.
//!
//! ```no_run
//! use shmcomm::comm;
//!
//! let id = comm::create(4096)?; // fails with EEXIST if there is one
//! let address = comm::attach(id)?;
//! comm::destroy(id)?; // removed after the last detach
//! # Ok::<(), shmcomm::Error>(())
//! ```
//!
//! # Layer 2: segments
//!
//! A [`Segment`] is System V, POSIX, file or anonymous memory; its [`Name`] chooses. A name is absent or
//! whole, and closing removes nothing.
//!
//! ```
//! use shmcomm::{Name, segment};
//!
//! # let text = format!("posix:/shmcomm-doc-{}", std::process::id());
//! # let name = Name::parse(text.as_bytes()).unwrap();
//! # if false {
//! let name = Name::parse(b"posix:/greeting").unwrap();
//! # }
//! let segment = segment::Options { create: true, size: 4096, ..Default::default() }.open(name)?;
//! segment.write(0, b"how are you");
//! segment::remove(name)?;
//! # Ok::<(), shmcomm::Error>(())
//! ```
//!
//! # Layer 3: exchange
//!
//! A [`Channel`] carries messages, in order and whole, and survives the death of either process at any
//! instruction. A [`Semaphore`] and a [`Mutex`] survive their holder's death; [`futex`] sleeps until a word
//! changes.
//!
//! ```
//! use shmcomm::{Name, Side, channel};
//!
//! # let text = format!("posix:/shmcomm-talk-{}", std::process::id());
//! # let name = Name::parse(text.as_bytes()).unwrap();
//! # if false {
//! let name = Name::parse(b"posix:/talk").unwrap();
//! # }
//! let open = |side| channel::Options { create: true, ..channel::Options::new(side) }.open(name);
//! let mut sender = open(Side::Sender)?; // in one process
//! let mut receiver = open(Side::Receiver)?; // in another one
//! sender.send(b"hello", -1)?;
//! let mut buffer = [0; 16];
//! let length = receiver.receive(&mut buffer, 1000)?; // milliseconds
//! assert_eq!(&buffer[..length], b"hello");
//! # shmcomm::segment::remove(name)?;
//! # Ok::<(), shmcomm::Error>(())
//! ```
#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod channel;
pub mod comm;
mod deadline;
mod environment;
pub mod error;
pub mod explain;
mod fork;
pub mod futex;
pub mod info;
pub mod inspect;
pub mod key;
pub mod mutex;
pub mod name;
mod namespace;
mod object;
pub mod segment;
pub mod semaphore;
mod stale;
mod sys;
mod sysv;
mod text;
pub mod topic;
mod watch;

pub use channel::{Channel, Side};
pub use error::{Call, Errno, Error};
pub use mutex::Mutex;
pub use name::Name;
pub use segment::Segment;
pub use semaphore::Semaphore;
pub use topic::Topic;
