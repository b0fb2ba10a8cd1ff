//! What the two bridges of a link say to each other, as bytes.
//!
//! Every message starts with the version of this format and its kind. Numbers are 64 bits, little
//! endian. The bytes come from the network, so nothing in them is trusted: what cannot be read is
//! ignored, and the protocol recovers as after a loss.

/// The version of the format. A bridge ignores other versions.
const VERSION: u8 = 1;

// The kinds; those of topics follow.
const HELLO: u8 = 1;
const DATA: u8 = 2;
const WELCOME: u8 = 3;
const PROGRESS: u8 = 4;
const ASK: u8 = 5;

/// From the bridge that reads the source to the one that writes the target.
#[derive(PartialEq, Eq, Debug)]
pub enum Forward {
    /// Asks how far the target is.
    Hello {
        /// The identity of the source.
        source: u64,
        /// Comes back in the welcome.
        nonce: u64,
        /// Number of messages that were released at the source.
        released: u64,
    },
    /// Messages with consecutive numbers.
    Data(Batch),
}

/// From the bridge that writes the target to the one that reads the source. `accepted` is the number
/// of the last message of the source that is in the target, with all before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backward {
    /// The answer to [`Forward::Hello`].
    Welcome {
        /// The identity of the source that said hello.
        source: u64,
        /// That of the hello.
        nonce: u64,
        /// The identity of the target.
        target: u64,
        #[allow(missing_docs)]
        accepted: u64,
    },
    /// An acknowledgement.
    Progress {
        #[allow(missing_docs)]
        source: u64,
        #[allow(missing_docs)]
        target: u64,
        #[allow(missing_docs)]
        accepted: u64,
    },
    /// Messages are missing, or the target does not know this source: say hello.
    Ask {
        #[allow(missing_docs)]
        source: u64,
    },
}

/// A message of this kind and these numbers.
pub fn encoded(kind: u8, numbers: &[u64]) -> Vec<u8> {
    let mut bytes = vec![VERSION, kind];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

/// The numbers of a message of this kind, and the rest of it.
pub fn decoded<const N: usize>(bytes: &[u8], kind: u8) -> Option<([u64; N], &[u8])> {
    let mut rest = bytes.strip_prefix(&[VERSION, kind])?;
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (first, others) = rest.split_first_chunk()?;
        *number = u64::from_le_bytes(*first);
        rest = others;
    }
    Some((numbers, rest))
}

impl Forward {
    /// The bytes of a hello.
    pub fn hello(source: u64, nonce: u64, released: u64) -> Vec<u8> {
        encoded(HELLO, &[source, nonce, released])
    }

    /// The message in these bytes.
    pub fn decode(bytes: Vec<u8>) -> Option<Self> {
        if let Some(([source, nonce, released], [])) = decoded(&bytes, HELLO) {
            return Some(Self::Hello {
                source,
                nonce,
                released,
            });
        }
        let ([source, number], rest) = decoded(&bytes, DATA)?;
        let at = bytes.len().checked_sub(rest.len())?;
        Some(Self::Data(Batch {
            source,
            number,
            bytes,
            at,
        }))
    }
}

impl Backward {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Welcome {
                source,
                nonce,
                target,
                accepted,
            } => encoded(WELCOME, &[source, nonce, target, accepted]),
            Self::Progress {
                source,
                target,
                accepted,
            } => encoded(PROGRESS, &[source, target, accepted]),
            Self::Ask { source } => encoded(ASK, &[source]),
        }
    }

    /// The message in these bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if let Some(([source, nonce, target, accepted], [])) = decoded(bytes, WELCOME) {
            return Some(Self::Welcome {
                source,
                nonce,
                target,
                accepted,
            });
        }
        if let Some(([source, target, accepted], [])) = decoded(bytes, PROGRESS) {
            return Some(Self::Progress {
                source,
                target,
                accepted,
            });
        }
        match decoded(bytes, ASK)? {
            ([source], []) => Some(Self::Ask { source }),
            _ => None,
        }
    }
}

/// Messages with consecutive numbers, read from the front.
#[derive(PartialEq, Eq, Debug)]
pub struct Batch {
    /// The identity of the source.
    pub source: u64,
    /// The number of the first message that is left.
    pub number: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Batch {
    /// The first message that is left.
    pub fn first(&self) -> Option<&[u8]> {
        let (length, rest) = self.bytes.get(self.at..)?.split_first_chunk()?;
        rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)
    }

    /// Goes on to the next message.
    pub fn advance(&mut self) {
        if let Some(message) = self.first() {
            self.at += size_of::<u64>() + message.len();
            self.number = self.number.wrapping_add(1);
        }
    }
}

/// A batch in the making.
pub struct BatchWriter(Vec<u8>);

impl BatchWriter {
    /// An empty batch whose first message has this number.
    pub fn new(source: u64, number: u64) -> Self {
        Self(encoded(DATA, &[source, number]))
    }

    /// Appends a message of this length and returns its bytes, to be filled.
    pub fn append(&mut self, length: usize) -> &mut [u8] {
        self.0.extend((length as u64).to_le_bytes());
        let start = self.0.len();
        self.0.resize(start + length, 0);
        self.0.get_mut(start..).unwrap_or_default()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes of the batch.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let hello = Forward::decode(Forward::hello(1, 2, 3));
        let expected = Forward::Hello {
            source: 1,
            nonce: 2,
            released: 3,
        };
        assert_eq!(hello, Some(expected));
        for message in [
            Backward::Welcome {
                source: 1,
                nonce: 2,
                target: 3,
                accepted: u64::MAX,
            },
            Backward::Progress {
                source: 1,
                target: 2,
                accepted: 3,
            },
            Backward::Ask { source: 1 },
        ] {
            let bytes = message.encode();
            assert_eq!(Backward::decode(&bytes), Some(message));
            for length in 0..bytes.len() {
                assert_eq!(Backward::decode(&bytes[..length]), None);
            }
        }
    }

    #[test]
    fn a_batch_gives_its_messages_and_ends() {
        let mut writer = BatchWriter::new(7, 10);
        for message in [&b"one"[..], b"", b"three"] {
            writer.append(message.len()).copy_from_slice(message);
        }
        let whole = writer.finish();
        for length in 0..=whole.len() {
            let Some(Forward::Data(mut batch)) = Forward::decode(whole[..length].to_vec()) else {
                assert!(length < 18);
                continue;
            };
            let mut messages = Vec::new();
            while let Some(message) = batch.first() {
                messages.push(message.to_vec());
                batch.advance();
            }
            let expected = [&b"one"[..], b"", b"three"];
            assert_eq!(messages, expected[..messages.len()]);
            assert_eq!(
                (batch.source, batch.number),
                (7, 10 + messages.len() as u64)
            );
            assert!(length < whole.len() || messages.len() == 3);
        }
    }
}
