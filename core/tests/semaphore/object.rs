//! Names of semaphores in shared memory.

use std::path::PathBuf;
use std::{env, fs};

use shmcomm::semaphore::{Kind, New};
use shmcomm::{Name, Semaphore};

/// A name that no other test uses; its object is removed at first and in the end.
pub struct Object(String);

impl Object {
    pub fn new(kind: &str, what: &str) -> Self {
        let own = format!("shmcomm-test-{}-semaphore-{what}", std::process::id());
        let object = Self(match kind {
            "file" => format!("file:{}", env::temp_dir().join(own).display()),
            _ => format!("posix:/{own}"),
        });
        let _ = fs::remove_file(object.path());
        object
    }

    pub fn both(what: &str) -> [Self; 2] {
        ["posix", "file"].map(|kind| Self::new(kind, what))
    }

    pub fn name(&self) -> Name<'_> {
        Name::parse(self.0.as_bytes()).unwrap()
    }

    pub fn path(&self) -> PathBuf {
        match self.0.strip_prefix("file:") {
            Some(path) => path.into(),
            None => self.0.replacen("posix:", "/dev/shm", 1).into(),
        }
    }

    pub fn create(&self, value: i32) -> Semaphore {
        let new = New {
            exclusive: true,
            ..events(value)
        };
        Semaphore::create(self.name(), new).unwrap()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

pub fn events(value: i32) -> New {
    New {
        value,
        kind: Kind::Events,
        ..New::default()
    }
}
