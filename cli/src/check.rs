//! `shmcomm check`: a verdict on each object, and the limits of the system.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::arguments::Check;
use crate::entry::{Entry, State};
use crate::failure::Failure;
use crate::limits::{self, Limit};
use crate::list;
use crate::ls::warn;
use crate::processes::find_holders;
use crate::scene::Scene;
use crate::table::{Table, print_json};

/// The whole output for programs.
#[derive(Serialize)]
struct Verdicts<'a> {
    objects: &'a [Entry],
    limits: &'a [Limit],
}

pub fn run(arguments: &Check) -> Result<ExitCode, Failure> {
    let mut scene = Scene::new(&[], true)?;
    let (mut entries, absent, limits) = match arguments.names.is_empty() {
        true => {
            let mut entries = list::all(&mut scene)?;
            let limits = limits::limits(&entries);
            entries.retain(|entry| entry.is_ours);
            (entries, Vec::new(), limits)
        }
        false => {
            let (entries, absent) = list::named(&arguments.names, &mut scene)?;
            (entries, absent, Vec::new())
        }
    };
    let is_well = |entry: &Entry| !matches!(entry.state, State::Stale | State::Damaged);
    let is_bad = !entries.iter().all(is_well) || limits.iter().any(|limit| limit.near);
    if arguments.output.json {
        find_holders(&mut entries, false);
        print_json(&Verdicts {
            objects: &entries,
            limits: &limits,
        })?;
    } else {
        print(&entries, &limits)?;
    }
    absent.iter().for_each(|message| warn(message));
    Ok(match absent.is_empty() {
        true => ExitCode::from(u8::from(is_bad)),
        false => ExitCode::from(2),
    })
}

fn print(entries: &[Entry], limits: &[Limit]) -> Result<(), Failure> {
    if !entries.is_empty() {
        let mut table = Table::new(&["NAME", "STATE", "REASON"]);
        for entry in entries {
            let reason = entry.reason.clone();
            table.push(vec![
                entry.name.clone(),
                entry.state.name().to_owned(),
                reason,
            ]);
        }
        table.print()?;
    }
    if !limits.is_empty() {
        if !entries.is_empty() {
            writeln!(io::stdout())?;
        }
        let mut table = Table::new(&["LIMIT", "USED", "OF", "STATE", "MEANING"]);
        limits
            .iter()
            .for_each(|limit| table.push(limits::row(limit)));
        table.print()?;
    }
    Ok(())
}
