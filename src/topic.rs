//! The topics of `shmcomm.h`.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::ptr::NonNull;
use core::slice;

use libc::{mode_t, ssize_t};
use shmcomm_core::Error;
use shmcomm_core::channel::Side;
use shmcomm_core::topic::{Options, Topic};

use crate::channel::{MAX_BYTES, SHMC_RECV, SHMC_SEND};
use crate::open::{SHMC_CREATE, SHMC_EXCL, SHMC_INTR, parse};
use crate::{errno, heap};

/// shmc_topic_open with SHMC_RECV: start at the oldest message that is whole,
/// not at the newest.
pub const SHMC_HISTORY: c_int = 0x1000;

/// A topic, open for its writer or for a reader.
pub struct shmc_topic(Topic);

/// The state of a topic, from shmc_topic_stat.
#[repr(C)]
pub struct shmc_topic_info {
    /// The longest message, in bytes.
    pub max_message: u64,
    /// Messages that the topic keeps.
    pub depth: u64,
    /// Messages written since the topic was created.
    pub written: u64,
    /// 1: a process holds the writer's end.
    pub writer_alive: c_int,
    /// 0; room for later fields.
    pub reserved: [u64; 4],
}

/// Opens a topic: one process writes messages, any number of processes read
/// them.
///
/// A topic keeps the last messages, each whole. The writer overwrites the
/// oldest one and never waits, so a slow, stopped or dead reader does not
/// matter to it. A reader knows how many messages it has lost. If the writer is
/// killed, at any instruction, the next writer goes on at once.
///
/// name: a posix: or file: name.
/// max_message: the longest message, in bytes. 0: that of the existing topic.
/// depth: number of messages kept, rounded up to a power of two of at least 4.
/// A message takes max_message plus 16, rounded up to 64.
/// flags: SHMC_SEND (the writer, one handle at a time) or SHMC_RECV (a reader),
/// with any of SHMC_CREATE, SHMC_EXCL; for a reader also SHMC_HISTORY,
/// SHMC_INTR. Both sides may create the topic, in either order.
/// mode: permission bits of a new topic. A reader needs read permission only. A
/// process with write permission can damage the topic; one with read permission
/// can lock out the next writer, never the present one.
///
/// A reader starts at the newest message, if there is one. It cannot write to
/// the messages: that is SIGSEGV.
///
/// Returns the handle; on failure NULL with errno (and SIGXFSZ) as
/// shmc_segment_open, and:
///   EBUSY    another handle is open for writing. The end of a writer that died
///            is free at once, or when a child it had just forked runs; the
///            call waits 100 ms for that
///   EINVAL   max_message or depth is larger than that of the existing topic,
///            or max_message is 0 and there is none
///   EBADMSG  the existing object is no topic of this version, comes from a
///            system with smaller pages, or is damaged
///   EMFILE   too many open files, or 256 channels, topics and descriptors of
///            them in this process
///   ENOLCK   no file locks left, or none on this file system
///
/// A child gets EPERM on an inherited handle; it may close the handle and open
/// the topic itself.
///
/// Follows shm_open(3), mmap(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_open(
    name: *const c_char,
    max_message: usize,
    depth: c_uint,
    flags: c_int,
    mode: mode_t,
) -> *mut shmc_topic {
    const READS: c_int = SHMC_RECV | SHMC_HISTORY | SHMC_INTR;
    let (side, allowed) = match flags & (SHMC_SEND | SHMC_RECV) {
        SHMC_SEND => (Side::Sender, SHMC_SEND),
        SHMC_RECV => (Side::Receiver, READS),
        _ => return errno::null(Error::INVALID),
    };
    if flags & !(SHMC_CREATE | SHMC_EXCL | allowed) != 0 {
        return errno::null(Error::INVALID);
    }
    let options = Options {
        side,
        max_message,
        depth: depth as usize,
        mode,
        create: flags & SHMC_CREATE != 0,
        exclusive: flags & SHMC_EXCL != 0,
        history: flags & SHMC_HISTORY != 0,
        interruptible: flags & SHMC_INTR != 0,
    };
    errno::handle(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { parse(name) }?;
        options.open(name).map(shmc_topic)
    })
}

/// Writes a message: copies it into the topic, in place of the oldest one, and
/// wakes the readers that sleep. Never waits.
///
/// msg, len: the message, from 0 bytes to the topic's longest.
///
/// Makes no system call while no reader sleeps and every process that may read
/// the topic may write to it, by the mode at the open; otherwise one.
///
/// Returns 0: every reader sees the message, even if this process dies. On
/// failure -1 with errno, and nothing is written:
///   EMSGSIZE  the message is longer than the topic's longest
///   EINVAL    topic is NULL or a reader's; msg is NULL and len is not 0
///   EPERM     the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_write(
    topic: *mut shmc_topic,
    msg: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(topic) = (unsafe { topic.as_mut() }) else {
        return errno::failed(Error::INVALID);
    };
    let message = match (msg.is_null(), len) {
        (_, 0) => &[],
        (true, _) => return errno::failed(Error::INVALID),
        // SAFETY: the caller's promise. A length beyond MAX_BYTES stays too large for any topic.
        (false, _) => unsafe { slice::from_raw_parts(msg.cast::<u8>(), len.min(MAX_BYTES)) },
    };
    errno::done(topic.0.write(message))
}

