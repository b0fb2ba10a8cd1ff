//! `shmcomm watch`: the rates of a channel, a line each second.

use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use shmcomm::inspect::{Contents, Object};
use shmcomm::{Errno, Name};

use crate::arguments::Watch;
use crate::entry::Channel;
use crate::failure::Failure;
use crate::list;
use crate::ls::{percent, warn};
use crate::system::{Interrupts, now};
use crate::text::{escaped, size};

/// One line for programs. Rates are per second.
#[derive(Serialize)]
struct Sample {
    name: String,
    time: i64,
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
    let Contents::Channel(look) = contents else {
        return Err(Failure::of(&shown, "it is no channel that can be watched"));
    };
    let channel = || list::channel(&look, false).map_err(|error| Failure::of(&shown, error));
    let interrupts = Interrupts::new();
    let redraws = io::stdout().is_terminal() && !arguments.json;
    let mut out = io::stdout().lock();
    let (mut before, mut at) = (channel()?, Instant::now());
    for _ in 0..arguments.count.unwrap_or(u64::MAX) {
        let is_interrupted = interrupts.wait(Duration::from_secs_f64(arguments.interval));
        if is_interrupted || object.is_removed() {
            if redraws {
                writeln!(out)?;
            }
            if is_interrupted {
                return Ok(ExitCode::SUCCESS);
            }
            warn(&format!("{shown}: its name was removed"));
            return Ok(ExitCode::from(1));
        }
        let (after, elapsed) = (channel()?, at.elapsed());
        at += elapsed;
        let sample = sample(&shown, &before, &after, elapsed);
        match (arguments.json, redraws) {
            (true, _) => writeln!(out, "{}", serde_json::to_string(&sample)?)?,
            (false, true) => write!(out, "\r\x1b[K{}", line(&sample, &after))?,
            (false, false) => writeln!(out, "{}", line(&sample, &after))?,
        }
        out.flush()?;
        before = after;
    }
    if redraws {
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sample(name: &str, before: &Channel, after: &Channel, elapsed: Duration) -> Sample {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    Sample {
        name: name.to_owned(),
        time: now(),
        sent_per_second: rate(before.sent, after.sent),
        received_per_second: rate(before.received, after.received),
        sent_bytes_per_second: rate(before.sent_bytes, after.sent_bytes),
        received_bytes_per_second: rate(before.received_bytes, after.received_bytes),
        used: after.used,
        capacity: after.capacity,
        messages: after.messages,
        sender: after.sender.held,
        receiver: after.receiver.held,
    }
}

fn line(sample: &Sample, channel: &Channel) -> String {
    let end = |is_held| if is_held { "held" } else { "free" };
    format!(
        "sent {:.0}/s {}/s  received {:.0}/s {}/s  used {}%  sender {}  receiver {}",
        sample.sent_per_second,
        size(sample.sent_bytes_per_second as u64),
        sample.received_per_second,
        size(sample.received_bytes_per_second as u64),
        percent(channel),
        end(sample.sender),
        end(sample.receiver),
    )
}
