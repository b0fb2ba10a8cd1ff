//! Inaccessible pages before and after each mapping of a channel or a topic. The library calls this program's
//! mmap(2) and munmap(2), which add them.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::Mutex;

const GUARD: usize = 1 << 20;

/// The mappings that have guards.
static GUARDED: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Whether all these bytes are in one of these mappings.
pub fn is_mapped(start: usize, length: usize) -> bool {
    let guarded = GUARDED.lock().unwrap();
    guarded
        .iter()
        .any(|range| range.start <= start && start + length <= range.end)
}

/// Same as mmap(2), but a reservation without access gets more such pages on both sides, and a file is
/// mapped in the middle of such a reservation.
#[unsafe(no_mangle)]
extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    let is_file = address.is_null() && file >= 0;
    if is_file {
        let reserve = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let start = mmap(address, length, libc::PROT_NONE, reserve, -1, 0);
        if start == libc::MAP_FAILED {
            return start;
        }
        let mapped = mmap(
            start,
            length,
            protection,
            flags | libc::MAP_FIXED,
            file,
            offset,
        );
        if mapped == libc::MAP_FAILED {
            munmap(start, length);
        }
        return mapped;
    }
    let guarded =
        address.is_null() && protection == libc::PROT_NONE && flags & libc::MAP_NORESERVE != 0;
    let extra = if guarded { GUARD } else { 0 };
    // SAFETY: the caller's request, or a larger one without access.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            address,
            length + 2 * extra,
            protection,
            flags,
            file,
            offset,
        )
    };
    if mapped == -1 || !guarded {
        return ptr::without_provenance_mut(mapped as usize);
    }
    let start = mapped as usize + extra;
    GUARDED.lock().unwrap().push(start..start + length);
    ptr::without_provenance_mut(start)
}

/// Same as munmap(2), guards included.
#[unsafe(no_mangle)]
extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let mut guarded = GUARDED.lock().unwrap();
    let place = guarded
        .iter()
        .position(|range| range.start == address.addr());
    let extra = if let Some(place) = place {
        assert_eq!(guarded.swap_remove(place).len(), length, "length of munmap");
        GUARD
    } else {
        0
    };
    // SAFETY: the caller's mapping, with the pages that mmap added.
    unsafe { libc::syscall(libc::SYS_munmap, address.addr() - extra, length + 2 * extra) as c_int }
}
