//! Layer 1 against the hand-written `comm.c` that it replaces: the same C program with either
//! library in turn.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;
use std::{fs, io};

use shmcomm_bench::rounds::{Spread, interleaved};
use shmcomm_bench::scratch::{Scratch, target};
use shmcomm_bench::table::{Table, grouped, signed};
use shmcomm_bench::{Program, Result, callgrind, compile, has, machine, run};

/// How often the calls are timed, as many lives of a segment each time.
const ROUNDS: usize = 101;
const LIVES: &str = "1000";
/// How often the start of a process is timed.
const STARTS: usize = 1001;
/// Instructions are counted twice, with so many calls: the difference is that of later calls.
const FEW: u32 = 100;
const MANY: u32 = 300;

const SONAME: &str = "libshmcomm.so.0";
const IDLE: &str = "int main(void) { return 0; }\n";

/// A call to measure. The driver prints their times in this order.
struct Operation {
    name: &'static str,
    function: &'static str,
    collides: bool,
}

const OPERATIONS: [Operation; 6] = [
    Operation::new("create", "create_shm"),
    Operation {
        name: "create, EEXIST",
        function: "create_shm",
        collides: true,
    },
    Operation::new("get", "get_shm"),
    Operation::new("attach", "shm_at"),
    Operation::new("detach", "shm_dt"),
    Operation::new("destroy", "destory_shm"),
];

impl Operation {
    const fn new(name: &'static str, function: &'static str) -> Self {
        Self {
            name,
            function,
            collides: false,
        }
    }
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layer1: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let library = compile::library(&target()?)?;
    let scratch = Scratch::new("layer1")?;
    println!("{}", machine::describe());

    let mut table = Table::new([
        "",
        "without library",
        "C comm.c",
        "libshmcomm",
        "libshmcomm to C",
    ]);
    if compile::has_cc() {
        let programs = Programs::build(&scratch, &library)?;
        if has("valgrind") {
            count_instructions(&programs, &mut table)?;
        } else {
            println!("valgrind is not installed: no instructions are counted.\n");
        }
        take_times(&programs, &mut table)?;
    } else {
        println!(
            "There is no C compiler: there is no comm.c to compare with, and nothing is run.\n"
        );
    }
    compare_sizes(&scratch, &library, &mut table)?;
    table.print();
    println!(
        "\nInstructions are per call, within the library and what it calls, from the second call on. \
         Times are medians (and quartiles) of {ROUNDS} rounds of {LIVES} calls each, or of {STARTS} \
         processes, taken in turns. The last column is the difference, or the median (and \
         quartiles) of the ratio in each round."
    );
    Ok(())
}

/// The two libraries, each in a directory of its own, and the programs that run with either.
struct Programs {
    directory: PathBuf,
    driver: PathBuf,
    idle: PathBuf,
    /// The idle program again, linked with neither.
    alone: PathBuf,
    libraries: [PathBuf; 2],
}

impl Programs {
    fn build(scratch: &Scratch, library: &Path) -> Result<Self> {
        let directory = scratch.path().to_owned();
        // Names of the same length, since the loader copies and compares them.
        let libraries = ["original", "replaced"].map(|name| directory.join(name));
        for library in &libraries {
            fs::create_dir(library)?;
        }
        let [original, replaced] = &libraries;
        run(reference(scratch).arg("-o").arg(original.join(SONAME)))?;
        fs::copy(library, replaced.join(SONAME))?;

        let programs = Self {
            driver: directory.join("driver"),
            idle: directory.join("idle"),
            alone: directory.join("alone"),
            directory,
            libraries,
        };
        let link = programs.libraries[1].join(SONAME);
        run(c(scratch)
            .arg(compile::root().join("bench/c/driver.c"))
            .arg(&link)
            .arg("-o")
            .arg(&programs.driver))?;
        let idle = programs.directory.join("idle.c");
        fs::write(&idle, IDLE)?;
        run(c(scratch)
            .arg(&idle)
            .arg("-Wl,--no-as-needed")
            .arg(&link)
            .arg("-o")
            .arg(&programs.idle))?;
        run(c(scratch).arg(&idle).arg("-o").arg(&programs.alone))?;
        Ok(programs)
    }

    fn driver(&self, which: usize) -> Program<'_> {
        Program {
            path: &self.driver,
            library: Some(&self.libraries[which]),
        }
    }

    /// The program that calls nothing: with the two libraries, then without.
    fn idle(&self, which: usize) -> Program<'_> {
        let library = self.libraries.get(which).map(PathBuf::as_path);
        Program {
            path: library.map_or(&self.alone, |_| &self.idle),
            library,
        }
    }
}

/// The C compiler, for programs and libraries that take this benchmark's key.
fn c(scratch: &Scratch) -> Command {
    let mut cc = compile::cc();
    cc.arg("-O2")
        .arg(format!(
            "-D_PATH_NAME_=\"{}\"",
            scratch.key_path().display()
        ))
        .arg("-I")
        .arg(compile::root().join("include"));
    cc
}

