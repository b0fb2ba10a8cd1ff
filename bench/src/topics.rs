//! Topics: the writer's cost per message, without readers and beside sleeping ones, and reads of the newest
//! value.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::*, fence};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::distance::{Samples, rounds};
use crate::process::Process;
use crate::shared::Shared;
use crate::table::Table;
use crate::{Result, Run, checked, compile, failed, library};

const SEND: c_int = 0x101;
const RECEIVE: c_int = 0x200;
const FOREVER: c_int = -1;

library! { Api {
    open = c"shmc_topic_open"(*const c_char, usize, c_uint, c_int, libc::mode_t) -> *mut c_void;
    write = c"shmc_topic_write"(*mut c_void, *const c_void, usize) -> c_int;
    read = c"shmc_topic_read"(*mut c_void, *mut c_void, usize, *mut u64, c_int) -> isize;
    latest = c"shmc_topic_latest"(*mut c_void, *mut c_void, usize, *mut u64) -> isize;
    close = c"shmc_topic_close"(*mut c_void) -> c_int;
} }

/// A message of 64 bytes.
type Message = [u64; 8];
const LENGTH: usize = size_of::<Message>();
const DEPTH: c_uint = 256;
/// How long processes write and read at full speed.
const TIME: Duration = Duration::from_millis(200);
/// Long enough for readers to sleep again.
const PAUSE: Duration = Duration::from_millis(1);
const WAKES: u32 = 50;
/// Operations between two looks at the clock.
const BATCH: u32 = 100;

const WRITES: [(&str, libc::mode_t); 2] = [
    ("no reader, mode 0600", 0o600),
    ("no reader, mode 0644", 0o644),
];
const SLEEPERS: [usize; 3] = [0, 1, 16];
const NEWEST: [&str; 3] = ["`shmc_topic_latest`", "seqlock", "robust `pthread_mutex_t`"];

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Topics");
    let api = Api::load(&compile::library()?)?;
    let mut table = Table::new(["64-byte messages", "write, ns"]);
    table.rows(WRITES.map(|(name, ..)| name));
    table.rows(SLEEPERS.map(|count| format!("{count} readers, asleep")));
    let mut newest = Table::new(["newest value", "reads, M/s", "writes, M/s"]);
    newest.rows(NEWEST);
    for (title, table) in rounds(
        run,
        &table,
        WRITES.len() + SLEEPERS.len(),
        |which, samples| match WRITES.get(which) {
            Some(&(_, mode)) => alone(run, api, which, mode, samples),
            None => asleep(run, api, which, SLEEPERS[which - WRITES.len()], samples),
        },
    )? {
        println!("\n### Topics, {title}");
        table.print();
    }
    for (title, table) in rounds(run, &newest, NEWEST.len(), |which, samples| {
        newest_value(run, api, which, samples)
    })? {
        println!("\n### Newest value, {title}");
        table.print();
    }
    println!(
        "\nAsleep: the call that wakes them, once they sleep. Newest value: one process writes 64 bytes \
         at full speed, another one reads them."
    );
    Ok(())
}

struct Topic(&'static Api, *mut c_void);

impl Topic {
    fn open(api: &'static Api, name: &CString, flags: c_int, mode: libc::mode_t) -> Result<Self> {
        let topic = (api.open)(name.as_ptr(), LENGTH, DEPTH, flags, mode);
        match topic.is_null() {
            true => failed("shmc_topic_open"),
            false => Ok(Self(api, topic)),
        }
    }

    fn write(&self, message: &Message) -> Result<()> {
        checked(
            "write",
            (self.0.write)(self.1, message.as_ptr().cast(), LENGTH),
        )
        .map(drop)
    }

    fn read(&self, message: &mut Message, timeout: c_int) -> bool {
        let to = message.as_mut_ptr().cast();
        (self.0.read)(self.1, to, LENGTH, ptr::null_mut(), timeout) >= 0
    }

    fn latest(&self, message: &mut Message) -> bool {
        let to = message.as_mut_ptr().cast();
        (self.0.latest)(self.1, to, LENGTH, ptr::null_mut()) >= 0
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        (self.0.close)(self.1);
    }
}

fn name(run: &Run) -> Result<CString> {
    Ok(CString::new(format!("posix:/{}", run.scratch.name()))?)
}

/// Counts operations during [`TIME`].
fn during(mut operation: impl FnMut() -> Result<bool>) -> Result<Vec<f64>> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        for _ in 0..BATCH {
            count += u32::from(operation()?);
        }
    }
    Ok(vec![f64::from(count)])
}

