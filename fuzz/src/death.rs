//! A process that dies while it holds one end of a channel.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use shmcomm::channel::Side;

use crate::world::{World, message};

/// The progress of a process that will die, in memory that outlives it.
struct Progress {
    opened: AtomicU64,
    done: AtomicU64,
    wrong: AtomicU64,
}

fn progress() -> &'static Progress {
    // SAFETY: new memory, all zeros, at an address of the kernel's choice, and never unmapped.
    unsafe {
        let memory = libc::mmap(
            ptr::null_mut(),
            size_of::<Progress>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast::<Progress>()
    }
}

/// Forks a process that opens this end, uses it and dies. The model then expects all steps that the
/// process reported, and perhaps one more.
pub fn one(world: &mut World, side: Side) {
    if !world.shared {
        world.close(side);
    }
    static PROGRESS: std::sync::OnceLock<&Progress> = std::sync::OnceLock::new();
    let progress = PROGRESS.get_or_init(progress);
    for word in [&progress.opened, &progress.done, &progress.wrong] {
        word.store(0, SeqCst);
    }
    let steps = world.random.below(10);
    // Either the process kills itself in the middle of a message, or this process kills it at any
    // moment.
    let kills_itself = world.random.one_in(2);
    let microseconds = world.random.below(400);

    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        live(world, side, progress, kills_itself.then_some(steps));
    }
    if !kills_itself {
        while progress.opened.load(SeqCst) == 0 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(microseconds));
        // SAFETY: the child is not reaped yet.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    // SAFETY: no status is requested.
    assert_eq!(unsafe { libc::waitpid(child, ptr::null_mut(), 0) }, child);
    assert_eq!(
        progress.wrong.load(SeqCst),
        0,
        "the child received wrong bytes or no handle"
    );

    world.count_open(side);
    let done = progress.done.load(SeqCst);
    let before = match side {
        Side::Sender => world.sent,
        Side::Receiver => world.received,
    };
    if kills_itself && world.shared && world.random.one_in(2) {
        // The other sharers go on at once, whether or not a new process takes the dead one's slot.
        match side {
            Side::Sender => world.sent += done,
            Side::Receiver => world.received += done,
        }
        if world.random.one_in(2) {
            world.step_open(side);
        }
        return;
    }
    // The next process at this end has the true count.
    let mut next = world.open(side).expect("the next process at this end");
    let info = if world.shared {
        // A handle of a shared end takes over the dead process's position at its first use.
        match side {
            Side::Sender => drop(next.reserve(0, 0)),
            Side::Receiver => drop(next.peek(0)),
        }
        next.info()
    } else {
        next.info()
    }
    .expect("info");
    let (after, other, unchanged) = match side {
        Side::Sender => (info.sent, info.received, world.received),
        Side::Receiver => (info.received, info.sent, world.sent),
    };
    assert_eq!(other, unchanged);
    let possible = before + done..=before + done + 1;
    assert!(possible.contains(&after), "{after}, not in {possible:?}");
    assert!(!kills_itself || after == before + done);
    match side {
        Side::Sender => world.sent = after,
        Side::Receiver => world.received = after,
    }
}

/// Uses the end until the process dies.
fn live(world: &World, side: Side, progress: &Progress, steps: Option<u64>) -> ! {
    let Ok(mut channel) = world.open(side) else {
        progress.wrong.store(1, SeqCst);
        progress.opened.store(1, SeqCst);
        die();
    };
    progress.opened.store(1, SeqCst);
    let mut buffer = vec![0; world.capacity as usize];
    let first = match side {
        Side::Sender => world.sent,
        Side::Receiver => world.received,
    };
    for step in 0.. {
        let bytes = message(world.seed, first + step, world.capacity);
        if steps == Some(step) {
            match side {
                Side::Sender => {
                    if let Ok(place) = channel.reserve(bytes.len(), 0) {
                        // SAFETY: the call reserved this many bytes.
                        unsafe { place.write_bytes(0xee, bytes.len()) };
                    }
                }
                Side::Receiver => drop(channel.peek(0)),
            }
            die();
        }
        let done = match side {
            Side::Sender => channel.send(&bytes, 0).is_ok(),
            Side::Receiver => match channel.receive(&mut buffer, 0) {
                Ok(length) => {
                    let wrong = buffer[..length] != bytes;
                    progress.wrong.fetch_or(wrong.into(), SeqCst);
                    true
                }
                Err(_) => false,
            },
        };
        match (done, steps) {
            (true, _) => progress.done.fetch_add(1, SeqCst),
            (false, Some(_)) => die(),
            // The channel is full or empty: the process waits to be killed.
            (false, None) => loop {
                thread::yield_now();
            },
        };
    }
    die()
}

fn die() -> ! {
    loop {
        // SAFETY: takes no pointer.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}
