//! The channel's algorithms under loom: the ring, the wake-up, and the lock of a shared end, in small
//! cases, in all interleavings and with all that the memory model allows. Run it with
//! `RUSTFLAGS='--cfg loom' cargo test -p shmcomm --release --test loom`.
//!
//! A process that dies is one whose operations on memory have no effect from the k-th on, for all k.
//! Its successor runs in the same thread, because the kernel orders the two: the release of a file lock
//! tells the successor of the death.
//!
//! Not modelled: payload that is not words, the double mapping (offsets wrap instead), and that a compiler
//! may reorder relaxed stores between which a death falls (all stores that matter release).
#![cfg(loom)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::arc_with_non_send_sync
)]

mod model;
mod poll;
mod ring;
mod shared;
mod sleep_word;
mod topic;
mod wakeup;

/// Whether all models are wanted, rather than those that fit into a newcomer's `cargo test`.
fn all() -> bool {
    std::env::var_os("SHMCOMM_TEST_ALL").is_some()
}

/// Tries every interleaving with at most this number of preemptions; unless all are wanted, with at most
/// two, which takes a tenth of the time.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let preemptions = if all() {
        preemptions
    } else {
        preemptions.min(2)
    };
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}
