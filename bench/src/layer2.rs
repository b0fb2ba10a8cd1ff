//! Layer 2 against the bare system calls that do the same.

mod life;

use std::fs;

use crate::process::Process;
use crate::table::Table;
use crate::{Result, Run};

use life::{Life, PAGE, Pages, Way};

const WAYS: [Way; 3] = [Way::Bare, Way::Library, Way::Truncate];

/// A kind of segment, the ways to open it, and what the bare calls are.
const KINDS: [(&str, usize, &str); 4] = [
    ("sysv", 2, "ftok, shmget, shmat"),
    ("posix", 3, "shm_open, posix_fallocate, mmap"),
    ("file", 3, "open, posix_fallocate, mmap"),
    ("anon", 2, "memfd_create, ftruncate, mmap"),
];

/// How pages are made present, as rows name it.
const PAGES: [(Pages, &str); 3] = [
    (Pages::Normal, ""),
    (Pages::Prefault, ", prefault"),
    (Pages::Huge, ", huge pages"),
];

/// Name, bytes, lives of a segment in each round, rounds for one of the run.
const SIZES: [(&str, usize, usize, usize); 3] = [
    ("4 KiB", 4 << 10, 50, 3),
    ("1 MiB", 1 << 20, 10, 3),
    ("256 MiB", 256 << 20, 1, 1),
];

/// The last is not measured of what has no name.
const OPERATIONS: [&str; 5] = ["open", "first touch", "close", "all", "remove"];

/// An existing segment is opened this many times, among others.
const OPENS: usize = 1000;
const OTHERS: [usize; 3] = [1, 100, 4000];

const HEADER: [&str; 5] = [
    "microseconds",
    "bare calls",
    "libshmcomm",
    "ratio",
    "with ftruncate",
];
const RATIO: usize = 3;
const COLUMNS: [usize; 3] = [1, 2, 4];
/// Nanoseconds that the clock cannot resolve.
const CLOCK: f64 = 100.0;

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Layer 2");
    let mut table = Table::new(HEADER);
    for (kind, ways, calls) in KINDS {
        table.row(format!("**{kind}: {calls}**"));
        for (size_name, size, lives, times) in SIZES {
            for (pages, pages_name) in PAGES {
                // Files have no huge pages.
                if (kind, pages) == ("file", Pages::Huge) {
                    continue;
                }
                let named = |operation| format!("{kind}, {size_name}{pages_name}: {operation}");
                let operations = if kind == "anon" {
                    &OPERATIONS[..4]
                } else {
                    &OPERATIONS
                };
                let first = table.rows(operations.iter().map(named));
                in_turns(run, times * run.rounds, ways, &mut table, first, |way| {
                    Life::new(run, way, kind, pages, size)?.medians(lives)
                })?;
            }
        }
    }
    table.row("**open an existing segment**");
    for kind in ["sysv", "posix"] {
        for others in OTHERS {
            let row = table.row(format!("{kind}, beside {others} others"));
            in_turns(run, run.rounds, 2, &mut table, row, |way| {
                let others =
                    (0..others).map(|_| Life::new(run, Way::Bare, kind, Pages::Normal, PAGE));
                let others = others.collect::<Result<Vec<_>>>()?;
                Life::new(run, way, kind, Pages::Normal, PAGE)?.open_among(&others, OPENS)
            })?;
        }
    }
    table.print();
    let [small, large] = [3 * run.rounds, run.rounds];
    println!(
        "\nMedians (quartiles) of {small} rounds, {large} for 256 MiB, in which the ways take turns; \
         the ratio is that of each round. *all* is open, first touch of every page, close and \
         remove. The bare calls ask for huge pages and prefault as the library does, and \
         remove a System V segment by its id, which the library looks up. ftruncate \
         allocates nothing, so a full file system is a SIGBUS later. {OPENS} openings of an \
         existing segment, System V in an IPC namespace of its own. Huge pages reserved: {}, \
         transparent for shared memory: {}",
        fs::read_to_string("/proc/sys/vm/nr_hugepages")?.trim(),
        fs::read_to_string("/sys/kernel/mm/transparent_hugepage/shmem_enabled")?.trim()
    );
    Ok(())
}

/// Adds a row for each number that a process measures with each way.
fn in_turns(
    run: &Run,
    rounds: usize,
    ways: usize,
    table: &mut Table,
    first: usize,
    measure: impl Fn(Way) -> Result<Vec<f64>>,
) -> Result<()> {
    for round in 0..rounds {
        let mut results = [const { Vec::new() }; WAYS.len()];
        for turn in 0..ways {
            let way = (round + turn) % ways;
            results[way] = Process::start(0, || measure(WAYS[way]))?.finish()?;
            run.scratch.clear();
        }
        for (index, &bare) in results[0].iter().enumerate() {
            for (result, column) in results.iter().zip(COLUMNS) {
                if let Some(nanoseconds) = result.get(index) {
                    table.add(first + index, column, nanoseconds / 1e3);
                }
            }
            if let Some(ours) = results[1].get(index).filter(|_| bare >= CLOCK) {
                table.add(first + index, RATIO, ours / bare);
            }
        }
    }
    Ok(())
}
