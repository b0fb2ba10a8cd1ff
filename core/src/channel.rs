//! Layer 3: a channel of messages, for two processes or several, which survives the death of either
//! at any instruction.
//!
//! The memory is a page of words and the [ring], mapped twice so that no message ever
//! has a seam. Who sends or receives is known by `endpoint.rs`.
//!
//! Nobody makes a system call while both sides are busy. Who has to wait spins for a moment, then
//! says so in its sleep word and sleeps, by the [handshake]; the other side looks
//! at that word after each message.

use core::ffi::c_int;
use core::ptr::NonNull;
use core::sync::atomic::{
    AtomicU32, AtomicU64, Ordering,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

use crate::deadline::Deadline;
pub use crate::endpoint::Side;
use crate::endpoint::{self, Endpoint, Process};
use crate::error::{Call, Errno, Error};
use crate::handshake::{self, FENCED, SleepWord};
use crate::name::Name;
use crate::object::{self, Place, Unnamed};
use crate::ring::{self, Consumer, Producer, Stop, Words, count, longest};
use crate::sys::{self, Access, Advice, Descriptor};

/// Before the ring, in bytes: the words that are not part of it, each on a cache line of its own.
const HEADER: usize = 4096;
const SMALLEST: usize = 4096;
/// The capacity where none is asked for.
const DEFAULT_CAPACITY: usize = 1 << 20;
/// The first word of a channel: what it is, and in which version.
const MAGIC: u64 = 0x0001_6c65_6e6e_6163;

/// As long as a busy side may take to answer; a futex costs about half of it.
const SPIN_NS: i64 = 20_000;
/// How long a side sleeps before it looks whether the other one lives.
const SLICE_NS: i64 = 80_000_000;

/// Where the words of the header are, in bytes.
mod at {
    pub const MAGIC: usize = 0;
    pub const TAIL: usize = 64;
    pub const SENT: usize = 72;
    pub const HEAD: usize = 128;
    pub const RECEIVED: usize = 136;
    pub const SENDER_SLEEPS: usize = 192;
    pub const RECEIVER_SLEEPS: usize = 256;
    pub const SENDER_LOCK: usize = 320;
    pub const RECEIVER_LOCK: usize = 384;
    pub const SENDER_CAME: usize = 448;
    pub const RECEIVER_CAME: usize = 452;
    pub const ALWAYS_FENCED: usize = 456;
}

/// The word of the lock that those have who share an end.
mod lock {
    /// The slot of who has it; 0 for nobody.
    pub const HOLDER: u32 = 0xff;
    /// How often it was taken: so that nobody takes the lock of a living one for that of a dead one
    /// that had the same slot before.
    pub const COUNT: u32 = 0x7fff_ff00;
    /// Somebody waits for it.
    pub const WAITED_FOR: u32 = 1 << 31;

    /// The count of who takes it next.
    pub fn next(word: u32) -> u32 {
        (word & COUNT).wrapping_add(HOLDER.wrapping_add(1)) & COUNT
    }
}

/// The memory of a channel. Each word, who writes it, and what a death in between leaves:
///
/// | word | written by | read by | order | a death leaves |
/// |---|---|---|---|---|
/// | magic | its maker, before it has a name | all, at open | – | no channel |
/// | tail | the sender, after publishing | the next sender, who asks | release, acquire | one record behind: [`Producer::resume`] counts it |
/// | sent | the sender, after tail | all | release, acquire | one behind, told by tail's low bits |
/// | head | the receiver, at release | the sender, when the ring looks full | release, acquire | the message, for the next receiver |
/// | received | the receiver, after head | all | release, acquire | one behind, told by head's low bits |
/// | a sleep word | its side, the other when it wakes it | both | see [the handshake](crate::handshake) | a wake-up for nobody |
/// | a lock | who shares that end | the same | acquire, release | its slot, whose owner is asked for |
/// | came | its side, at open | the other, when it waits | relaxed | – |
/// | always fenced | who cannot use membarrier(2), at open | both | relaxed | a barrier too many |
struct Memory {
    base: NonNull<u8>,
    capacity: usize,
    process: Process,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A child has never had it, and may have something else there.
        if self.process.is_this() {
            // SAFETY: mapped by map_twice, and who drops this uses the memory no more.
            let _ = unsafe { sys::unmap(self.base.cast(), self.mapped()) };
        }
    }
}

