//! A process that is killed at a chosen moment, by ptrace(2).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use super::one_core::OneCore;

/// The moments at which a traced process stops.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Step {
    /// Before and after each system call.
    SystemCall,
    /// Before each instruction.
    Instruction,
}

/// Starts a process, lets it make this many steps, and kills it. Returns whether it had exited
/// before.
///
/// The calling thread must create no other children meanwhile.
pub fn kill_after(command: &mut Command, steps: u64, step: Step) -> io::Result<bool> {
    trace_me(command);
    let mut child = command.spawn()?;
    let request = match step {
        Step::SystemCall => libc::PTRACE_SYSCALL,
        Step::Instruction => libc::PTRACE_SINGLESTEP,
    };
    // The first stop is the end of exec.
    for _ in 0..=steps {
        if wait_for_stop(&mut child)?.is_none() {
            return Ok(true);
        }
        let pid = child.id() as libc::pid_t;
        // SAFETY: the child is stopped, and traced by this thread.
        if unsafe { libc::ptrace(request, pid, 0, 0) } == -1 {
            break;
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// Starts a process, lets it run until it sends itself SIGUSR1 and this many instructions further,
/// and kills it. Returns whether it had sent a second SIGUSR1 or exited before.
///
/// The calling thread must wait for no other children meanwhile.
pub fn kill_between(command: &mut Command, instructions: u64) -> io::Result<bool> {
    stop_between(command, instructions, || {})
}

/// Same as [`kill_between`], with the instructions counted from a start or end of a system call.
/// The process runs to that stop at full speed.
pub fn kill_after_stops(command: &mut Command, stops: u64, instructions: u64) -> io::Result<bool> {
    let mut traced = Traced::start(command)?;
    Ok(!traced.run(stops)? || !traced.steps(instructions)?)
}

/// Same as [`kill_between`], but calls `meanwhile` before the kill, while the process is stopped.
pub fn stop_between(
    command: &mut Command,
    instructions: u64,
    meanwhile: impl FnOnce(),
) -> io::Result<bool> {
    let mut traced = Traced::start(command)?;
    if !traced.steps(instructions)? {
        return Ok(true);
    }
    meanwhile();
    Ok(false)
}

/// The number of instructions that a process makes after this many starts and ends of system calls,
/// between the two SIGUSR1 that it sends itself; `None` if there are fewer stops.
pub fn count_after_stops(command: &mut Command, stops: u64) -> io::Result<Option<u64>> {
    let mut traced = Traced::start(command)?;
    if !traced.run(stops)? {
        return Ok(None);
    }
    let mut instructions = 0;
    while traced.steps(1)? {
        instructions += 1;
    }
    Ok(Some(instructions))
}

/// A traced process, which is killed when this value is dropped.
struct Traced {
    child: Child,
    _core: OneCore,
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Traced {
    /// Starts a process, and lets it run to its first SIGUSR1.
    fn start(command: &mut Command) -> io::Result<Self> {
        trace_me(command);
        let core = OneCore::new()?;
        let mut traced = Self {
            child: command.spawn()?,
            _core: core,
        };
        // The first stop is the end of exec.
        wait_for_stop(&mut traced.child)?;
        while traced.go_on(libc::PTRACE_CONT)? == Some(false) {}
        Ok(traced)
    }

    /// Lets it make this many instructions. Returns whether it has neither sent SIGUSR1 nor exited.
    fn steps(&mut self, instructions: u64) -> io::Result<bool> {
        self.stops(libc::PTRACE_SINGLESTEP, instructions)
    }

    /// Lets it run to this many starts and ends of system calls. Returns the same as `steps`.
    fn run(&mut self, stops: u64) -> io::Result<bool> {
        self.stops(libc::PTRACE_SYSCALL, stops)
    }

    fn stops(&mut self, request: libc::c_uint, count: u64) -> io::Result<bool> {
        for _ in 0..count {
            if self.go_on(request)? != Some(false) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Resumes it without the signal that stopped it. Returns whether SIGUSR1 stops it next; `None`
    /// if it exits.
    fn go_on(&mut self, request: libc::c_uint) -> io::Result<Option<bool>> {
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: the child is stopped, and traced by this thread.
        if unsafe { libc::ptrace(request, pid, 0, 0) } == -1 {
            return Ok(None);
        }
        let signal = wait_for_stop(&mut self.child)?;
        Ok(signal.map(|signal| signal == libc::SIGUSR1))
    }
}

/// Makes the process stop after its exec. Its C library then moves bytes without `rep`
/// instructions, each of which would count as thousands of steps.
fn trace_me(command: &mut Command) {
    const NEVER: &str = "0x7fffffff";

    command.env(
        "GLIBC_TUNABLES",
        format!(
            "glibc.cpu.x86_rep_stosb_threshold={NEVER}:glibc.cpu.x86_rep_movsb_threshold={NEVER}"
        ),
    );
    // SAFETY: ptrace is safe to call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

/// Waits for a child. Returns the signal that stopped it; `None` if it exited.
fn wait_for_stop(child: &mut Child) -> io::Result<Option<i32>> {
    let mut status = 0;
    let pid = child.id() as libc::pid_t;
    // SAFETY: the pointer is valid, and the child is not reaped yet.
    match unsafe { libc::waitpid(pid, &mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))),
    }
}