/// Begins the next message, which the program writes in place and publishes
/// with shmc_topic_publish. The oldest message is lost from now on. Beginning
/// again, or shmc_topic_write, discards what was begun.
///
/// Returns the address for the topic's longest message, aligned to 16; on
/// failure NULL with errno:
///   EINVAL  topic is NULL or a reader's
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_begin(topic: *mut shmc_topic) -> *mut c_void {
    // SAFETY: the caller's promise.
    match unsafe { topic.as_mut() }.map(|topic| topic.0.begin()) {
        Some(Ok(bytes)) => bytes.as_ptr().cast(),
        Some(Err(error)) => errno::null(error),
        None => errno::null(Error::INVALID),
    }
}

/// Publishes the message that shmc_topic_begin has begun. Never waits. System
/// calls: see shmc_topic_write.
///
/// len: the message's length in bytes, at most the topic's longest.
///
/// Returns 0: every reader sees the message, even if this process dies. On
/// failure -1 with errno:
///   EINVAL  topic is NULL or a reader's, nothing has begun, or len is larger
///           than the topic's longest
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_publish(topic: *mut shmc_topic, len: usize) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { topic.as_mut() } {
        Some(topic) => errno::done(topic.0.publish(len)),
        None => errno::failed(Error::INVALID),
    }
}

/// Reads the next message: copies it out of the topic.
///
/// buf, size: the buffer and its size in bytes.
/// lost: NULL, or is set to the number of messages that were overwritten before
/// this one and not yet reported to this handle. So read and lost messages are
/// together all that were written. A reader that was overtaken goes on in the
/// middle of the messages that are kept.
/// timeout_ms: how long to wait for a message.
///
/// Makes no system call while there is a message. A reader without write
/// permission is woken if the mode of the topic was such that a process could
/// have that when the writer opened it; else it looks every 80 ms.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN     there is no message, and timeout_ms is 0; or the writer
///              overwrote each one while it was copied, 100 times
///   ETIMEDOUT  there was no message in time
///   EPIPE      there is no message, and the writer has closed the topic or
///              died. A new writer makes it usable again. A handle that has met
///              no writer yet waits for one
///   EIDRM      there is no message and no writer, and the topic is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than size; it stays the next one
///   EBADMSG    the topic's memory is damaged
///   EINVAL     topic is NULL or the writer's; buf is NULL and size is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_read(
    topic: *mut shmc_topic,
    buf: *mut c_void,
    size: usize,
    lost: *mut u64,
    timeout_ms: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    let (topic, buffer) = unsafe { (topic.as_mut(), buffer(buf, size)) };
    let (Some(topic), Some(buffer)) = (topic, buffer) else {
        return errno::failed(Error::INVALID) as ssize_t;
    };
    match topic.0.read(buffer, timeout_ms) {
        Ok(message) => {
            // SAFETY: the caller's promise.
            unsafe { store(lost, message.lost) };
            message.length as ssize_t
        }
        Err(error) => errno::failed(error) as ssize_t,
    }
}

/// Copies the newest message out of the topic, at once. shmc_topic_read goes on
/// where it was. The message is no older than one whose shmc_topic_write or
/// shmc_topic_publish had returned before the call.
///
/// buf, size: the buffer and its size in bytes.
/// number: NULL, or is set to the number of the message, counted from 1 since
/// the topic was created.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN    nothing has been written yet; or the writer overwrote each
///             message while it was copied, 100 times
///   EMSGSIZE  the message is longer than size
///   EBADMSG   the topic's memory is damaged
///   EINVAL    topic is NULL or the writer's; buf is NULL and size is not 0
///   EPERM     the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_latest(
    topic: *mut shmc_topic,
    buf: *mut c_void,
    size: usize,
    number: *mut u64,
) -> ssize_t {
    // SAFETY: the caller's promise.
    let (topic, buffer) = unsafe { (topic.as_mut(), buffer(buf, size)) };
    let (Some(topic), Some(buffer)) = (topic, buffer) else {
        return errno::failed(Error::INVALID) as ssize_t;
    };
    match topic.0.latest(buffer) {
        Ok((length, found)) => {
            // SAFETY: the caller's promise.
            unsafe { store(number, found) };
            length as ssize_t
        }
        Err(error) => errno::failed(error) as ssize_t,
    }
}

