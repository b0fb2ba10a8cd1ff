//! Shared memory between processes on Linux, for Rust programs; `libshmcomm` is its C interface.
//!
//! [`comm`] is layer 1: the five functions of the hand-written `comm.c` that many C programs carry,
//! with where their key comes from. [`sysv`] is what it stands on.
//!
//! It does not use `std`, starts no threads, and allocates no memory.
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

pub mod comm;
mod environment;
pub mod error;
pub mod explain;
pub mod key;
pub mod stale;
mod sys;
pub mod sysv;
mod text;

pub use error::{Call, Errno, Error};
