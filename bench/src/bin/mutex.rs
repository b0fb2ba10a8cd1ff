//! The mutex against a robust mutex of `pthread(7)` that processes share: the same C program by either
//! in turn.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use shmcomm_bench::rounds::{Spread, interleaved};
use shmcomm_bench::scratch::{Scratch, target};
use shmcomm_bench::table::Table;
use shmcomm_bench::{Program, Result, compile, machine, run};

const SONAME: &str = "libshmcomm.so.0";

/// By which mutex, as the driver names them.
const WAYS: [&str; 2] = ["pthread", "library"];

const ROUNDS: usize = 31;

/// What is measured, and how often in each round.
const WORK: [(&str, &str, &str); 3] = [
    ("one process: lock, unlock", "alone", "2000000"),
    (
        "two processes: lock, change 200 words, unlock",
        "contended",
        "50000",
    ),
    ("two processes take turns: lock, unlock", "turns", "20000"),
];

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mutex: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    if !compile::has_cc() {
        return Err("there is no C compiler".into());
    }
    let scratch = Scratch::new("mutex")?;
    let program = scratch.path().join("mutex");
    build(&scratch, &compile::library(&target()?)?, &program)?;
    let program = Program {
        path: &program,
        library: Some(scratch.path()),
    };
    println!("{}", machine::describe());

    let mut table = Table::new([
        "nanoseconds",
        "pthread",
        "libshmcomm",
        "libshmcomm to pthread",
    ]);
    for (name, what, count) in WORK {
        let nanos: [Vec<f64>; 2] = interleaved(ROUNDS, |way| {
            let output = run(program.command().args([WAYS[way], what, count]))?.stdout;
            Ok(String::from_utf8(output)?.trim().parse()?)
        })?;
        let [pthread, library] = [0, 1].map(|way| Spread::of(nanos[way].iter().copied()).ratio());
        let ratio = Spread::of_ratio(&nanos[1], &nanos[0]).ratio();
        table.row([name.into(), pthread, library, ratio]);
    }
    table.print();
    println!("\nMedians (and quartiles) of {ROUNDS} rounds in which both take turns.");
    Ok(())
}

fn build(scratch: &Scratch, library: &Path, program: &Path) -> Result<()> {
    let link = scratch.path().join(SONAME);
    fs::copy(library, &link)?;
    run(compile::cc()
        .args(["-O2", "-I"])
        .arg(compile::root().join("include"))
        .arg(compile::root().join("bench/c/mutex.c"))
        .arg(link)
        .arg("-o")
        .arg(program))?;
    Ok(())
}
