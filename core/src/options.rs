//! How a segment is opened: made or found, attached, and prepared.
//!
//! ```
//! use shmcomm::options::Options;
//! use shmcomm::{Errno, Name, segment};
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

use crate::error::{Call, Errno, Error};
use crate::info::HugePages;
use crate::key::Key;
use crate::name::Name;
use crate::object::{self, Creation, Place, Unnamed};
use crate::segment::{Kind, Memory, Segment};
use crate::stale;
use crate::sys::{self, Access, Advice, Descriptor};
use crate::sysv;

/// How often an open begins again when others make and remove the same name at the same time.
const TRIES: u32 = 100;

/// How a segment is opened; by default an existing one, to read and write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// At least so many bytes: the size of a new segment, rounded up only by huge pages. An existing
    /// one that is smaller is refused by EINVAL; 0 takes an existing one as it is.
    pub size: usize,
    /// The permission bits of a new segment, exactly, whatever the umask; 0600 by default.
    pub mode: u32,
    /// Make the segment if there is none.
    pub create: bool,
    /// With `create`: EEXIST if there is one.
    pub exclusive: bool,
    /// For reading only: a write to the memory faults.
    pub read_only: bool,
    /// With `create`: replace one that is left over, see [`crate::stale`].
    pub reclaim: bool,
    /// Make all pages present now, so that no first touch takes a fault later.
    pub prefault: bool,
    /// Use huge pages if there are any, else transparent ones, else normal ones.
    pub huge_pages: bool,
    /// Keep the memory from being swapped, as [`Segment::lock`].
    pub locked: bool,
}

