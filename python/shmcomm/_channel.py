"""Channels: messages from process to process."""

import ctypes
from contextlib import contextmanager
from ctypes import byref, c_char, c_size_t, create_string_buffer, get_errno, string_at
from errno import EMSGSIZE
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional

from . import _library
from ._call import Name, failure, slices
from ._end import End
from ._view import View

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_send = _library.channel_send
_recv = _library.channel_recv
_reserve = _library.channel_reserve
_commit = _library.channel_commit
_peek = _library.channel_peek
_release = _library.channel_release

_TOO_LONG = c_size_t(-1).value
_NOTHING = c_size_t(0)

_SHORT = c_size_t(4096)
"""Up to this length, copying a message twice takes less time than the calls for receiving it in place."""


class ChannelInfo(NamedTuple):
    """The state of a channel."""

    capacity: int
    """Size in bytes. A message takes its length rounded up to 8, plus 8."""
    used: int
    """Bytes in use."""
    messages: int
    """Messages sent and not yet received."""
    sent: int
    """Messages sent since the channel was created."""
    received: int
    """Messages received since the channel was created."""
    sender_alive: bool
    """A process holds the sending end."""
    receiver_alive: bool
    """A process holds the receiving end."""


class Channel(End):
    """One end of a message channel.

    A channel keeps messages in order, each whole, until they are received or `shmcomm.remove`
    removes the channel. They survive restarts of both sides, and the death of either at any moment.

    name: "posix:/NAME" or "file:PATH".
    flags: SEND or RECV, with any of CREATE, EXCL, SHARED. Both sides may create the channel, in
    either order.
    capacity: bytes for messages, rounded up to a power of two of at least 4096. 0: that of the
    existing channel, or 1 MiB for a new one.
    mode: permission bits of a new channel; both sides need read and write permission.

    Raises FileNotFoundError, FileExistsError, PermissionError, OSError with EBUSY if another handle
    holds this end, and other OSErrors as shmc_channel_open(3) lists them.

    Timeouts are seconds; None waits for ever, 0 not at all. A call that waits raises
    - BlockingIOError if the timeout is 0, TimeoutError if it is over;
    - BrokenPipeError if the other side has closed its end or died: a new peer makes the channel
      usable again, and an end that has met no peer waits for one;
    - OSError with EIDRM if there is no other side and the channel is removed, EMSGSIZE if the
      message is too long for the channel or the buffer, EBADMSG if its memory is damaged;
    - KeyboardInterrupt on Ctrl-C, within 100 ms.

    Threads may use one Channel: their calls take turns. A call that waits lets others go first every
    100 ms, so each of them may take that much longer than its timeout. In a child of fork every call
    raises PermissionError; the child may close the Channel and open the name itself. After `close`
    every call raises ValueError.
    """

    def __init__(self, name: Name, flags: int, capacity: int = 0, mode: int = 0o600) -> None:
        super().__init__(name, _library.channel_open, capacity, flags, mode)
        # For short messages, while no call uses it.
        self._buffer: Any = None
        self._length = c_size_t()
        self._length_address = ctypes.addressof(self._length)
        self._capacity = self.stat().capacity
        # Ends inside the mapping wherever it begins: a process maps the ring twice in a row.
        self._array = ctypes.c_ubyte * self._capacity

    @property
    def capacity(self) -> int:
        """Size in bytes. A message takes its length rounded up to 8, plus 8."""
        return self._capacity

    @property
    def max_message(self) -> int:
        """Length of the longest message in bytes."""
        return self._capacity - 16

    def send(self, message: "ReadableBuffer", timeout: Optional[float] = None) -> None:
        """Sends a message: bytes, or any contiguous buffer.

        When it returns, the message will be received, even if this process dies.
        """
        source: Any = message
        if type(message) is bytes:
            length = len(message)
        else:
            with memoryview(message) as view:
                length = view.nbytes
                if view.readonly or length == 0:
                    # ctypes tells the address of a buffer only if it is writable.
                    with self.reserve(length, timeout) as room:
                        room[:] = view.cast("B") if length else b""
                    return
            source = byref(c_char.from_buffer(message))
        size = c_size_t(length)
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            for milliseconds in slices(timeout):
                if _send(self._usable, source, size, milliseconds) == 0:
                    return
                self._go_on()
        raise failure(self._name)

    def recv(self, timeout: Optional[float] = None) -> bytes:
        """Receives the next message, which may be empty."""
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            buffer, self._buffer = self._buffer, None
            if buffer is None:
                buffer = create_string_buffer(_SHORT.value)
            try:
                for milliseconds in slices(timeout):
                    length = _recv(self._usable, buffer, _SHORT, milliseconds)
                    if length >= 0:
                        message: bytes = buffer[:length]
                        return message
                    if get_errno() == EMSGSIZE:
                        address = _peek(self._usable, self._length_address, milliseconds)
                        if address:
                            return self._copy(address)
                    self._go_on()
            finally:
                self._buffer = buffer
        raise failure(self._name)

    def _copy(self, address: int) -> bytes:
        """Frees a message whose length is in `_length`, and returns a copy."""
        handle, self._usable = self._usable, None
        try:
            message = string_at(address, self._length.value)
            _release(handle)
        finally:
            self._usable = handle
        return message

    def recv_into(self, buffer: "WriteableBuffer", timeout: Optional[float] = None) -> int:
        """Receives the next message into a writable buffer and returns the message's length.

        OSError with EMSGSIZE if the buffer is too small; the message then stays.
        """
        with memoryview(buffer) as view:
            size = c_size_t(view.nbytes)
            target = byref(c_char.from_buffer(buffer)) if view.nbytes else None
            self._waiting.append(None)
            with self._lock:
                self._waiting.pop()
                for milliseconds in slices(timeout):
                    length: int = _recv(self._usable, target, size, milliseconds)
                    if length >= 0:
                        return length
                    self._go_on()
            raise failure(self._name)

    @contextmanager
    def peek(self, timeout: Optional[float] = None) -> Iterator[memoryview]:
        """The next message in place: `with channel.peek() as message:`, a read-only memoryview.

        The message is freed when the block ends. If the block raises, the message stays, and the
        next call receives it. After the block the memoryview raises ValueError. If something made
        from it is still in use, such as a slice or an array of numpy, leaving the block raises
        BufferError, and the message stays.

        Inside the block other calls of this thread raise BufferError; other threads wait.
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            address = self._wait_for_message(timeout)
            handle: Any = self._usable
            length = self._length.value
            view = View(handle, self._array, address, length, readonly=True)
            # If Python's exit ends the block, this module may be empty.
            keep, nothing = _recv, _NOTHING
            try:
                self._usable, self._view = None, view
                yield view.memory
                view.withdraw()
            except BaseException:
                self._abandon(view)
                if length > 0:
                    # EMSGSIZE: lets the other handles of a shared end go on.
                    keep(handle, None, nothing, 0)
                raise
            finally:
                self._usable, self._view = handle, None
            if _release(handle) != 0:
                raise failure(self._name)

    @contextmanager
    def reserve(self, length: int, timeout: Optional[float] = None) -> Iterator[memoryview]:
        """Room for a message of this length: `with channel.reserve(n) as room:`, a memoryview.

        The message is sent when the block ends, and is not if the block raises, or if something
        made from the memoryview is still in use (BufferError). Otherwise as `peek`.
        """
        if length < 0:
            raise ValueError("a message has no negative length")
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            for milliseconds in slices(timeout):
                address = _reserve(self._usable, length, milliseconds)
                if address:
                    break
                self._go_on()
            else:
                raise failure(self._name)
            handle: Any = self._usable
            view = View(handle, self._array, address, length, readonly=False)
            discard, too_long = _reserve, _TOO_LONG  # as in `peek`
            try:
                self._usable, self._view = None, view
                yield view.memory
                view.withdraw()
            except BaseException:
                self._abandon(view)
                # EMSGSIZE: discards the reservation, which a shared end's other handles wait for.
                discard(handle, too_long, 0)
                raise
            finally:
                self._usable, self._view = handle, None
            if _commit(handle, length) != 0:
                raise failure(self._name)

    async def send_async(self, message: "ReadableBuffer") -> None:
        """Sends a message; while there is no room, other tasks run. Cancelling sends nothing.

        asyncio.wait_for and asyncio.timeout limit the wait.
        """
        while True:
            try:
                return self.send(message, 0)
            except BlockingIOError:
                await self._until_ready()

    async def recv_async(self) -> bytes:
        """Receives the next message; while there is none, other tasks run. Cancelling takes none.

        BrokenPipeError is raised once when the sender has closed its end or died.
        """
        while True:
            try:
                return self.recv(0)
            except BlockingIOError:
                await self._until_ready()

    def fileno(self) -> int:
        """A descriptor for select, selectors and event loops.

        It is readable while this end may proceed, until a call with timeout 0 raises
        BlockingIOError. It belongs to the channel: do not read or close it. The limit of inotify
        instances of a user, often 128, is OSError with EMFILE; see shmc_channel_fd(3).
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            file: int = _library.channel_fd(self._usable)
            if file < 0:
                raise self._failure()
            return file

    def _wait_for_message(self, timeout: Optional[float]) -> int:
        """The address of the next message, whose length is in `_length`."""
        for milliseconds in slices(timeout):
            address: Optional[int] = _peek(self._usable, self._length_address, milliseconds)
            if address:
                return address
            self._go_on()
        raise failure(self._name)

    def stat(self) -> ChannelInfo:
        """Reads the channel's present state."""
        status = _library.ChannelStatus()
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            if _library.channel_stat(self._usable, byref(status)) != 0:
                raise self._failure()
        fields = {field: getattr(status, field) for field in ChannelInfo._fields}
        fields.update(
            sender_alive=bool(status.sender_alive), receiver_alive=bool(status.receiver_alive)
        )
        return ChannelInfo(**fields)