/// The compiler of the reference, stripped.
fn reference(scratch: &Scratch) -> Command {
    let mut cc = c(scratch);
    cc.args(["-shared", "-fPIC", "-s"])
        .arg(format!("-Wl,-soname,{SONAME}"))
        .arg(compile::root().join("tests/c/comm.c"));
    cc
}

fn count_instructions(programs: &Programs, table: &mut Table) -> Result<()> {
    table.row(["**instructions**".into()]);
    for operation in &OPERATIONS {
        let [c, rust] = [
            instructions(programs, 0, operation)?,
            instructions(programs, 1, operation)?,
        ];
        table.row(compared(operation.name, "", c, rust));
    }
    let count = |which| total(programs, which);
    let [c, rust, alone] = [count(0)?, count(1)?, count(2)?];
    table.row(compared("load and exit", &grouped(alone), c, rust));
    Ok(())
}

/// What one more call takes.
fn instructions(programs: &Programs, which: usize, operation: &Operation) -> Result<i64> {
    let count = |calls: u32| {
        let calls = calls.to_string();
        let arguments = if operation.collides {
            ["1", &calls]
        } else {
            [&calls, "0"]
        };
        callgrind::instructions(
            programs.driver(which),
            &arguments,
            Some(operation.function),
            &programs.directory,
        )
    };
    let more = count(MANY)?.saturating_sub(count(FEW)?);
    Ok((more as f64 / f64::from(MANY - FEW)).round() as i64)
}

fn total(programs: &Programs, which: usize) -> Result<i64> {
    let program = programs.idle(which);
    let count = callgrind::instructions(program, &[], None, &programs.directory)?;
    Ok(i64::try_from(count)?)
}

fn compared(name: &str, alone: &str, c: i64, rust: i64) -> [String; 5] {
    [
        name.into(),
        alone.into(),
        grouped(c),
        grouped(rust),
        signed(rust - c),
    ]
}

fn take_times(programs: &Programs, table: &mut Table) -> Result<()> {
    table.row(["**nanoseconds**".into()]);
    let [c, rust] = interleaved(ROUNDS, |which| calls(programs.driver(which)))?;
    for (index, operation) in OPERATIONS.iter().enumerate() {
        let [c, rust] = [&c, &rust].map(|rounds| rounds.iter().map(|times| times[index]).collect());
        table.row(timed(operation.name, None, c, rust));
    }
    let [c, rust, alone] = interleaved(STARTS, |which| start(programs.idle(which)))?;
    table.row(timed("start, load and exit", Some(alone), c, rust));
    Ok(())
}

fn timed(name: &str, alone: Option<Vec<f64>>, c: Vec<f64>, rust: Vec<f64>) -> [String; 5] {
    [
        name.into(),
        alone.map_or(String::new(), |alone| Spread::of(alone).whole()),
        Spread::of(c.iter().copied()).whole(),
        Spread::of(rust.iter().copied()).whole(),
        Spread::of_ratio(&rust, &c).ratio(),
    ]
}

/// The times of one process's calls, in the order of [`OPERATIONS`].
fn calls(driver: Program<'_>) -> Result<[f64; OPERATIONS.len()]> {
    let output = run(driver.command().args([LIVES, "1"]).stderr(Stdio::null()))?;
    let output = String::from_utf8(output.stdout)?;
    let times: std::result::Result<Vec<f64>, _> = output.lines().map(str::parse).collect();
    let times = times?.try_into();
    times.map_err(|_| "the driver printed another number of times".into())
}

fn start(program: Program<'_>) -> Result<f64> {
    let mut command = program.command();
    let before = Instant::now();
    let status = command.status()?;
    let time = before.elapsed();
    if !status.success() {
        return Err(io::Error::other(format!("{command:?}: {status}")).into());
    }
    Ok(time.as_nanos() as f64)
}

fn compare_sizes(scratch: &Scratch, library: &Path, table: &mut Table) -> Result<()> {
    table.row(["**bytes, stripped**".into()]);
    let rust = size(library)?;
    if !compile::has_cc() {
        table.row(["", "", "–", &grouped(rust)].map(str::to_owned));
        return Ok(());
    }
    for (name, by_lld) in [("as the compiler links C", false), ("as lld links C", true)] {
        match reference_size(scratch, by_lld) {
            Ok(c) => table.row(compared(name, "", c, rust)),
            Err(error) => {
                eprintln!("layer1: {name}: {error}");
                table.row([name, "", "–", &grouped(rust)].map(str::to_owned));
            }
        }
    }
    Ok(())
}

fn reference_size(scratch: &Scratch, by_lld: bool) -> Result<i64> {
    let library = scratch.path().join("linked.so");
    let mut cc = reference(scratch);
    if by_lld {
        compile::link_by_lld(&mut cc)?;
    }
    run(cc.arg("-o").arg(&library))?;
    size(&library)
}

fn size(file: &Path) -> Result<i64> {
    Ok(i64::try_from(fs::metadata(file)?.len())?)
}
