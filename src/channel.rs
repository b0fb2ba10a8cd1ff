//! The channel of `shmcomm.h`.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;
use core::slice;

use libc::{mode_t, ssize_t};
use shmcomm_core::Error;
use shmcomm_core::channel::{Channel, Options, Side};

use crate::segment::{SHMC_CREATE, SHMC_EXCL, SHMC_INTR, parse};
use crate::{errno, heap};

/// Of shmc_channel_open: the sending end.
pub const SHMC_SEND: c_int = 256;
/// Of shmc_channel_open: the receiving end.
pub const SHMC_RECV: c_int = 512;
/// Of shmc_channel_open: several processes or threads hold this end at once, up to 63, each with a
/// handle of its own. All of them say so. A handle that waits is in nobody's way, even if its process is
/// stopped; one that has reserved or peeked, and not yet committed or released, keeps the others of its
/// end waiting.
pub const SHMC_SHARED: c_int = 1024;

/// No memory holds more.
const MOST_BYTES: usize = isize::MAX as usize;

/// One end of a channel. It belongs to the process that opened it.
pub struct shmc_channel(Channel);

/// What shmc_channel_stat tells.
#[repr(C)]
pub struct shmc_channel_info {
    /// Bytes that the channel holds: messages, each rounded up to 8 and with 8 before it.
    pub capacity: u64,
    /// Bytes of these that are taken.
    pub used: u64,
    /// Messages that are sent and not yet received.
    pub messages: u64,
    /// Messages sent since the channel was made.
    pub sent: u64,
    /// Messages received since then.
    pub received: u64,
    /// 1 if somebody holds the sending end.
    pub sender_alive: c_int,
    /// 1 if somebody holds the receiving end.
    pub receiver_alive: c_int,
}

/// Opens one end of a message channel: posix: and file: names. Messages are kept in order, each
/// whole, until they are received or the channel is removed (shmc_remove), across restarts of either
/// side. A side that is killed, at whatever instruction, leaves the channel as if it had closed it.
///
/// name: as for shmc_segment_open.
/// capacity: bytes for messages, rounded up to a power of two of at least 4096, each message taking
/// its length rounded up to 8, and 8 more. 0: what is there, or 1 MiB.
/// flags: SHMC_SEND or SHMC_RECV; any of SHMC_CREATE, SHMC_EXCL, SHMC_SHARED, SHMC_INTR. Both sides
/// may create, in either order.
/// mode: permission bits of a new channel. Both sides need to read and write it. Whoever may read it can
/// lock an end away from its owner, so leave group and others out (0600) unless you trust them.
///
/// Returns the end; NULL on failure, with errno (and SIGXFSZ) as shmc_segment_open, and:
///   EBUSY    somebody else holds this end, or 63 share it. The end of a holder that has died is free at
///            once; if a child of it has been forked and has not run yet, after that, within 100 ms
///   EINVAL   capacity is larger than that of the channel that is there
///   EBADMSG  what is there is no channel of this version, or one of a system with smaller pages, or is
///            damaged
///   EMFILE   too many open files, or 256 channels in this process
///   ENOLCK   no file locks left, or none on this file system
///
/// Thread-safe. Not async-signal-safe. In a child of fork(2), and of _Fork and clone(2), the calls on an
/// inherited handle fail with EPERM; the child may close it, and open the channel itself. A child of
/// _Fork or of a bare clone(2) keeps the file open: what its parent held stays held until both have ended
/// or called exec.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_channel_open(
    name: *const c_char,
    capacity: usize,
    flags: c_int,
    mode: mode_t,
) -> *mut shmc_channel {
    const ALL: c_int = SHMC_CREATE | SHMC_EXCL | SHMC_INTR | SHMC_SEND | SHMC_RECV | SHMC_SHARED;
    let side = match flags & (SHMC_SEND | SHMC_RECV) {
        SHMC_SEND => Some(Side::Sender),
        SHMC_RECV => Some(Side::Receiver),
        _ => None,
    };
    let (Some(side), 0) = (side, flags & !ALL) else {
        return errno::null(Error::INVALID);
    };
    let options = Options {
        side,
        capacity,
        mode,
        create: flags & SHMC_CREATE != 0,
        exclusive: flags & SHMC_EXCL != 0,
        shared: flags & SHMC_SHARED != 0,
        interruptible: flags & SHMC_INTR != 0,
    };
    errno::handle(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { parse(name) }?;
        options.open(name).map(shmc_channel)
    })
}

