//! The channels of `shmcomm.h`.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};
use core::ptr::NonNull;
use core::slice;

use libc::{mode_t, ssize_t};
use shmcomm_core::Error;
use shmcomm_core::channel::{Channel, Options, Side};

use crate::open::{SHMC_CREATE, SHMC_EXCL, SHMC_INTR, parse};
use crate::{errno, heap};

/// Open the sending end of a channel, or a topic for writing.
pub const SHMC_SEND: c_int = 0x100;
/// Open the receiving end of a channel, or a topic for reading.
pub const SHMC_RECV: c_int = 0x200;
/// shmc_channel_open: share this end with other processes or threads, up to 63
/// handles, all opened with this flag.
///
/// A handle that waits keeps no other handle from working, even if its process
/// is stopped. A handle that has reserved or peeked makes the others of its end
/// wait until it commits or releases.
pub const SHMC_SHARED: c_int = 0x400;

/// No memory is larger.
pub(crate) const MAX_BYTES: usize = isize::MAX as usize;

/// One end of a channel.
pub struct shmc_channel(Channel);

/// The state of a channel, from shmc_channel_stat.
#[repr(C)]
pub struct shmc_channel_info {
    /// Size in bytes. A message takes its length rounded up to 8, plus 8.
    pub capacity: u64,
    /// Bytes in use.
    pub used: u64,
    /// Messages sent and not yet received.
    pub messages: u64,
    /// Messages sent since the channel was created.
    pub sent: u64,
    /// Messages received since the channel was created.
    pub received: u64,
    /// 1: a process holds the sending end.
    pub sender_alive: c_int,
    /// 1: a process holds the receiving end.
    pub receiver_alive: c_int,
    /// 0; room for later fields.
    pub reserved: [u64; 4],
}

/// Opens one end of a message channel.
///
/// A channel keeps messages in order, each whole, until they are received or
/// shmc_remove removes the channel. Messages survive restarts of both sides. If
/// a side is killed, at any instruction, the channel is in the same state as
/// after shmc_channel_close.
///
/// name: a posix: or file: name.
/// capacity: bytes for messages, rounded up to a power of two of at least 4096.
/// A message takes its length rounded up to 8, plus 8. 0: that of the existing
/// channel, or 1 MiB for a new one.
/// flags: SHMC_SEND or SHMC_RECV, with any of SHMC_CREATE, SHMC_EXCL,
/// SHMC_SHARED, SHMC_INTR. Both sides may create the channel, in either order.
/// mode: permission bits of a new channel. Both sides need read and write
/// permission. Any process that may read it can lock out an end's owner, so use
/// 0600 unless you trust group and others.
///
/// Returns the end; on failure NULL with errno (and SIGXFSZ) as
/// shmc_segment_open, and:
///   EBUSY    another handle holds this end, or 63 share it. The end of a
///            holder that died is free at once, or when a child it had just
///            forked runs; the call waits 100 ms for that
///   EINVAL   capacity is larger than that of the existing channel
///   EBADMSG  the existing object is no channel of this version, comes from a
///            system with smaller pages, or is damaged
///   EMFILE   too many open files, or 256 channels in this process
///   ENOLCK   no file locks left, or none on this file system
///
/// A child gets EPERM on an inherited handle; it may close the handle and open
/// the channel itself. A child of _Fork or of a bare clone(2) keeps the file
/// open: the parent's end stays held until both have exited or called exec(2).
///
/// Follows shm_open(3), mmap(2).
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
        keep_origin: false,
        interruptible: flags & SHMC_INTR != 0,
    };
    errno::handle(|| {
        // SAFETY: the caller's promise.
        let name = unsafe { parse(name) }?;
        options.open(name).map(shmc_channel)
    })
}

/// Sends a message: copies it into the channel and wakes the receiver if it
/// sleeps.
///
/// msg, len: the message, from 0 bytes to the capacity less 16.
/// timeout_ms: how long to wait for room.
///
/// Makes no system call while there is room and the receiver is awake, and one
/// to wake a receiver. If several handles share an end and sleep, a message
/// wakes one of them, and that one wakes the next if there is more to do.
///
/// Returns 0: the message will be received, even if this process dies. On
/// failure -1 with errno, and nothing is sent:
///   EAGAIN     there is no room, and timeout_ms is 0; or another handle of a
///              shared end has been inside a message for more than 20
///              microseconds
///   ETIMEDOUT  there was no room in time
///   EPIPE      there is no room, and the receiver has closed its end or died.
///              A new receiver makes the channel usable again. A handle that
///              has met no receiver yet waits for one
///   EIDRM      there is no room and no receiver, and the channel is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than the capacity less 16
///   EBADMSG    the channel's memory is damaged
///   EINVAL     channel is NULL or a receiving end; msg is NULL and len is not
///              0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
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
        // SAFETY: the caller's promise. A length beyond MAX_BYTES stays too large for any channel.
        (false, _) => unsafe { slice::from_raw_parts(msg.cast::<u8>(), len.min(MAX_BYTES)) },
    };
    errno::done(channel.0.send(message, timeout_ms))
}

