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

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use crate::error::{Call, Errno, Error};
use crate::info::HugePages;
use crate::key::Key;
use crate::name::Name;
use crate::object::{self, Place, Unnamed};
use crate::segment::{Attached, Kind, Mapped, Memory, Segment};
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
            return Err(Call::Arguments.failed(Errno::EINVAL));
        }
        match name {
            Name::SysvKey(_) | Name::SysvPath(..) => self.open_key(name),
            Name::SysvPrivate => self.make_sysv(Key::PRIVATE),
            Name::SysvId(_) if self.create => Err(Call::Arguments.failed(Errno::EINVAL)),
            Name::SysvId(id) => self.attach(id),
            Name::Posix(name) => self.open_object(Place::Posix(name)),
            Name::File(path) => self.open_object(Place::File(path)),
            Name::Anonymous => self.make_anonymous(),
        }
    }

    fn open_key(&self, name: Name<'_>) -> Result<Segment, Error> {
        let key = name.key().unwrap_or(Ok(Key::PRIVATE))?;
        if !self.create {
            return self.attach(sysv::get(key, self.size, 0)?);
        }
        for _ in 0..TRIES {
            match self.make_sysv(key) {
                Err(error) if error.errno() == Errno::EEXIST => {}
                result => return result,
            }
            let result = sysv::get(key, 0, 0).and_then(|id| {
                if self.reclaim && stale::clear(id) {
                    return Err(Call::Shmget.failed(Errno::ENOENT));
                }
                if self.exclusive {
                    return Err(Call::Shmget.failed(Errno::EEXIST));
                }
                self.attach(id)
            });
            match result.map_err(|error| (error.errno(), error)) {
                Err((Errno::ENOENT | Errno::EIDRM, _)) => {}
                Err((_, error)) => return Err(error),
                Ok(segment) => return Ok(segment),
            }
        }
        Err(Call::Shmget.failed(Errno::EBUSY))
    }

    /// Makes a System V segment. A process that dies in here leaves one of its full size, filled
    /// with zeros, that anybody can use, and that `reclaim` replaces.
    fn make_sysv(&self, key: Key) -> Result<Segment, Error> {
        let flags = sysv::CREATE | sysv::EXCLUSIVE | self.mode as c_int;
        let huge = match self.huge_pages {
            true => sysv::get(key, self.size, flags | libc::SHM_HUGETLB),
            false => Err(Call::Shmget.failed(Errno::EINVAL)),
        };
        let id = match huge {
            Ok(id) => id,
            Err(_) => sysv::get(key, self.size, flags)?,
        };
        let segment = self.attach_made(id, huge.is_ok());
        if segment.is_err() {
            let _ = sysv::remove(id);
        }
        segment
    }

    fn attach(&self, id: c_int) -> Result<Segment, Error> {
        self.attach_made(id, false)
    }

    fn attach_made(&self, id: c_int, huge: bool) -> Result<Segment, Error> {
        let address = match self.read_only {
            true => sysv::attach_read_only(id)?,
            false => sysv::attach(id)?,
        };
        let attached = Attached(NonNull::new(address).ok_or(Call::Shmat.failed(Errno::ENOMEM))?);
        let size = sysv::info(id)?.size;
        if self.size > size {
            return Err(Call::Arguments.failed(Errno::EINVAL));
        }
        if self.locked {
            sysv::lock(id)?;
        }
        // SAFETY: attached, and a segment is no smaller than its size says.
        let huge_pages = unsafe { self.prepare(attached.0, size, true, huge) }?;
        Ok(Segment {
            memory: Memory::Sysv(attached, id),
            size,
            read_only: self.read_only,
            locked: false,
            huge_pages,
        })
    }

    fn open_object(&self, place: Place<'_>) -> Result<Segment, Error> {
        for _ in 0..TRIES {
            if self.reclaim {
                object::clear(place)?;
            }
            if self.exclusive {
                // Before the memory is allocated; publishing decides.
                if object::exists(place)? {
                    return Err(Call::Link.failed(Errno::EEXIST));
                }
            } else {
                match self.open_existing(place) {
                    Err(error) if self.create && error.errno() == Errno::ENOENT => {}
                    result => return result,
                }
            }
            match self.make_object(place) {
                Err(error) if error.errno() == Errno::EEXIST => {}
                result => return result,
            }
        }
        Err(Call::Link.failed(Errno::EBUSY))
    }

    fn make_object(&self, place: Place<'_>) -> Result<Segment, Error> {
        if self.size == 0 {
            return Err(Call::Arguments.failed(Errno::EINVAL));
        }
        let unnamed = Unnamed::make(place, self.size, self.mode)?;
        let mapped = Mapped::new(unnamed.file(), self.size, self.access())?;
        let huge_pages = self.prepare_mapped(&mapped, matches!(place, Place::Posix(_)), false)?;
        // The name comes last, when nothing else can fail.
        let file = unnamed.publish(place)?;
        Ok(self.of_object(mapped, file, Kind::of(place), huge_pages))
    }

    fn open_existing(&self, place: Place<'_>) -> Result<Segment, Error> {
        let (file, size) = object::open(place, self.access(), self.create)?;
        if size == 0 || self.size > size {
            return Err(Call::Arguments.failed(Errno::EINVAL));
        }
        let mapped = Mapped::new(&file, size, self.access())?;
        let huge_pages = self.prepare_mapped(&mapped, matches!(place, Place::Posix(_)), false)?;
        Ok(self.of_object(mapped, file, Kind::of(place), huge_pages))
    }

    fn make_anonymous(&self) -> Result<Segment, Error> {
        if self.size == 0 {
            return Err(Call::Arguments.failed(Errno::EINVAL));
        }
        if self.huge_pages
            && let Ok((file, size)) = object::make_anonymous(self.size, true, self.mode)
            && let Ok(mapped) = Mapped::new(&file, size, self.access())
        {
            let huge_pages = self.prepare_mapped(&mapped, true, true)?;
            return Ok(self.of_object(mapped, file, Kind::Anonymous, huge_pages));
        }
        let (file, size) = object::make_anonymous(self.size, false, self.mode)?;
        let mapped = Mapped::new(&file, size, self.access())?;
        let huge_pages = self.prepare_mapped(&mapped, true, false)?;
        Ok(self.of_object(mapped, file, Kind::Anonymous, huge_pages))
    }

    fn of_object(
        &self,
        mapped: Mapped,
        file: Descriptor,
        kind: Kind,
        huge_pages: HugePages,
    ) -> Segment {
        Segment {
            size: mapped.size,
            memory: Memory::Object(mapped, file, kind),
            read_only: self.read_only,
            locked: self.locked,
            huge_pages,
        }
    }

    fn prepare_mapped(&self, mapped: &Mapped, shm: bool, huge: bool) -> Result<HugePages, Error> {
        if self.locked {
            // SAFETY: mapped, of this size.
            Call::Mlock.of(unsafe { sys::lock_memory(mapped.address, mapped.size) })?;
        }
        // SAFETY: mapped, of this size.
        unsafe { self.prepare(mapped.address, mapped.size, shm, huge) }
    }

    /// Huge pages where they are to be had, then all pages at once; `shm` tells memory of the
    /// kernel's own from a file, `huge` that its pages are huge already.
    ///
    /// # Safety
    ///
    /// The memory is mapped, and of this size.
    unsafe fn prepare(
        &self,
        address: NonNull<c_void>,
        size: usize,
        shm: bool,
        huge: bool,
    ) -> Result<HugePages, Error> {
        let mut pages = if huge {
            HugePages::Huge
        } else {
            HugePages::None
        };
        if self.huge_pages && !huge && shm && sys::has_transparent_huge_pages() {
            // SAFETY: the caller's promise.
            if unsafe { sys::advise(address, size, Advice::HugePages) }.is_ok() {
                pages = HugePages::Transparent;
            }
        }
        if self.prefault {
            let advice = match self.read_only {
                true => Advice::PopulateRead,
                false => Advice::PopulateWrite,
            };
            // SAFETY: the caller's promise.
            match unsafe { sys::advise(address, size, advice) } {
                // Linux before 5.14 cannot, and the first touch does it.
                Ok(()) | Err(Errno::EINVAL) => {}
                Err(errno) => return Err(Call::Madvise.failed(errno)),
            }
        }
        Ok(pages)
    }
}
