//! Why a command fails.

use std::io;

use shmcomm::Error;
use shmcomm::name::NameError;

/// Why a command fails.
pub enum Failure {
    /// One line for stderr.
    Message(String),
    /// No process reads the output any more.
    ClosedOutput,
}

impl Failure {
    /// A message about an object.
    pub fn of(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::Message(format!("{name}: {reason}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedOutput,
            _ => Self::Message(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

impl From<NameError<'_>> for Failure {
    fn from(error: NameError<'_>) -> Self {
        Self::Message(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Message(error.to_string())
    }
}