impl Memory {
    fn new(file: &Descriptor, capacity: usize) -> Result<Self, Error> {
        let base = Call::Mmap.of(sys::map_twice(file, HEADER, capacity))?;
        let memory = Self {
            base,
            capacity,
            process: Process::current(),
        };
        // A mapping holds the file open, and so its locks: a child must not have it.
        // SAFETY: mapped, of this size.
        let kept = unsafe { sys::advise(base.cast(), memory.mapped(), Advice::NotForChildren) };
        Call::Madvise.of(kept)?;
        Ok(memory)
    }

    fn mapped(&self) -> usize {
        self.capacity.wrapping_mul(2).wrapping_add(HEADER)
    }

    /// A word of the header.
    #[inline]
    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `at` is one of the constants above, in the mapped header and aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// A long word of the header, or of the ring.
    #[inline]
    fn long(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `at` is one of the constants above, or below HEADER and the capacity; aligned.
        unsafe { self.base.byte_add(at).cast().as_ref() }
    }

    /// The first byte at an offset of the ring, behind which at least `capacity` bytes are mapped.
    #[inline]
    fn bytes(&self, offset: u64) -> NonNull<u8> {
        let offset = offset as usize & self.capacity.wrapping_sub(1);
        // SAFETY: below the capacity, and the ring is mapped twice.
        unsafe { self.base.byte_add(HEADER.wrapping_add(offset)) }
    }
}

impl Words for Memory {
    type Word = AtomicU64;

    #[inline]
    fn length(&self, offset: u64) -> &AtomicU64 {
        let offset = offset as usize & self.capacity.wrapping_sub(1) & !7;
        self.long(HEADER.wrapping_add(offset))
    }
    #[inline]
    fn head(&self) -> &AtomicU64 {
        self.long(at::HEAD)
    }
    #[inline]
    fn tail(&self) -> &AtomicU64 {
        self.long(at::TAIL)
    }
}

impl SleepWord for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }
    fn fetch_and(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_and(bits, order)
    }
    fn exchange(&self, from: u32, to: u32, order: Ordering) -> bool {
        self.compare_exchange(from, to, order, Relaxed).is_ok()
    }
    fn fence(&self) {
        fence(SeqCst);
    }
    /// By `membarrier(2)`.
    fn fence_everywhere(&self) -> bool {
        sys::barrier_everywhere()
    }
    fn wait(&self, expected: u32, nanoseconds: i64) -> bool {
        sleep_on(self, expected, nanoseconds) != Err(Errno::ETIMEDOUT)
    }
    fn wake(&self) {
        wake_on(self, c_int::MAX);
    }
}

/// How a channel is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which end.
    pub side: Side,
    /// So many bytes of messages and their lengths at once; 0 for what is there, or a megabyte.
    pub capacity: usize,
    /// The permission bits of a new channel.
    pub mode: u32,
    /// Make it if there is none.
    pub create: bool,
    /// With `create`: fail if there is one.
    pub exclusive: bool,
    /// Several may hold this end at once.
    pub shared: bool,
}

/// What is known about a channel now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Info {
    /// Bytes that the ring holds.
    pub capacity: u64,
    /// Bytes that are taken by messages and their lengths.
    pub used: u64,
    /// Messages sent, since the channel was made.
    pub sent: u64,
    /// Messages received, likewise.
    pub received: u64,
    /// Whether somebody holds the sending end.
    pub sender_alive: bool,
    /// Whether somebody holds the receiving end.
    pub receiver_alive: bool,
}

/// The state of this end in the ring.
enum End {
    Sender(Producer),
    Receiver(Consumer),
}

/// One end of a channel. It belongs to the process that opened it: in a child of `fork(2)` every
/// call fails by EPERM.
pub struct Channel {
    memory: Memory,
    end: End,
    /// The length that is reserved or peeked at, but not yet committed or released.
    pending: Option<u64>,
    /// Messages in a row after which nobody had to be woken.
    calm: u32,
    /// Other processes' barriers reach this one.
    registered: bool,
    endpoint: Endpoint,
}

// SAFETY: the memory belongs to the process, not to a thread; what changes the handle takes it by
// &mut.
unsafe impl Send for Channel {}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.pending.is_some() && !self.endpoint.is_inherited() {
            self.unlock();
        }
    }
}

