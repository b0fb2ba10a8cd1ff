//! A signal handler locks the mutex that its thread is locking or unlocking, whichever instruction
//! it interrupts.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod support;

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::Relaxed};

use shmcomm::mutex::Acquired::Clean;
use shmcomm::segment::Options;
use shmcomm::{Errno, Mutex, Name, Segment};
use support::{Child, EVERY, OneCore, all, errno, spread};

/// Memory that children share: a mutex, and a count of wrong results after it.
static SHARED: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

fn mutex() -> &'static Mutex {
    // SAFETY: large enough, aligned, only used as this, and mapped as long as the test runs.
    unsafe { &*SHARED.load(Relaxed).cast() }
}

fn wrong() -> &'static AtomicU32 {
    // SAFETY: as above.
    unsafe { &*SHARED.load(Relaxed).add(64).cast() }
}

/// Whether the mutex's own word has the id of the calling thread, and not that of the parent.
fn names_this_thread() -> bool {
    // SAFETY: as above; it is an atomic word there too.
    let word: &AtomicU64 = unsafe { &*SHARED.load(Relaxed).cast() };
    // SAFETY: takes no argument.
    word.load(Relaxed) & 0x3f_ffff == unsafe { libc::gettid() } as u64
}

fn lock_and_unlock() {
    let is_right = mutex().lock(0) == Ok(Clean) && names_this_thread() && mutex().unlock().is_ok();
    wrong().fetch_add((!is_right).into(), Relaxed);
}

extern "C" fn lock_in_handler(_: i32) {
    let is_wrong = match mutex().lock(0) {
        Ok(Clean) => !names_this_thread() || mutex().unlock().is_err(),
        result => errno(result) != Some(Errno::EDEADLK),
    };
    wrong().fetch_add(is_wrong.into(), Relaxed);
}

/// Interrupts children after these numbers of instructions. Returns the first number that no child
/// reaches.
fn interrupt(make_ready: impl Fn(), after: impl Iterator<Item = u64>) -> u64 {
    let _core = OneCore::new().unwrap();
    for steps in after {
        let install = || {
            // SAFETY: the handler only makes calls that are safe in one.
            unsafe {
                libc::signal(
                    libc::SIGUSR1,
                    lock_in_handler as extern "C" fn(i32) as usize,
                )
            };
            make_ready();
        };
        let child = Child::stopped_before(install, lock_and_unlock);
        if !child.step(libc::PTRACE_SINGLESTEP, steps) {
            return steps;
        }
        child.go_on_with(libc::SIGUSR1);
        assert_eq!(child.join(), 0, "{steps}");
        assert_eq!(wrong().load(Relaxed), 0, "{steps}");
        assert_eq!(mutex().lock(0), Ok(Clean), "{steps}");
        mutex().unlock().unwrap();
    }
    unreachable!()
}

#[test]
fn a_handler_may_interrupt_lock_and_unlock_anywhere() {
    let options = Options {
        create: true,
        size: 4096,
        ..Options::default()
    };
    let segment: Segment = options.open(Name::parse(b"anon:").unwrap()).unwrap();
    SHARED.store(segment.as_ptr().cast(), Relaxed);
    mutex().init().unwrap();
    let later = interrupt(|| mutex().init().unwrap(), spread(EVERY));
    // The first call determines the thread's name, in ten times the instructions.
    let first = interrupt(|| (), (0..).step_by(if all() { 257 } else { 2039 }));
    println!("{later} instructions, {first} of a first call");
    assert!(later > 50 && first > later, "{later} {first}");
}