impl Default for Options {
    fn default() -> Self {
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

impl Options {
    fn access(&self) -> Access {
        if self.read_only {
            Access::Read
        } else {
            Access::ReadWrite
        }
    }

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
        match name {
            Name::SysvKey(_) | Name::SysvPath(..) => self.open_key(name),
            Name::SysvPrivate => self.make_sysv(Key::PRIVATE),
            Name::SysvId(_) if self.create => Err(Error::INVALID),
            Name::SysvId(id) => self.attach(id, HugePages::None),
            Name::Posix(name) => self.open_object(Place::Posix(name)),
            Name::File(path) => self.open_object(Place::File(path)),
            Name::Anonymous => self.make_anonymous(),
        }
    }

    fn open_key(&self, name: Name<'_>) -> Result<Segment, Error> {
        let key = name.key()?;
        for _ in 0..TRIES {
            match self.open_key_once(key).map_err(sysv::absent_if_gone) {
                Err(error) if self.create && error.errno() == Errno::ENOENT => {}
                result => return result,
            }
        }
        Err(Call::Shmget.failed(Errno::EBUSY))
    }

    /// Other processes may remove the segment between any two calls in here.
    fn open_key_once(&self, key: Key) -> Result<Segment, Error> {
        if !self.create {
            return self.attach(sysv::get(key, self.size, 0)?, HugePages::None);
        }
        match self.make_sysv(key) {
            Err(error) if error.errno() == Errno::EEXIST => {}
            result => return result,
        }
        let id = sysv::get(key, 0, 0)?;
        if self.reclaim && stale::clear(id) {
            return Err(Call::Shmget.failed(Errno::ENOENT));
        }
        if self.exclusive {
            return Err(Call::Shmget.failed(Errno::EEXIST));
        }
        self.attach(id, HugePages::None)
    }

    /// Makes a System V segment. A process that dies in here leaves one of its full size, filled
    /// with zeros, that anybody can use, and that `reclaim` replaces.
    fn make_sysv(&self, key: Key) -> Result<Segment, Error> {
        let flags = sysv::CREATE | sysv::EXCLUSIVE | self.mode as c_int;
        let huge = flags | libc::SHM_HUGETLB;
        let huge = self.huge_pages.then(|| sysv::get(key, self.size, huge));
        let (id, pages) = match huge {
            Some(Ok(id)) => (id, HugePages::Huge),
            _ => (sysv::get(key, self.size, flags)?, HugePages::None),
        };
        let segment = self.attach(id, pages);
        // Another process may have opened it by its key since, and then keeps it.
        if segment.is_err() && (key == Key::PRIVATE || !sysv::is_attached(id)) {
            let _ = sysv::remove(id);
        }
        segment
    }

    fn attach(&self, id: c_int, huge_pages: HugePages) -> Result<Segment, Error> {
        let address = match self.read_only {
            true => sysv::attach_read_only(id)?,
            false => sysv::attach(id)?,
        };
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

    fn open_object(&self, place: Place<'_>) -> Result<Segment, Error> {
        let creation = Creation {
            create: self.create,
            exclusive: self.exclusive,
            reclaim: self.reclaim,
        };
        let find = || self.open_existing(place);
        creation.find_or_make(place, find, || self.make_object(place))
    }

    fn make_object(&self, place: Place<'_>) -> Result<Segment, Error> {
        if self.size == 0 {
            return Err(Error::INVALID);
        }
        let Unnamed { file, stand_in } = Unnamed::make(place, self.size, self.mode)?;
        let segment = self.map(file, self.size, Kind::of(place), HugePages::None)?;
        let segment = self.prepare(segment)?;
        // The name comes last, when nothing else can fail.
        if let Memory::Object(file, _) = &segment.memory {
            stand_in.publish(file, place)?;
        }
        Ok(segment)
    }

    fn open_existing(&self, place: Place<'_>) -> Result<Segment, Error> {
        let (file, size) = object::open(place, self.access(), self.create)?;
        if size == 0 || self.size > size {
            return Err(Error::INVALID);
        }
        self.prepare(self.map(file, size, Kind::of(place), HugePages::None)?)
    }

    fn make_anonymous(&self) -> Result<Segment, Error> {
        if self.size == 0 {
            return Err(Error::INVALID);
        }
        let make = |pages: HugePages| {
            let huge = pages == HugePages::Huge;
            let (file, size) = object::make_anonymous(self.size, huge, self.mode)?;
            self.map(file, size, Kind::Anonymous, pages)
        };
        let huge = self.huge_pages.then(|| make(HugePages::Huge));
        self.prepare(match huge {
            Some(Ok(segment)) => segment,
            _ => make(HugePages::None)?,
        })
    }

    fn map(
        &self,
        file: Descriptor,
        size: usize,
        kind: Kind,
        huge_pages: HugePages,
    ) -> Result<Segment, Error> {
        let address = Call::Mmap.of(sys::map(&file, size, self.access()))?;
        Ok(Segment {
            memory: Memory::Object(file, kind),
            address,
            size,
            read_only: self.read_only,
            locked: false,
            huge_pages,
        })
    }

    /// Makes its pages huge where that can be had, makes all present, then locks the memory: last,
    /// since a System V segment would stay locked if anything failed after that.
    fn prepare(&self, mut segment: Segment) -> Result<Segment, Error> {
        let Segment { address, size, .. } = segment;
        // The pages of a file are up to its file system.
        let is_file = matches!(segment.memory, Memory::Object(_, Kind::File));
        let huge = segment.huge_pages == HugePages::Huge;
        if self.huge_pages && !huge && !is_file && sys::has_transparent_huge_pages() {
            // SAFETY: mapped, of this size.
            if unsafe { sys::advise(address, size, Advice::HugePages) }.is_ok() {
                segment.huge_pages = HugePages::Transparent;
            }
        }
        if self.prefault {
            let advice = match self.read_only {
                true => Advice::PopulateRead,
                false => Advice::PopulateWrite,
            };
            // SAFETY: mapped, of this size.
            match unsafe { sys::advise(address, size, advice) } {
                // Linux before 5.14 cannot, and the first touch does it.
                Ok(()) | Err(Errno::EINVAL) => {}
                Err(errno) => return Err(Call::Madvise.failed(errno)),
            }
        }
        if self.locked {
            segment.lock()?;
        }
        Ok(segment)
    }
}
