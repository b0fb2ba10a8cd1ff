//! Processes that measure, each on a core of its own.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{Result, checked};

/// Seconds after which a process is killed, since no measurement takes so long.
const HANGS: u32 = 30;

/// Somebody wants this program to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt ends measurements with an error, so that everything is removed.
pub fn catch_interrupts() {
    extern "C" fn interrupted(_: libc::c_int) {
        INTERRUPTED.store(true, Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = interrupted;
    handle_interrupts(handler as libc::sighandler_t);
}

/// Fails after an interrupt.
pub fn unless_interrupted() -> Result<()> {
    if INTERRUPTED.load(Relaxed) {
        return Err("interrupted".into());
    }
    Ok(())
}

fn handle_interrupts(handler: libc::sighandler_t) {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Runs two processes on two cores, and returns the numbers that each measured.
pub fn pair(
    first: impl FnOnce() -> Result<Vec<f64>>,
    second: impl FnOnce() -> Result<Vec<f64>>,
) -> Result<[Vec<f64>; 2]> {
    let [first, second] = [Process::start(0, first)?, Process::start(1, second)?];
    Ok([first.finish()?, second.finish()?])
}

/// A forked process, killed when this is dropped.
pub struct Process {
    pid: libc::pid_t,
    results: PipeReader,
}

impl Process {
    /// Starts it on one of the cores that this process may use.
    pub fn start(core: usize, body: impl FnOnce() -> Result<Vec<f64>>) -> Result<Self> {
        let (results, writer) = pipe()?;
        // SAFETY: this program has no other threads.
        match checked("fork", unsafe { libc::fork() })? {
            0 => measure(core, body, writer),
            pid => Ok(Self { pid, results }),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Waits for its end, and returns what it measured.
    pub fn finish(mut self) -> Result<Vec<f64>> {
        let mut bytes = Vec::new();
        self.results.read_to_end(&mut bytes)?;
        let (pid, mut status) = (std::mem::take(&mut self.pid), 0);
        // SAFETY: a child of this process that is not reaped yet.
        checked("waitpid", unsafe { libc::waitpid(pid, &mut status, 0) })?;
        unless_interrupted()?;
        if status != 0 {
            return Err(format!("a process exited with status {status:#x}").into());
        }
        let (words, _) = bytes.as_chunks();
        Ok(words.iter().map(|&word| f64::from_ne_bytes(word)).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.pid != 0 {
            // SAFETY: a child of this process that is not reaped yet.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, &mut 0, 0);
            }
        }
    }
}

fn measure(core: usize, body: impl FnOnce() -> Result<Vec<f64>>, mut results: PipeWriter) -> ! {
    handle_interrupts(libc::SIG_DFL);
    // SAFETY: both take no pointer.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::alarm(HANGS);
    }
    let done = pin(core).and_then(|()| body()).and_then(|numbers| {
        let bytes: Vec<u8> = numbers.into_iter().flat_map(f64::to_ne_bytes).collect();
        Ok(results.write_all(&bytes)?)
    });
    if let Err(error) = &done {
        eprintln!("bench: {error}");
    }
    // SAFETY: the parent cleans up.
    unsafe { libc::_exit(done.is_err().into()) }
}

/// Keeps this process on one of the cores that it may use.
fn pin(which: usize) -> Result<()> {
    let mut cores = [0_u64; 16];
    let size = size_of_val(&cores);
    // SAFETY: a set of cores is bits, of this size.
    checked("sched_getaffinity", unsafe {
        libc::sched_getaffinity(0, size, cores.as_mut_ptr().cast())
    })?;
    let allowed = |core: &usize| cores[core / 64] >> (core % 64) & 1 == 1;
    let core = (0..8 * size).filter(allowed).nth(which);
    let core = core.ok_or("two cores are needed")?;
    cores = [0; 16];
    cores[core / 64] = 1 << (core % 64);
    // SAFETY: as above.
    checked("sched_setaffinity", unsafe {
        libc::sched_setaffinity(0, size, cores.as_ptr().cast())
    })?;
    Ok(())
}
