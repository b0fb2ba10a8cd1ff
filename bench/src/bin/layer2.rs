//! Layer 2 against the bare system calls that do the same: the same C program by either in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use shmcomm_bench::rounds::{Spread, interleaved};
use shmcomm_bench::scratch::{Scratch, target};
use shmcomm_bench::table::Table;
use shmcomm_bench::{Program, Result, compile, machine, run};

const SONAME: &str = "libshmcomm.so.0";

/// The ways to do it that are compared, as the driver names them.
const WAYS: [&str; 3] = ["bare", "library", "truncate"];

/// What a life of a segment consists of. The driver prints the times in this order.
const OPERATIONS: [&str; 5] = ["open", "first touch", "close", "remove", "all"];

struct Kind {
    name: &'static str,
    /// Those of [`OPERATIONS`] that there are: what has no name is not removed.
    removed: bool,
    /// How many of [`WAYS`] there are.
    ways: usize,
    pages: &'static [&'static str],
    /// What the bare calls are.
    calls: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "sysv",
        removed: true,
        ways: 2,
        pages: &["as they come", "prefault", "huge"],
        calls: "ftok, shmget, shmat",
    },
    Kind {
        name: "posix",
        removed: true,
        ways: 3,
        pages: &["as they come", "prefault", "huge"],
        calls: "shm_open, posix_fallocate, mmap",
    },
    // Files have no huge pages.
    Kind {
        name: "file",
        removed: true,
        ways: 3,
        pages: &["as they come", "prefault"],
        calls: "open, posix_fallocate, mmap",
    },
    Kind {
        name: "anon",
        removed: false,
        ways: 2,
        pages: &["as they come", "prefault", "huge"],
        calls: "memfd_create, ftruncate, mmap",
    },
];

/// A size to measure; in each round, so many lives of a segment.
struct Size {
    name: &'static str,
    bytes: &'static str,
    rounds: usize,
    lives: &'static str,
}

const SIZES: [Size; 3] = [
    Size {
        name: "4 KiB",
        bytes: "4096",
        rounds: 31,
        lives: "50",
    },
    Size {
        name: "1 MiB",
        bytes: "1048576",
        rounds: 31,
        lives: "10",
    },
    Size {
        name: "256 MiB",
        bytes: "268435456",
        rounds: 7,
        lives: "1",
    },
];

/// Nanoseconds that the clock cannot tell apart.
const CLOCK: f64 = 100.0;

/// Among so many others an existing segment is opened, so often in each of so many rounds.
const OTHERS: [&str; 3] = ["1", "100", "4000"];
const OPENS: &str = "1000";
const OPEN_ROUNDS: usize = 15;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layer2: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    if !compile::has_cc() {
        return Err("there is no C compiler".into());
    }
    let library = compile::library(&target()?)?;
    let scratch = Scratch::new("layer2")?;
    let driver = Driver::build(&scratch, &library)?;
    println!("{}{}", machine::describe(), huge_pages());

    let mut table = Table::new([
        "microseconds",
        "bare calls",
        "libshmcomm",
        "libshmcomm to bare",
        "with ftruncate",
    ]);
    for kind in &KINDS {
        table.row([format!("**{}: {}**", kind.name, kind.calls)]);
        for size in &SIZES {
            for pages in kind.pages {
                driver.live(kind, size, pages, &mut table)?;
            }
        }
    }
    table.row(["**open what is there**".into()]);
    driver.open_among("sysv", &mut table)?;
    driver.open_among("posix", &mut table)?;
    table.print();
    println!(
        "\nMedians (and quartiles) of rounds in which the ways take turns: {}. The ratio is the \
         median (and quartiles) of that in each round. *all* is open, first touch of every page, \
         close and remove together: what is allocated by open need not be by the first touch. \
         The bare calls make the same attempts to get huge pages, prefault by the same madvise, and \
         remove a System V segment by its id, which the library looks up by its name. \
         *with ftruncate* has it in place of posix_fallocate, as most programs do: shorter to open, \
         but a full file system is a SIGBUS later. \
         Opening what is there: {OPEN_ROUNDS} rounds of {OPENS}, System V in an IPC namespace of \
         its own.",
        SIZES
            .iter()
            .map(|size| format!("{} of {} for {}", size.rounds, size.lives, size.name))
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(())
}

/// Which huge pages this machine has for shared memory.
fn huge_pages() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or("unknown".into());
    let reserved = read("/proc/sys/vm/nr_hugepages");
    let transparent = read("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    let transparent = transparent.split(['[', ']']).nth(1).unwrap_or("unknown");
    let reserved = reserved.trim();
    format!("- huge pages: {reserved} reserved; transparent ones of shared memory: {transparent}\n")
}

/// The C program that makes segments, and what it makes them of.
struct Driver<'a> {
    scratch: &'a Scratch,
    program: PathBuf,
}

