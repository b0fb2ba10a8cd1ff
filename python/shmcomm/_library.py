"""The C library: finds it, loads it, and declares its functions for ctypes."""

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_ssize_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any

_SONAME = "libshmcomm.so.0"


def _path() -> str:
    """SHMCOMM_LIBRARY, else the library of this package, else the one that the system finds."""
    beside = Path(__file__).with_name("libshmcomm.so")
    return os.environ.get("SHMCOMM_LIBRARY") or (str(beside) if beside.exists() else _SONAME)


_library = ctypes.CDLL(_path(), use_errno=True)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments or None
    return function


class Handle(c_void_p):
    """An open object of the library.

    It is closed when nothing refers to it. A call in another thread and a view of the memory each
    hold a reference, so neither outlives the object.
    """

    close: Any

    def __del__(self) -> None:
        if self:
            self.close(self)

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError(f"{type(self).__name__} belongs to one process: open the name again")


class SegmentHandle(Handle):
    """shmc_segment *"""

    close = _function("shmc_segment_close", c_int, c_void_p)


class SemaphoreHandle(Handle):
    """shmc_sem *"""

    close = _function("shmc_sem_close", c_int, c_void_p)


class ChannelHandle(Handle):
    """shmc_channel *"""

    close = _function("shmc_channel_close", c_int, c_void_p)


class TopicHandle(Handle):
    """shmc_topic *"""

    close = _function("shmc_topic_close", c_int, c_void_p)


class SegmentStatus(ctypes.Structure):
    """shmc_segment_info"""

    _fields_ = [
        ("size", c_size_t),
        ("mode", c_uint),
        ("uid", c_uint),
        ("gid", c_uint),
        ("key", c_int),
        ("id", c_int),
        ("creator_pid", c_int),
        ("last_pid", c_int),
        ("attached", c_int64),
        ("atime", c_int64),
        ("dtime", c_int64),
        ("ctime", c_int64),
        ("removed", c_int),
        ("locked", c_int),
        ("pages", c_int),
        ("reserved", c_uint64 * 4),
    ]


class ChannelStatus(ctypes.Structure):
    """shmc_channel_info"""

    _fields_ = [
        ("capacity", c_uint64),
        ("used", c_uint64),
        ("messages", c_uint64),
        ("sent", c_uint64),
        ("received", c_uint64),
        ("sender_alive", c_int),
        ("receiver_alive", c_int),
        ("reserved", c_uint64 * 4),
    ]


class TopicStatus(ctypes.Structure):
    """shmc_topic_info"""

    _fields_ = [
        ("max_message", c_uint64),
        ("depth", c_uint64),
        ("written", c_uint64),
        ("writer_alive", c_int),
        ("reserved", c_uint64 * 4),
    ]


version = _function("shmc_version", c_char_p)

segment_open = _function("shmc_segment_open", SegmentHandle, c_char_p, c_size_t, c_int, c_uint)
segment_addr = _function("shmc_segment_addr", c_void_p, c_void_p)
segment_size = _function("shmc_segment_size", c_size_t, c_void_p)
segment_stat = _function("shmc_segment_stat", c_int, c_void_p, POINTER(SegmentStatus))
segment_chmod = _function("shmc_segment_chmod", c_int, c_void_p, c_uint)
segment_chown = _function("shmc_segment_chown", c_int, c_void_p, c_uint, c_uint)
segment_lock = _function("shmc_segment_lock", c_int, c_void_p)
segment_unlock = _function("shmc_segment_unlock", c_int, c_void_p)
segment_sync = _function("shmc_segment_sync", c_int, c_void_p)
remove = _function("shmc_remove", c_int, c_char_p)

sem_open = _function("shmc_sem_open", SemaphoreHandle, c_char_p, c_int, c_int, c_uint)
sem_wait = _function("shmc_sem_wait", c_int, c_void_p, c_int)
sem_post = _function("shmc_sem_post", c_int, c_void_p)
sem_value = _function("shmc_sem_value", c_int, c_void_p)
sem_remove = _function("shmc_sem_remove", c_int, c_char_p)

mutex_init = _function("shmc_mutex_init", c_int, c_void_p)
mutex_lock = _function("shmc_mutex_lock", c_int, c_void_p, c_int)
mutex_unlock = _function("shmc_mutex_unlock", c_int, c_void_p)

channel_open = _function("shmc_channel_open", ChannelHandle, c_char_p, c_size_t, c_int, c_uint)
# Called with ctypes objects, and an int for C's int: ctypes converts arguments of undeclared types in
# half the time, which is most of what a small message takes.
channel_send = _function("shmc_send", c_int)
channel_recv = _function("shmc_recv", c_ssize_t)
channel_reserve = _function("shmc_reserve", c_void_p, c_void_p, c_size_t, c_int)
channel_commit = _function("shmc_commit", c_int, c_void_p, c_size_t)
channel_peek = _function("shmc_peek", c_void_p, c_void_p, c_void_p, c_int)
channel_release = _function("shmc_release", c_int, c_void_p)
channel_stat = _function("shmc_channel_stat", c_int, c_void_p, POINTER(ChannelStatus))
channel_fd = _function("shmc_channel_fd", c_int, c_void_p)

topic_open = _function("shmc_topic_open", TopicHandle, c_char_p, c_size_t, c_uint, c_int, c_uint)
topic_write = _function("shmc_topic_write", c_int, c_void_p, c_void_p, c_size_t)
topic_begin = _function("shmc_topic_begin", c_void_p, c_void_p)
topic_publish = _function("shmc_topic_publish", c_int, c_void_p, c_size_t)
topic_read = _function(
    "shmc_topic_read", c_ssize_t, c_void_p, c_void_p, c_size_t, c_void_p, c_int
)
topic_latest = _function("shmc_topic_latest", c_ssize_t, c_void_p, c_void_p, c_size_t, c_void_p)
topic_peek = _function("shmc_topic_peek", c_void_p, c_void_p, c_void_p, c_void_p, c_int)
topic_release = _function("shmc_topic_release", c_int, c_void_p)
topic_stat = _function("shmc_topic_stat", c_int, c_void_p, POINTER(TopicStatus))
topic_fd = _function("shmc_topic_fd", c_int, c_void_p)
