//! A process that dies while it has one end of a channel.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use shmcomm::channel::Side;

use crate::world::{World, message};

/// What a process that will die has done so far, in memory that outlives it.
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

/// Has a process come to this end, use it, and die; the model then says
/// what is left: what the process had done, and perhaps one step more.
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
    // By itself, in the middle of a message; or by another, whenever.
    let by_itself = world.random.one_in(2);
    let microseconds = world.random.below(400);

    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    assert_ne!(child, -1);
    if child == 0 {
        live(world, side, progress, by_itself.then_some(steps));
    }
    if !by_itself {
        while progress.opened.load(SeqCst) == 0 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_micros(microseconds));
        // SAFETY: the child is not reaped yet.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    // SAFETY: the status is not asked for.
    assert_eq!(unsafe { libc::waitpid(child, ptr::null_mut(), 0) }, child);
    assert_eq!(progress.wrong.load(SeqCst), 0, "wrong in the child");

    world.count_open(side);
    let done = progress.done.load(SeqCst);
    let before = match side {
        Side::Sender => world.sent,
        Side::Receiver => world.received,
    };
    if by_itself && world.shared && world.random.one_in(2) {
        // The others go on at once, whether or not somebody comes who takes the dead one's slot.
        match side {
            Side::Sender => world.sent += done,
            Side::Receiver => world.received += done,
        }
        if world.random.one_in(2) {
            world.step_open(side);
        }
        return;
    }
    // Who comes next has the true count.
    let mut next = world.open(side).expect("the next process at this end");
    let info = if world.shared {
        // A shared end takes up where the dead one was when it is used first.
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
    assert!(!by_itself || after == before + done);
    match side {
        Side::Sender => world.sent = after,
        Side::Receiver => world.received = after,
    }
}

/// The life of the process.
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
                        // SAFETY: so many bytes are reserved.
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
            // Full or empty: waits to be killed.
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
