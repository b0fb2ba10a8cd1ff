//! The semaphore between processes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod creation;
mod foreign;
mod object;
mod shared;
mod shared_waits;
#[path = "../support/mod.rs"]
mod support;
mod waits;

use shmcomm::Semaphore;
use shmcomm::semaphore::{Kind, New};
use support::SysvKey;

const LOCK: New = New {
    value: 1,
    mode: 0o600,
    exclusive: false,
    reclaim: false,
    kind: Kind::Units,
};

fn create(key: &SysvKey, value: i32, kind: Kind) -> Semaphore {
    let new = New {
        value,
        kind,
        exclusive: true,
        ..New::default()
    };
    Semaphore::create(key.name(), new).unwrap()
}