impl Options {
    /// Opens an end of a channel, which is made if need be; `posix:` and `file:` names.
    #[inline(never)]
    pub fn open(&self, name: Name<'_>) -> Result<Channel, Error> {
        /// As often as others may make and remove the same name meanwhile.
        const TRIES: u32 = 100;

        let place = match name {
            Name::Posix(name) => Place::Posix(name),
            Name::File(path) => Place::File(path),
            _ => return Err(invalid()),
        };
        if self.mode & !0o777 != 0 || (self.exclusive && !self.create) {
            return Err(invalid());
        }
        for _ in 0..TRIES {
            if self.exclusive && object::exists(place)? {
                return Err(Call::Link.failed(Errno::EEXIST));
            }
            let made = match object::open(place, Access::ReadWrite, self.create) {
                Ok((file, size)) if !self.exclusive => return self.take(file, size),
                Ok(_) => Err(Call::Link.failed(Errno::EEXIST)),
                Err(error) if self.create && error.errno() == Errno::ENOENT => self.make(place),
                Err(error) => return Err(error),
            };
            match made {
                Err(error) if error.errno() == Errno::EEXIST => {}
                Err(error) => return Err(error),
                Ok(file) => return self.take(file, self.size()?),
            }
        }
        Err(Call::Link.failed(Errno::EBUSY))
    }

    /// The size of a new channel's object.
    fn size(&self) -> Result<usize, Error> {
        let asked = match self.capacity {
            0 => DEFAULT_CAPACITY,
            asked => asked.max(SMALLEST),
        };
        asked
            .checked_next_power_of_two()
            .and_then(|capacity| capacity.checked_add(HEADER))
            .filter(|size| isize::try_from(*size).is_ok())
            .ok_or(invalid())
    }

    fn make(&self, place: Place<'_>) -> Result<Descriptor, Error> {
        let size = self.size()?;
        let unnamed = Unnamed::make(place, size, self.mode)?;
        let memory = Memory::new(unnamed.file(), size.wrapping_sub(HEADER))?;
        memory.long(at::MAGIC).store(MAGIC, Relaxed);
        unnamed.publish(place)
    }

    fn take(&self, file: Descriptor, size: usize) -> Result<Channel, Error> {
        let capacity = size.saturating_sub(HEADER);
        if capacity < SMALLEST || !capacity.is_power_of_two() {
            return Err(Call::Mmap.failed(Errno::EBADMSG));
        }
        if self.capacity > capacity {
            return Err(invalid());
        }
        let memory = Memory::new(&file, capacity)?;
        if memory.long(at::MAGIC).load(Relaxed) != MAGIC {
            return Err(Call::Mmap.failed(Errno::EBADMSG));
        }
        let endpoint = Endpoint::claim(file, self.side, self.shared)?;
        let registered = sys::register_for_barriers();
        let mut channel = Channel {
            end: End::Receiver(Consumer::resume(&memory, capacity as u64, 0)),
            memory,
            pending: None,
            calm: 0,
            registered,
            endpoint,
        };
        if !registered {
            channel.always_fence();
        }
        match channel.endpoint.slot() {
            0 => channel.resume()?,
            _ => channel.unlock_for_dead(),
        }
        channel.came(self.side).store(1, Relaxed);
        Ok(channel)
    }
}

fn invalid() -> Error {
    Call::Arguments.failed(Errno::EINVAL)
}

/// How long to sleep before looking again, in nanoseconds: 0 when the time is over.
fn slice(deadline: Deadline) -> i64 {
    let remaining = deadline.remaining_ns();
    remaining.map_or(SLICE_NS, |remaining| remaining.min(SLICE_NS))
}

/// Sleeps on a word; ETIMEDOUT after so many nanoseconds.
fn sleep_on(word: &AtomicU32, expected: u32, nanoseconds: i64) -> Result<(), Errno> {
    let until = sys::monotonic_clock_ns().wrapping_add(nanoseconds);
    sys::futex_wait(word.as_ptr(), expected, Some(until))
}

fn wake_on(word: &AtomicU32, how_many: c_int) {
    let _ = sys::futex_wake(word.as_ptr(), how_many);
}

impl Channel {
    fn side(&self) -> Side {
        self.endpoint.side()
    }

    fn sleep_word(&self, side: Side) -> &AtomicU32 {
        self.memory.word(match side {
            Side::Sender => at::SENDER_SLEEPS,
            Side::Receiver => at::RECEIVER_SLEEPS,
        })
    }

