//! The systems that are compared.

pub mod boost;
pub mod channel;
pub mod descriptors;
pub mod iceoryx2;
pub mod posix_queue;
pub mod shmem_ipc;
pub mod system_v;
pub mod zeromq;

use std::path::Path;

use shmcomm_bench::Result;

use crate::place::Place;
use crate::workload::{AllSizes, Answers, Idle, Latency, Until, idle, one_way, round_trip};

/// What a system does while it waits.
#[derive(Clone, Copy, PartialEq)]
pub enum Waits {
    /// It sleeps.
    Sleeping,
    /// It spins for a moment, then sleeps.
    SpinningFirst,
    /// It looks again and again.
    Polling,
}

impl Waits {
    /// In the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sleeping => "block",
            Self::SpinningFirst => "spin, block",
            Self::Polling => "poll",
        }
    }
}

/// A system, and what can be measured of it.
pub struct System {
    pub name: &'static str,
    pub waits: Waits,
    pub one_way: fn(&Place, usize, Until) -> Result<f64>,
    pub round_trip: fn(&Place, Answers, Until) -> Result<Latency>,
    pub idle: fn(&Place) -> Result<Idle>,
    /// Loads what it needs: from the library that was built, or into the directory.
    pub load: fn(library: &Path, directory: &Path) -> Result<()>,
}

impl System {
    const fn new<L: AllSizes>(name: &'static str, waits: Waits) -> Self {
        Self {
            name,
            waits,
            one_way: one_way::<L>,
            round_trip: round_trip::<L>,
            idle: idle::<L>,
            load: |_, _| Ok(()),
        }
    }

    const fn ours<L: AllSizes>(name: &'static str) -> Self {
        Self {
            load: |library, _| channel::load(library),
            ..Self::new::<L>(name, Waits::SpinningFirst)
        }
    }
}

/// Names that targets refer to.
pub const IN_PLACE: &str = "**shmcomm**, in place";
pub const COPYING: &str = "**shmcomm**, copying";
pub const PIPE: &str = "pipe";

/// All of them, ours first.
pub const SYSTEMS: &[System] = &[
    System::ours::<channel::InPlace>(IN_PLACE),
    System::ours::<channel::Copying>(COPYING),
    System::ours::<channel::Shared>("**shmcomm**, shared, in place"),
    System::ours::<channel::Rust>("**shmcomm**, in place, from Rust"),
    System::new::<descriptors::Pipe>(PIPE, Waits::Sleeping),
    System::new::<descriptors::Stream>("Unix stream", Waits::Sleeping),
    System::new::<descriptors::SeqPacket>("Unix seqpacket", Waits::Sleeping),
    System::new::<system_v::Queue>("System V queue", Waits::Sleeping),
    System::new::<posix_queue::Queue>("POSIX queue", Waits::Sleeping),
    System::new::<system_v::Textbook>("System V memory, semaphores", Waits::Sleeping),
    System::new::<iceoryx2::Polling>("iceoryx2", Waits::Polling),
    System::new::<iceoryx2::Blocking>("iceoryx2, events", Waits::Sleeping),
    System::new::<shmem_ipc::Polling>("shmem-ipc", Waits::Polling),
    System::new::<shmem_ipc::Blocking>("shmem-ipc, eventfd", Waits::Sleeping),
    System {
        load: |_, directory| boost::load(directory),
        ..System::new::<boost::Queue>("Boost message_queue", Waits::Sleeping)
    },
    System {
        load: |_, _| zeromq::load(),
        ..System::new::<zeromq::Pair>("ZeroMQ PAIR", Waits::Sleeping)
    },
];

/// Whether it is one of ours.
pub fn is_ours(system: &System) -> bool {
    system.name.starts_with("**")
}
