//! A test program that makes the calls that its arguments name, and a unique name of each kind.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use super::{Link, ObjectName, Sandbox};

pub struct Driver {
    pub sandbox: Sandbox,
    pub object: ObjectName,
    pub program: PathBuf,
}

impl Driver {
    /// Builds it from a file of `tests/c`.
    pub fn build(source: &str, link: Link<'_>) -> Self {
        Self {
            sandbox: Sandbox::new(),
            object: ObjectName::new(),
            program: super::program(source, &["-O2"], link),
        }
    }

    /// Builds it in a directory that other users can reach.
    pub fn build_for_all_users(source: &str) -> Self {
        let sandbox = Sandbox::for_all_users();
        let built = super::program(source, &["-O2"], Link::Static);
        let program = sandbox.join("driver");
        // Not with fs::copy: a child that another test forks meanwhile would hold it open for
        // writing.
        super::run(Command::new("cp").arg("-p").arg(built).arg(&program));
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

    /// The file of a `posix:` or `file:` name.
    pub fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix("file:") {
            Some(path) => path.into(),
            None => self.object.path().to_owned(),
        }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(&self.program);
        command.args(arguments);
        command
    }

    /// Same as [`super::in_namespaces`], with the driver as the program.
    pub fn in_namespaces(
        &self,
        namespaces: &[&str],
        script: &str,
        arguments: &[&OsStr],
    ) -> Option<Output> {
        super::in_namespaces(&self.sandbox, namespaces, script, &self.program, arguments)
    }

    /// Runs it, and asserts that it succeeds. Returns its output.
    pub fn run(&self, arguments: &[&str]) -> String {
        super::stdout(&super::run(&mut self.command(arguments)))
    }
}
