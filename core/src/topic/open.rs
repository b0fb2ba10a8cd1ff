//! Opens a topic for its writer or a reader, and creates the topic if there is none.

use core::sync::atomic::Ordering::Relaxed;

use super::memory::{Layout, Memory};
use super::slots::{Reader, Words, Writer};
use super::wait::Waker;
use super::{Role, Topic, blocked};
use crate::channel::Side;
use crate::channel::endpoint::Endpoint;
use crate::error::{Call, Errno, Error};
use crate::fork::{self, Registered};
use crate::name::Name;
use crate::object::{self, ObjectName, OpenMode, Opened, TemporaryLink, Unpublished};
use crate::sys::{self, Access, Path};

/// How a topic is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The sender writes, a receiver reads.
    pub side: Side,
    /// The longest message, in bytes. 0: that of an existing topic.
    pub max_message: usize,
    /// The number of messages to keep, rounded up to a power of two of at least 4.
    pub depth: usize,
    /// The permission bits of a new topic.
    pub mode: u32,
    /// Create the topic if there is none.
    pub create: bool,
    /// With `create`: fail if there is one.
    pub exclusive: bool,
    /// A reader starts at the oldest message that is whole, not at the newest.
    pub history: bool,
    /// A signal handler that runs in the waiting thread ends a wait with EINTR.
    pub interruptible: bool,
}

/// What is open before the end is claimed. A new topic has a link to publish.
struct OpenFile<'a> {
    file: Registered,
    memory: Memory,
    link: Option<TemporaryLink<'a>>,
}

impl Options {
    /// An existing topic; a new one has the mode 0600.
    pub const fn new(side: Side) -> Self {
        Self {
            side,
            max_message: 0,
            depth: 0,
            mode: 0o600,
            create: false,
            exclusive: false,
            history: false,
            interruptible: false,
        }
    }

    /// Opens a topic: `posix:` and `file:` names.
    #[inline(never)]
    pub fn open(&self, name: Name<'_>) -> Result<Topic, Error> {
        let mut path = Path::empty();
        let name = ObjectName::new(name, &mut path)?;
        if self.mode & !0o777 != 0 || (self.exclusive && !self.create) {
            return Err(Error::INVALID);
        }
        object::until_settled(|| self.open_once(name))
    }

    fn open_once(&self, name: ObjectName<'_>) -> Result<Topic, Error> {
        let opened = fork::undisturbed(|| self.open_file(name))?;
        let topic = self.claim(opened.file, opened.memory)?;
        // The name comes last, when nothing else can fail.
        if let Some(link) = opened.link {
            link.publish(topic.endpoint.file())?;
        }
        Ok(topic)
    }

    /// Opens and maps the file. A reader without write permission maps the header for reading only.
    fn open_file<'a>(&self, name: ObjectName<'a>) -> Result<OpenFile<'a>, Error> {
        match self.open_file_for(name, Access::ReadWrite) {
            Err(error)
                if self.side == Side::Receiver
                    && error.call == Call::Open
                    && matches!(error.errno, Errno::EACCES | Errno::EROFS) =>
            {
                self.open_file_for(name, Access::Read)
            }
            opened => opened,
        }
    }

    fn open_file_for<'a>(
        &self,
        name: ObjectName<'a>,
        access: Access,
    ) -> Result<OpenFile<'a>, Error> {
        let new = Layout::new(self.max_message, self.depth, sys::page_size());
        let mode = OpenMode {
            access,
            create: self.create,
            exclusive: self.exclusive,
            reclaim: false,
            size: new.map_or(0, Layout::file_size),
            mode: self.mode,
        };
        let slots = match self.side {
            Side::Sender => Access::ReadWrite,
            Side::Receiver => Access::Read,
        };
        let (file, size, layout, link) = match object::open(name, mode)? {
            Opened::Found(file, size) => (file, size, None, None),
            Opened::Fresh(Unpublished { file, link }) => (file, mode.size, Some(new?), Some(link)),
        };
        let file = Registered::new(file)?;
        let memory = Memory::map(file.file(), size, layout, access, slots)?;
        let view = memory.view();
        if self.max_message > view.max_message() || self.depth as u64 > view.depth() {
            return Err(Error::INVALID);
        }
        Ok(OpenFile { file, memory, link })
    }

    /// Claims the writer's end and continues where its last holder left off, or starts a reader.
    fn claim(&self, file: Registered, memory: Memory) -> Result<Topic, Error> {
        let view = memory.view();
        let writer_opens = view.writer_opens();
        let (endpoint, role) = match self.side {
            Side::Sender => {
                let last_writer = view.last_writer();
                let endpoint = Endpoint::claim(file, self.side, false, last_writer, writer_opens)?;
                let mode = sys::fstat(endpoint.file())?.st_mode;
                let waker = Waker::new(view, mode);
                let writer = Writer::resume(&view).map_err(blocked)?;
                writer_opens.fetch_add(1, Relaxed);
                (endpoint, Role::Writer(writer, waker))
            }
            Side::Receiver => {
                let reader = Reader::start(&view, self.history);
                let endpoint = Endpoint::unlocked(file, self.side, writer_opens);
                (endpoint, Role::Reader(reader))
            }
        };
        Ok(Topic {
            memory,
            role,
            endpoint,
            watch: None,
            interruptible: self.interruptible,
        })
    }
}
