"""Topics: one writer, any number of readers that cannot disturb it."""

import ctypes
from contextlib import contextmanager
from ctypes import byref, c_size_t, c_uint64
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Optional, Tuple

from . import _library
from ._call import Name, failure, slices
from ._end import End
from ._view import View

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class TopicInfo(NamedTuple):
    """The state of a topic."""

    max_message: int
    """The longest message in bytes."""
    depth: int
    """Messages that the topic keeps."""
    written: int
    """Messages written since the topic was created."""
    writer_alive: bool
    """A process holds the writer's end."""


class Topic(End):
    """A topic, open for its writer or for a reader.

    A topic keeps the last messages, each whole. The writer overwrites the oldest one and never
    waits. A reader starts at the newest message, cannot disturb the writer or other readers, and
    knows how many messages it has lost.

    name: "posix:/NAME" or "file:PATH".
    flags: SEND (the writer, one at a time) or RECV (a reader), with any of CREATE, EXCL; for a
    reader also HISTORY: start at the oldest message that is whole.
    max_message: the longest message in bytes. 0: that of the existing topic.
    depth: messages that are kept, rounded up to a power of two of at least 4.
    mode: permission bits of a new topic. A reader needs read permission only.

    Raises OSErrors as shmc_topic_open(3) lists them. Timeouts, exceptions of calls that wait,
    threads and fork: as for Channel.
    """

    def __init__(
        self, name: Name, flags: int, max_message: int = 0, depth: int = 0, mode: int = 0o600
    ) -> None:
        super().__init__(name, _library.topic_open, max_message, depth, flags, mode)
        self._max_message = self.stat().max_message
        self._array = ctypes.c_ubyte * self._max_message
        self._length = c_size_t()
        self._just_lost = c_uint64()
        self._lost = 0

    @property
    def max_message(self) -> int:
        """Length of the longest message in bytes."""
        return self._max_message

    @property
    def lost(self) -> int:
        """Messages that were overwritten before this reader could read them.

        Together with those that it has read they are all that were written since it started.
        """
        return self._lost

    def write(self, message: "ReadableBuffer") -> None:
        """Writes a message: bytes, or any contiguous buffer. Never waits.

        When it returns, every reader sees the message, even if this process dies.
        """
        if type(message) is not bytes:
            with memoryview(message) as view:
                length = view.nbytes
                with self.begin(length) as room:
                    room[:] = view.cast("B") if length else b""
            return
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            if _library.topic_write(self._usable, message, len(message)) != 0:
                raise self._failure()

    @contextmanager
    def begin(self, length: int) -> Iterator[memoryview]:
        """Room for a message of this length: `with topic.begin(n) as room:`, a memoryview.

        The message is published when the block ends, and is not if the block raises, or if
        something made from the memoryview is still in use (BufferError). The oldest message is lost
        from now on. Inside the block other calls of this thread raise BufferError.
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            if not 0 <= length <= self._max_message:
                raise ValueError(f"{self._name} takes messages of {self._max_message} bytes")
            address = _library.topic_begin(self._usable)
            if not address:
                raise self._failure()
            with self._block(address, length, readonly=False) as view:
                yield view.memory
            if _library.topic_publish(self._usable, length) != 0:
                raise failure(self._name)

    def read(self, timeout: Optional[float] = None) -> bytes:
        """Reads the next message. `lost` then counts those that were overwritten before it."""
        message = ctypes.create_string_buffer(max(self._max_message, 1))
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            for milliseconds in slices(timeout):
                length: int = _library.topic_read(
                    self._usable, message, self._max_message, byref(self._just_lost), milliseconds
                )
                if length >= 0:
                    self._lost += self._just_lost.value
                    return ctypes.string_at(message, length)
                self._go_on()
        raise failure(self._name)

    async def read_async(self) -> bytes:
        """Reads the next message; while there is none, other tasks run. Cancelling takes none.

        BrokenPipeError is raised once when the writer has closed the topic or died.
        """
        while True:
            try:
                return self.read(0)
            except BlockingIOError:
                await self._until_ready()

    def fileno(self) -> int:
        """A descriptor for select, selectors and event loops; see shmc_topic_fd(3).

        It is readable while there may be a message, until a call with timeout 0 raises
        BlockingIOError. It belongs to the topic: do not read or close it.
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            file: int = _library.topic_fd(self._usable)
            if file < 0:
                raise self._failure()
            return file

    def latest(self) -> Tuple[bytes, int]:
        """The newest message, at once, and its number, counted from 1 since the topic was created.

        `read` goes on where it was. Raises BlockingIOError if nothing has been written yet.
        """
        message = ctypes.create_string_buffer(max(self._max_message, 1))
        number = c_uint64()
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            length: int = _library.topic_latest(
                self._usable, message, self._max_message, byref(number)
            )
            if length < 0:
                raise self._failure()
        return ctypes.string_at(message, length), number.value

    @contextmanager
    def peek(self, timeout: Optional[float] = None) -> Iterator[memoryview]:
        """The next message in place: `with topic.peek() as message:`, a read-only memoryview.

        The writer may overwrite the message meanwhile: then the end of the block raises OSError with
        ESTALE, and all that was made of the message is to be discarded; it counts as lost. If
        something made from the memoryview is still in use, that is a BufferError. Inside the block
        other calls of this thread raise BufferError.
        """
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            for milliseconds in slices(timeout):
                address = _library.topic_peek(
                    self._usable, byref(self._length), byref(self._just_lost), milliseconds
                )
                if address:
                    break
                self._go_on()
            else:
                raise failure(self._name)
            self._lost += self._just_lost.value
            with self._block(address, self._length.value, readonly=True) as view:
                yield view.memory
            if _library.topic_release(self._usable) != 0:
                raise failure(self._name)

    @contextmanager
    def _block(self, address: int, length: int, readonly: bool) -> Iterator[View]:
        """A view that is withdrawn at the end. Inside, the library is not called."""
        handle: Any = self._usable
        view = View(handle, self._array, address, length, readonly)
        try:
            self._usable, self._view = None, view
            yield view
            view.withdraw()
        except BaseException:
            self._abandon(view)
            raise
        finally:
            self._usable, self._view = handle, None

    def stat(self) -> TopicInfo:
        """Reads the topic's present state."""
        status = _library.TopicStatus()
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            if _library.topic_stat(self._usable, byref(status)) != 0:
                raise self._failure()
        return TopicInfo(
            status.max_message, status.depth, status.written, bool(status.writer_alive)
        )
