//! Two processes, each on a core of its own.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmcomm_bench::Result;

use crate::link::{checked, failed};

/// No measurement takes so long.
const HANGS: Duration = Duration::from_secs(60);

/// Somebody wants this program to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt ends measurements by an error, so that all is cleaned up.
pub fn catch_interrupts() {
    extern "C" fn interrupted(_: libc::c_int) {
        INTERRUPTED.store(true, Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = interrupted;
    handle_interrupts(handler as libc::sighandler_t);
}

/// Fails if there was one.
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

/// Two processes that run; they are killed when this is dropped.
pub struct Pair([Child; 2]);

impl Pair {
    /// Starts both. Each gives some numbers at its end.
    pub fn start(
        first: impl FnOnce() -> Result<Vec<u64>>,
        second: impl FnOnce() -> Result<Vec<u64>>,
    ) -> Result<Self> {
        Ok(Self([Child::start(0, first)?, Child::start(1, second)?]))
    }

    /// Their process ids.
    pub fn pids(&self) -> [libc::pid_t; 2] {
        [self.0[0].pid, self.0[1].pid]
    }

    /// Waits for both to end.
    pub fn finish(mut self) -> Result<[Vec<u64>; 2]> {
        let deadline = Instant::now() + HANGS;
        while !self.0.iter().all(|child| child.ended) {
            self.wait_for_one(deadline)?;
        }
        let [first, second] = &mut self.0;
        Ok([first.results()?, second.results()?])
    }

    fn wait_for_one(&mut self, deadline: Instant) -> Result<()> {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut ends = self.0.each_ref().map(|child| libc::pollfd {
            fd: if child.ended {
                -1
            } else {
                child.pidfd.as_raw_fd()
            },
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: two of them.
        let ended = unsafe { libc::poll(ends.as_mut_ptr(), 2, time.as_millis() as libc::c_int) };
        unless_interrupted()?;
        if checked("poll", ended)? == 0 {
            return Err("a process hangs".into());
        }
        for (child, end) in self.0.iter_mut().zip(ends) {
            if end.revents != 0 {
                child.reap()?;
            }
        }
        Ok(())
    }
}

struct Child {
    pid: libc::pid_t,
    pidfd: OwnedFd,
    pipe: PipeReader,
    ended: bool,
}

impl Child {
    fn start(core: usize, body: impl FnOnce() -> Result<Vec<u64>>) -> Result<Self> {
        let (reader, writer) = pipe()?;
        // SAFETY: this program has no other threads.
        let pid = checked("fork", unsafe { libc::fork() })?;
        if pid == 0 {
            become_child(core, body, writer);
        }
        // SAFETY: takes no pointer.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let pidfd = checked("pidfd_open", pidfd)? as libc::c_int;
        Ok(Self {
            pid,
            // SAFETY: new, and nobody else's.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
            pipe: reader,
            ended: false,
        })
    }

    fn reap(&mut self) -> Result<()> {
        let mut status = 0;
        // SAFETY: a child of this process that is not reaped yet.
        checked("waitpid", unsafe {
            libc::waitpid(self.pid, &mut status, 0)
        })?;
        self.ended = true;
        if status != 0 {
            return Err(format!("a process ended with status {status:#x}").into());
        }
        Ok(())
    }

    /// What it wrote before it ended.
    fn results(&mut self) -> Result<Vec<u64>> {
        let mut bytes = Vec::new();
        self.pipe.read_to_end(&mut bytes)?;
        let (words, _) = bytes.as_chunks();
        Ok(words.iter().map(|&word| u64::from_ne_bytes(word)).collect())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: a child of this process that is not reaped yet.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, &mut 0, 0);
            }
        }
    }
}

fn become_child(
    core: usize,
    body: impl FnOnce() -> Result<Vec<u64>>,
    mut results: PipeWriter,
) -> ! {
    handle_interrupts(libc::SIG_DFL);
    // SAFETY: takes no pointer.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let done = pin(core).and_then(|()| body()).and_then(|numbers| {
        let bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_ne_bytes).collect();
        Ok(results.write_all(&bytes)?)
    });
    if let Err(error) = &done {
        eprintln!("exchange: {error}");
    }
    // SAFETY: nothing of the parent's is to be cleaned up here.
    unsafe { libc::_exit(done.is_err().into()) }
}

/// Keeps this process on one of the cores that it may use.
fn pin(which: usize) -> Result<()> {
    let mut allowed = MaybeUninit::<libc::cpu_set_t>::zeroed();
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: zeros are a set, and it is of this size.
    let (allowed, result) = unsafe {
        let result = libc::sched_getaffinity(0, size, allowed.as_mut_ptr());
        (allowed.assume_init(), result)
    };
    checked("sched_getaffinity", result)?;
    // SAFETY: the numbers are below the set's size.
    let core = (0..8 * size)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &allowed) })
        .nth(which);
    let Some(core) = core else {
        return Err("two cores are needed".into());
    };
    // SAFETY: zeros are a set, the core is in range, and the set is of this size.
    unsafe {
        let mut only: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        libc::CPU_SET(core, &mut only);
        if libc::sched_setaffinity(0, size, &only) != 0 {
            return failed("sched_setaffinity");
        }
    }
    Ok(())
}
