"""Semaphores: locks, pools of units, and counts of events."""

import os
from ctypes import get_errno
from errno import ETIMEDOUT
from typing import Optional

from . import _library
from ._call import Name, failure, slices
from ._named import Named
from ._with import Locking


class Semaphore(Locking, Named):
    """A semaphore that processes share.

    By default it is a lock, or a pool of units. A unit that `acquire` took belongs to the process
    until `release`; if the process exits first, the kernel returns the unit. With EVENTS it counts
    events: any process may `release`, and nothing is returned.

    name: "sysv:PATH" or another name of System V; with EVENTS also "posix:/NAME" or "file:PATH".
    value: initial value of a new semaphore; 1 for a lock.
    flags: some of CREATE, EXCL, EVENTS; for posix: and file: names also RECLAIM.
    mode: permission bits of a new semaphore.

    Raises OSErrors as shmc_sem_open(3) lists them. Every method is thread-safe, and raises
    ValueError after `close`. A child of fork may use the semaphore and holds no unit of its parent.
    """

    def __init__(self, name: Name, value: int = 1, flags: int = 0, mode: int = 0o600) -> None:
        super().__init__(name, _library.sem_open, value, flags, mode)

    @property
    def value(self) -> int:
        """The present number of units or events."""
        value: int = _library.sem_value(self._open())
        if value < 0:
            raise failure(self._name)
        return value

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None) -> bool:
        """Takes a unit or an event.

        Waits for it at most `timeout` seconds, None: for ever; not at all unless `blocking`.
        Returns whether it took one. Ctrl-C and `close` in another thread end the wait within 100 ms.
        """
        for milliseconds in slices(timeout if blocking else 0):
            if _library.sem_wait(self._open(), milliseconds) == 0:
                return True
            if get_errno() != ETIMEDOUT:
                raise failure(self._name)
        return False

    def release(self) -> None:
        """Returns a unit, or posts an event."""
        self._check(_library.sem_post(self._open()))

    def close(self) -> None:
        """Frees the handle. The semaphore stays. Closing again does nothing."""
        self._handle = None


def remove_semaphore(name: Name) -> None:
    """Removes a semaphore at once. Processes that wait for it get OSError with EIDRM."""
    if _library.sem_remove(os.fsencode(name)) != 0:
        raise failure(os.fsdecode(name))
