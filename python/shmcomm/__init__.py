"""Memory that processes of one machine share: segments, channels, topics, a mutex, semaphores.

    import shmcomm

    with shmcomm.Channel("posix:/talk", shmcomm.RECV | shmcomm.CREATE) as inbox:
        print(inbox.recv())

A process that dies, at any instruction, leaves everything usable for the others. Nothing is removed
but by `remove` and `remove_semaphore`. C, C++ and Rust programs use the same objects.
"""

from . import _library
from ._channel import Channel, ChannelInfo
from ._flags import (
    CREATE,
    EVENTS,
    EXCL,
    HISTORY,
    HUGE,
    LOCKED,
    PAGES_HUGE,
    PAGES_NORMAL,
    PAGES_TRANSPARENT,
    PREFAULT,
    RDONLY,
    RECLAIM,
    RECV,
    SEND,
    SHARED,
)
from ._mutex import Mutex
from ._segment import Segment, SegmentInfo, remove
from ._semaphore import Semaphore, remove_semaphore
from ._topic import Topic, TopicInfo

__version__ = "0.1.0"

library_version: str = _library.version().decode()
"""The version of the C library that is loaded."""

__all__ = [
    "CREATE",
    "Channel",
    "ChannelInfo",
    "EVENTS",
    "EXCL",
    "HISTORY",
    "HUGE",
    "LOCKED",
    "Mutex",
    "PAGES_HUGE",
    "PAGES_NORMAL",
    "PAGES_TRANSPARENT",
    "PREFAULT",
    "RDONLY",
    "RECLAIM",
    "RECV",
    "SEND",
    "SHARED",
    "Segment",
    "SegmentInfo",
    "Semaphore",
    "Topic",
    "TopicInfo",
    "library_version",
    "remove",
    "remove_semaphore",
]
