//! How a segment is opened: found or created, attached, and prepared.
//!
//! ```
//! use shmcomm::segment::{self, Options};
//! use shmcomm::{Errno, Name};
//!
//! let text = format!("posix:/shmcomm-example-{}", std::process::id());
//! let name = Name::parse(text.as_bytes()).unwrap();
//! let create = Options { create: true, exclusive: true, size: 100, ..Options::default() };
//! let segment = create.open(name)?;
//! assert_eq!(segment.size(), 100);
//! assert_eq!(create.open(name).err().map(|error| error.errno()), Some(Errno::EEXIST));
//!
//! drop(segment); // detaches, and removes nothing
//! let again = Options { read_only: true, ..Options::default() }.open(name)?;
//! assert_eq!(again.size(), 100);
//! segment::remove(name)?;
//! assert!(again.info()?.removed);
//! # Ok::<(), shmcomm::Error>(())
//! ```

use core::ffi::c_int;
use core::ptr::NonNull;

use super::{Kind, Memory, Segment};
use crate::error::{Call, Errno, Error};
use crate::info::HugePages;
use crate::key::Key;
use crate::name::Name;
use crate::object::{self, ObjectName, OpenMode, Opened, Unpublished};
use crate::stale;
use crate::sys::{self, Access, Advice, Descriptor, Path};
use crate::sysv;

/// How a segment is opened; by default an existing one, for reading and writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The size of a new segment in bytes, rounded up only to huge pages, and the least size of an existing
    /// one: EINVAL if that is smaller. 0 attaches an existing one of any size.
    pub size: usize,
    /// The permission bits of a new segment, exactly, whatever the umask; 0600 by default.
    pub mode: u32,
    /// Create the segment if there is none.
    pub create: bool,
    /// With `create`: EEXIST if there is one.
    pub exclusive: bool,
    /// For reading only: a write to the memory faults.
    pub read_only: bool,
    /// With `create`: replace a stale segment, one that no process uses and whose creator has exited.
    pub reclaim: bool,
    /// Make all pages present now, so that no first touch takes a fault later.
    pub prefault: bool,
    /// Use huge pages if there are any, else transparent ones, else normal ones.
    pub huge_pages: bool,
    /// Prevent the memory from being swapped, same as [`Segment::lock`].
    pub locked: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Same as the default.
    pub const fn new() -> Self {
        Self {
            size: 0,
            mode: 0o600,
            create: false,
            exclusive: false,
            read_only: false,
            reclaim: false,
            prefault: false,
            huge_pages: false,
            locked: false,
        }
    }
}

/// A name that other processes can create and remove at the same time.
enum Shared<'a> {
    Key(Key),
    Object(ObjectName<'a>),
}

impl Options {
    /// Opens the segment.
    #[inline(never)]
    pub fn open(&self, name: Name<'_>) -> Result<Segment, Error> {
        let only_with_create = self.exclusive || self.reclaim;
        if self.mode & !0o777 != 0
            || (only_with_create && !self.create)
            || isize::try_from(self.size).is_err()
        {
            return Err(Error::INVALID);
        }
        let mut path;
        let name = match name {
            Name::SysvKey(_) | Name::SysvPath(..) => Shared::Key(name.key()?),
            Name::Posix(_) | Name::File(_) => {
                path = Path::empty();
                Shared::Object(ObjectName::new(name, &mut path)?)
            }
            Name::SysvPrivate => return self.create_sysv(Key::PRIVATE),
            Name::SysvId(_) if self.create => return Err(Error::INVALID),
            Name::SysvId(id) => return self.attach(id, HugePages::None),
            Name::Anonymous => return self.create_anonymous(),
        };
        object::until_settled(|| match name {
            Shared::Key(key) => self.open_key(key),
            Shared::Object(name) => self.open_object(name),
        })
    }

    fn open_key(&self, key: Key) -> Result<Segment, Error> {
        let opened = self.open_key_once(key);
        opened.map_err(|error| match sysv::absent_if_gone(error) {
            error if self.create && error.errno == Errno::ENOENT => Error::RACED,
            error => error,
        })
    }

    /// Another process may remove the segment between any two calls in here.
    fn open_key_once(&self, key: Key) -> Result<Segment, Error> {
        if !self.create {
            return self.attach(sys::shmget(key.raw(), self.size, 0)?, HugePages::None);
        }
        match self.create_sysv(key) {
            Err(error) if error.errno == Errno::EEXIST => {}
            created => return created,
        }
        let id = sys::shmget(key.raw(), 0, 0)?;
        if self.reclaim && stale::remove_stale(id) {
            return Err(Error::RACED);
        }
        if self.exclusive {
            return Err(Call::Shmget.failed(Errno::EEXIST));
        }
        self.attach(id, HugePages::None)
    }

