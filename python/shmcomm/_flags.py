"""Flags of the functions that open something, with the values of shmcomm.h."""

from typing import Final

CREATE: Final = 0x1
"""Create the object if there is none."""
EXCL: Final = 0x2
"""With CREATE: raise FileExistsError if there is one."""

RDONLY: Final = 0x4
"""Segment: attach for reading only."""
RECLAIM: Final = 0x8
"""Segment, Semaphore: replace a stale one: the caller's, used by no process, its creator exited."""
PREFAULT: Final = 0x10
"""Segment: make all pages present now."""
HUGE: Final = 0x20
"""Segment: use huge pages if there are any, else transparent ones, else normal ones."""
LOCKED: Final = 0x40
"""Segment: lock the memory, like Segment.lock."""

EVENTS: Final = 0x80
"""Semaphore: it counts events, which the kernel does not take back when a process exits."""

SEND: Final = 0x100
"""Open the sending end."""
RECV: Final = 0x200
"""Open the receiving end."""
SHARED: Final = 0x400
"""Channel: share this end with other handles, all opened with this flag."""
HISTORY: Final = 0x1000
"""Topic: a reader starts at the oldest message that is whole, not at the newest."""

PAGES_NORMAL: Final = 0
"""SegmentInfo.pages: normal pages."""
PAGES_TRANSPARENT: Final = 1
"""SegmentInfo.pages: transparent huge pages, where the kernel has them."""
PAGES_HUGE: Final = 2
"""SegmentInfo.pages: huge pages."""
