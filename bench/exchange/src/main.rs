//! Layer 3 against other ways to exchange messages: two processes, each on a core of its own, every
//! byte written by one and read by the other.

mod dynamic;
mod idle;
mod link;
mod pair;
mod peers;
mod place;
mod reference;
mod results;
mod syscalls;
mod targets;
mod workload;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use shmcomm_bench::scratch::target;
use shmcomm_bench::table::Table;
use shmcomm_bench::{Result, compile, has, machine};

use peers::{SYSTEMS, Waits};
use place::Place;
use results::{ASLEEP, BUSY, HEADER, IDLE, Results, calls, size};
use syscalls::WORKS;
use workload::{Answers, SIZES, Until};

const USAGE: &str = "arguments: [--rounds N] [--idle SECONDS] [--only PART-OF-A-NAME]";

/// How long each measurement takes.
const SLICE: Until = Until::Time(Duration::from_millis(100));
/// Beyond the spinning of the other side, so that it sleeps.
const PAUSE: Duration = Duration::from_micros(100);

struct Settings {
    rounds: usize,
    idle: Duration,
    only: String,
}

fn main() -> ExitCode {
    let done = syscalls::work_if_asked().unwrap_or_else(|| settings().and_then(measure));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exchange: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<Settings> {
    let mut settings = Settings {
        rounds: 7,
        idle: Duration::from_secs(5),
        only: String::new(),
    };
    let mut arguments = env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match &*option {
            "--rounds" => settings.rounds = value.parse()?,
            "--idle" => settings.idle = Duration::try_from_secs_f64(value.parse()?)?,
            "--only" => settings.only = value,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(settings)
}

fn measure(settings: Settings) -> Result<()> {
    let library = compile::library(&target()?)?;
    let place = Place::new()?;
    pair::catch_interrupts();
    println!("{}", machine::describe());

    let mut results: Vec<Results> = Vec::new();
    for system in SYSTEMS
        .iter()
        .filter(|one| one.name.contains(&settings.only))
    {
        match (system.load)(&library, place.directory()) {
            Ok(()) => results.push(Results::new(system)),
            Err(error) => println!("{} is left out: {error}.", system.name),
        }
    }
    take_times(&mut results, settings.rounds, &place)?;
    rest(&mut results, settings.idle, &place)?;
    if has("strace") {
        count_calls(&mut results, &library, &place)?;
    } else {
        println!("strace is not installed: system calls are not counted.");
    }

    let mut table = Table::new(HEADER);
    for one in &results {
        table.row(one.row());
    }
    println!();
    table.print();
    println!(
        "\nMedians (and quartiles) of {} rounds, in which the systems take turns. Round trips are of \
         64 B, each beside a round trip of two cache lines without any protocol (raw), or of a bare \
         futex, in the same two processes; asleep, each side waits {} µs before it answers. One \
         way: messages per second. Calls: system calls of both sides per message of 64 B. Idle: of \
         the one of two waiting processes that takes more.\n\
         shmcomm is used through the C interface of libshmcomm.so, but for the row that says \
         otherwise.",
        settings.rounds,
        PAUSE.as_micros()
    );
    targets::print(&results);
    Ok(())
}

/// What takes turns.
#[derive(Clone, Copy)]
enum Timed {
    RoundTrip(usize, Answers),
    OneWay(usize),
}

fn take_times(results: &mut [Results], rounds: usize, place: &Place) -> Result<()> {
    let round_trips = [
        Timed::RoundTrip(BUSY, Answers::AtOnce),
        Timed::RoundTrip(ASLEEP, Answers::After(PAUSE)),
    ];
    let timed: Vec<Timed> = round_trips
        .into_iter()
        .chain(SIZES.map(Timed::OneWay))
        .collect();
    for round in 0..rounds {
        for &timed in &timed {
            for turn in 0..results.len() {
                let which = (round + turn) % results.len();
                let one = &mut results[which];
                let taken = take_time(one, timed, place);
                place.clear();
                if let Err(error) = taken {
                    pair::unless_interrupted()?;
                    if round == 0 {
                        println!("{}, {}: {error}.", one.system.name, timed.name());
                    }
                }
            }
        }
    }
    Ok(())
}

impl Timed {
    fn name(self) -> String {
        match self {
            Self::RoundTrip(..) => "round trip".into(),
            Self::OneWay(size) => format!("{size} B one way"),
        }
    }
}

fn take_time(one: &mut Results, timed: Timed, place: &Place) -> Result<()> {
    match timed {
        // Who polls never sleeps.
        Timed::RoundTrip(ASLEEP, _) if one.system.waits == Waits::Polling => {}
        Timed::RoundTrip(column, answers) => {
            let latency = (one.system.round_trip)(place, answers, SLICE)?;
            one.add_with_ratio(column, latency.nanoseconds, latency.ratio);
        }
        Timed::OneWay(bytes) => {
            one.add(size(bytes), (one.system.one_way)(place, bytes, SLICE)?);
        }
    }
    Ok(())
}

fn rest(results: &mut [Results], time: Duration, place: &Place) -> Result<()> {
    let mut measured: Vec<&mut Results> = results
        .iter_mut()
        .filter(|one| one.system.waits != Waits::Polling)
        .collect();
    let waiting: Result<Vec<_>> = measured
        .iter()
        .map(|one| (one.system.idle)(place))
        .collect();
    let rests = idle::measure(&waiting?, time)?;
    place.clear();
    for (one, rest) in measured.iter_mut().zip(rests) {
        one.add_with_ratio(IDLE, rest.wake_ups, rest.processor);
    }
    Ok(())
}

fn count_calls(results: &mut [Results], library: &Path, place: &Place) -> Result<()> {
    for one in results {
        let system = SYSTEMS
            .iter()
            .position(|system| system.name == one.system.name);
        for work in WORKS {
            match syscalls::per_message(system.unwrap_or(0), work, library, place) {
                Ok(count) => one.add(calls(work as usize), count),
                Err(error) => {
                    pair::unless_interrupted()?;
                    println!("{}: {error}", one.system.name);
                }
            }
        }
    }
    Ok(())
}
