//! `shmcomm watch`: the rates of a channel or a topic, a line each second.

use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use shmcomm::inspect::{Contents, Object};
use shmcomm::{Errno, Error, Name};

use crate::arguments::Watch;
use crate::contents;
use crate::entry::{Channel, Topic};
use crate::failure::Failure;
use crate::locks::Locks;
use crate::ls::{percent, warn};
use crate::system::{Interrupts, now};
use crate::text::{escaped, size};

/// One line for programs.
#[derive(Serialize)]
struct Sample<'a, T> {
    name: &'a str,
    time: i64,
    #[serde(flatten)]
    rates: T,
}

/// Rates are per second.
#[derive(Serialize)]
struct ChannelRates {
    sent_per_second: f64,
    received_per_second: f64,
    sent_bytes_per_second: f64,
    received_bytes_per_second: f64,
    used: u64,
    capacity: u64,
    messages: u64,
    sender: bool,
    receiver: bool,
}

#[derive(Serialize)]
struct TopicRates {
    written_per_second: f64,
    written: u64,
    writer: bool,
    readers: Option<u64>,
}

pub fn run(arguments: &Watch) -> Result<ExitCode, Failure> {
    let name = Name::parse(arguments.name.as_bytes())?;
    let shown = escaped(arguments.name.as_bytes());
    let object = match Object::open(name) {
        Err(error) if error.errno() == Errno::ENOENT => {
            warn(&format!("{shown}: there is none"));
            return Ok(ExitCode::from(1));
        }
        object => object.map_err(|error| Failure::of(&shown, error))?,
    };
    let contents = object
        .contents()
        .map_err(|error| Failure::of(&shown, error))?;
    match contents {
        Contents::Channel(look) => {
            let look = || contents::channel(&look, false);
            watch(arguments, &shown, &object, look, channel)
        }
        Contents::Topic(look) => {
            let handles = || Locks::read().of(object.identity());
            let look = || contents::topic(&look, handles(), false);
            watch(arguments, &shown, &object, look, topic)
        }
        _ => Err(Failure::of(
            &shown,
            "it is no channel and no topic that can be watched",
        )),
    }
}

/// Prints a line for each two looks: their rates, from the two and the seconds between them.
fn watch<T, R: Serialize>(
    arguments: &Watch,
    name: &str,
    object: &Object,
    look: impl Fn() -> Result<T, Error>,
    rates: impl Fn(&T, &T, f64) -> (R, String),
) -> Result<ExitCode, Failure> {
    let look = || look().map_err(|error| Failure::of(name, error));
    let interrupts = Interrupts::new();
    let redraws = io::stdout().is_terminal() && !arguments.json;
    let mut out = io::stdout().lock();
    let (mut before, mut at) = (look()?, Instant::now());
    for _ in 0..arguments.count.unwrap_or(u64::MAX) {
        let is_interrupted = interrupts.wait(Duration::from_secs_f64(arguments.interval));
        if is_interrupted || object.is_removed() {
            if redraws {
                writeln!(out)?;
            }
            if is_interrupted {
                return Ok(ExitCode::SUCCESS);
            }
            warn(&format!("{name}: its name was removed"));
            return Ok(ExitCode::from(1));
        }
        let (after, elapsed) = (look()?, at.elapsed());
        at += elapsed;
        let (rates, line) = rates(&before, &after, elapsed.as_secs_f64().max(1e-9));
        let time = now();
        match (arguments.json, redraws) {
            (true, _) => {
                let sample = Sample { name, time, rates };
                writeln!(out, "{}", serde_json::to_string(&sample)?)?;
            }
            (false, true) => write!(out, "\r\x1b[K{line}")?,
            (false, false) => writeln!(out, "{line}")?,
        }
        out.flush()?;
        before = after;
    }
    if redraws {
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rate(before: u64, after: u64, seconds: f64) -> f64 {
    after.saturating_sub(before) as f64 / seconds
}

fn held(is_held: bool) -> &'static str {
    if is_held { "held" } else { "free" }
}

fn channel(before: &Channel, after: &Channel, seconds: f64) -> (ChannelRates, String) {
    let rates = ChannelRates {
        sent_per_second: rate(before.sent, after.sent, seconds),
        received_per_second: rate(before.received, after.received, seconds),
        sent_bytes_per_second: rate(before.sent_bytes, after.sent_bytes, seconds),
        received_bytes_per_second: rate(before.received_bytes, after.received_bytes, seconds),
        used: after.used,
        capacity: after.capacity,
        messages: after.messages,
        sender: after.sender.held,
        receiver: after.receiver.held,
    };
    let line = format!(
        "sent {:.0}/s {}/s  received {:.0}/s {}/s  used {}%  sender {}  receiver {}",
        rates.sent_per_second,
        size(rates.sent_bytes_per_second as u64),
        rates.received_per_second,
        size(rates.received_bytes_per_second as u64),
        percent(after),
        held(rates.sender),
        held(rates.receiver),
    );
    (rates, line)
}

fn topic(before: &Topic, after: &Topic, seconds: f64) -> (TopicRates, String) {
    let rates = TopicRates {
        written_per_second: rate(before.written, after.written, seconds),
        written: after.written,
        writer: after.writer.held,
        readers: after.readers,
    };
    let readers = rates
        .readers
        .map_or("unknown".to_owned(), |readers| readers.to_string());
    let line = format!(
        "written {:.0}/s  writer {}  readers {readers}",
        rates.written_per_second,
        held(rates.writer),
    );
    (rates, line)
}
