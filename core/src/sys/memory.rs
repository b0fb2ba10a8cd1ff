//! Memory: mappings, and what the kernel does with their pages.

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use super::file::{Access, Descriptor, read_beginning};
use crate::error::{Call, Errno, Error};

/// Maps the first `size` bytes of a file, shared.
pub fn mmap(file: &Descriptor, size: usize, access: Access) -> Result<NonNull<c_void>, Error> {
    mmap_anywhere(size, protection(access), libc::MAP_SHARED, file.raw())
}

fn protection(access: Access) -> c_int {
    match access {
        Access::Read => libc::PROT_READ,
        Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
    }
}

/// Maps `before` bytes of a file, then its next `size` bytes twice in a row: what begins in the first
/// copy continues in the second. Both are multiples of the page size.
pub fn mmap_twice(file: &Descriptor, before: usize, size: usize) -> Result<NonNull<u8>, Error> {
    const NO_MEMORY: Error = Call::Mmap.failed(Errno::ENOMEM);

    let first = before.checked_add(size).ok_or(NO_MEMORY)?;
    let all = first.checked_add(size).ok_or(NO_MEMORY)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let base = mmap_anywhere(all, libc::PROT_NONE, flags, -1)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the mappings replace parts of the one above, which nobody uses yet.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let base = base.as_ptr();
        let again = base.byte_add(first);
        let offset = before as libc::off_t;
        if libc::mmap(base, first, access, flags, file.raw(), 0) == libc::MAP_FAILED
            || libc::mmap(again, size, access, flags, file.raw(), offset) == libc::MAP_FAILED
        {
            let error = Call::Mmap.has_failed();
            libc::munmap(base, all);
            return Err(error);
        }
    }
    Ok(base.cast())
}

#[inline(never)]
fn mmap_anywhere(
    size: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
) -> Result<NonNull<c_void>, Error> {
    // SAFETY: the kernel chooses the address, so no mapping is replaced.
    let address = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, file, 0) };
    match address {
        libc::MAP_FAILED => Err(Call::Mmap.has_failed()),
        _ => NonNull::new(address).ok_or(Call::Mmap.failed(Errno::ENOMEM)),
    }
}

/// # Safety
///
/// The memory is a mapping of this size, and nothing uses it any more.
pub unsafe fn munmap(address: NonNull<c_void>, size: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    Call::Munmap.checked(unsafe { libc::munmap(address.as_ptr(), size) })
}

/// Copies from a mapping of this process. EFAULT where a load would be a fault (SIGBUS), because another
/// process has made the file smaller.
pub fn copy_mapped(from: NonNull<c_void>, to: &mut [u8]) -> Result<(), Errno> {
    let local = libc::iovec {
        iov_base: to.as_mut_ptr().cast(),
        iov_len: to.len(),
    };
    let mapped = libc::iovec {
        iov_base: from.as_ptr(),
        iov_len: to.len(),
    };
    // SAFETY: the kernel writes to the buffer alone, whose length is given, and checks the other address.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &mapped, 1, 0) };
    match usize::try_from(copied) {
        Ok(copied) if copied == to.len() => Ok(()),
        Ok(_) => Err(Errno::from_raw(libc::EFAULT)),
        Err(_) => Err(Errno::last()),
    }
}

/// Changes the access to the first pages of a mapping. EACCES if the file was not opened for that.
///
/// # Safety
///
/// The memory is a mapping of at least this size, and nothing uses it yet.
pub unsafe fn mprotect(address: NonNull<c_void>, size: usize, access: Access) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::mprotect(address.as_ptr(), size, protection(access)) };
    Call::Mprotect.checked(result)
}

/// Advice that leaves the contents as they are, in this process.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Advice {
    HugePage = libc::MADV_HUGEPAGE,
    PopulateRead = libc::MADV_POPULATE_READ,
    PopulateWrite = libc::MADV_POPULATE_WRITE,
    /// A child of a fork does not have the mapping.
    DontFork = libc::MADV_DONTFORK,
    /// A child of a fork finds zeros.
    WipeOnFork = libc::MADV_WIPEONFORK,
    /// EINVAL, but not under an emulator that ignores all advice.
    Unknown = -1,
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn madvise(address: NonNull<c_void>, size: usize, advice: Advice) -> Result<(), Error> {
    // SAFETY: the caller's promise; no such advice changes what the memory holds.
    Call::Madvise.checked(unsafe { libc::madvise(address.as_ptr(), size, advice as c_int) })
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn mlock(address: NonNull<c_void>, size: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    Call::Mlock.checked(unsafe { libc::mlock(address.as_ptr(), size) })
}

/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn munlock(address: NonNull<c_void>, size: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    Call::Munlock.checked(unsafe { libc::munlock(address.as_ptr(), size) })
}

/// Waits until the file holds what the memory does.
///
/// # Safety
///
/// The memory is a mapping of this size.
pub unsafe fn msync(address: NonNull<c_void>, size: usize) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    Call::Msync.checked(unsafe { libc::msync(address.as_ptr(), size, libc::MS_SYNC) })
}

/// The size of a page, in bytes.
pub fn page_size() -> usize {
    // SAFETY: takes no pointer.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(0)
}

/// Whether shared memory without a file may have transparent huge pages.
pub fn has_transparent_huge_pages() -> bool {
    let mut setting = [0_u8; 64];
    let path = c"/sys/kernel/mm/transparent_hugepage/shmem_enabled";
    read_beginning(path, &mut setting);
    // Brackets mark the setting in force; without a setting there are none.
    let chosen = setting.split(|byte| *byte == b'[').nth(1);
    chosen.is_some_and(|chosen| !chosen.starts_with(b"never") && !chosen.starts_with(b"deny"))
}
