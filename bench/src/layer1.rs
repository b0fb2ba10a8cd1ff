//! Layer 1 against the hand-written `comm.c` that it replaces: the same C program with either
//! library in turn.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use crate::process::unless_interrupted;
use crate::table::Table;
use crate::{Result, Run, compile, has, run};

/// Lives of a segment in each round.
const LIVES: &str = "1000";
/// A round is short here, so that one round of a run is several: of calls, of processes.
const CALLS: usize = 9;
const STARTS: usize = 91;
/// Instructions are counted twice, with this many calls: the difference is that of later calls.
const FEW: u32 = 100;
const MANY: u32 = 300;

const SONAME: &str = "libshmcomm.so.0";
const IDLE: &str = "int main(void) { return 0; }\n";

/// Row and function; the driver prints the times in this order.
const OPERATIONS: [(&str, &str); 6] = [
    ("create", "create_shm"),
    (COLLISION, "create_shm"),
    ("get", "get_shm"),
    ("attach", "shm_at"),
    ("detach", "shm_dt"),
    ("destroy", "destory_shm"),
];
const COLLISION: &str = "create, EEXIST";

const HEADER: [&str; 6] = [
    "",
    "no library",
    "C `comm.c`",
    "libshmcomm",
    "difference",
    "ratio",
];
const ALONE: usize = 1;
const C: usize = 2;
const RUST: usize = 3;
const DIFFERENCE: usize = 4;
const RATIO: usize = 5;

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Layer 1");
    let programs = Programs::build(run)?;
    let mut table = Table::new(HEADER);
    if has("valgrind") {
        table.row("**instructions**");
        for operation in OPERATIONS {
            let count = |which| programs.instructions(which, operation);
            compare(&mut table, operation.0, [count(0)?, count(1)?], None);
        }
        let count = |which| programs.callgrind(which, "idle", &[], None);
        compare(
            &mut table,
            "load and exit",
            [count(0)?, count(1)?],
            Some(count(2)?),
        );
    } else {
        println!("\nvalgrind is not installed: no instructions are counted.");
    }
    table.row("**nanoseconds**");
    let first = table.rows(OPERATIONS.map(|(name, _)| name));
    for round in 0..CALLS * run.rounds {
        let times = in_turns(round, |which| programs.calls(which))?;
        for operation in 0..OPERATIONS.len() {
            add(
                &mut table,
                first + operation,
                times.each_ref().map(|times| times[operation]),
            );
        }
    }
    let row = table.row("start, load and exit");
    for round in 0..STARTS * run.rounds {
        add(
            &mut table,
            row,
            in_turns(round, |which| programs.start(which))?,
        );
        table.add(row, ALONE, programs.start(2)?);
        unless_interrupted()?;
    }
    table.row("**bytes, stripped**");
    let ours = fs::metadata(compile::library()?)?.len() as f64;
    compare(
        &mut table,
        "as the compiler links C",
        [programs.size(false)?, ours],
        None,
    );
    match programs.size(true) {
        Ok(size) => compare(&mut table, "as lld links C", [size, ours], None),
        Err(error) => eprintln!("bench: {error}"),
    }
    table.print();
    println!(
        "\nInstructions are per call, of the library and of what it calls, from the second call on. \
         Times are medians (quartiles) of {} rounds of {LIVES} calls, or of {} processes, in turns; \
         the ratio is that of each round.",
        CALLS * run.rounds,
        STARTS * run.rounds
    );
    Ok(())
}

fn compare(table: &mut Table, name: &str, [c, rust]: [f64; 2], alone: Option<f64>) {
    let row = table.row(name);
    table.add(row, C, c);
    table.add(row, RUST, rust);
    table.add(row, DIFFERENCE, rust - c);
    alone
        .into_iter()
        .for_each(|alone| table.add(row, ALONE, alone));
}

fn add(table: &mut Table, row: usize, [c, rust]: [f64; 2]) {
    table.add(row, C, c);
    table.add(row, RUST, rust);
    table.add(row, RATIO, rust / c);
}

/// Measures both libraries, each of them first in turn.
fn in_turns<T>(round: usize, measure: impl Fn(usize) -> Result<T>) -> Result<[T; 2]> {
    if round.is_multiple_of(2) {
        return Ok([measure(0)?, measure(1)?]);
    }
    let rust = measure(1)?;
    Ok([measure(0)?, rust])
}

/// The two libraries, 0 in C and 1 ours, each in a directory of its own, and the programs that run
/// with either, or with none (2).
struct Programs {
    directory: PathBuf,
    key: String,
}

/// Of the same length, since the loader copies and compares them.
const LIBRARIES: [&str; 2] = ["original", "replaced"];

