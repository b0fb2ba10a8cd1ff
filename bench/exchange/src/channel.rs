//! The channel against other ways to exchange messages.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmcomm_bench::distance::rounds;
use shmcomm_bench::process::{Process, unless_interrupted};
use shmcomm_bench::table::{Spread, Table};
use shmcomm_bench::{Result, Run, has};

use crate::peers::{COPYING, IN_PLACE, MEMCPY, PIPE, SYSTEMS, System};
use crate::syscalls::{WORKS, per_message};
use crate::workload::{Job, PAUSE, PERIOD, Until, Work, default_ring};

/// How long each measurement takes: the cores stay where they are for 0.2 s and longer.
const SLICE: Duration = Duration::from_millis(50);
/// How long messages are sent at a moderate rate.
const PACED: Duration = Duration::from_secs(1);
/// Until a process has opened its ends and sleeps.
const SETTLE: Duration = Duration::from_millis(300);

const HEADER: [&str; 11] = [
    "system · ring",
    "busy, ns",
    "÷ raw",
    "asleep, ns",
    "÷ futex",
    "8 B/s",
    "64 B/s",
    "1 KiB/s",
    "4 KiB/s",
    "64 KiB/s",
    "1 MiB/s",
];
/// The measurements of a system: column, work, bytes of a message.
const JOBS: [(usize, Work, usize); 8] = [
    (1, Work::Busy, 64),
    (3, Work::Asleep, 64),
    (5, Work::OneWay, 8),
    (6, Work::OneWay, 64),
    (7, Work::OneWay, 0x400),
    (8, Work::OneWay, 0x1000),
    (9, Work::OneWay, 0x1_0000),
    (10, Work::OneWay, 0x10_0000),
];
const RATES: std::ops::Range<usize> = 5..11;

const COSTS: [&str; 8] = [
    "system · ring",
    "calls one way",
    "busy",
    "asleep",
    "10k/s: sender %",
    "receiver %",
    "idle: wake-ups/s",
    "%",
];

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## The channel beside its peers\n");
    let mut systems: Vec<(usize, &System)> = SYSTEMS.iter().enumerate().collect();
    systems.retain(|(_, system)| {
        let missing = (system.try_new)(&run.scratch).err();
        if let Some(error) = &missing {
            println!("{} is left out: {error}.", system.name);
        }
        missing.is_none() && system.name.contains(&run.only)
    });
    let names = systems
        .iter()
        .map(|(_, one)| format!("{} · {}", one.name, one.ring));
    let names: Vec<String> = names.collect();
    let mut table = Table::new(HEADER);
    table.rows(&names);
    let turns = systems.len() * JOBS.len();
    for (title, mut table) in rounds(run, &table, turns, |turn, samples| {
        let (row, job) = (turn % systems.len(), turn / systems.len());
        let (column, work, message) = JOBS[job];
        if work == Work::Asleep && systems[row].1.polls {
            return Ok(());
        }
        let values = one(run, systems[row].1, work, message, SLICE)?;
        // A message rate comes with processor times, which mean nothing at full speed.
        let columns = if work == Work::OneWay { 1 } else { 2 };
        let values = values.into_iter().take(columns).enumerate();
        samples.extend(values.map(|(index, value)| (row, column + index, value)));
        Ok(())
    })? {
        compare(&mut table, &systems);
        println!("\n### The channel, {title}");
        table.print();
    }
    println!(
        "\nMedians (quartiles) of measurements in which the systems take turns; the ratios of rates are those of medians. Round trips are of 64 B, \
         each beside a raw round trip, or that of a bare futex, in the same two processes; asleep, \
         each side waits {} µs before it answers. One way: messages a second. shmcomm is used \
         through libshmcomm.so, except from Rust.",
        PAUSE.as_micros()
    );
    let mut table = Table::new(COSTS);
    table.rows(&names);
    costs(run, &systems, &mut table)?;
    table.print();
    println!(
        "\nCalls: system calls of both sides per message of 64 B. 10k/s: processor time of each side at \
         a message of 64 B every {} µs, the sender's with its sleeps between. Idle: the busier one of \
         two waiting processes, in {} s.",
        PERIOD.as_micros(),
        run.idle.as_secs_f64()
    );
    Ok(())
}

