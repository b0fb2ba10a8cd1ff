//! `shmcomm send` and `shmcomm recv`: messages between shells.
//!
//! `recv` frees a message after it has printed it: a message that it is killed at is received again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use shmcomm::channel::Options;
use shmcomm::{Channel, Errno, Error, Name, Side};

use crate::arguments::{End, Recv, Send};
use crate::failure::Failure;
use crate::ls::warn;
use crate::text::escaped;

/// The peer has gone.
const GONE: u8 = 1;
/// The timeout has passed.
const TIMEOUT: u8 = 3;

/// An end, and how long its calls wait.
struct Opened {
    channel: Channel,
    name: String,
    timeout_ms: i32,
}

fn open(end: &End, side: Side) -> Result<Opened, Failure> {
    let name = Name::parse(end.name.as_bytes())?;
    let shown = escaped(end.name.as_bytes());
    let options = Options {
        create: end.create,
        capacity: if end.create { end.capacity } else { 0 },
        mode: end.mode,
        shared: end.shared,
        ..Options::new(side)
    };
    let channel = options.open(name).map_err(|error| {
        let reason = match error.errno() {
            Errno::ENOENT => "there is none: --create creates it".to_owned(),
            Errno::EBUSY => "another process has this end".to_owned(),
            Errno::EBADMSG => "it is no channel of this version".to_owned(),
            _ => error.to_string(),
        };
        Failure::of(&shown, reason)
    })?;
    Ok(Opened {
        channel,
        name: shown,
        timeout_ms: end
            .timeout
            .map_or(-1, |seconds| (seconds * 1000.0).ceil() as i32),
    })
}

impl Opened {
    /// The exit status for an error of a call: an expected one has a status of its own.
    fn ended(&self, error: Error, peer: &str) -> Result<ExitCode, Failure> {
        let (status, reason) = match error.errno() {
            Errno::EPIPE => (GONE, format!("the {peer} has gone")),
            Errno::EIDRM => (GONE, "the name was removed".to_owned()),
            Errno::EAGAIN | Errno::ETIMEDOUT => (TIMEOUT, "the timeout has passed".to_owned()),
            Errno::EMSGSIZE => {
                let longest = self.channel.max_message();
                let reason = format!(
                    "a message is longer than {longest} bytes, the longest of this channel"
                );
                return Err(Failure::of(&self.name, reason));
            }
            _ => return Err(Failure::of(&self.name, error)),
        };
        warn(&format!("{}: {reason}", self.name));
        Ok(ExitCode::from(status))
    }
}

pub fn send(arguments: &Send) -> Result<ExitCode, Failure> {
    let mut opened = open(&arguments.end, Side::Sender)?;
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Blocks go around the buffer.
    let size = if arguments.block.is_some() {
        1
    } else {
        1 << 17
    };
    let mut input = BufReader::with_capacity(size, input);
    let mut message = Vec::new();
    while read_message(&mut input, arguments, &mut message)? {
        if let Err(error) = opened.channel.send(&message, opened.timeout_ms) {
            return opened.ended(error, "receiver");
        }
        if arguments.whole {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the next message; false at the end of the input.
fn read_message(
    input: &mut impl BufRead,
    arguments: &Send,
    message: &mut Vec<u8>,
) -> io::Result<bool> {
    if arguments.whole {
        return input.read_to_end(message).map(|_| true);
    }
    if let Some(size) = arguments.block {
        message.resize(size, 0);
        let length = fill(input, message)?;
        message.truncate(length);
        return Ok(length > 0);
    }
    message.clear();
    let length = input.read_until(b'\n', message)?;
    if message.ends_with(b"\n") {
        message.pop();
    }
    Ok(length > 0)
}

/// Reads until the buffer is full or the input ends. Returns the number of bytes.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

pub fn receive(arguments: &Recv) -> Result<ExitCode, Failure> {
    let mut opened = open(&arguments.end, Side::Receiver)?;
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let end: &[u8] = if arguments.raw { b"" } else { b"\n" };
    let mut message = Vec::new();
    for _ in 0..arguments.count.unwrap_or(u64::MAX) {
        let (bytes, length) = match opened.channel.peek(opened.timeout_ms) {
            // All that was sent has been received by then: the end of the input.
            Err(error) if error.errno() == Errno::EPIPE && arguments.count.is_none() => break,
            Err(error) => return opened.ended(error, "sender"),
            Ok(peeked) => peeked,
        };
        message.clear();
        message.reserve(length);
        // SAFETY: the channel has mapped this length, and so much is reserved. A copy, since the sender can
        // still change the bytes.
        unsafe {
            bytes
                .as_ptr()
                .copy_to_nonoverlapping(message.as_mut_ptr(), length);
            message.set_len(length);
        }
        write_all(&mut output, &message, end)?;
        opened.channel.release()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes both parts, with one call if possible.
fn write_all(output: &mut File, message: &[u8], end: &[u8]) -> io::Result<()> {
    let written = loop {
        match output.write_vectored(&[IoSlice::new(message), IoSlice::new(end)]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => break written?,
        }
    };
    let (first, second) = (
        written.min(message.len()),
        written.saturating_sub(message.len()),
    );
    output.write_all(&message[first..])?;
    output.write_all(&end[second..])
}