    fn own_sleep_word(&self) -> &AtomicU32 {
        self.sleep_word(self.side())
    }

    fn came(&self, side: Side) -> &AtomicU32 {
        self.memory.word(match side {
            Side::Sender => at::SENDER_CAME,
            Side::Receiver => at::RECEIVER_CAME,
        })
    }

    fn lock_word(&self) -> &AtomicU32 {
        self.memory.word(match self.side() {
            Side::Sender => at::SENDER_LOCK,
            Side::Receiver => at::RECEIVER_LOCK,
        })
    }

    /// Takes up where the last one at this end was.
    fn resume(&mut self) -> Result<(), Error> {
        let capacity = self.memory.capacity as u64;
        self.end = match self.side() {
            Side::Sender => {
                let sent = self.memory.long(at::SENT).load(Relaxed);
                let producer = Producer::resume(&self.memory, capacity, sent);
                End::Sender(producer.map_err(stopped)?)
            }
            Side::Receiver => {
                let received = self.memory.long(at::RECEIVED).load(Relaxed);
                End::Receiver(Consumer::resume(&self.memory, capacity, received))
            }
        };
        Ok(())
    }

    /// The longest message, in bytes.
    pub fn longest(&self) -> usize {
        longest(self.memory.capacity as u64) as usize
    }

    /// Sends a message, and waits for room: 0 not at all (EAGAIN), -1 for ever, else so many
    /// milliseconds (ETIMEDOUT).
    #[inline(always)]
    pub fn send(&mut self, message: &[u8], timeout_ms: c_int) -> Result<(), Error> {
        let place = self.reserve(message.len(), timeout_ms)?;
        // SAFETY: reserved, of this length; no reference into shared memory exists.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(message).cast(), message.len()) };
        self.commit(message.len())
    }

    /// Receives a message, and waits for it likewise; its length. EMSGSIZE where the buffer is
    /// smaller: the message stays.
    #[inline(always)]
    pub fn receive(&mut self, buffer: &mut [u8], timeout_ms: c_int) -> Result<usize, Error> {
        let (message, length) = self.peek(timeout_ms)?;
        if length > buffer.len() {
            self.forget();
            return Err(Call::Arguments.failed(Errno::EMSGSIZE));
        }
        // SAFETY: that many bytes are mapped; no reference into shared memory exists.
        unsafe {
            NonNull::from(buffer)
                .cast()
                .copy_from_nonoverlapping(message, length)
        };
        self.release()?;
        Ok(length)
    }