fn one(run: &Run, system: &System, work: Work, message: usize, time: Duration) -> Result<Vec<f64>> {
    let (ring, until) = (default_ring(message), Until::Time(time));
    let job = Job {
        scratch: &run.scratch,
        work,
        message,
        ring,
        until,
    };
    (system.run)(&job).map_err(|error| format!("{}, {message} B: {error}", system.name).into())
}

/// Adds the ratios of message rates, each of two medians.
fn compare(table: &mut Table, systems: &[(usize, &System)]) {
    let find = |name| systems.iter().position(|(_, system)| system.name == name);
    let is_peer = |&row: &usize| {
        let name = systems[row].1.name;
        name != MEMCPY && !name.starts_with("**")
    };
    let peers: Vec<usize> = (0..systems.len()).filter(is_peer).collect();
    let single = |name| find(name).into_iter().collect();
    let rows: [(&str, &str, Vec<usize>); 3] = [
        ("in place ÷ pipe", IN_PLACE, single(PIPE)),
        ("in place ÷ the fastest peer", IN_PLACE, peers),
        ("copying ÷ `memcpy` twice", COPYING, single(MEMCPY)),
    ];
    for (title, ours, others) in rows {
        let Some(ours) = find(ours) else {
            continue;
        };
        let added = table.row(title);
        for column in RATES {
            let median = |row: usize| match table.cell(row, column) {
                [] => 0.0,
                values => Spread::of(values).median(),
            };
            let theirs = others.iter().map(|&row| median(row)).fold(0.0, f64::max);
            if theirs > 0.0 && median(ours) > 0.0 {
                table.add(added, column, median(ours) / theirs);
            }
        }
    }
}

fn costs(run: &Run, systems: &[(usize, &System)], table: &mut Table) -> Result<()> {
    let strace = has("strace");
    if !strace {
        println!("\nstrace is not installed: system calls are not counted.");
    }
    for (row, &(number, system)) in systems.iter().enumerate() {
        let mut add = |column, value: Result<f64>| {
            match value {
                Ok(value) => table.add(row, column, value),
                Err(error) => eprintln!("bench: {}: {error}", system.name),
            }
            unless_interrupted()
        };
        for work in 0..if strace { WORKS.len() } else { 0 } {
            add(1 + work, per_message(number, work, &run.scratch))?;
        }
        let paced = one(run, system, Work::Paced, 64, PACED)?;
        run.scratch.clear();
        for (column, &busy) in (4..).zip(&paced[1..]) {
            add(column, Ok(busy))?;
        }
    }
    let sleeping = systems
        .iter()
        .enumerate()
        .filter(|(_, (_, system))| !system.polls);
    let waiting = sleeping.map(|(row, (_, system))| Ok((row, (system.idle)(&run.scratch)?)));
    let waiting = waiting.collect::<Result<Vec<_>>>()?;
    sleep(SETTLE);
    let usages = || -> Result<Vec<_>> {
        waiting
            .iter()
            .map(|(_, idle)| Ok(idle.processes.each_ref().map(usage)))
            .collect()
    };
    let (start, before) = (Instant::now(), usages()?);
    sleep(run.idle);
    let (seconds, after) = (start.elapsed().as_secs_f64(), usages()?);
    for (((row, _), before), after) in waiting.iter().zip(before).zip(after) {
        let mut most = [0.0_f64; 2];
        for (before, after) in before.into_iter().zip(after) {
            let (before, after) = (before?, after?);
            for index in 0..2 {
                most[index] = most[index].max((after[index] - before[index]) / seconds);
            }
        }
        table.add(*row, 6, most[0]);
        table.add(*row, 7, most[1] / 1e9 * 100.0);
    }
    Ok(())
}

/// Wake-ups and nanoseconds of processor time of a process.
fn usage(process: &Process) -> Result<[f64; 2]> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid()))?;
    let lines = &mut status.lines();
    let wake_ups = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let schedule = fs::read_to_string(format!("/proc/{}/schedstat", process.pid()))?;
    let busy = schedule.split(' ').next().unwrap_or_default();
    Ok([
        wake_ups.ok_or("no count of wake-ups")?.trim().parse()?,
        busy.parse()?,
    ])
}