    /// Creates a System V segment. If the process dies in here, it leaves a segment of its full size, filled
    /// with zeros, that any process can use and that `reclaim` replaces.
    fn create_sysv(&self, key: Key) -> Result<Segment, Error> {
        let create = |pages| {
            let flags = libc::IPC_CREAT | libc::IPC_EXCL | pages | self.mode as c_int;
            sys::shmget(key.raw(), self.size, flags)
        };
        let huge = self.huge_pages.then(|| create(libc::SHM_HUGETLB));
        let (id, pages) = match huge {
            Some(Ok(id)) => (id, HugePages::Huge),
            _ => (create(0)?, HugePages::None),
        };
        let segment = self.attach(id, pages);
        // Another process that has opened it by its key meanwhile keeps it.
        let is_attached = || sysv::info(id).is_ok_and(|info| info.attached != Some(0));
        if segment.is_err() && (key == Key::PRIVATE || !is_attached()) {
            let _ = sys::shmctl_rmid(id);
        }
        segment
    }

    fn attach(&self, id: c_int, huge_pages: HugePages) -> Result<Segment, Error> {
        let flags = match self.read_only {
            true => libc::SHM_RDONLY,
            false => 0,
        };
        let address = sys::shmat(id, flags)?;
        let address = NonNull::new(address).ok_or(Call::Shmat.failed(Errno::ENOMEM))?;
        let mut segment = Segment {
            memory: Memory::Sysv(id),
            address,
            size: 0,
            read_only: self.read_only,
            locked: false,
            huge_pages,
        };
        segment.size = sysv::info(id)?.size;
        if self.size > segment.size {
            return Err(Error::INVALID);
        }
        self.prepare(segment)
    }

    fn open_object(&self, name: ObjectName<'_>) -> Result<Segment, Error> {
        let mode = OpenMode {
            access: self.access(),
            create: self.create,
            exclusive: self.exclusive,
            reclaim: self.reclaim,
            size: self.size,
            mode: self.mode,
        };
        let kind = match name.is_file {
            true => Kind::File,
            false => Kind::Posix,
        };
        let (file, size, link) = match object::open(name, mode)? {
            Opened::Found(_, size) if size == 0 || self.size > size => return Err(Error::INVALID),
            Opened::Found(file, size) => (file, size, None),
            Opened::Fresh(Unpublished { file, link }) => (file, self.size, Some(link)),
        };
        let segment = self.prepare(self.map(file, size, kind, HugePages::None)?)?;
        // The name comes last, when nothing else can fail.
        if let (Some(link), Memory::Object(file, _)) = (link, &segment.memory) {
            link.publish(file)?;
        }
        Ok(segment)
    }

    fn create_anonymous(&self) -> Result<Segment, Error> {
        if self.size == 0 {
            return Err(Error::INVALID);
        }
        let create = |pages: HugePages| {
            let huge = pages == HugePages::Huge;
            let (file, size) = object::create_anonymous(self.size, huge, self.mode)?;
            self.map(file, size, Kind::Anonymous, pages)
        };
        let huge = self.huge_pages.then(|| create(HugePages::Huge));
        self.prepare(match huge {
            Some(Ok(segment)) => segment,
            _ => create(HugePages::None)?,
        })
    }

    fn access(&self) -> Access {
        match self.read_only {
            true => Access::Read,
            false => Access::ReadWrite,
        }
    }

    fn map(
        &self,
        file: Descriptor,
        size: usize,
        kind: Kind,
        huge_pages: HugePages,
    ) -> Result<Segment, Error> {
        let address = sys::mmap(&file, size, self.access())?;
        Ok(Segment {
            memory: Memory::Object(file, kind),
            address,
            size,
            read_only: self.read_only,
            locked: false,
            huge_pages,
        })
    }

    /// Asks for huge pages, makes all pages present, then locks the memory: last, since a System V segment
    /// would stay locked if anything failed after that.
    fn prepare(&self, mut segment: Segment) -> Result<Segment, Error> {
        let Segment { address, size, .. } = segment;
        // The file system chooses the pages of a file.
        let is_file = matches!(segment.memory, Memory::Object(_, Kind::File));
        let huge = segment.huge_pages == HugePages::Huge;
        if self.huge_pages && !huge && !is_file && sys::has_transparent_huge_pages() {
            // SAFETY: mapped, of this size.
            if unsafe { sys::madvise(address, size, Advice::HugePage) }.is_ok() {
                segment.huge_pages = HugePages::Transparent;
            }
        }
        if self.prefault {
            let advice = match self.read_only {
                true => Advice::PopulateRead,
                false => Advice::PopulateWrite,
            };
            // SAFETY: mapped, of this size.
            match unsafe { sys::madvise(address, size, advice) } {
                // Linux before 5.14 cannot: the first touch makes a page present.
                Err(error) if error.errno == Errno::EINVAL => {}
                advised => advised?,
            }
        }
        if self.locked {
            segment.lock()?;
        }
        Ok(segment)
    }
}
