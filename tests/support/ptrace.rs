//! A process that is killed at a chosen moment, by ptrace(2).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Between which moments the process is stopped.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Step {
    /// Before and after each system call.
    SystemCall,
    /// Before each instruction.
    Instruction,
}

/// Starts a process, lets it make so many steps, and kills it there; whether it had ended before.
///
/// It must be called from a thread that makes no other children meanwhile.
pub fn kill_after(command: &mut Command, steps: u64, step: Step) -> io::Result<bool> {
    // SAFETY: ptrace is safe to call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn()?;
    let request = match step {
        Step::SystemCall => libc::PTRACE_SYSCALL,
        Step::Instruction => libc::PTRACE_SINGLESTEP,
    };
    // The first stop is the end of exec.
    for _ in 0..=steps {
        if !wait_for_stop(&mut child)? {
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

/// Whether the process has stopped, and not ended.
fn wait_for_stop(child: &mut Child) -> io::Result<bool> {
    let mut status = 0;
    let pid = child.id() as libc::pid_t;
    // SAFETY: the pointer is valid, and the child is not reaped yet.
    match unsafe { libc::waitpid(pid, &mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(libc::WIFSTOPPED(status)),
    }
}

/// Starts a process, lets it run to the first SIGUSR1 it sends itself, then so many instructions
/// further, and kills it there; whether it had come to a second SIGUSR1, or to its end, before.
///
/// It must be called from a thread that makes no other children meanwhile.
pub fn kill_between(command: &mut Command, instructions: u64) -> io::Result<bool> {
    // SAFETY: ptrace is safe to call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn()?;
    let pid = child.id() as libc::pid_t;
    let mut go_on = |request| -> io::Result<Option<i32>> {
        // SAFETY: the child is stopped, and traced by this thread; no signal is passed on.
        if unsafe { libc::ptrace(request, pid, 0, 0) } == -1 {
            return Ok(None);
        }
        stop_signal(pid)
    };
    // The first stop is the end of exec.
    stop_signal(pid)?;
    while let Some(signal) = go_on(libc::PTRACE_CONT)? {
        if signal == libc::SIGUSR1 {
            break;
        }
    }
    let mut ended = false;
    for _ in 0..instructions {
        match go_on(libc::PTRACE_SINGLESTEP)? {
            Some(libc::SIGUSR1) | None => {
                ended = true;
                break;
            }
            Some(_) => {}
        }
    }
    let _ = child.kill();
    child.wait()?;
    Ok(ended)
}

/// The signal by which a child has stopped; `None` if it has ended.
fn stop_signal(pid: libc::pid_t) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: the pointer is valid.
    match unsafe { libc::waitpid(pid, &mut status, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))),
    }
}