    /// Waits for room for a message, and gives the place to write it: as many bytes, valid until
    /// [`Self::commit`].
    #[inline(always)]
    pub fn reserve(&mut self, length: usize, timeout_ms: c_int) -> Result<NonNull<u8>, Error> {
        self.begin(Side::Sender, timeout_ms)?;
        let place = match self.try_reserve(length as u64) {
            Err(Stop::Wait) => self.wait(timeout_ms, |channel| channel.try_reserve(length as u64)),
            result => result.map_err(stopped),
        };
        match place {
            Ok(offset) => {
                self.pending = Some(length as u64);
                Ok(self.memory.bytes(offset))
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    #[inline(always)]
    fn try_reserve(&mut self, length: u64) -> Result<u64, Stop> {
        match &mut self.end {
            End::Sender(producer) => producer.reserve(&self.memory, length),
            End::Receiver(_) => Err(Stop::Corrupt),
        }
    }

    /// Sends what was written where [`Self::reserve`] said: no longer than reserved.
    #[inline(always)]
    pub fn commit(&mut self, length: usize) -> Result<(), Error> {
        let length = length as u64;
        match (&mut self.end, self.pending) {
            (End::Sender(producer), Some(reserved))
                if length <= reserved && !self.endpoint.is_inherited() =>
            {
                producer.publish(&self.memory, length);
                self.memory.long(at::SENT).store(producer.sent(), Release);
            }
            _ => return Err(self.refused()),
        }
        self.finish();
        Ok(())
    }

    /// Waits for a message, and gives its bytes where they are, and how many: until
    /// [`Self::release`]. Its sender can still change them.
    #[inline(always)]
    pub fn peek(&mut self, timeout_ms: c_int) -> Result<(NonNull<u8>, usize), Error> {
        self.begin(Side::Receiver, timeout_ms)?;
        let found = match self.try_peek() {
            Err(Stop::Wait) => self.wait(timeout_ms, |channel| channel.try_peek()),
            result => result.map_err(stopped),
        };
        match found {
            Ok((offset, length)) => {
                self.pending = Some(length);
                Ok((self.memory.bytes(offset), length as usize))
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    #[inline(always)]
    fn try_peek(&mut self) -> Result<(u64, u64), Stop> {
        match &self.end {
            End::Receiver(consumer) => consumer.peek(&self.memory),
            End::Sender(_) => Err(Stop::Corrupt),
        }
    }

    /// Frees the message that [`Self::peek`] gave.
    #[inline(always)]
    pub fn release(&mut self) -> Result<(), Error> {
        match (&mut self.end, self.pending) {
            (End::Receiver(consumer), Some(length)) if !self.endpoint.is_inherited() => {
                consumer.release(&self.memory, length);
                let received = self.memory.long(at::RECEIVED);
                received.store(consumer.received(), Release);
            }
            _ => return Err(self.refused()),
        }
        self.finish();
        Ok(())
    }

    /// Gives up what is reserved or peeked at.
    #[cold]
    fn forget(&mut self) {
        self.pending = None;
        self.unlock();
    }

    /// Before anything is reserved or peeked at. What is already is given up, or peeked at again.
    #[inline(always)]
    fn begin(&mut self, side: Side, timeout_ms: c_int) -> Result<(), Error> {
        if self.side() != side || self.endpoint.is_inherited() {
            return Err(self.refused());
        }
        if self.endpoint.slot() != 0 && self.pending.is_none() {
            self.lock(timeout_ms)?;
        }
        Ok(())
    }

    #[cold]
    fn refused(&self) -> Error {
        match self.endpoint.is_inherited() {
            true => Call::Arguments.failed(Errno::EPERM),
            false => invalid(),
        }
    }

    /// After a message was sent or freed.
    #[inline(always)]
    fn finish(&mut self) {
        self.pending = None;
        self.unlock();
        let other = self.side().other();
        if handshake::is_called(self.sleep_word(other)) {
            self.wake(other);
        }
    }

    /// Wakes the other side if it sleeps.
    #[cold]
    #[inline(never)]
    fn wake(&mut self, other: Side) {
        let always = self.memory.word(at::ALWAYS_FENCED).load(Relaxed) != 0;
        let reaches = self.registered && !always;
        let mut calm = self.calm;
        handshake::wake(self.sleep_word(other), &mut calm, reaches);
        self.calm = calm;
    }

    /// Waits until `attempt` says something else than that it has to.
    #[cold]
    #[inline(never)]
    fn wait<T>(
        &mut self,
        timeout_ms: c_int,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Error> {
        if timeout_ms == 0 {
            return Err(Call::Futex.failed(Errno::EAGAIN));
        }
        let deadline = Deadline::after_ms(timeout_ms);
        let spin = sys::monotonic_clock_ns().wrapping_add(SPIN_NS);
        while sys::monotonic_clock_ns() < spin {
            for _ in 0..32 {
                match attempt(self) {
                    Err(Stop::Wait) => core::hint::spin_loop(),
                    result => return result.map_err(stopped),
                }
            }
        }
        loop {
            let result = handshake::sleep(
                self,
                Self::own_sleep_word,
                slice(deadline),
                &mut attempt,
                Self::always_fence,
            );
            match result {
                Err(Stop::Wait) => {}
                result => return result.map_err(stopped),
            }
            let time_is_over = slice(deadline) == 0;
            let other = self.side().other();
            let peer_is_gone = self.came(other).load(Relaxed) != 0 && !self.endpoint.has_peer();
            if !peer_is_gone && !time_is_over {
                continue;
            }
            // What it did before it went counts.
            match attempt(self) {
                Err(Stop::Wait) if peer_is_gone => {
                    return Err(Call::Futex.failed(Errno::EPIPE));
                }
                Err(Stop::Wait) => return Err(Call::Futex.failed(Errno::ETIMEDOUT)),
                result => return result.map_err(stopped),
            }
        }
    }

    /// Has all barriers made by both sides, since membarrier(2) cannot be used here.
    #[cold]
    fn always_fence(&mut self) {
        self.registered = false;
        self.memory.word(at::ALWAYS_FENCED).store(1, Relaxed);
        for side in [Side::Sender, Side::Receiver] {
            self.sleep_word(side).fetch_or(FENCED, SeqCst);
        }
    }

    /// Keeps others that share this end out.
    #[cold]
    #[inline(never)]
    fn lock(&mut self, timeout_ms: c_int) -> Result<(), Error> {
        let slot = self.endpoint.slot();
        let deadline = Deadline::after_ms(timeout_ms);
        let spin = sys::monotonic_clock_ns().wrapping_add(SPIN_NS);
        let mut marks = 0;
        // Who does not wait must see at once that the holder is dead.
        let mut in_doubt = timeout_ms == 0;
        loop {
            let word = self.lock_word();
            let found = word.load(Relaxed);
            let holder = found & lock::HOLDER;
            // A dead one's lock passes to who finds it; one of this slot was left by a dead one.
            let is_free =
                holder == 0 || holder == slot || (in_doubt && !self.endpoint.is_alive(holder));
            if is_free {
                let waited_for = match holder {
                    0 => marks,
                    _ => lock::WAITED_FOR,
                };
                let mine = lock::next(found) | slot | waited_for;
                if word.compare_exchange(found, mine, Acquire, Relaxed).is_ok() {
                    break;
                }
            }
            if sys::monotonic_clock_ns() < spin {
                core::hint::spin_loop();
                continue;
            }
            let left = slice(deadline);
            if left == 0 && !(is_free && timeout_ms == 0) {
                return Err(Call::Futex.failed(match timeout_ms {
                    0 => Errno::EAGAIN,
                    _ => Errno::ETIMEDOUT,
                }));
            }
            if is_free {
                continue;
            }
            let marked = found | lock::WAITED_FOR;
            if word
                .compare_exchange(found, marked, Relaxed, Relaxed)
                .is_ok()
            {
                let woken = sleep_on(word, marked, left);
                // Signals may come more often than a slice ends.
                in_doubt = matches!(woken, Err(Errno::ETIMEDOUT | Errno::EINTR));
                marks = lock::WAITED_FOR;
            }
        }
        self.resume().inspect_err(|_| self.unlock_word())
    }

    #[inline]
    fn unlock(&mut self) {
        if self.endpoint.slot() != 0 {
            self.unlock_word();
        }
    }

    #[cold]
    fn unlock_word(&self) {
        let word = self.lock_word();
        if word.fetch_and(lock::COUNT, Release) & lock::WAITED_FOR != 0 {
            wake_on(word, 1);
        }
    }

    /// Frees the lock that was left by a dead one of the slot that this process has now: nobody
    /// could tell any more that it is dead.
    fn unlock_for_dead(&self) {
        let word = self.lock_word();
        let found = word.load(Relaxed);
        if found & lock::HOLDER == self.endpoint.slot()
            && word
                .compare_exchange(found, found & lock::COUNT, Release, Relaxed)
                .is_ok()
        {
            wake_on(word, 1);
        }
    }

    /// What is known about the channel now.
    pub fn info(&self) -> Result<Info, Error> {
        if self.endpoint.is_inherited() {
            return Err(self.refused());
        }
        let memory = &self.memory;
        let capacity = memory.capacity as u64;
        let (head, received) = counted(memory.head(), memory.long(at::RECEIVED));
        let (tail, sent) = counted(memory.tail(), memory.long(at::SENT));
        let alive = |side| side == self.side() || endpoint::is_held(self.endpoint.file(), side);
        Ok(Info {
            capacity,
            used: (tail & !7).saturating_sub(head & !7).min(capacity),
            sent,
            received,
            sender_alive: alive(Side::Sender),
            receiver_alive: alive(Side::Receiver),
        })
    }
}

/// A position, and the count that it carries the low bits of, while others change both. The counter is
/// stored after the position.
fn counted(word: &AtomicU64, counter: &AtomicU64) -> (u64, u64) {
    /// As often as so many messages may come in between that the low bits do not tell.
    const TRIES: u32 = 100;

    let mut behind = counter.load(Acquire);
    let mut position = 0;
    for _ in 0..TRIES {
        position = word.load(Acquire);
        let now = counter.load(Acquire);
        if now.wrapping_sub(behind) < ring::WORD.wrapping_sub(1) {
            return (position, count(position, behind));
        }
        behind = now;
    }
    (position, behind)
}

fn stopped(stop: Stop) -> Error {
    Call::Futex.failed(stop.into())
}
