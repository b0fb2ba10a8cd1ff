"""Segments: memory that processes share."""

import ctypes
import os
from typing import Any, NamedTuple

from . import _library
from ._call import Name, failure
from ._flags import RDONLY
from ._named import Named
from ._view import View
from ._with import Closing


class SegmentInfo(NamedTuple):
    """The state of a segment. Times are seconds since 1970; 0: never."""

    size: int
    """True size in bytes."""
    mode: int
    """Permission bits."""
    uid: int
    """User id of the owner."""
    gid: int
    """Group id of the owner."""
    key: int
    """System V key; 0 if it is private or removed, and for other memory."""
    id: int
    """System V id; -1 for other memory."""
    creator_pid: int
    """Process that created it; 0: unknown."""
    last_pid: int
    """Last process that attached or detached it; 0: unknown."""
    attached: int
    """Number of attachments; -1: unknown, for all but System V."""
    atime: int
    """Last attach, or last access to a file."""
    dtime: int
    """Last detach."""
    ctime: int
    """Creation, or last change of owner or mode."""
    removed: bool
    """Its name is removed, and its last user frees it."""
    locked: bool
    """Its memory is not swapped."""
    pages: int
    """PAGES_NORMAL, PAGES_TRANSPARENT or PAGES_HUGE."""


class Segment(Closing, Named):
    """Shared memory of any kind, attached to this process.

    name: "sysv:PATH", "sysv:PATH#ID", "sysv:0xKEY", "sysv:private", "sysv:id:N", "posix:/NAME",
    "file:PATH" or "anon:".
    size: bytes of a new segment. An existing one must have at least this size; 0 accepts any.
    flags: some of CREATE, EXCL, RDONLY, RECLAIM, PREFAULT, HUGE, LOCKED.
    mode: the exact permission bits of a new segment, independent of the umask.

    Raises FileNotFoundError, FileExistsError, PermissionError and other OSErrors as
    shmc_segment_open(3) lists them. Every method raises ValueError after `close`.

    Closing detaches the memory. Nothing but `shmcomm.remove` removes a segment: neither close nor
    exit nor a resource tracker does. Every method is thread-safe, except that two threads must not
    call `lock` or `unlock` at the same time. A child of fork keeps the segment attached.
    """

    def __init__(self, name: Name, size: int = 0, flags: int = 0, mode: int = 0o600) -> None:
        super().__init__(name, _library.segment_open, size, flags, mode)
        handle = self._open()
        self._size: int = _library.segment_size(handle)
        self._address: int = _library.segment_addr(handle)
        array = ctypes.c_ubyte * self._size
        self._readonly = bool(flags & RDONLY)
        self._view = View(handle, array, self._address, self._size, self._readonly)

    def _range(self, offset: int, length: int) -> Any:
        """An array of this part of the memory, which keeps the memory attached."""
        handle = self._open()
        if self._readonly or not 0 <= offset <= self._size - length:
            raise ValueError(f"{self._name} has no {length} writable bytes at {offset}")
        array: Any = (ctypes.c_ubyte * length).from_address(self._address + offset)
        array.handle = handle
        return array

    @property
    def size(self) -> int:
        """The true size in bytes, all of which is attached."""
        return self._size

    @property
    def buf(self) -> memoryview:
        """The memory, as bytes; read-only with RDONLY.

        numpy.frombuffer(segment.buf, dtype) is an array of it, without a copy.
        """
        self._open()
        return self._view.memory

    def stat(self) -> SegmentInfo:
        """Reads the segment's present state from the kernel."""
        status = _library.SegmentStatus()
        self._check(_library.segment_stat(self._open(), ctypes.byref(status)))
        fields = {field: getattr(status, field) for field in SegmentInfo._fields}
        fields.update(removed=bool(status.removed), locked=bool(status.locked))
        return SegmentInfo(**fields)

    def chmod(self, mode: int) -> None:
        """Changes the permission bits. Processes that have attached the segment keep it."""
        self._check(_library.segment_chmod(self._open(), mode))

    def chown(self, uid: int, gid: int) -> None:
        """Changes the owner and the group."""
        self._check(_library.segment_chown(self._open(), uid, gid))

    def lock(self) -> None:
        """Locks the memory, so that it is not swapped."""
        self._check(_library.segment_lock(self._open()))

    def unlock(self) -> None:
        """Unlocks the memory, so that it may be swapped."""
        self._check(_library.segment_unlock(self._open()))

    def sync(self) -> None:
        """Waits until the file contains what the memory contains; nothing for other memory."""
        self._check(_library.segment_sync(self._open()))

    def close(self) -> None:
        """Detaches the memory. The segment stays. Closing again does nothing.

        Raises BufferError, and the segment stays open, if something made from `buf` is still in
        use, such as a slice or an array of numpy. A Mutex in the segment keeps the memory attached.
        """
        if self._handle is None:
            return
        self._view.withdraw()
        self._handle = None


def remove(name: Name) -> None:
    """Removes a segment, a channel or a topic; processes that use it keep it until they close it.

    Raises FileNotFoundError if there is none, else OSErrors as shmc_remove(3) lists them.
    """
    if _library.remove(os.fsencode(name)) != 0:
        raise failure(os.fsdecode(name))
