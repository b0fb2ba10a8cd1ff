"""Tasks of asyncio that wait for a descriptor."""

import asyncio
from typing import Callable, Dict, List, Optional

Loop = asyncio.AbstractEventLoop


class Readiness:
    """Lets any number of tasks wait until one descriptor is readable.

    An event loop has one callback for a descriptor, so the tasks share it.
    """

    def __init__(self) -> None:
        self._file = -1
        self._sleepers: "Dict[Loop, List[asyncio.Future[None]]]" = {}

    def enlist(self, fileno: Callable[[], int]) -> "asyncio.Future[None]":
        """A future for `wait`. The caller holds the lock with which it calls `cancel`."""
        loop = asyncio.get_running_loop()
        if loop not in self._sleepers:
            self._file = fileno()
            loop.add_reader(self._file, self._wake, loop)
            self._sleepers[loop] = []
        future = loop.create_future()
        self._sleepers[loop].append(future)
        return future

    async def wait(self, future: "asyncio.Future[None]") -> None:
        """Returns when the descriptor is readable, or at `cancel`, so that the caller looks again."""
        try:
            await future
        finally:
            # A cancelled task: the last one takes the callback away.
            loop = future.get_loop()
            sleepers = self._sleepers.get(loop)
            if sleepers and future in sleepers:
                sleepers.remove(future)
                if not sleepers:
                    self._wake(loop)

    def _wake(self, loop: Loop, owner: object = None) -> None:
        sleepers = self._sleepers.pop(loop, None)
        if sleepers is None:
            return
        loop.remove_reader(self._file)
        for future in sleepers:
            if not future.done():
                future.set_result(None)

    def cancel(self, owner: object) -> None:
        """Wakes all tasks. The owner of the descriptor stays until each loop has given it up."""
        try:
            running: Optional[Loop] = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        for loop in list(self._sleepers):
            if loop is not running and loop.is_running():
                # Another descriptor of that loop could have the same number by then.
                loop.call_soon_threadsafe(self._wake, loop, owner)
            elif not loop.is_closed():
                self._wake(loop)