/// Sends a message: copies it, and wakes the receiver if it sleeps.
///
/// msg, len: the message, 0 bytes up to the capacity less 16.
/// timeout_ms: how long to wait while there is no room: 0 not at all, -1 for ever.
///
/// Returns 0: the message will be received, whatever becomes of this process. -1 on failure, with
/// errno, and nothing is sent:
///   EAGAIN     no room, and timeout_ms is 0; at a shared end also if another handle of it is in the
///              middle of a message for longer than 20 microseconds
///   ETIMEDOUT  no room in all that time
///   EPIPE      no room, and the receiver that was there has closed its end or died; a new one makes the
///              channel usable again. Until this handle has met a receiver it waits for one
///   EIDRM      no room, no receiver, and the channel is removed
///   EINTR      a signal handler ran during the wait, and the channel was opened with SHMC_INTR
///   EMSGSIZE   larger than the channel ever takes
///   EBADMSG    the memory of the channel is damaged
///   EINVAL     channel is NULL or a receiving end; msg is NULL and len is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
///
/// No system call while there is room and the receiver is awake; one to wake a receiver that sleeps. Of
/// several that share an end and sleep, a message wakes one, and that one wakes the next if there is
/// more to do: two system calls to wake and one to sleep for each message, however many sleep. Not for
/// two threads on the same handle at the same time. Not async-signal-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_send(
    channel: *mut shmc_channel,
    msg: *const c_void,
    len: usize,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let Some(channel) = (unsafe { channel.as_mut() }) else {
        return errno::failed(Error::INVALID);
    };
    let message = match (msg.is_null(), len) {
        (_, 0) => &[],
        (true, _) => return errno::failed(Error::INVALID),
        // SAFETY: the caller's promise. What no memory can hold is too large without its last byte.
        (false, _) => unsafe { slice::from_raw_parts(msg.cast::<u8>(), len.min(MOST_BYTES)) },
    };
    errno::done(channel.0.send(message, timeout_ms))
}

/// Receives a message: copies it, and frees its room.
///
/// buf, size: where it goes, and how many bytes fit.
/// timeout_ms: how long to wait while there is none: 0 not at all, -1 for ever.
///
/// Returns its length in bytes, which may be 0; -1 on failure, with errno:
///   EAGAIN     no message, and timeout_ms is 0; at a shared end as shmc_send
///   ETIMEDOUT  no message in all that time
///   EPIPE      no message, and the sender that was there has closed its end or died; all that it sent
///              has been received, and a new one makes the channel usable again. Until this handle has
///              met a sender it waits for one
///   EIDRM      no message, no sender, and the channel is removed
///   EINTR      as shmc_send
///   EMSGSIZE   the message is longer than size; it stays
///   EBADMSG    the memory of the channel is damaged
///   EINVAL     channel is NULL or a sending end; buf is NULL and size is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// Otherwise as shmc_send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_recv(
    channel: *mut shmc_channel,
    buf: *mut c_void,
    size: usize,
    timeout_ms: c_int,
) -> ssize_t {
    // SAFETY: the caller's promise.
    let Some(channel) = (unsafe { channel.as_mut() }) else {
        return errno::failed(Error::INVALID) as ssize_t;
    };
    let buffer = match (buf.is_null(), size) {
        (_, 0) => &mut [],
        (true, _) => return errno::failed(Error::INVALID) as ssize_t,
        // SAFETY: the caller's promise.
        (false, _) => unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), size.min(MOST_BYTES)) },
    };
    match channel.0.receive(buffer, timeout_ms) {
        Ok(length) => length as ssize_t,
        Err(error) => errno::failed(error) as ssize_t,
    }
}

/// Gives the place in the channel where the next message goes, to be written there and sent by
/// shmc_commit. What is reserved and not committed is never sent; reserving again gives it up.
///
/// len: bytes.
/// timeout_ms: as shmc_send.
///
/// Returns the place, aligned to 8; NULL on failure, with errno as shmc_send. Otherwise as shmc_send.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_reserve(
    channel: *mut shmc_channel,
    len: usize,
    timeout_ms: c_int,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let Some(channel) = (unsafe { channel.as_mut() }) else {
        return errno::null(Error::INVALID);
    };
    match channel.0.reserve_at_once(len) {
        Some(place) => place.as_ptr().cast(),
        None => reserve_or_wait(&mut channel.0, len, timeout_ms),
    }
}

