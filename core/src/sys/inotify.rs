//! Events of a file, `inotify(7)`.

use super::Descriptor;
use super::file::{above_stderr, proc_self_fd};
use crate::error::{Call, Error};

/// A queue of events, as a descriptor that is readable unless the queue is empty.
pub fn inotify_init1() -> Result<Descriptor, Error> {
    // SAFETY: takes no pointer.
    let queue = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
    above_stderr(Call::InotifyInit, queue)
}

/// Queues the events of this mask from now on. ENOENT without `/proc`.
pub fn inotify_add_watch(queue: &Descriptor, file: &Descriptor, mask: u32) -> Result<(), Error> {
    let path = proc_self_fd(file);
    // SAFETY: the path ends with NUL.
    let watch = unsafe { libc::inotify_add_watch(queue.raw(), path.as_ptr(), mask) };
    Call::InotifyAddWatch.not_negative(watch).map(drop)
}

/// Takes the oldest events out of the queue of a file that is no directory; returns their masks in one. The
/// queue holds few, since the kernel merges equal ones that follow each other.
pub fn inotify_read(queue: &Descriptor) -> u32 {
    // Watch, mask, cookie, and the length of the name: 0.
    let mut events = [[0_u32; 4]; 16];
    // SAFETY: the length is the buffer's.
    unsafe {
        libc::read(
            queue.raw(),
            events.as_mut_ptr().cast(),
            size_of_val(&events),
        )
    };
    events.iter().fold(0, |seen, [_, mask, ..]| seen | mask)
}

/// Reads the first byte of a file, which is the event IN_ACCESS for all queues that watch it.
pub fn pread_first(file: &Descriptor) {
    let mut byte = 0_u8;
    // SAFETY: the length is the buffer's.
    unsafe { libc::pread(file.raw(), (&raw mut byte).cast(), 1, 0) };
}
