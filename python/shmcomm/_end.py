"""What channels and topics have in common: a handle that one thread at a time may use."""

import os
import threading
import weakref
from collections import deque
from ctypes import get_errno
from errno import ETIMEDOUT
from typing import Any, Callable, Deque, List, Optional

from . import _library
from ._call import Name, failure
from ._named import Named
from ._readiness import Readiness
from ._view import View
from ._with import Closing

_open_ends: "weakref.WeakSet[End]" = weakref.WeakSet()


class End(Closing, Named):
    """A handle of a channel or a topic.

    A method calls the library in this way, so that threads take turns:

        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            for milliseconds in slices(timeout):
                if function(self._usable, milliseconds) == 0:
                    return
                self._go_on()
        raise failure(self._name)
    """

    def __init__(self, name: Name, opener: Any, *arguments: int) -> None:
        super().__init__(name, opener, *arguments)
        # What the library may be called with: None while closed, or inside a block.
        self._usable: Optional[_library.Handle] = self._open()
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)
        # One element for each thread that waits for its turn.
        self._waiting: Deque[None] = deque()
        # The view of the block that this process is in.
        self._view: Optional[View] = None
        # What exported the views that were in use when their block ended.
        self._left: List[Callable[[], Any]] = []
        self._readiness = Readiness()
        _open_ends.add(self)

    def _go_on(self) -> None:
        """After a wait that failed: raises, unless only a slice of the timeout is over."""
        if get_errno() != ETIMEDOUT:
            raise self._failure()
        if self._waiting:
            # The thread that goes first gives this one its turn in the same way.
            self._waiting.append(None)
            try:
                self._turn.wait(0.001)
            finally:
                self._waiting.pop()

    def _failure(self) -> Exception:
        if self._handle is None:
            return ValueError(f"{self._name} is closed")
        if self._usable is None:
            return BufferError(f"{self._name}: leave the block inside which this is called first")
        return failure(self._name)

    async def _until_ready(self) -> None:
        """Lets other tasks run until this end may proceed, or is closed."""
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            future = self._readiness.enlist(self.fileno)
        await self._readiness.wait(future)

    def _abandon(self, view: View) -> None:
        """Withdraws the view of a block that failed, as far as nothing uses it."""
        try:
            view.withdraw()
        except BufferError:
            self._left.append(view.exporter)

    def close(self) -> None:
        """Closes the handle; messages stay. Closing again does nothing.

        A call that waits in another thread or task ends with ValueError, within 100 ms. Raises
        BufferError, and the handle stays open, inside a block and if something made from a view is
        still in use.
        """
        if self._handle is None:
            return
        self._waiting.append(None)
        with self._lock:
            self._waiting.pop()
            self._left = [exporter for exporter in self._left if exporter() is not None]
            if self._left or self._view is not None:
                raise BufferError(f"a view of a message of {self._name} is still in use")
            self._readiness.cancel(self._handle)
            self._usable = self._handle = None

    def fileno(self) -> int:
        raise NotImplementedError

    def _after_fork(self) -> None:
        """In a child: no thread holds the lock, and messages are not mapped."""
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)
        self._waiting.clear()
        if self._view is not None:
            try:
                self._view.memory.release()
            except BufferError:
                pass


def _after_fork() -> None:
    for end in list(_open_ends):
        end._after_fork()


os.register_at_fork(after_in_child=_after_fork)