#[cold]
#[inline(never)]
fn reserve_or_wait(channel: &mut Channel, len: usize, timeout_ms: c_int) -> *mut c_void {
    match channel.reserve_or_wait(len, timeout_ms) {
        Ok(place) => place.as_ptr().cast(),
        Err(error) => errno::null(error),
    }
}

/// Sends what was written where shmc_reserve said.
///
/// len: bytes, at most as many as reserved.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL  channel is NULL, nothing is reserved, or len is more than that
///   EPERM   the handle was inherited across fork(2)
///
/// Otherwise as shmc_send; it never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_commit(channel: *mut shmc_channel, len: usize) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { channel.as_mut() } {
        Some(channel) => errno::done(channel.0.commit(len)),
        None => errno::failed(Error::INVALID),
    }
}

/// Gives the next message where it lies in the channel, to be read there and freed by shmc_release.
/// Peeking again gives the same one, also to the next receiver if this one dies before. Its sender
/// should not, but can, still change it: copy what must not change while it is checked.
///
/// len: its length in bytes.
/// timeout_ms: as shmc_recv.
///
/// Returns the message, aligned to 8; NULL on failure, with errno as shmc_recv. Otherwise as
/// shmc_recv.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_peek(
    channel: *mut shmc_channel,
    len: *mut usize,
    timeout_ms: c_int,
) -> *const c_void {
    // SAFETY: the caller's promise.
    let (Some(channel), Some(len)) = (unsafe { channel.as_mut() }, NonNull::new(len)) else {
        return errno::null(Error::INVALID);
    };
    match channel.0.peek_at_once() {
        Some((message, length)) => {
            // SAFETY: not NULL, and the caller's promise.
            unsafe { len.write(length) };
            message.as_ptr().cast()
        }
        None => peek_or_wait(&mut channel.0, len, timeout_ms),
    }
}

#[cold]
#[inline(never)]
fn peek_or_wait(channel: &mut Channel, len: NonNull<usize>, timeout_ms: c_int) -> *const c_void {
    match channel.peek_or_wait(timeout_ms) {
        Ok((message, length)) => {
            // SAFETY: not NULL, and a promise of who calls shmc_peek.
            unsafe { len.write(length) };
            message.as_ptr().cast()
        }
        Err(error) => errno::null(error),
    }
}

/// Frees the message that shmc_peek gave.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL  channel is NULL, or no message is peeked at
///   EPERM   the handle was inherited across fork(2)
///
/// Otherwise as shmc_recv; it never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_release(channel: *mut shmc_channel) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { channel.as_mut() } {
        Some(channel) => errno::done(channel.0.release()),
        None => errno::failed(Error::INVALID),
    }
}

/// Tells what is known about the channel now.
///
/// info: filled on success.
///
/// Returns 0; -1 on failure, with errno:
///   EINVAL  channel or info is NULL
///   EPERM   the handle was inherited across fork(2)
///
/// One system call. Not for two threads on the same handle at the same time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_channel_stat(
    channel: *const shmc_channel,
    info: *mut shmc_channel_info,
) -> c_int {
    // SAFETY: the caller's promise.
    let (Some(channel), Some(info)) = (unsafe { channel.as_ref() }, NonNull::new(info)) else {
        return errno::failed(Error::INVALID);
    };
    match channel.0.info() {
        Ok(found) => {
            let found = shmc_channel_info {
                capacity: found.capacity,
                used: found.used,
                messages: found.sent.saturating_sub(found.received),
                sent: found.sent,
                received: found.received,
                sender_alive: found.sender_alive.into(),
                receiver_alive: found.receiver_alive.into(),
            };
            // SAFETY: not NULL, and the caller's promise.
            unsafe { info.write(found) };
            0
        }
        Err(error) => errno::failed(error),
    }
}

/// Closes this end; what was sent stays. The other side sees it when it would wait. NULL is fine.
///
/// Returns 0.
///
/// Thread-safe, for a handle that no other thread uses. Not async-signal-safe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_channel_close(channel: *mut shmc_channel) -> c_int {
    if let Some(channel) = NonNull::new(channel) {
        // SAFETY: from shmc_channel_open, and the caller's promise.
        drop(unsafe { heap::from_heap(channel) });
    }
    0
}
