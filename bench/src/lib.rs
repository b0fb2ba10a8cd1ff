//! What the benchmarks of shmcomm share. Each of them is a program of its own in `src/bin`, builds
//! all that it measures, and prints one table.

pub mod callgrind;
pub mod compile;
pub mod machine;
pub mod rounds;
pub mod scratch;
pub mod table;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, error, result};

/// Why a benchmark cannot go on.
pub type Error = Box<dyn error::Error>;
/// With any [`Error`].
pub type Result<T> = result::Result<T, Error>;

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into())
}

/// Whether a program can be found.
pub fn has(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

/// A C program, and the directory of the shared library that it runs with.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// The program itself.
    pub path: &'a Path,
    /// Where its library is, if it needs one.
    pub library: Option<&'a Path>,
}

impl Program<'_> {
    /// Runs the program.
    pub fn command(&self) -> Command {
        self.environment(self.path)
    }

    /// Runs a tool that runs the program; the arguments of the tool and the program are to follow.
    pub fn command_under(&self, tool: &str) -> Command {
        self.environment(tool)
    }

    /// The loader's work depends on the environment, so nothing else is in it.
    fn environment(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        if let Some(library) = self.library {
            command.env("LD_LIBRARY_PATH", library);
        }
        command
    }
}
