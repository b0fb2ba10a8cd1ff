"""What the `with` statement does with an object."""

from types import TracebackType
from typing import Optional, Type, TypeVar

_Closing = TypeVar("_Closing", bound="Closing")
_Locking = TypeVar("_Locking", bound="Locking")


class Closing:
    """The end of the block closes it."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self: _Closing) -> _Closing:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            self.close()
        except BufferError:
            # The frames of an exception may still hold a view: then its death frees the handle.
            if kind is None:
                raise


class Locking:
    """The block holds it."""

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None) -> bool:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def __enter__(self: _Locking) -> _Locking:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.release()
