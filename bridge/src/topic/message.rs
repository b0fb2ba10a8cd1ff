//! What the bridges of a topic say to each other, in the format of [`crate::message`].

use crate::message::{decoded, encoded};

const STATE: u8 = 6;
const VALUE: u8 = 7;
const HAVE: u8 = 8;
const WANT: u8 = 9;

/// From the bridge that reads the source to those that write targets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forward<'a> {
    /// The answer to [`Backward::Have`].
    State {
        /// That of the question.
        nonce: u64,
        /// A random number of the bridge that reads the source.
        source: u64,
        /// The number of the last message that was sent, 0 before the first.
        number: u64,
        /// The source's longest message.
        max_message: u64,
        /// The number of messages that the source keeps.
        depth: u64,
    },
    /// A message.
    Value {
        #[allow(missing_docs)]
        source: u64,
        /// The number of the message at the source, counted from 1.
        number: u64,
        /// Its bytes.
        message: &'a [u8],
    },
}

/// From a bridge that writes a target to the one that reads the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backward {
    /// The newest message of the target.
    Have {
        /// Comes back in the answer; 0: none is needed.
        nonce: u64,
        /// Whose message it is, 0 if nobody's.
        source: u64,
        /// The number of the message at the source.
        number: u64,
    },
    /// Send the newest message.
    Want,
}

impl<'a> Forward<'a> {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::State {
                nonce,
                source,
                number,
                max_message,
                depth,
            } => encoded(STATE, &[nonce, source, number, max_message, depth]),
            Self::Value {
                source,
                number,
                message,
            } => {
                let mut bytes = encoded(VALUE, &[source, number]);
                bytes.extend(message);
                bytes
            }
        }
    }

    /// The message in these bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        if let Some(([source, number], message)) = decoded(bytes, VALUE) {
            return Some(Self::Value {
                source,
                number,
                message,
            });
        }
        match decoded(bytes, STATE)? {
            ([nonce, source, number, max_message, depth], []) => Some(Self::State {
                nonce,
                source,
                number,
                max_message,
                depth,
            }),
            _ => None,
        }
    }
}

impl Backward {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Have {
                nonce,
                source,
                number,
            } => encoded(HAVE, &[nonce, source, number]),
            Self::Want => encoded(WANT, &[]),
        }
    }

    /// The message in these bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if let Some(([nonce, source, number], [])) = decoded(bytes, HAVE) {
            return Some(Self::Have {
                nonce,
                source,
                number,
            });
        }
        match decoded(bytes, WANT)? {
            ([], []) => Some(Self::Want),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let state = Forward::State {
            nonce: 1,
            source: 2,
            number: 3,
            max_message: 4,
            depth: 5,
        };
        let value = |message| Forward::Value {
            source: 1,
            number: 2,
            message,
        };
        for (message, least) in [(state, 42), (value(b""), 18), (value(b"message"), 18)] {
            let bytes = message.encode();
            assert_eq!(Forward::decode(&bytes), Some(message));
            for length in 0..least {
                assert_eq!(Forward::decode(&bytes[..length]), None);
            }
        }
        let have = Backward::Have {
            nonce: 1,
            source: 2,
            number: 3,
        };
        for report in [have, Backward::Want] {
            let bytes = report.encode();
            assert_eq!(Backward::decode(&bytes), Some(report));
            for length in 0..bytes.len() {
                assert_eq!(Backward::decode(&bytes[..length]), None);
            }
        }
    }
}
