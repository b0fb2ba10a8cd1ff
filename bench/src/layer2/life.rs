//! The life of a segment, with the library or with the bare system calls that do the same.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::replace;
use std::ptr;
use std::time::Instant;

use crate::table::Spread;
use crate::{Result, Run, checked, compile, failed, library};

const SHMC_CREATE: c_int = 1;
const SHMC_EXCL: c_int = 2;
const SHMC_PREFAULT: c_int = 16;
const SHMC_HUGE: c_int = 32;

library! { Api {
    open = c"shmc_segment_open"(*const c_char, usize, c_int, libc::mode_t) -> *mut c_void;
    addr = c"shmc_segment_addr"(*mut c_void) -> *mut c_void;
    close = c"shmc_segment_close"(*mut c_void) -> c_int;
    remove = c"shmc_remove"(*const c_char) -> c_int;
} }

pub const PAGE: usize = 4096;
/// What Linux uses by default where pages have 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// With what a segment is created.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    Bare,
    Library,
    /// Bare, with ftruncate in place of posix_fallocate.
    Truncate,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Pages {
    Normal,
    Prefault,
    Huge,
}

/// How a segment lives.
pub struct Life {
    api: &'static Api,
    way: Way,
    kind: &'static str,
    pages: Pages,
    size: usize,
    existing: bool,
    name: CString,
}

/// An open segment, and its System V id, its descriptor or the library's handle.
struct Open {
    memory: *mut c_void,
    mapped: usize,
    id: c_int,
    handle: *mut c_void,
}

impl Life {
    pub fn new(run: &Run, way: Way, kind: &'static str, pages: Pages, size: usize) -> Result<Self> {
        let name = match kind {
            "sysv" => run.scratch.key_path().display().to_string(),
            "file" => run.scratch.directory().join("file").display().to_string(),
            "posix" => format!("/{}", run.scratch.name()),
            _ => String::new(),
        };
        let name = CString::new(format!("{kind}:{name}"))?;
        let api = Api::load(&compile::library()?)?;
        Ok(Self {
            api,
            way,
            kind,
            pages,
            size,
            existing: false,
            name,
        })
    }

    /// The medians of open, first touch, close, all and remove, in nanoseconds.
    pub fn medians(mut self, lives: usize) -> Result<Vec<f64>> {
        let clock = clock();
        let mut times = [const { Vec::new() }; 5];
        // The first life is not timed, since its calls load their code.
        let wanted = replace(&mut self.size, PAGE);
        for life in 0..=lives {
            let start = Instant::now();
            let open = self.open()?;
            let opened = Instant::now();
            for offset in (0..self.size).step_by(PAGE) {
                // SAFETY: within the segment, which only this process has.
                unsafe { open.memory.byte_add(offset).cast::<u8>().write_volatile(1) };
            }
            let touched = Instant::now();
            self.close(&open)?;
            let closed = Instant::now();
            self.remove(&open)?;
            let removed = Instant::now();
            let spans = [
                (start, opened),
                (opened, touched),
                (touched, closed),
                (start, removed),
                (closed, removed),
            ];
            for (times, (start, end)) in times.iter_mut().zip(spans).filter(|_| life > 0) {
                times.push((end - start).as_nanos() as f64 - clock);
            }
            self.size = wanted;
        }
        // An anonymous segment has no name to remove.
        let count = if self.kind == "anon" { 4 } else { 5 };
        Ok(times[..count]
            .iter()
            .map(|times| Spread::of(times).median())
            .collect())
    }

