//! `shmcomm info`: everything about one object.

use std::io::{self, Write};
use std::process::ExitCode;
use std::slice;

use serde::Serialize;

use crate::arguments::Info;
use crate::entry::{End, Entry, Role};
use crate::failure::Failure;
use crate::ls::{percent, warn};
use crate::processes::find_holders;
use crate::scene::Scene;
use crate::table::print_json;
use crate::{list, system, text};

/// The whole output for programs: two objects if a key is that of a segment and of a set of semaphores.
#[derive(Serialize)]
struct Objects<'a> {
    objects: &'a [Entry],
}

pub fn run(arguments: &Info) -> Result<ExitCode, Failure> {
    let mut scene = Scene::new(&[], true)?;
    let (mut entries, absent) = list::named(slice::from_ref(&arguments.name), &mut scene)?;
    let unseen = find_holders(&mut entries, true);
    match arguments.output.json {
        true => print_json(&Objects { objects: &entries })?,
        false => entries.iter().try_for_each(print)?,
    }
    absent.iter().for_each(|message| warn(message));
    if let Some(warning) = unseen.warning().filter(|_| !entries.is_empty()) {
        warn(&warning);
    }
    Ok(ExitCode::from(u8::from(entries.is_empty())))
}

fn print(entry: &Entry) -> Result<(), Failure> {
    let mut lines: Vec<(&str, String)> = vec![
        ("name", entry.name.clone()),
        ("kind", entry.kind.name().to_owned()),
        ("state", format!("{}: {}", entry.state.name(), entry.reason)),
    ];
    if let Some(bytes) = entry.size {
        lines.push(("size", format!("{bytes} ({})", text::size(bytes))));
    }
    lines.push(("mode", entry.mode.clone()));
    lines.push((
        "owner",
        format!("{} (uid {}, gid {})", entry.user, entry.uid, entry.gid),
    ));
    let age = text::age(system::now().saturating_sub(entry.changed));
    lines.push((
        "changed",
        format!("{age} ago (created, or owner or mode changed)"),
    ));
    if let Some(creator) = &entry.creator {
        let alive = match creator.alive {
            Some(true) => "runs",
            Some(false) => "has exited",
            None => "cannot be looked up here",
        };
        lines.push(("creator", format!("{} {alive}", creator.pid)));
    }
    sysv(entry, &mut lines);
    channel(entry, &mut lines);
    topic(entry, &mut lines);
    if let Some(semaphore) = &entry.semaphore {
        let known = |number: Option<u32>| number.map_or("unknown".to_owned(), |it| it.to_string());
        lines.push((
            "counts",
            semaphore
                .counts
                .unwrap_or("unknown: of another program")
                .to_owned(),
        ));
        lines.push(("value", known(semaphore.value)));
        if let Some(set) = semaphore.set {
            lines.push(("waiters", known(semaphore.waiters)));
            lines.push(("set", text::count(set, "semaphore")));
        }
    }
    for holder in &entry.holders {
        lines.push((holder.role.name(), holder.pid.to_string()));
    }
    let mut out = io::stdout().lock();
    for (key, value) in lines {
        writeln!(out, "{:<16}{value}", format!("{key}:"))?;
    }
    Ok(out.flush()?)
}

fn sysv(entry: &Entry, lines: &mut Vec<(&str, String)>) {
    let Some(sysv) = &entry.sysv else {
        return;
    };
    lines.push(("id", sysv.id.to_string()));
    lines.push(("key", sysv.key.clone().unwrap_or_else(|| "none".to_owned())));
    if let Some(attached) = sysv.attached {
        lines.push(("attached", text::count(attached, "time")));
    }
    if let Some(pid) = sysv.last_pid {
        lines.push(("last process", pid.to_string()));
    }
    if sysv.locked {
        lines.push(("locked", "never swapped".to_owned()));
    }
}

fn channel(entry: &Entry, lines: &mut Vec<(&str, String)>) {
    let Some(channel) = &entry.channel else {
        return;
    };
    let capacity = text::size(channel.capacity);
    lines.push(("capacity", format!("{} ({capacity})", channel.capacity)));
    lines.push(("used", format!("{} ({}%)", channel.used, percent(channel))));
    lines.push(("messages", channel.messages.to_string()));
    lines.push((
        "sent",
        format!("{} ({} bytes)", channel.sent, channel.sent_bytes),
    ));
    lines.push((
        "received",
        format!("{} ({} bytes)", channel.received, channel.received_bytes),
    ));
    for (side, end, role) in [
        ("sending end", &channel.sender, Role::Sender),
        ("receiving end", &channel.receiver, Role::Receiver),
    ] {
        lines.push((side, describe(end, entry, role)));
    }
    if channel.always_fenced {
        lines.push(("fence", FENCE.to_owned()));
    }
}

const FENCE: &str = "after every message: a process cannot use membarrier(2)";

fn topic(entry: &Entry, lines: &mut Vec<(&str, String)>) {
    let Some(topic) = &entry.topic else {
        return;
    };
    let longest = text::size(topic.max_message);
    lines.push(("max message", format!("{} ({longest})", topic.max_message)));
    lines.push(("depth", text::count(topic.depth, "message")));
    lines.push(("written", text::count(topic.written, "message")));
    let held = if topic.writer.held { "held" } else { "free" };
    let unseen = unseen(entry, topic.writer.held, Role::Writer);
    let opens = text::count(topic.writer.opens.into(), "open");
    let last = topic.writer.last_pid;
    lines.push((
        "writing end",
        format!("{held}{unseen}; {opens}, last by {last}"),
    ));
    let readers = match topic.readers {
        Some(readers) => text::count(readers, "handle"),
        None => "unknown".to_owned(),
    };
    let sleeps = if topic.sleeps { ", asleep" } else { "" };
    let word = topic.sleep_word;
    lines.push((
        "readers",
        format!("{readers}{sleeps}; sleep word {word:#x}"),
    ));
    if topic.always_fenced {
        lines.push(("fence", FENCE.to_owned()));
    }
}

/// What to add if no process is seen that has a role which one has.
fn unseen(entry: &Entry, is_held: bool, role: Role) -> &'static str {
    let is_seen = entry.holders.iter().any(|holder| holder.role == role);
    match is_held && !is_seen {
        true => ", by a process that cannot be seen from here",
        false => "",
    }
}

fn describe(end: &End, entry: &Entry, role: Role) -> String {
    let held = match (end.held, end.sharers) {
        (false, _) => "free".to_owned(),
        (true, 0) => "held".to_owned(),
        (true, sharers) => format!("held by {}", text::count(sharers.into(), "handle")),
    };
    let unseen = unseen(entry, end.held, role);
    let sleeps = if end.sleeps { ", asleep" } else { "" };
    let opens = text::count(end.opens.into(), "open");
    format!(
        "{held}{unseen}{sleeps}; {opens}, last by {}; sleep word {:#x}, lock word {:#x}",
        end.last_pid, end.sleep_word, end.lock_word
    )
}
