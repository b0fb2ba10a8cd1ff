//! Mutexes and semaphores, ours beside pthread's: alone, and between two processes that both want
//! them.

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::distance::{Samples, rounds};
use crate::process::{Process, pair};
use crate::shared::Shared;
use crate::table::Table;
use crate::{Result, Run, checked, compile, failed, library};

const FOREVER: c_int = -1;
const SHMC_CREATE: c_int = 1;
const SHMC_EVENTS: c_int = 128;

library! { Api {
    mutex_init = c"shmc_mutex_init"(*mut c_void) -> c_int;
    mutex_lock = c"shmc_mutex_lock"(*mut c_void, c_int) -> c_int;
    mutex_unlock = c"shmc_mutex_unlock"(*mut c_void) -> c_int;
    sem_open = c"shmc_sem_open"(*const c_char, c_int, c_int, libc::mode_t) -> *mut c_void;
    sem_wait = c"shmc_sem_wait"(*mut c_void, c_int) -> c_int;
    sem_post = c"shmc_sem_post"(*mut c_void) -> c_int;
    sem_close = c"shmc_sem_close"(*mut c_void) -> c_int;
    sem_remove = c"shmc_sem_remove"(*const c_char) -> c_int;
} }

const LOCKS: [&str; 6] = [
    "`shmc_mutex`",
    "robust `pthread_mutex_t`",
    "`shmc_sem`, sysv:",
    "`shmc_sem`, sysv:, SHMC_EVENTS",
    "`shmc_sem`, posix:, SHMC_EVENTS",
    "`sem_t`",
];
const HEADER: [&str; 4] = ["", "alone, ns", "contended, ns", "in turns, ns"];

/// How long both processes want the lock.
const TIME: Duration = Duration::from_millis(100);
/// The shortest block is the one that nothing disturbed.
const BLOCKS: usize = 50;
const BLOCK: u32 = 1000;
/// Operations between two looks at the clock.
const BATCH: u32 = 10;

/// In shared memory.
#[repr(C, align(128))]
struct Memory {
    lock: UnsafeCell<[u64; 16]>,
    words: [AtomicU64; 200],
    turn: AtomicU64,
}

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Locks");
    let api = Api::load(&compile::library()?)?;
    let mut table = Table::new(HEADER);
    table.rows(LOCKS);
    for (title, table) in rounds(run, &table, LOCKS.len(), |which, samples| {
        // SAFETY: zeros are locks to initialise, and all use of them is the locks' own.
        let memory: Shared<Memory> = unsafe { Shared::zeroed()? };
        measure_one(run, api, which, &memory, samples)
    })? {
        println!("\n### Locks, {title}");
        table.print();
    }
    println!(
        "\nAlone: one lock and one unlock (wait and post) by one process. Contended: by two processes, \
         each of which changes 200 words between the two; time by the operations of both. In turns: \
         how long it takes two processes that go on with lock and unlock until the other had its turn."
    );
    Ok(())
}

fn measure_one(
    run: &Run,
    api: &'static Api,
    which: usize,
    memory: &Memory,
    samples: &mut Samples,
) -> Result<()> {
    let lock: *mut c_void = memory.lock.get().cast();
    let mut add = |values: [f64; 3]| {
        samples.extend(
            values
                .iter()
                .enumerate()
                .map(|(index, &value)| (which, index + 1, value)),
        );
    };
    match which {
        0 => {
            checked("shmc_mutex_init", (api.mutex_init)(lock))?;
            let unlock = || (api.mutex_unlock)(lock);
            add(times(memory, || (api.mutex_lock)(lock, FOREVER), unlock)?);
        }
        1 => {
            let mutex = lock.cast();
            // SAFETY: memory of this run's own, and attributes that this block initialises.
            let initialised = unsafe {
                let mut robust = MaybeUninit::uninit();
                libc::pthread_mutexattr_init(robust.as_mut_ptr())
                    | libc::pthread_mutexattr_setpshared(robust.as_mut_ptr(), 1)
                    | libc::pthread_mutexattr_setrobust(robust.as_mut_ptr(), 1)
                    | libc::pthread_mutex_init(mutex, robust.as_ptr())
            };
            checked("pthread_mutex_init", -initialised)?;
            // SAFETY: initialised.
            let lock = || unsafe { libc::pthread_mutex_lock(mutex) };
            // SAFETY: as above.
            add(times(memory, lock, || unsafe {
                libc::pthread_mutex_unlock(mutex)
            })?);
        }
        5 => {
            let semaphore = lock.cast();
            // SAFETY: memory of this run's own.
            checked("sem_init", unsafe { libc::sem_init(semaphore, 1, 1) })?;
            // SAFETY: initialised.
            let wait = || unsafe { libc::sem_wait(semaphore) };
            // SAFETY: as above.
            add(times(memory, wait, || unsafe {
                libc::sem_post(semaphore)
            })?);
        }
        _ => {
            let name = match LOCKS[which].contains("sysv") {
                true => format!("sysv:{}", run.scratch.key_path().display()),
                false => format!("posix:/{}", run.scratch.name()),
            };
            let events = if LOCKS[which].contains("EVENTS") {
                SHMC_EVENTS
            } else {
                0
            };
            let name = CString::new(name)?;
            let semaphore = (api.sem_open)(name.as_ptr(), 1, SHMC_CREATE | events, 0o600);
            if semaphore.is_null() {
                return failed(LOCKS[which]);
            }
            let wait = || (api.sem_wait)(semaphore, FOREVER);
            let times = times(memory, wait, || (api.sem_post)(semaphore));
            (api.sem_close)(semaphore);
            (api.sem_remove)(name.as_ptr());
            add(times?);
        }
    }
    Ok(())
}

/// The numbers of a row.
fn times(
    memory: &Memory,
    lock: impl Fn() -> c_int,
    unlock: impl Fn() -> c_int,
) -> Result<[f64; 3]> {
    let alone = || {
        let mut shortest = f64::INFINITY;
        for _ in 0..BLOCKS {
            let start = Instant::now();
            for _ in 0..BLOCK {
                black_box((lock(), unlock()));
            }
            shortest = shortest.min(start.elapsed().as_nanos() as f64 / f64::from(BLOCK));
        }
        Ok(vec![shortest])
    };
    let contended = || {
        until_time(|| {
            checked("lock", lock())?;
            for word in &memory.words {
                word.store(word.load(Relaxed) + 1, Relaxed);
            }
            checked("unlock", unlock())?;
            Ok(1)
        })
    };
    let turns = |me: u64| {
        until_time(|| {
            checked("lock", lock())?;
            let turn = memory.turn.load(Relaxed);
            let mine = u64::from(turn % 2 == me);
            memory.turn.store(turn + mine, Relaxed);
            checked("unlock", unlock())?;
            Ok(mine)
        })
    };
    let alone = Process::start(0, alone)?.finish()?;
    let each = |[first, second]: [Vec<f64>; 2]| {
        TIME.as_nanos() as f64 / first.iter().chain(&second).sum::<f64>()
    };
    let contended = each(pair(contended, contended)?);
    let turns = each(pair(|| turns(0), || turns(1))?);
    Ok([alone[0], contended, turns])
}

/// Counts operations.
fn until_time(mut operation: impl FnMut() -> Result<u64>) -> Result<Vec<f64>> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        for _ in 0..BATCH {
            count += operation()?;
        }
    }
    Ok(vec![count as f64])
}
