"""Views of shared memory that can be withdrawn."""

import weakref
from typing import Any, Type

from ._library import Handle


class View:
    """A memoryview of an object's memory.

    The memoryview and everything made from it, such as a slice or an array of numpy, keep the
    object open. `withdraw` succeeds only when none of them is left.
    """

    def __init__(
        self, handle: Handle, array: Type[Any], address: int, length: int, readonly: bool
    ) -> None:
        exporter = array.from_address(address)
        exporter.handle = handle
        self.exporter = weakref.ref(exporter)
        self._length = length
        self._readonly = readonly
        self.memory = self._of(exporter)

    def _of(self, exporter: Any) -> memoryview:
        memory = memoryview(exporter).cast("B")[: self._length]
        return memory.toreadonly() if self._readonly else memory

    def withdraw(self) -> None:
        """Releases the memoryview: using it is a ValueError from now on.

        Raises BufferError if something made from it is still in use; `memory` is then usable.
        """
        self.memory.release()
        exporter = self.exporter()
        if exporter is not None:
            self.memory = self._of(exporter)
            raise BufferError("a slice or another view of the memory is still in use")