impl Programs {
    fn build(bench: &Run) -> Result<Self> {
        let key = bench.scratch.key_path().display().to_string();
        let directory = bench.scratch.directory().to_owned();
        let programs = Self { directory, key };
        let [original, replaced] = LIBRARIES.map(|name| programs.directory.join(name));
        fs::create_dir(&original)?;
        fs::create_dir(&replaced)?;
        run(programs.comm_c().arg("-o").arg(original.join(SONAME)))?;
        let library = replaced.join(SONAME);
        fs::copy(compile::library()?, &library)?;
        let idle = programs.directory.join("idle.c");
        fs::write(&idle, IDLE)?;
        let driver = compile::root().join("bench/c/comm-driver.c");
        for (name, source, library) in [
            ("driver", &driver, Some(&library)),
            ("idle", &idle, Some(&library)),
            ("alone", &idle, None),
        ] {
            let mut cc = programs.cc();
            cc.arg(source).arg("-Wl,--no-as-needed").args(library);
            run(cc.arg("-o").arg(programs.directory.join(name)))?;
        }
        Ok(programs)
    }

    /// The C compiler, for what uses this run's key.
    fn cc(&self) -> Command {
        let mut cc = compile::cc();
        cc.args(["-O2", &format!("-D_PATH_NAME_=\"{}\"", self.key), "-I"]);
        cc.arg(compile::root().join("include"));
        cc
    }

    /// The same, for the C library, stripped.
    fn comm_c(&self) -> Command {
        let mut cc = self.cc();
        cc.args(["-shared", "-fPIC", "-s", &format!("-Wl,-soname,{SONAME}")]);
        cc.arg(compile::root().join("tests/c/comm.c"));
        cc
    }

    /// The size of the C library.
    fn size(&self, by_lld: bool) -> Result<f64> {
        let library = self.directory.join("linked.so");
        let mut cc = self.comm_c();
        if by_lld {
            compile::link_with_lld(&mut cc)?;
        }
        run(cc.arg("-o").arg(&library))?;
        Ok(fs::metadata(library)?.len() as f64)
    }

    /// A program with a library, under a tool if there is one. The loader's work depends on the
    /// environment, so nothing else is in it.
    fn command(&self, which: usize, program: &str, tool: &[String]) -> Command {
        let library = LIBRARIES.get(which).map(|name| self.directory.join(name));
        let program = library.as_ref().map_or("alone", |_| program);
        let mut words: Vec<_> = tool.iter().map(PathBuf::from).collect();
        words.push(self.directory.join(program));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().stderr(Stdio::null());
        command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(library.map(|library| ("LD_LIBRARY_PATH", library)));
        command
    }

    /// The instructions of one more call.
    fn instructions(&self, which: usize, (name, function): (&str, &str)) -> Result<f64> {
        let count = |calls: u32| {
            let (one, calls) = ("1".to_owned(), calls.to_string());
            let lives = if name == COLLISION {
                [one, calls]
            } else {
                [calls, "0".to_owned()]
            };
            self.callgrind(which, "driver", &lives, Some(function))
        };
        Ok(((count(MANY)? - count(FEW)?) / f64::from(MANY - FEW)).round())
    }

    /// The instructions of a program: all, or those of all calls of a function.
    fn callgrind(
        &self,
        which: usize,
        program: &str,
        arguments: &[String],
        function: Option<&str>,
    ) -> Result<f64> {
        let log = self.directory.join("callgrind.log");
        let mut valgrind = vec![
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            "--callgrind-out-file=/dev/null".to_owned(),
            format!("--log-file={}", log.display()),
        ];
        valgrind.extend(function.map(|function| format!("--toggle-collect={function}")));
        run(self.command(which, program, &valgrind).args(arguments))?;
        let log = fs::read_to_string(log)?;
        let collected = log.lines().find_map(|line| line.split_once("Collected :"));
        let (_, count) = collected.ok_or_else(|| format!("callgrind counted nothing:\n{log}"))?;
        Ok(count.trim().parse()?)
    }

    /// The times of one process's calls, in the order of [`OPERATIONS`].
    fn calls(&self, which: usize) -> Result<Vec<f64>> {
        unless_interrupted()?;
        let output = run(self.command(which, "driver", &[]).args([LIVES, "1"]))?;
        let lines = String::from_utf8(output.stdout)?;
        lines.lines().map(|time| Ok(time.parse()?)).collect()
    }

    fn start(&self, which: usize) -> Result<f64> {
        let mut command = self.command(which, "idle", &[]);
        let start = Instant::now();
        if !command.status()?.success() {
            return Err(format!("{command:?} failed").into());
        }
        Ok(start.elapsed().as_nanos() as f64)
    }
}