/// Receives a message: copies it out of the channel and frees its room.
///
/// buf, size: the buffer and its size in bytes.
/// timeout_ms: how long to wait for a message.
///
/// Makes no system call while there is a message and the sender is awake, and
/// one to wake a sender that waits for room. Shared ends: see shmc_send.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN     there is no message, and timeout_ms is 0; or another handle of
///              a shared end has been inside a message for more than 20
///              microseconds
///   ETIMEDOUT  there was no message in time
///   EPIPE      there is no message, and the sender has closed its end or died;
///              all that it sent has been received. A new sender makes the
///              channel usable again. A handle that has met no sender yet waits
///              for one
///   EIDRM      there is no message and no sender, and the channel is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than size; it stays in the channel
///   EBADMSG    the channel's memory is damaged
///   EINVAL     channel is NULL or a sending end; buf is NULL and size is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
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
        (false, _) => unsafe { slice::from_raw_parts_mut(buf.cast::<u8>(), size.min(MAX_BYTES)) },
    };
    match channel.0.receive(buffer, timeout_ms) {
        Ok(length) => length as ssize_t,
        Err(error) => errno::failed(error) as ssize_t,
    }
}

/// Reserves room for the next message, which the program writes in place and
/// sends with shmc_commit. A message that is not committed is never sent.
/// Reserving again, even if that fails, discards the earlier reservation, and
/// lets the other handles of a shared end proceed.
///
/// len: bytes to reserve.
/// timeout_ms: how long to wait for room.
///
/// Returns the address for the message, aligned to 8; on failure NULL with
/// errno as shmc_send.
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

/// Sends the message in the room that shmc_reserve returned. Never waits.
///
/// len: the message's length in bytes, at most the reserved length.
///
/// Returns 0: the message will be received, even if this process dies. On
/// failure -1 with errno:
///   EINVAL  channel is NULL, nothing is reserved, or len is too large
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_commit(channel: *mut shmc_channel, len: usize) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { channel.as_mut() } {
        Some(channel) => errno::done(channel.0.commit(len)),
        None => errno::failed(Error::INVALID),
    }
}

/// Finds the next message, which the program reads in place and frees with
/// shmc_release. Peeking again finds the same message; if the receiver dies
/// before it releases, so does the next receiver. A faulty sender can still
/// change the message, so copy it before you check it, if it must not change
/// after that.
///
/// len: is set to the message's length in bytes.
/// timeout_ms: how long to wait for a message.
///
/// Returns the message's address, aligned to 8; on failure NULL with errno as
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
            // SAFETY: not NULL, and the promise of shmc_peek's caller.
            unsafe { len.write(length) };
            message.as_ptr().cast()
        }
        Err(error) => errno::null(error),
    }
}

/// Frees the message that shmc_peek returned. Never waits.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  channel is NULL, or no message has been peeked at
///   EPERM   the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_release(channel: *mut shmc_channel) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { channel.as_mut() } {
        Some(channel) => errno::done(channel.0.release()),
        None => errno::failed(Error::INVALID),
    }
}

/// Returns a descriptor for poll(2), epoll(7) and select(2), with which an
/// event loop waits for this end beside its other files.
///
/// The descriptor is readable (POLLIN) while this end may be able to proceed:
/// there is a message, or room, or the other side has closed or died. It stays
/// readable until a call with timeout_ms 0 on this handle fails with EAGAIN, or
/// reports EPIPE or EIDRM, which it does once per loss. So a loop may make one
/// such call after each event, or several; an edge-triggered loop must go on
/// until EAGAIN. The descriptor is readable at first, and at times for no
/// reason.
///
/// Calls that wait may come in between. If several handles share an end, each
/// message makes all their descriptors readable; one handle gets it, the others
/// EAGAIN.
///
/// Each call returns the same descriptor. The channel owns and closes it: do
/// not read or close it. A child of fork(2) does not inherit it.
///
/// Waking a process that waits for its descriptor takes one system call, and
/// the EAGAIN before the next wait another. For a tenth of a second after some
/// process has closed the channel, EAGAIN may take a millisecond.
///
/// Returns the descriptor, at least 3; on failure -1 with errno:
///   EMFILE      too many open files; or too many inotify instances of this
///               user: the limit is fs.inotify.max_user_instances, often 128;
///               or 256 channels and descriptors of channels in this process
///   ENFILE      too many open files in the system
///   ENOSPC      too many inotify watches of this user: the limit is
///               fs.inotify.max_user_watches
///   ENOMEM      not enough memory
///   EACCES      the caller has lost its read permission
///   EOPNOTSUPP  /proc is not mounted; or a sandbox, or the file system, has no
///               inotify(7)
///   EINVAL      channel is NULL
///   EPERM       the handle was inherited across fork(2)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_channel_fd(channel: *mut shmc_channel) -> c_int {
    // SAFETY: the caller's promise.
    let Some(channel) = (unsafe { channel.as_mut() }) else {
        return errno::failed(Error::INVALID);
    };
    match channel.0.poll_descriptor() {
        Ok(descriptor) => descriptor,
        Err(error) => errno::failed(error),
    }
}

/// Reads the channel's present state into info, with one system call.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  channel or info is NULL
///   EPERM   the handle was inherited across fork(2)
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
                reserved: [0; 4],
            };
            // SAFETY: not NULL, and the caller's promise.
            unsafe { info.write(found) };
            0
        }
        Err(error) => errno::failed(error),
    }
}

/// Closes this end. Sent messages stay in the channel. The other side notices
/// when it would wait.
///
/// Returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmc_channel_close(channel: *mut shmc_channel) -> c_int {
    if let Some(channel) = NonNull::new(channel) {
        // SAFETY: from shmc_channel_open, and the caller's promise.
        drop(unsafe { heap::from_heap(channel) });
    }
    0
}
