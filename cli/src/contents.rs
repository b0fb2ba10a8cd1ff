//! What a look at a channel or a topic shows.

use shmcomm::channel::Side;
use shmcomm::channel::look::Look;
use shmcomm::{Errno, Error, topic};

use crate::entry::{Channel, End, Topic, Writer};

/// A channel. With `is_thorough`, EBADMSG if a message of it cannot be received.
pub fn channel(look: &Look<'_>, is_thorough: bool) -> Result<Channel, Error> {
    let end = |side| {
        let end = look.end(side)?;
        Ok::<_, Error>(End {
            held: end.is_held,
            sharers: end.sharers,
            sleeps: end.sleeps,
            sleep_word: end.sleep_word,
            lock_word: end.lock_word,
            opens: end.opens,
            last_pid: end.last_pid,
        })
    };
    let state = look.state()?;
    let counted = state.sent.saturating_sub(state.received);
    let messages = match is_thorough.then(|| look.follow_records()) {
        Some(Err(error)) if error.errno() == Errno::EBADMSG => return Err(error),
        Some(Ok(messages)) => messages,
        Some(Err(_)) | None => counted,
    };
    Ok(Channel {
        capacity: state.capacity,
        used: state.used,
        messages,
        sent: state.sent,
        received: state.received,
        sent_bytes: state.sent_bytes,
        received_bytes: state.received_bytes,
        sender: end(Side::Sender)?,
        receiver: end(Side::Receiver)?,
        always_fenced: look.is_always_fenced()?,
    })
}

/// A topic that this number of handles has open, the writer's and the readers'. With `is_thorough`, EBADMSG if
/// its newest message cannot be read.
pub fn topic(
    look: &topic::look::Look<'_>,
    handles: Option<u64>,
    is_thorough: bool,
) -> Result<Topic, Error> {
    let state = look.state()?;
    if is_thorough {
        look.check_newest()?;
    }
    Ok(Topic {
        max_message: state.max_message,
        depth: state.depth,
        written: state.written,
        writer: Writer {
            held: state.writer_alive,
            opens: state.writer_opens,
            last_pid: state.last_writer,
        },
        readers: handles.map(|handles| handles.saturating_sub(state.writer_alive.into())),
        sleeps: state.sleeps,
        sleep_word: state.sleep_word,
        always_fenced: state.is_always_fenced,
    })
}
