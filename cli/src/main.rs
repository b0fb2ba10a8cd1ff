//! `shmcomm`: shows shared memory between processes, removes what is stale, sends and receives messages.
//!
//! A command looks through [`shmcomm::inspect`], so no process that uses an object notices.

mod arguments;
mod check;
mod clean;
mod contents;
mod entry;
mod failure;
mod info;
mod limits;
mod list;
mod locks;
mod ls;
mod messages;
mod processes;
mod scene;
mod system;
mod table;
mod text;
mod verdict;
mod watch;
mod who;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ls(arguments) => ls::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Who(arguments) => who::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Clean(arguments) => clean::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Send(arguments) => messages::send(&arguments),
        Command::Recv(arguments) => messages::receive(&arguments),
    };
    match result {
        Ok(code) => code,
        // The reader of the output has seen enough: `shmcomm ls | head`.
        Err(Failure::ClosedOutput) => ExitCode::SUCCESS,
        Err(Failure::Message(message)) => {
            let _ = writeln!(std::io::stderr(), "shmcomm: {message}");
            ExitCode::from(2)
        }
    }
}