/// Finds the next message, which the program reads in place. The writer may
/// overwrite the message meanwhile: rely on what was read only after
/// shmc_topic_release has returned 0. Peeking again finds the same message, or
/// a later one if it was overwritten. A shmc_topic_read ends the peek, even if
/// it fails.
///
/// len: is set to the message's length in bytes.
/// lost, timeout_ms: as for shmc_topic_read.
///
/// Returns the message's address, aligned to 16; on failure NULL with errno as
/// shmc_topic_read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_peek(
    topic: *mut shmc_topic,
    len: *mut usize,
    lost: *mut u64,
    timeout_ms: c_int,
) -> *const c_void {
    // SAFETY: the caller's promise.
    let (Some(topic), Some(len)) = (unsafe { topic.as_mut() }, NonNull::new(len)) else {
        return errno::null(Error::INVALID);
    };
    match topic.0.peek(timeout_ms) {
        Ok((bytes, message)) => {
            // SAFETY: the caller's promise; len is not NULL.
            unsafe {
                len.write(message.length);
                store(lost, message.lost);
            }
            bytes.as_ptr().cast()
        }
        Err(error) => errno::null(error),
    }
}

/// Ends the reading of the message that shmc_topic_peek returned. Never waits.
///
/// Returns 0: the message was whole until now. On failure -1 with errno:
///   ESTALE  the writer overwrote the message, or began to: discard all that
///           was read from it. It counts as lost
///   EINVAL  topic is NULL or the writer's, or no message has been peeked at
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_release(topic: *mut shmc_topic) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { topic.as_mut() } {
        Some(topic) => errno::done(topic.0.release()),
        None => errno::failed(Error::INVALID),
    }
}

/// Returns a descriptor for poll(2), epoll(7) and select(2), with which an
/// event loop waits for messages beside its other files.
///
/// The descriptor is readable (POLLIN) while there may be a message, or the
/// writer has closed or died. It stays readable until shmc_topic_read or
/// shmc_topic_peek with timeout_ms 0 fails with EAGAIN, or reports EPIPE or
/// EIDRM, which it does once per loss. So a loop may make one such call after
/// each event, or several; an edge-triggered loop must go on until EAGAIN. The
/// descriptor is readable at first, and at times for no reason.
///
/// Each call returns the same descriptor. The topic owns and closes it: do not
/// read or close it. A child of fork(2) does not inherit it.
///
/// For a tenth of a second after some process has closed the topic, EAGAIN may
/// take a millisecond.
///
/// Returns the descriptor, at least 3; on failure -1 with errno as
/// shmc_channel_fd, and:
///   EACCES  the handle may only read the topic, so it cannot ask the writer to
///           make a descriptor readable
///   EINVAL  topic is NULL or the writer's
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_fd(topic: *mut shmc_topic) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { topic.as_mut() } {
        Some(topic) => errno::result(topic.0.poll_descriptor()),
        None => errno::failed(Error::INVALID),
    }
}

/// Reads the topic's present state into info, with one system call at most.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  topic or info is NULL
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_stat(
    topic: *const shmc_topic,
    info: *mut shmc_topic_info,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(topic), Some(info)) = (unsafe { topic.as_ref() }, NonNull::new(info)) else {
        return errno::failed(Error::INVALID);
    };
    match topic.0.info() {
        Ok(found) => {
            let found = shmc_topic_info {
                max_message: found.max_message,
                depth: found.depth,
                written: found.written,
                writer_alive: found.writer_alive.into(),
                reserved: [0; 4],
            };
            // SAFETY: not NULL, and the caller's promise.
            unsafe { info.write(found) };
            0
        }
        Err(error) => errno::failed(error),
    }
}

/// Closes the topic. Messages stay, for later readers too. A reader notices
/// that the writer has closed when it would wait.
///
/// Returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_topic_close(topic: *mut shmc_topic) -> c_int {
    if let Some(topic) = NonNull::new(topic) {
        // SAFETY: from shmc_topic_open, and the caller's promise.
        drop(unsafe { heap::from_heap(topic) });
    }
    0
}

/// A caller's buffer; `None` if it is NULL and not empty.
#[inline(always)]
unsafe fn buffer<'a>(buf: *mut c_void, size: usize) -> Option<&'a mut [u8]> {
    match (buf.is_null(), size) {
        (_, 0) => Some(&mut []),
        (true, _) => None,
        (false, _) => {
            // SAFETY: the caller's promise.
            Some(unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), size.min(MAX_BYTES)) })
        }
    }
}

/// Stores a number that the caller may not want.
#[inline(always)]
unsafe fn store(to: *mut u64, number: u64) {
    if let Some(to) = NonNull::new(to) {
        // SAFETY: not NULL, and the caller's promise.
        unsafe { to.write(number) };
    }
}
