//! `shmcomm ls`: a table of objects.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::arguments::Ls;
use crate::entry::{Channel, Entry, Holder, Role};
use crate::failure::Failure;
use crate::processes::find_holders;
use crate::scene::Scene;
use crate::table::{Table, print_json};
use crate::{list, system, text};

/// The whole output for programs.
#[derive(Serialize)]
struct Objects<'a> {
    objects: &'a [Entry],
}

pub fn run(arguments: &Ls) -> Result<ExitCode, Failure> {
    let mut scene = Scene::new(&arguments.path, false)?;
    let mut entries = match arguments.names.is_empty() {
        true => list::all(&mut scene)?,
        false => named(arguments, &mut scene)?,
    };
    let is_listed = |entry: &Entry| arguments.all || !arguments.names.is_empty() || entry.is_ours;
    let unread = entries
        .iter()
        .filter(|entry| !is_listed(entry) && entry.is_unreadable())
        .count();
    entries.retain(is_listed);
    entries.retain(|entry| arguments.kind.is_none_or(|kind| entry.kind == kind));
    let unseen = find_holders(&mut entries, false);
    match arguments.output.json {
        true => print_json(&Objects { objects: &entries })?,
        false => print(&entries, !arguments.path.is_empty())?,
    }
    if unread > 0 {
        let objects = text::count(unread as u64, "object");
        warn(&format!(
            "this user may not read {objects} in {}: --all lists them",
            list::DIRECTORY
        ));
    }
    let is_partly_seen = entries.iter().any(Entry::has_unseen_holder);
    if let Some(warning) = unseen.warning().filter(|_| is_partly_seen) {
        warn(&warning);
    }
    Ok(ExitCode::from(u8::from(entries.is_empty())))
}

fn named(arguments: &Ls, scene: &mut Scene) -> Result<Vec<Entry>, Failure> {
    let (entries, absent) = list::named(&arguments.names, scene)?;
    absent.iter().for_each(|message| warn(message));
    Ok(entries)
}

/// One line on stderr.
pub fn warn(message: &str) {
    let _ = writeln!(std::io::stderr(), "shmcomm: {message}");
}

fn print(entries: &[Entry], has_paths: bool) -> Result<(), Failure> {
    let mut columns = vec![
        "NAME", "KIND", "SIZE", "MODE", "OWNER", "USED", "AGE", "HELD-BY", "STATE",
    ];
    if has_paths {
        columns.push("PATH");
    }
    let mut table = Table::new(&columns);
    let now = system::now();
    for entry in entries {
        let age = now.saturating_sub(entry.changed);
        let (size, age) = match table.is_terminal() {
            true => (entry.size.map(text::size), text::age(age)),
            false => (entry.size.map(|size| size.to_string()), age.to_string()),
        };
        let mut row = vec![
            entry.name.clone(),
            entry.kind.name().to_owned(),
            size.unwrap_or_else(|| "-".to_owned()),
            entry.mode.clone(),
            entry.user.clone(),
            used(entry),
            age,
            held_by(entry),
            entry.state.name().to_owned(),
        ];
        if has_paths {
            row.push(entry.path().unwrap_or_else(|| "-".to_owned()));
        }
        table.push(row);
    }
    table.print()
}

/// How full a channel is, the number of messages written to a topic, or the value of a semaphore.
fn used(entry: &Entry) -> String {
    match (&entry.channel, &entry.topic, &entry.semaphore) {
        (Some(channel), ..) => format!("{}%", percent(channel)),
        (_, Some(topic), _) => topic.written.to_string(),
        (.., Some(semaphore)) => semaphore
            .value
            .map_or("-".to_owned(), |value| value.to_string()),
        _ => "-".to_owned(),
    }
}

/// Rounded up, so that 0 means empty.
pub fn percent(channel: &Channel) -> u64 {
    let part = u128::from(channel.used) * 100;
    part.div_ceil(u128::from(channel.capacity.max(1))) as u64
}

fn held_by(entry: &Entry) -> String {
    let pids = |role: Role, is_held: bool| {
        let pids = entry.holders.iter().filter(|holder| holder.role == role);
        let pids: Vec<_> = pids.map(|holder| holder.pid.to_string()).collect();
        match (pids.is_empty(), is_held) {
            (false, _) => pids.join("+"),
            (true, true) => "?".to_owned(),
            (true, false) => "-".to_owned(),
        }
    };
    if let Some(channel) = &entry.channel {
        let sender = pids(Role::Sender, channel.sender.held);
        return format!(
            "sender:{sender},receiver:{}",
            pids(Role::Receiver, channel.receiver.held)
        );
    }
    if let Some(topic) = &entry.topic {
        let writer = pids(Role::Writer, topic.writer.held);
        let reader = pids(Role::Reader, topic.readers.unwrap_or(0) > 0);
        return format!("writer:{writer},reader:{reader}");
    }
    match (&entry.semaphore, &entry.sysv) {
        (Some(semaphore), Some(_)) => format!(
            "waiting:{}",
            semaphore
                .waiters
                .map_or("?".to_owned(), |it| it.to_string())
        ),
        (_, Some(sysv)) => format!("attached:{}", sysv.attached.unwrap_or(0)),
        _ => {
            let pids: Vec<_> = entry
                .holders
                .iter()
                .map(|holder: &Holder| holder.pid.to_string())
                .collect();
            match pids.is_empty() {
                true => "-".to_owned(),
                false => pids.join("+"),
            }
        }
    }
}

impl Entry {
    /// The path of `--path` that has this key.
    pub fn path(&self) -> Option<String> {
        let sysv = self.sysv.as_ref()?;
        let (path, id) = (sysv.path.as_ref()?, sysv.project_id?);
        Some(format!("{path}#0x{id:x}"))
    }

    fn is_unreadable(&self) -> bool {
        self.identity.is_some()
            && self.creator.is_none()
            && self.state == crate::entry::State::Foreign
    }

    /// Whether a process holds an end of it that this look has not found.
    fn has_unseen_holder(&self) -> bool {
        let found = |role| self.holders.iter().any(|holder| holder.role == role);
        let of_channel = self.channel.as_ref().is_some_and(|channel| {
            (channel.sender.held && !found(Role::Sender))
                || (channel.receiver.held && !found(Role::Receiver))
        });
        let of_topic = self.topic.as_ref().is_some_and(|topic| {
            (topic.writer.held && !found(Role::Writer))
                || (topic.readers.unwrap_or(0) > 0 && !found(Role::Reader))
        });
        of_channel || of_topic
    }
}
