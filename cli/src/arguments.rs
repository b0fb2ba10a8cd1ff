//! The arguments of the command line. The manual page and the completions are generated from them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub const EXIT_STATUS: &str = "\
Exit status:
  0  done; ls, info, who: something was found; check: all is well; clean: nothing was kept
  1  ls, info, who: nothing was found; check: something is stale, damaged, or nearly full;
     clean: something was kept; watch: the name was removed; send, recv: the peer has gone
  2  wrong arguments, or a failure
  3  send, recv: the timeout has passed";

/// Shows shared memory between processes, removes what is stale, sends and receives messages
///
/// A NAME is posix:/NAME, file:PATH, sysv:PATH, sysv:PATH#ID, sysv:0xKEY or sysv:id:N, as in shmcomm(7).
/// ls, info, who, check and watch change nothing and are noticed by no process.
#[derive(Parser)]
#[command(name = "shmcomm", version, after_help = EXIT_STATUS, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Lists segments, channels, topics and semaphores
    Ls(Ls),
    /// Shows everything about one object
    Info(Info),
    /// Lists the processes that use an object
    Who(Who),
    /// Says what is in use, stale or damaged, and which limits of the system are near
    Check(Check),
    /// Removes what is stale: unused, and its creator has exited
    Clean(Clean),
    /// Shows the rates of a channel or a topic, once a second
    Watch(Watch),
    /// Sends the lines of the standard input
    Send(Send),
    /// Prints the messages of a channel
    Recv(Recv),
}

/// Output for programs.
#[derive(Args, Clone, Copy)]
pub struct Output {
    /// Print JSON, with the keys of docs/tool.md
    #[arg(long)]
    pub json: bool,
}

/// The kind of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A channel of messages
    Channel,
    /// A topic of one writer and its readers
    Topic,
    /// A segment, whose bytes belong to its programs
    Segment,
    /// A set of System V semaphores
    Semaphore,
    /// A POSIX object that another library created, or that cannot be read
    Object,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Topic => "topic",
            Self::Segment => "segment",
            Self::Semaphore => "semaphore",
            Self::Object => "object",
        }
    }
}

#[derive(Args)]
pub struct Ls {
    /// Only these; otherwise all System V segments, and what this library created in /dev/shm or as a semaphore
    #[arg(value_name = "NAME")]
    pub names: Vec<OsString>,
    /// Objects and semaphores of other libraries, too
    #[arg(short, long)]
    pub all: bool,
    /// Only this kind
    #[arg(short, long, value_name = "KIND")]
    pub kind: Option<Kind>,
    /// Show which keys ftok(3) computes from this path
    #[arg(short, long, value_name = "PATH")]
    pub path: Vec<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub struct Info {
    /// The object
    pub name: OsString,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub struct Who {
    /// The object
    pub name: OsString,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub struct Check {
    /// Only these, without the limits of the system
    #[arg(value_name = "NAME")]
    pub names: Vec<OsString>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub struct Clean {
    /// Only these; otherwise what this library created in /dev/shm. A System V segment must be named, since
    /// System V does not say whose program created it
    #[arg(value_name = "NAME")]
    pub names: Vec<OsString>,
    /// Remove; otherwise say what would be removed
    #[arg(short, long)]
    pub yes: bool,
    /// Channels and topics that still hold messages, too
    #[arg(long)]
    pub messages: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub struct Watch {
    /// The channel or the topic
    pub name: OsString,
    /// Seconds between two lines
    #[arg(short = 'n', long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub interval: f64,
    /// End after this number of lines
    #[arg(short, long, value_name = "N")]
    pub count: Option<u64>,
    /// Print JSON, one object a line, with the keys of docs/tool.md
    #[arg(long)]
    pub json: bool,
}

/// How an end of a channel is opened.
#[derive(Args)]
pub struct End {
    /// The channel
    pub name: OsString,
    /// Create the channel if there is none
    #[arg(short, long)]
    pub create: bool,
    /// Bytes that a new channel holds, such as 64K or 8M
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size, requires = "create")]
    pub capacity: usize,
    /// Permission bits of a new channel
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = mode, requires = "create")]
    pub mode: u32,
    /// Share the end with other processes that share it
    #[arg(short, long)]
    pub shared: bool,
    /// Wait for at most this time; 0 does not wait
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<f64>,
}

#[derive(Args)]
pub struct Send {
    #[command(flatten)]
    pub end: End,
    /// Send the whole input as one message
    #[arg(short, long, conflicts_with = "block")]
    pub whole: bool,
    /// Send the input in messages of this size, such as 64K
    #[arg(short, long, value_name = "SIZE", value_parser = size)]
    pub block: Option<usize>,
}

#[derive(Args)]
pub struct Recv {
    #[command(flatten)]
    pub end: End,
    /// End after this number of messages
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
    /// Print the messages as they are, without a newline after each
    #[arg(short, long)]
    pub raw: bool,
}

/// Seconds, with a fraction.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=2e6).contains(&seconds) => Ok(seconds),
        _ => Err("not a number of seconds from 0 to 2000000".to_owned()),
    }
}

/// A number of bytes, with K, M or G for multiples of 1024.
fn size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let bytes = digits.parse::<usize>().ok();
    bytes
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "not a number of bytes, such as 4096, 64K or 8M".to_owned())
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not an octal mode up to 777".to_owned()),
    }
}
