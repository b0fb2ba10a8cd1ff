//! Connects channels of libshmcomm on two machines, over zenoh. The programs on both sides stay as they
//! are: one sends into a channel here, the other receives from a channel there.
//!
//! Each message arrives once, in order and whole, while both channels live, whatever is killed or cut
//! in between: see `outgoing` and `incoming`, which know nothing of the network.

mod incoming;
mod link;
mod message;
mod outgoing;
mod settings;
#[cfg(test)]
mod simulation;
mod topic;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use link::Work;
use settings::Settings;
use zenoh::Wait;

const NO_IDENTITY: &str =
    "the channel has no identity, since its creator's kernel has no getrandom(2)";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--help") => {
            print!("{}", settings::USAGE);
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("shmcomm-bridge {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let settings = match Settings::parse(arguments) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("shmcomm-bridge: {error}\nTry shmcomm-bridge --help.");
            return ExitCode::from(2);
        }
    };
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shmcomm-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> zenoh::Result<()> {
    // Before any thread starts, so that all of them leave the signals to this one.
    let signals = block_signals();
    let config = zenoh::Config::from_json5(&settings.zenoh.to_string())?;
    let session = zenoh::open(config).wait()?;
    let stop = Arc::new(AtomicBool::new(false));
    let links = settings.links.into_iter();
    let works: Vec<_> = links.map(|link| Work::new(link, stop.clone())).collect();
    let result = thread::scope(|scope| {
        let mut threads = Vec::new();
        for work in &works {
            threads.push(scope.spawn(|| work.run(&session)));
        }
        let mut status_at = settings.status.map(|period| Instant::now() + period);
        while !threads.iter().any(|thread| thread.is_finished()) {
            let wait = status_at.map_or(Duration::from_secs(1), |at| {
                at.saturating_duration_since(Instant::now())
            });
            let signal = next_signal(&signals, wait.min(Duration::from_secs(1)));
            let is_due = status_at.is_some_and(|at| at <= Instant::now());
            match signal {
                Some(libc::SIGTERM | libc::SIGINT) if stop.swap(true, Relaxed) => {
                    // A second signal does not wait: the next bridge sends again what is unacknowledged.
                    std::process::exit(1);
                }
                Some(libc::SIGUSR1) => print_status(&session, &works),
                _ if is_due => print_status(&session, &works),
                _ => {}
            }
            if is_due {
                status_at = settings.status.map(|period| Instant::now() + period);
            }
        }
        // A link ends when it is stopped, or because zenoh failed.
        stop.store(true, Relaxed);
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .map(|result| result.unwrap_or(Ok(())))
            .collect::<Result<Vec<_>, _>>()
    });
    session.close().wait()?;
    result.map(drop)
}

fn print_status(session: &zenoh::Session, works: &[Work]) {
    let info = session.info();
    let peers: Vec<_> = info
        .peers_zid()
        .wait()
        .chain(info.routers_zid().wait())
        .collect();
    let names: Vec<_> = peers.iter().map(ToString::to_string).collect();
    eprintln!("shmcomm-bridge: {} peers {}", names.len(), names.join(" "));
    for work in works {
        eprintln!("shmcomm-bridge: {}", work.status());
    }
}

/// Blocks the signals that [`next_signal`] waits for.
fn block_signals() -> libc::sigset_t {
    // SAFETY: zeros are a set of signals, the pointers are valid, and the signals exist.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1] {
            libc::sigaddset(&mut signals, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        signals
    }
}

fn next_signal(signals: &libc::sigset_t, wait: Duration) -> Option<i32> {
    let wait = libc::timespec {
        tv_sec: wait.as_secs() as libc::time_t,
        tv_nsec: wait.subsec_nanos().into(),
    };
    // SAFETY: the pointers are valid; no information is requested.
    let signal = unsafe { libc::sigtimedwait(signals, std::ptr::null_mut(), &wait) };
    (signal > 0).then_some(signal)
}

/// A number that no other process has.
fn random() -> u64 {
    let mut number = 0_u64;
    // SAFETY: the length is the number's.
    unsafe { libc::getrandom((&raw mut number).cast(), size_of::<u64>(), 0) };
    number
}
