//! Helpers of the tests of `core`: processes that are killed at chosen moments, and measured waits.
#![allow(dead_code, unused_imports)]

use std::io;
use std::time::Duration;

#[path = "../../../tests/support/measure.rs"]
mod measure;
#[path = "../../../tests/support/one_core.rs"]
mod one_core;
mod sysv_key;

pub use measure::{Progress, all, median, spread, timed, within};
pub use one_core::OneCore;
use shmcomm::{Errno, Error};
pub use sysv_key::SysvKey;

pub fn errno<T>(result: Result<T, Error>) -> Option<Errno> {
    result.err().map(|error| error.errno())
}

/// The scheduler may add this much to a wait.
pub const SLACK: Duration = Duration::from_millis(50);
/// Number of times that a measurement is repeated if a busy machine spoils it.
pub const ATTEMPTS: u32 = 5;

/// Measures a wait of 300 ms, again if it ended too late. A forked child may call it: it neither
/// allocates nor panics.
pub fn again<T>(mut measure: impl FnMut() -> (T, Duration)) -> (T, Duration) {
    let mut best = measure();
    for _ in 1..ATTEMPTS {
        if best.1 < Duration::from_millis(300) + SLACK {
            break;
        }
        best = measure();
    }
    best
}

/// A forked child, killed when it is dropped.
pub struct Child(libc::pid_t);

impl Child {
    /// Forks a child that exits with the result of `work`, which must neither allocate nor panic: another
    /// thread of the test may have held any lock.
    pub fn start(work: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child only makes calls that are safe after a fork.
        match unsafe { libc::fork() } {
            // SAFETY: ends the child, and nothing of the parent.
            0 => unsafe { libc::_exit(work()) },
            -1 => panic!("{}", io::Error::last_os_error()),
            pid => Self(pid),
        }
    }

    /// Forks a child that calls `make_ready` and stops right before its work, traced by this thread.
    pub fn stopped_before(make_ready: impl FnOnce(), work: impl FnOnce()) -> Self {
        let child = Self::start(|| {
            make_ready();
            // SAFETY: neither takes a pointer.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
            }
            work();
            0
        });
        assert!(libc::WIFSTOPPED(child.status()));
        child
    }

    /// Waits until the child has stopped itself.
    pub fn wait_for_stop(&self) {
        let mut status = 0;
        // SAFETY: the pointer is valid, and the child is not reaped yet.
        let pid = unsafe { libc::waitpid(self.0, &mut status, libc::WUNTRACED) };
        assert!(pid == self.0 && libc::WIFSTOPPED(status), "{status:x}");
    }

    fn status(&self) -> i32 {
        let mut status = 0;
        // SAFETY: the pointer is valid, and the child is not reaped yet.
        match unsafe { libc::waitpid(self.0, &mut status, 0) } {
            -1 => panic!("{}", io::Error::last_os_error()),
            _ => status,
        }
    }

    /// Lets a stopped child make this number of steps. Returns whether it still runs.
    pub fn step(&self, request: libc::c_uint, steps: u64) -> bool {
        for _ in 0..steps {
            // SAFETY: the child is stopped, and traced by this thread.
            assert_ne!(unsafe { libc::ptrace(request, self.0, 0, 0) }, -1);
            if !libc::WIFSTOPPED(self.status()) {
                return false;
            }
        }
        true
    }

    /// Delivers a signal to a stopped child, and lets it run.
    pub fn go_on_with(&self, signal: i32) {
        // SAFETY: the child is stopped, and traced by this thread.
        let result = unsafe { libc::ptrace(libc::PTRACE_CONT, self.0, 0, signal) };
        assert_ne!(result, -1);
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: takes no pointer; the child is not reaped yet.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// Kills and reaps the child.
    pub fn kill(self) {}

    /// Kills the child. Returns whether it was still running.
    pub fn was_running(self) -> bool {
        self.signal(libc::SIGKILL);
        let status = self.status();
        std::mem::forget(self);
        libc::WIFSIGNALED(status)
    }

    /// Waits until the child exits; its status.
    pub fn join(self) -> i32 {
        let status = self.status();
        std::mem::forget(self);
        assert!(libc::WIFEXITED(status), "{status:x}");
        libc::WEXITSTATUS(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: neither takes a pointer. If the child was reaped, no other process has had the time
        // to get its pid.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// The distance of two samples of a sweep over instructions.
pub const EVERY: usize = 16;

/// Kills children after 0, 1, 2 … steps of their work, until one completes it; returns that number of
/// steps. Calls `next` after each kill. Instructions are sampled, unless all are wanted.
pub fn kill_at_each(
    request: libc::c_uint,
    make_ready: impl Fn(),
    work: impl Fn(),
    mut next: impl FnMut(u64),
) -> u64 {
    let every = match request {
        libc::PTRACE_SINGLESTEP => EVERY,
        _ => 1,
    };
    let _core = OneCore::new().unwrap();
    let mut progress = Progress::new("killed at each step");
    for steps in spread(every) {
        progress.at(steps);
        let child = Child::stopped_before(&make_ready, &work);
        let killed = child.step(request, steps);
        child.kill();
        next(steps);
        if !killed {
            return steps;
        }
    }
    unreachable!()
}

/// Sends a signal to the calling child every 100 microseconds from now on.
pub fn signal_storm() {
    extern "C" fn nothing(_: i32) {}
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: 100,
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: the pointers are valid, and the handler does nothing; without SA_RESTART.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

pub fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
