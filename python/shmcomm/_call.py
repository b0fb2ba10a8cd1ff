"""How a call names its object, waits, and fails."""

import ctypes
import itertools
import os
import time
from math import ceil
from typing import Iterable, Iterator, Optional, Union

Name = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

SLICE_MS = 100
"""How long a wait inside the library lasts at most. Between two such waits Python runs its signal
handlers, such as that of Ctrl-C, and other threads use the object."""

_FOR_EVER = itertools.repeat(SLICE_MS)
_AT_ONCE = (0,)


def slices(timeout: Optional[float]) -> Iterable[int]:
    """The timeouts in milliseconds of consecutive waits that together last `timeout` seconds."""
    if timeout is None:
        return _FOR_EVER
    if timeout <= 0:
        return _AT_ONCE
    return _until(time.monotonic() + timeout)


def _until(end: float) -> Iterator[int]:
    left = SLICE_MS / 1000
    while left > 0:
        left = end - time.monotonic()
        yield min(max(ceil(left * 1000), 1), SLICE_MS)
        left = end - time.monotonic()


def failure(name: Optional[str] = None) -> OSError:
    """The exception for the errno of the last call; Python chooses the subclass of OSError."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)