impl<'a> Driver<'a> {
    fn build(scratch: &'a Scratch, library: &Path) -> Result<Self> {
        let link = scratch.path().join(SONAME);
        fs::copy(library, &link)?;
        let program = scratch.path().join("segment");
        run(compile::cc()
            .args(["-O2", "-I"])
            .arg(compile::root().join("include"))
            .arg(compile::root().join("bench/c/segment.c"))
            .arg(link)
            .arg("-o")
            .arg(&program))?;
        Ok(Self { scratch, program })
    }

    fn program(&self) -> Program<'_> {
        Program {
            path: &self.program,
            library: Some(self.scratch.path()),
        }
    }

    /// What follows the kind in the name of a segment.
    fn name(&self, kind: &str) -> String {
        match kind {
            "posix" => self.scratch.object(),
            "file" => self.scratch.path().join("file").display().to_string(),
            _ => self.scratch.key_path().display().to_string(),
        }
    }

    /// Measures the lives of one segment, and adds a row for each operation.
    fn live(&self, kind: &Kind, size: &Size, pages: &str, table: &mut Table) -> Result<()> {
        let name = self.name(kind.name);
        let life = |way| {
            let mut command = self.program().command();
            command.args(["lives", WAYS[way], kind.name, &name]);
            times::<{ OPERATIONS.len() }>(command.args([size.bytes, pages, size.lives]))
        };
        let rounds: Vec<_> = match kind.ways {
            2 => interleaved::<2, _>(size.rounds, life)?.into(),
            _ => interleaved::<3, _>(size.rounds, life)?.into(),
        };
        for (index, operation) in OPERATIONS.iter().enumerate() {
            if *operation == "remove" && !kind.removed {
                continue;
            }
            let nanos: Vec<Vec<f64>> = rounds
                .iter()
                .map(|rounds| rounds.iter().map(|times| times[index]).collect())
                .collect();
            let row = format!("{}, {pages}: {operation}", size.name);
            table.row(compared(row, &nanos));
        }
        Ok(())
    }

    /// Measures how long it takes to open an existing segment among many.
    fn open_among(&self, kind: &str, table: &mut Table) -> Result<()> {
        let own_namespace = match kind {
            "sysv" => match namespace() {
                Ok(arguments) => arguments,
                Err(error) => {
                    table.row([format!("{kind}: not measured")]);
                    eprintln!(
                        "layer2: no IPC namespace of its own, and others' are left alone: {error}"
                    );
                    return Ok(());
                }
            },
            _ => &[][..],
        };
        for others in OTHERS {
            let rounds: [Vec<[f64; 1]>; 2] = interleaved(OPEN_ROUNDS, |way| {
                let mut command = match own_namespace {
                    [] => self.program().command(),
                    arguments => {
                        let mut unshare = self.program().command_under("unshare");
                        unshare.args(arguments).arg(&self.program);
                        unshare
                    }
                };
                command.args(["existing", WAYS[way], kind, &self.name(kind)]);
                times(command.args([others, OPENS]))
            })?;
            let nanos = rounds.map(|rounds| rounds.concat());
            table.row(compared(format!("{kind}, {others} others: open"), &nanos));
        }
        Ok(())
    }
}

/// How to give a program an IPC namespace of its own.
fn namespace() -> Result<&'static [&'static str]> {
    const AS_ROOT: &[&str] = &["--ipc", "--"];
    const AS_USER: &[&str] = &["--ipc", "--user", "--map-root-user", "--"];
    let permitted = |arguments| run(Command::new("unshare").args(arguments).arg("true"));
    match permitted(AS_ROOT) {
        Ok(_) => Ok(AS_ROOT),
        Err(_) => permitted(AS_USER).map(|_| AS_USER),
    }
}

/// The times that a driver prints.
fn times<const N: usize>(driver: &mut Command) -> Result<[f64; N]> {
    let output = String::from_utf8(run(driver)?.stdout)?;
    let times: std::result::Result<Vec<f64>, _> = output.lines().map(str::parse).collect();
    let times = times?.try_into();
    times.map_err(|_| "the driver printed another number of times".into())
}

/// A row, of what the ways took in each round.
fn compared(name: String, nanos: &[Vec<f64>]) -> Vec<String> {
    let spread = |way: usize| {
        let nanos = nanos.get(way)?;
        Some(Spread::of(nanos.iter().copied()).micros())
    };
    let told = Spread::of(nanos[0].iter().copied()).median >= CLOCK;
    let ratio = told.then(|| Spread::of_ratio(&nanos[1], &nanos[0]).ratio());
    let mut row = vec![name];
    row.extend([spread(0), spread(1), ratio, spread(2)].map(Option::unwrap_or_default));
    row
}
