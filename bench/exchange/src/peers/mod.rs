//! The systems that are compared.

mod boost;
mod channel;
pub mod iceoryx2;
mod kernel;
mod memory;
mod shmem_ipc;
mod zeromq;

use shmcomm_bench::Result;
use shmcomm_bench::scratch::Scratch;

use crate::peer::{Copied, Peer};
use crate::workload::{Idle, Job, idle, run};

/// A system, and what can be measured of it.
pub struct System {
    pub name: &'static str,
    /// What lies between the two ends.
    pub ring: &'static str,
    /// Whether it looks again and again while it waits, and never sleeps.
    pub polls: bool,
    /// Fails if it is not installed.
    pub try_new: fn(&Scratch) -> Result<()>,
    /// Measures a job.
    pub run: fn(&Job) -> Result<Vec<f64>>,
    /// Starts two processes that wait for each other.
    pub idle: fn(&Scratch) -> Result<Idle>,
}

/// A system of this peer, for each size of message.
macro_rules! system {
    ($name:expr, $ring:expr, $polls:expr, $words:ident => $peer:ty) => {{
        fn words<const $words: usize>(job: &Job) -> Result<Vec<f64>> {
            run::<$peer, $words>(job)
        }
        const $words: usize = 8;
        System {
            name: $name,
            ring: $ring,
            polls: $polls,
            try_new: |scratch| <$peer as Peer<$words>>::new(scratch, 1 << 20).map(drop),
            run: |job| match job.message {
                8 => words::<1>(job),
                64 => words::<8>(job),
                0x100 => words::<32>(job),
                0x400 => words::<128>(job),
                0x1000 => words::<512>(job),
                0x4000 => words::<2048>(job),
                0x1_0000 => words::<8192>(job),
                0x10_0000 => words::<131_072>(job),
                size => Err(format!("no messages of {size} bytes").into()),
            },
            idle: idle::<$peer, $words>,
        }
    }};
}

/// See [`default_ring`](crate::workload::default_ring).
const RING: &str = "1 MiB, 8 MiB from 4 KiB";
const SOCKET: &str = "the kernel's buffer, 208 KiB";

/// Names that derived rows refer to.
pub const IN_PLACE: &str = "**shmcomm**, in place";
pub const COPYING: &str = "**shmcomm**, copying";
pub const PIPE: &str = "pipe";

/// All of them, ours first.
pub const SYSTEMS: &[System] = &[
    system!(IN_PLACE, RING, false, W => channel::InPlace<false>),
    system!(COPYING, RING, false, W => Copied<channel::Copying, W>),
    system!("**shmcomm**, shared, in place", RING, false, W => channel::InPlace<true>),
    system!("**shmcomm**, in place, from Rust", RING, false, W => channel::Rust),
    system!(MEMCPY, RING, true, W => Copied<memory::Memcpy, W>),
    system!(PIPE, "64 KiB", false, W => Copied<kernel::Pipe, W>),
    system!("Unix stream", SOCKET, false, W => Copied<kernel::Stream, W>),
    system!("Unix seqpacket", SOCKET, false, W => Copied<kernel::SeqPacket, W>),
    system!("System V queue", "16 KiB", false, W => Copied<kernel::SystemV, W>),
    system!("POSIX queue", "1 or 8 MiB, or 10 messages", false, W => Copied<kernel::Posix, W>),
    system!("System V memory, semaphores", "1 message", false, W => memory::Textbook),
    system!("iceoryx2, polling", ICEORYX, true, W => iceoryx2::Service<true, false, W>),
    system!("iceoryx2, events", ICEORYX, false, W => iceoryx2::Service<false, false, W>),
    system!("shmem-ipc, polling", RING, true, W => shmem_ipc::Ring<true, false, W>),
    system!("shmem-ipc, eventfd", RING, false, W => shmem_ipc::Ring<false, false, W>),
    system!("Boost message_queue", RING, false, W => Copied<boost::Queue, W>),
    system!("ZeroMQ PAIR", "1000 messages a side", false, W => Copied<zeromq::Pair, W>),
    system!("**shmcomm**, asleep in poll", RING, false, W => channel::InPoll),
    system!("pipe, asleep in poll", "64 KiB", false, W => Copied<kernel::PipeInPoll, W>),
    system!("shmem-ipc, asleep in poll", RING, false, W => shmem_ipc::Ring<false, true, W>),
    system!("iceoryx2, asleep in WaitSet", ICEORYX, false, W => iceoryx2::Service<false, true, W>),
];

/// The least that a copying channel does; it is no peer.
pub const MEMCPY: &str = "`memcpy` twice, polling";
const ICEORYX: &str = "1 or 8 MiB, at most 1024 messages";
