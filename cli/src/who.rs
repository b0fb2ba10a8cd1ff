//! `shmcomm who`: the processes that use an object.

use std::process::ExitCode;
use std::slice;

use serde::Serialize;

use crate::arguments::Who;
use crate::entry::Role;
use crate::failure::Failure;
use crate::ls::warn;
use crate::processes::{Process, find_holders};
use crate::scene::Scene;
use crate::table::{Table, print_json};
use crate::{list, system, text};

/// The whole output for programs.
#[derive(Serialize)]
struct Holders {
    holders: Vec<Holder>,
    /// Number of processes that this user may not look into.
    unseen: u64,
    /// Whether `/proc` hides the processes of other users.
    hidden: bool,
}

#[derive(Serialize)]
struct Holder {
    user: String,
    uid: u32,
    pid: i32,
    role: Role,
    since: Option<i64>,
    command: String,
}

pub fn run(arguments: &Who) -> Result<ExitCode, Failure> {
    let mut scene = Scene::new(&[], false)?;
    let (mut entries, absent) = list::named(slice::from_ref(&arguments.name), &mut scene)?;
    let unseen = find_holders(&mut entries, true);
    let mut holders = Vec::new();
    for holder in entries.iter().flat_map(|entry| &entry.holders) {
        if let Some(process) = Process::look_up(holder.pid) {
            holders.push(Holder {
                user: scene.users.name(process.uid).to_owned(),
                uid: process.uid,
                pid: holder.pid,
                role: holder.role,
                since: process.since,
                command: process.command,
            });
        }
    }
    let is_nobody = holders.is_empty();
    match arguments.output.json {
        true => print_json(&Holders {
            holders,
            unseen: unseen.processes,
            hidden: unseen.is_hidden,
        })?,
        false => print(&holders)?,
    }
    absent.iter().for_each(|message| warn(message));
    if let Some(warning) = unseen.warning().filter(|_| !entries.is_empty()) {
        warn(&warning);
    }
    Ok(ExitCode::from(u8::from(is_nobody)))
}

fn print(holders: &[Holder]) -> Result<(), Failure> {
    let mut table = Table::new(&["USER", "PID", "ROLE", "SINCE", "COMMAND"]);
    for holder in holders {
        let age = holder
            .since
            .map(|since| system::now().saturating_sub(since));
        let since = match table.is_terminal() {
            true => age.map(text::age),
            false => age.map(|age| age.to_string()),
        };
        table.push(vec![
            holder.user.clone(),
            holder.pid.to_string(),
            holder.role.name().to_owned(),
            since.unwrap_or_else(|| "-".to_owned()),
            holder.command.clone(),
        ]);
    }
    table.print()
}
