//! The benchmarks that need no peer: layers 1 and 2, and locks.

use std::process::ExitCode;

fn main() -> ExitCode {
    shmcomm_bench::main(&shmcomm_bench::SECTIONS)
}
