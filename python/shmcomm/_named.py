"""What every open object has."""

import os
from typing import Any, Optional

from . import _library
from ._call import Name, failure


class Named:
    """An object of the library, open under a name until it is closed."""

    def __init__(self, name: Name, opener: Any, *arguments: int) -> None:
        self._handle: Optional[_library.Handle] = None
        self._name = os.fsdecode(name)
        handle = opener(os.fsencode(name), *arguments)
        if not handle:
            raise failure(self._name)
        self._handle = handle

    def _open(self) -> _library.Handle:
        if self._handle is None:
            raise ValueError(f"{self._name} is closed")
        return self._handle

    def _check(self, result: int) -> None:
        if result != 0:
            raise failure(self._name)

    @property
    def name(self) -> str:
        """The name that it was opened with."""
        return self._name

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(f"a {type(self).__name__} belongs to one process: open the name again")

    def __repr__(self) -> str:
        state = "" if self._handle else ", closed"
        return f"<shmcomm.{type(self).__name__} {self._name!r}{state}>"
