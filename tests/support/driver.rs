//! A program of the tests that makes the calls its arguments name, with names of its own of each kind.

use std::path::PathBuf;
use std::process::Command;

use super::{Link, ObjectName, Sandbox};

pub struct Driver {
    pub sandbox: Sandbox,
    pub object: ObjectName,
    pub program: PathBuf,
}

impl Driver {
    /// Builds it from a file of `tests/c`.
    pub fn build(source: &str, link: Link<'_>) -> Self {
        Self::build_in(Sandbox::new(), source, link)
    }

    pub fn build_in(sandbox: Sandbox, source: &str, link: Link<'_>) -> Self {
        let program = super::build(
            super::cc().arg("-O2").arg(super::source(source)),
            link,
            &sandbox.join("driver"),
        );
        Self {
            sandbox,
            object: ObjectName::new(),
            program,
        }
    }

    pub fn sysv(&self) -> String {
        format!("sysv:{}", self.sandbox.path().display())
    }

    pub fn posix(&self) -> String {
        self.object.name()
    }

    pub fn file(&self) -> String {
        format!("file:{}", self.sandbox.join("file").display())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.args(arguments);
        command
    }

    /// What it prints, having succeeded.
    pub fn run(&self, arguments: &[&str]) -> String {
        super::stdout(&super::run(&mut self.command(arguments)))
    }
}