    /// The median of the opening alone, in nanoseconds.
    pub fn open_among(mut self, others: &[Self], opens: usize) -> Result<Vec<f64>> {
        if self.kind == "sysv" {
            // SAFETY: both take no pointer; this process has one thread.
            checked("unshare", unsafe {
                match libc::unshare(libc::CLONE_NEWIPC) {
                    0 => 0,
                    _ => libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWIPC),
                }
            })?;
        }
        for (key, other) in (1..).zip(others) {
            if self.kind == "sysv" {
                // SAFETY: takes no pointer.
                checked("shmget", unsafe {
                    libc::shmget(key, PAGE, libc::IPC_CREAT | 0o600)
                })?;
            } else {
                other.close(&other.open()?)?;
            }
        }
        let created = self.open()?;
        self.close(&created)?;
        self.existing = true;
        let (clock, mut times) = (clock(), Vec::new());
        for _ in 0..opens {
            let start = Instant::now();
            let open = self.open()?;
            times.push(start.elapsed().as_nanos() as f64 - clock);
            self.close(&open)?;
        }
        self.remove(&created)?;
        Ok(vec![Spread::of(&times).median()])
    }

    /// The name without its kind.
    fn path(&self) -> *const c_char {
        let name: &CStr = &self.name;
        name.to_bytes_with_nul()[self.kind.len() + 1..]
            .as_ptr()
            .cast()
    }

    fn open(&self) -> Result<Open> {
        let size = if self.existing { 0 } else { self.size };
        match (self.way, self.kind) {
            (Way::Library, _) => self.open_with_library(size),
            (_, "sysv") => self.open_sysv(size),
            _ => self.open_object(),
        }
    }

    fn open_with_library(&self, size: usize) -> Result<Open> {
        let create = if self.existing {
            0
        } else {
            SHMC_CREATE | SHMC_EXCL
        };
        let pages = match self.pages {
            Pages::Normal => 0,
            Pages::Prefault => SHMC_PREFAULT,
            Pages::Huge => SHMC_HUGE,
        };
        let handle = (self.api.open)(self.name.as_ptr(), size, create | pages, 0o600);
        if handle.is_null() {
            return failed("shmc_segment_open");
        }
        Ok(Open {
            memory: (self.api.addr)(handle),
            mapped: 0,
            id: 0,
            handle,
        })
    }

    fn open_sysv(&self, size: usize) -> Result<Open> {
        let flags = if self.existing {
            0
        } else {
            libc::IPC_CREAT | libc::IPC_EXCL | 0o600
        };
        // SAFETY: a string, no pointers, and an address of the kernel's choice.
        let (id, memory) = unsafe {
            let key = libc::ftok(self.path(), 0x66);
            let mut id = -1;
            if self.pages == Pages::Huge {
                id = libc::shmget(key, size, flags | libc::SHM_HUGETLB);
            }
            if id < 0 {
                id = checked("shmget", libc::shmget(key, size, flags))?;
            }
            (id, libc::shmat(id, ptr::null(), 0))
        };
        if memory.addr() == usize::MAX {
            return failed("shmat");
        }
        self.prepare(Open {
            memory,
            mapped: 0,
            id,
            handle: ptr::null_mut(),
        })
    }

    fn open_object(&self) -> Result<Open> {
        let create = if self.existing {
            0
        } else {
            libc::O_CREAT | libc::O_EXCL
        };
        let flags = libc::O_RDWR | libc::O_CLOEXEC | create;
        // SAFETY: strings.
        let id = unsafe {
            match self.kind {
                "posix" => libc::shm_open(self.path(), flags, 0o600),
                "file" => libc::open(self.path(), flags, 0o600),
                _ => {
                    if self.pages == Pages::Huge {
                        let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB;
                        let id = libc::memfd_create(c"bench".as_ptr(), flags);
                        if let Ok(open) = self.map(id, self.size.next_multiple_of(HUGE_PAGE)) {
                            return Ok(open);
                        }
                        libc::close(id);
                    }
                    libc::memfd_create(c"bench".as_ptr(), libc::MFD_CLOEXEC)
                }
            }
        };
        self.prepare(self.map(checked("open", id)?, self.size)?)
    }

    /// Sizes a new object, or asks for the size of an existing one, and maps it.
    fn map(&self, id: c_int, mapped: usize) -> Result<Open> {
        let (size, access) = (mapped as libc::off_t, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: room for one status, and a new mapping.
        let memory = unsafe {
            if self.existing {
                checked("fstat", libc::fstat(id, &mut std::mem::zeroed()))?;
            } else if self.way == Way::Truncate || self.kind == "anon" {
                checked("ftruncate", libc::ftruncate(id, size))?;
            } else {
                checked("posix_fallocate", -libc::posix_fallocate(id, 0, size))?;
            }
            libc::mmap(ptr::null_mut(), mapped, access, libc::MAP_SHARED, id, 0)
        };
        if memory == libc::MAP_FAILED {
            return failed("mmap");
        }
        Ok(Open {
            memory,
            mapped,
            id,
            handle: ptr::null_mut(),
        })
    }

    fn prepare(&self, open: Open) -> Result<Open> {
        let advice = match self.pages {
            Pages::Normal => return Ok(open),
            Pages::Prefault => libc::MADV_POPULATE_WRITE,
            Pages::Huge => libc::MADV_HUGEPAGE,
        };
        // SAFETY: a mapping of this size.
        let advised = unsafe { libc::madvise(open.memory, self.size, advice) };
        // Huge pages are refused where there are none.
        if self.pages == Pages::Prefault {
            checked("madvise", advised)?;
        }
        Ok(open)
    }

    fn close(&self, open: &Open) -> Result<()> {
        // SAFETY: open, and not used any more.
        let closed = unsafe {
            match (self.way, self.kind) {
                (Way::Library, _) => (self.api.close)(open.handle),
                (_, "sysv") => libc::shmdt(open.memory),
                _ => libc::munmap(open.memory, open.mapped) | libc::close(open.id),
            }
        };
        checked("close", closed).map(drop)
    }

    fn remove(&self, open: &Open) -> Result<()> {
        // SAFETY: strings, and no pointer.
        let removed = unsafe {
            match (self.way, self.kind) {
                (_, "anon") => 0,
                (Way::Library, _) => (self.api.remove)(self.name.as_ptr()),
                (_, "sysv") => libc::shmctl(open.id, libc::IPC_RMID, ptr::null_mut()),
                (_, "posix") => libc::shm_unlink(self.path()),
                _ => libc::unlink(self.path()),
            }
        };
        checked("remove", removed).map(drop)
    }
}

/// The nanoseconds to read the clock.
fn clock() -> f64 {
    let times: Vec<f64> = (0..1000)
        .map(|_| Instant::now().elapsed().as_nanos() as f64)
        .collect();
    Spread::of(&times).median()
}
