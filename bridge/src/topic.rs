//! A topic over a link: newest wins. The messages of the source arrive in order as long as the
//! connection keeps pace; else newer ones take the place of older ones. An older message never arrives
//! after a newer one, and the newest arrives, whatever was lost. Knows nothing of the network.
//!
//! Nothing is stored: a target does not remember whose messages it holds. Its bridge therefore begins,
//! once it holds the writer's end, with a question that has a nonce:
//!
//! | from | message | then |
//! |---|---|---|
//! | target | have: nonce, the newest message here; at first, and every 500 ms | state |
//! | source | state: that nonce, source, number of the last message sent | if the target lacks it, want |
//! | target | want | the newest value |
//! | source | value: source, number, bytes; when there is a new one, too | have without a nonce: an acknowledgement |
//!
//! The source that answers is the one whose values count, from that number on. It is alive after the
//! last bridge of the target has gone, and has read the newest message since its start, so the values
//! are not older than what that bridge wrote. Whatever else was under way then has a lower number or
//! another source. Each bridge of the source is a source of its own.

mod message;
mod source;
mod target;

#[cfg(test)]
mod simulation;

pub use message::{Backward, Forward};
pub use source::Source;
pub use target::Target;
