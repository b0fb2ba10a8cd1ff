//! Shared memory between processes on Linux, for Rust programs; `libshmcomm` is its C interface.
//!
//! [`comm`] is layer 1: the five functions of the hand-written `comm.c` that many C programs carry, and
//! their key. [`segment`] is layer 2: every kind of shared memory that Linux has, under one grammar of
//! [names](name). Layer 3 adds what shared memory lacks: [`futex`] to sleep until a word changes, a
//! [`mutex`] and a [`semaphore`] that survive the death of their holder, and a [`channel`] of messages.
//!
//! This crate does not use `std` and starts no threads.
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
mod endpoint;
mod environment;
pub mod error;
pub mod explain;
mod fork;
pub mod futex;
pub mod handshake;
pub mod info;
pub mod key;
pub mod mutex;
pub mod name;
mod namespace;
mod object;
pub mod ring;
pub mod segment;
pub mod semaphore;
mod stale;
mod sys;
mod sysv;
mod text;

pub use error::{Call, Errno, Error};
pub use mutex::Mutex;
pub use name::Name;
pub use segment::Segment;
pub use semaphore::Semaphore;
