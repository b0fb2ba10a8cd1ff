//! Memory: mappings, and a place on the C heap for what a C program holds.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use super::{Access, Descriptor, checked, errno, read_beginning};
use crate::error::Errno;

/// Maps the first `size` bytes of a file, shared, at an address of the kernel's choice.
pub fn map(file: &Descriptor, size: usize, access: Access) -> Result<NonNull<c_void>, Errno> {
    let protection = match access {
        Access::Read => libc::PROT_READ,
        Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    };
    // SAFETY: at an address of the kernel's choice, so that no mapping is replaced.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            protection,
            libc::MAP_SHARED,
            file.raw(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(errno());
    }
    NonNull::new(address).ok_or(Errno::ENOMEM)
}

/// The size of a page, in bytes.
pub fn page_size() -> usize {
    // SAFETY: takes no pointer.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(0)
}

/// Maps `before` bytes of a file, and then its next `size` bytes twice, one behind the other, so that
/// what begins in the first goes on in the second. Both are multiples of the page size.
pub fn map_twice(file: &Descriptor, before: usize, size: usize) -> Result<NonNull<u8>, Errno> {
    let first = before.checked_add(size).ok_or(Errno::ENOMEM)?;
    let all = first.checked_add(size).ok_or(Errno::ENOMEM)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the first mapping is at an address of the kernel's choice; the others replace parts
    // of it, which nobody uses yet.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let base = libc::mmap(ptr::null_mut(), all, libc::PROT_NONE, flags, -1, 0);
        if base == libc::MAP_FAILED {
            return Err(errno());
        }
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let again = base.byte_add(first);
        let offset = before as libc::off_t;
        if libc::mmap(base, first, access, flags, file.raw(), 0) == libc::MAP_FAILED
            || libc::mmap(again, size, access, flags, file.raw(), offset) == libc::MAP_FAILED
        {
            let errno = errno();
            libc::munmap(base, all);
            return Err(errno);
        }
        NonNull::new(base.cast()).ok_or(Errno::ENOMEM)
    }
}

/// # Safety
///
/// The memory is a mapping of this size, and nothing may use it any more.
pub unsafe fn unmap(address: NonNull<c_void>, size: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::munmap(address.as_ptr(), size) })
}

/// Advice that leaves the contents as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    HugePages,
    PopulateRead,
    PopulateWrite,
    NotForChildren,
    /// In a child of any fork it is filled with zeros.
    EmptyInChildren,
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn advise(address: NonNull<c_void>, size: usize, advice: Advice) -> Result<(), Errno> {
    let advice = match advice {
        Advice::HugePages => libc::MADV_HUGEPAGE,
        Advice::PopulateRead => libc::MADV_POPULATE_READ,
        Advice::PopulateWrite => libc::MADV_POPULATE_WRITE,
        Advice::NotForChildren => libc::MADV_DONTFORK,
        Advice::EmptyInChildren => libc::MADV_WIPEONFORK,
    };
    // SAFETY: the caller's promise; none of these advices changes what the memory holds.
    checked(unsafe { libc::madvise(address.as_ptr(), size, advice) })
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn lock_memory(address: NonNull<c_void>, size: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::mlock(address.as_ptr(), size) })
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn unlock_memory(address: NonNull<c_void>, size: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::munlock(address.as_ptr(), size) })
}

/// Waits until the file holds what the memory does.
///
/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn sync(address: NonNull<c_void>, size: usize) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::msync(address.as_ptr(), size, libc::MS_SYNC) })
}

/// Whether memory of the kernel's own may have transparent huge pages.
pub fn has_transparent_huge_pages() -> bool {
    let mut setting = [0_u8; 64];
    let path = c"/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    read_beginning(path, &mut setting);
    // The one in force is in brackets; without such a setting there are none.
    let chosen = setting.split(|byte| *byte == b'[').nth(1);
    chosen.is_some_and(|chosen| !chosen.starts_with(b"never") && !chosen.starts_with(b"deny"))
}

/// Memory of the C heap for a value, which is not there yet.
pub fn malloc<T>() -> Result<NonNull<T>, Errno> {
    const { assert!(align_of::<T>() <= align_of::<libc::max_align_t>()) };
    // SAFETY: takes no pointer.
    let memory = unsafe { libc::malloc(size_of::<T>()) };
    NonNull::new(memory.cast::<T>()).ok_or(Errno::ENOMEM)
}

/// # Safety
///
/// The memory is from `malloc(3)`, and is not used any more.
pub unsafe fn free<T>(memory: NonNull<T>) {
    // SAFETY: the caller's promise.
    unsafe { libc::free(memory.as_ptr().cast()) };
}

/// Moves a value back from the C heap.
///
/// # Safety
///
/// The memory is from `malloc(3)`, holds a value, and is not used any more.
pub unsafe fn from_heap<T>(memory: NonNull<T>) -> T {
    // SAFETY: the caller's promise.
    let value = unsafe { memory.read() };
    // SAFETY: the caller's promise.
    unsafe { free(memory) };
    value
}
