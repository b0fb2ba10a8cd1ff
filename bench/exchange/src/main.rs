//! All benchmarks of shmcomm: those that need no peer, then layer 3 beside other ways to exchange
//! messages.

mod channel;
mod peer;
mod peers;
mod publish;
mod sizes;
mod syscalls;
mod workload;

use std::process::ExitCode;

use shmcomm_bench::{SECTIONS, Section};

fn main() -> ExitCode {
    match syscalls::work_if_asked() {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
        None => {
            let ours: [Section; 3] = [
                ("channel", channel::measure),
                ("sizes", sizes::measure),
                ("publish", publish::measure),
            ];
            shmcomm_bench::main(&[&SECTIONS[..], &ours].concat())
        }
    }
}
