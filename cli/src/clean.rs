//! `shmcomm clean`: removes what is stale, by the code of `SHMC_RECLAIM`, and nothing else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use serde::Serialize;
use shmcomm::inspect::{self, Creator, Reclaimed};
use shmcomm::{Errno, Error, Name};

use crate::arguments::Clean;
use crate::entry::{Entry, State};
use crate::failure::Failure;
use crate::list;
use crate::scene::Scene;
use crate::table::{Table, print_json};
use crate::text::escaped;
use crate::verdict;

/// The whole output for programs.
#[derive(Serialize)]
struct Outcomes {
    objects: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    name: String,
    action: Action,
    reason: String,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Removed,
    WouldRemove,
    Kept,
    /// There is none of this name.
    Absent,
}

impl Outcome {
    fn new(name: &str, action: Action, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            action,
            reason: reason.into(),
        }
    }
}

pub fn run(arguments: &Clean) -> Result<ExitCode, Failure> {
    let objects = match arguments.names.is_empty() {
        true => all(arguments)?,
        false => named(arguments)?,
    };
    let is_kept = objects.iter().any(|object| object.action == Action::Kept);
    if arguments.output.json {
        print_json(&Outcomes { objects })?;
    } else if !objects.is_empty() {
        let mut table = Table::new(&["NAME", "ACTION", "REASON"]);
        for object in objects {
            let action = match object.action {
                Action::Removed => "removed",
                Action::WouldRemove => "would-remove",
                Action::Kept => "kept",
                Action::Absent => "absent",
            };
            table.push(vec![object.name, action.to_owned(), object.reason]);
        }
        table.print()?;
    }
    Ok(ExitCode::from(u8::from(is_kept)))
}

/// What this library created in /dev/shm. Objects that are in use, or belong to another user, are no concern of
/// this call; nor are those of other programs. System V does not say whose program created a segment.
fn all(arguments: &Clean) -> Result<Vec<Outcome>, Failure> {
    let mut scene = Scene::new(&[], true)?;
    let mut outcomes = Vec::new();
    for name in list::posix_names()? {
        let name = Name::Posix(&name);
        let Ok(entry) = list::object(name, &mut scene) else {
            continue;
        };
        let is_kept = matches!(entry.state, State::Used | State::Idle | State::Foreign);
        if is_kept || !entry.is_ours || entry.uid != scene.euid {
            continue;
        }
        outcomes.push(match arguments.yes {
            true => reclaim(name, &entry.name, arguments)?,
            false => foresee(&entry, arguments),
        });
    }
    let segments = list::segments(&mut scene)?;
    for entry in segments.iter().filter(|entry| entry.state == State::Stale) {
        let reason = format!("{}. Name it, if no program needs it", entry.reason);
        outcomes.push(Outcome::new(&entry.name, Action::Kept, reason));
    }
    Ok(outcomes)
}

fn named(arguments: &Clean) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::new();
    for text in &arguments.names {
        let name = Name::parse(text.as_bytes())?;
        let shown = escaped(text.as_bytes());
        outcomes.push(match arguments.yes {
            true => reclaim(name, &shown, arguments)?,
            false => look(text, &shown, arguments)?,
        });
    }
    Ok(outcomes)
}

fn absent(name: &str) -> Outcome {
    Outcome::new(name, Action::Absent, "there is none")
}

/// What [`reclaim`] would do, as far as a look can tell.
fn look(text: &OsString, shown: &str, arguments: &Clean) -> Result<Outcome, Failure> {
    let mut scene = Scene::new(&[], true)?;
    let (entries, _) = list::named(std::slice::from_ref(text), &mut scene)?;
    Ok(entries
        .first()
        .map_or_else(|| absent(shown), |entry| foresee(entry, arguments)))
}

fn foresee(entry: &Entry, arguments: &Clean) -> Outcome {
    let messages = verdict::messages(entry.channel.as_ref(), entry.topic.as_ref());
    let action = match entry.state {
        State::Stale if messages == 0 || arguments.messages => Action::WouldRemove,
        _ => Action::Kept,
    };
    let reason = match (entry.state, action) {
        (State::Stale, Action::Kept) => format!("{}: --messages removes it", entry.reason),
        _ => entry.reason.clone(),
    };
    Outcome::new(&entry.name, action, reason)
}

/// Removes what is stale.
fn reclaim(name: Name<'_>, shown: &str, arguments: &Clean) -> Result<Outcome, Failure> {
    let kept = |reason: &str| Outcome::new(shown, Action::Kept, reason);
    Ok(match inspect::reclaim(name, arguments.messages) {
        Ok(Reclaimed::Removed) => Outcome::new(
            shown,
            Action::Removed,
            "its creator has exited, and no process used it",
        ),
        Ok(Reclaimed::HoldsMessages) => kept("it holds messages: --messages removes it"),
        Ok(Reclaimed::Unreadable) => kept("it is damaged, or of another version"),
        Ok(Reclaimed::Kept(state)) => kept(why(state)),
        Err(error) if is_absent(name, error) => match inspect::semaphore_id(name) {
            Ok(_) => {
                kept("a semaphore is never stale: the kernel returns what a dead process took")
            }
            Err(_) => absent(shown),
        },
        Err(error) if error.errno() == Errno::ELOOP => kept("it is a symbolic link"),
        Err(error) => return Err(Failure::of(shown, error)),
    })
}

fn is_absent(name: Name<'_>, error: Error) -> bool {
    let is_id = matches!(name, Name::SysvId(_));
    matches!(error.errno(), Errno::ENOENT | Errno::EIDRM)
        || (is_id && error.errno() == Errno::EINVAL)
}

fn why(state: inspect::State) -> &'static str {
    match state {
        inspect::State::Absent => "there is none",
        inspect::State::Foreign => "it belongs to another user",
        inspect::State::Attached => "a process uses it",
        inspect::State::Unattached(Creator::Alive) => "its creator runs",
        inspect::State::Unattached(Creator::Dead) => "another process was about to use it",
        inspect::State::Unattached(Creator::Unknown) => "its creator is unknown",
        inspect::State::Unknown => "the system does not say whether a process uses it",
    }
}