fn alone(
    run: &Run,
    api: &'static Api,
    which: usize,
    mode: libc::mode_t,
    samples: &mut Samples,
) -> Result<()> {
    let name = name(run)?;
    drop(Topic::open(api, &name, SEND, mode)?);
    let writer = Process::start(0, || {
        let topic = Topic::open(api, &name, SEND & !1, 0)?;
        during(|| topic.write(&Message::default()).map(|()| true))
    })?;
    let written = writer.finish()?[0];
    samples.push((which, 1, TIME.as_nanos() as f64 / written));
    Ok(())
}

fn asleep(
    run: &Run,
    api: &'static Api,
    which: usize,
    readers: usize,
    samples: &mut Samples,
) -> Result<()> {
    let name = name(run)?;
    drop(Topic::open(api, &name, SEND, 0o600)?);
    let readers: Vec<_> = (0..readers)
        .map(|_| {
            Process::start(1, || {
                let topic = Topic::open(api, &name, RECEIVE, 0)?;
                let mut message = Message::default();
                while topic.read(&mut message, FOREVER) {}
                Ok(vec![])
            })
        })
        .collect::<Result<_>>()?;
    let writer = Process::start(0, || {
        let topic = Topic::open(api, &name, SEND & !1, 0)?;
        sleep(20 * PAUSE);
        let mut times = Vec::new();
        for _ in 0..WAKES {
            sleep(PAUSE);
            let start = Instant::now();
            topic.write(&Message::default())?;
            times.push(start.elapsed().as_nanos() as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(vec![times[times.len() / 2]])
    })?;
    samples.push((which, 1, writer.finish()?[0]));
    // The writer has closed: EPIPE ends the readers.
    for reader in readers {
        reader.finish()?;
    }
    Ok(())
}

/// A value behind a seqlock or a mutex.
#[repr(C, align(128))]
struct Value {
    mutex: [AtomicU64; 8],
    sequence: AtomicU64,
    words: [AtomicU64; 8],
}

impl Value {
    fn write(&self) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence + 1, Relaxed);
        fence(Release);
        self.words
            .iter()
            .for_each(|word| word.store(sequence, Relaxed));
        self.sequence.store(sequence + 2, Release);
    }

    fn read(&self, message: &mut Message) {
        loop {
            let before = self.sequence.load(Acquire);
            for (to, word) in message.iter_mut().zip(&self.words) {
                *to = word.load(Relaxed);
            }
            fence(Acquire);
            if before & 1 == 0 && self.sequence.load(Relaxed) == before {
                return;
            }
        }
    }

    fn locked(&self, use_words: impl FnOnce()) {
        let mutex = self.mutex.as_ptr().cast_mut().cast();
        // SAFETY: initialised by `newest_value`.
        unsafe { libc::pthread_mutex_lock(mutex) };
        use_words();
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(mutex) };
    }
}

fn newest_value(run: &Run, api: &'static Api, which: usize, samples: &mut Samples) -> Result<()> {
    // SAFETY: zeros are atomics.
    let value: Shared<Value> = unsafe { Shared::zeroed()? };
    // SAFETY: memory of this run's own, and attributes that this block initialises.
    unsafe {
        let mut robust = std::mem::MaybeUninit::uninit();
        libc::pthread_mutexattr_init(robust.as_mut_ptr());
        libc::pthread_mutexattr_setpshared(robust.as_mut_ptr(), 1);
        libc::pthread_mutexattr_setrobust(robust.as_mut_ptr(), 1);
        libc::pthread_mutex_init(value.mutex.as_ptr().cast_mut().cast(), robust.as_ptr());
    }
    let name = name(run)?;
    let first = Topic::open(api, &name, SEND, 0o600)?;
    first.write(&Message::default())?;
    drop(first);
    let [writes, reads] = crate::process::pair(
        || {
            let topic = Topic::open(api, &name, SEND & !1, 0)?;
            during(|| {
                match which {
                    0 => topic.write(&Message::default())?,
                    1 => value.write(),
                    _ => {
                        value.locked(|| value.words.iter().for_each(|word| word.store(1, Relaxed)))
                    }
                }
                Ok(true)
            })
        },
        || {
            let topic = Topic::open(api, &name, RECEIVE, 0)?;
            let mut message = Message::default();
            during(|| {
                match which {
                    0 => return Ok(topic.latest(&mut message)),
                    1 => value.read(&mut message),
                    _ => value.locked(|| {
                        for (to, word) in message.iter_mut().zip(&value.words) {
                            *to = word.load(Relaxed);
                        }
                    }),
                }
                std::hint::black_box(&message);
                Ok(true)
            })
        },
    )?;
    samples.push((which, 1, reads[0] / TIME.as_micros() as f64));
    samples.push((which, 2, writes[0] / TIME.as_micros() as f64));
    Ok(())
}
