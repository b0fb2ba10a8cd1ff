"""A mutex in shared memory."""

import ctypes
from ctypes import get_errno
from errno import ETIMEDOUT
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _library
from ._call import failure, slices
from ._segment import Segment
from ._with import Locking

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SIZE = 16


class Mutex(Locking):
    """A mutex in shared memory that survives the death of its holder.

    memory: a writable Segment, or another writable buffer of shared memory.
    offset: where in it the mutex lies: 16 bytes, aligned to 8. Zeros become an unlocked mutex, and
    an existing mutex stays as it is, so every process may create this object, in any order.

    A thread holds the mutex. If it exits without `release`, the next `acquire` gets the mutex and
    `owner_died` is true: the data may be half changed, and the caller repairs it.

    The object keeps a Segment's memory attached. It works among processes of one pid namespace, for
    C programs too (shmc_mutex). Raises ValueError if the memory is too small, else OSErrors as
    shmc_mutex_lock(3) lists them: EDEADLK if this thread holds it already.
    """

    size = SIZE
    """Bytes that a mutex takes."""

    def __init__(self, memory: "Union[Segment, WriteableBuffer]", offset: int = 0) -> None:
        self._owner_died = False
        if isinstance(memory, Segment):
            self._memory: Any = memory._range(offset, SIZE)
        else:
            self._memory = (ctypes.c_ubyte * SIZE).from_buffer(memory, offset)
        self._address = ctypes.addressof(self._memory)
        if _library.mutex_init(self._address) != 0:
            raise failure()

    @property
    def owner_died(self) -> bool:
        """Whether the thread that held the mutex before this one died; valid while it is held."""
        return self._owner_died

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None) -> bool:
        """Locks the mutex for the calling thread.

        Waits at most `timeout` seconds, None: for ever; not at all unless `blocking`. Returns
        whether it locked the mutex. Ctrl-C ends the wait within 100 ms.
        """
        for milliseconds in slices(timeout if blocking else 0):
            result = _library.mutex_lock(self._address, milliseconds)
            if result >= 0:
                self._owner_died = result == 1
                return True
            if get_errno() != ETIMEDOUT:
                raise failure()
        return False

    def release(self) -> None:
        """Unlocks the mutex. Raises PermissionError if the calling thread does not hold it."""
        if _library.mutex_unlock(self._address) != 0:
            raise failure()

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("a Mutex belongs to one process: create it again over the same memory")
