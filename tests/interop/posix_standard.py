"""POSIX shared memory by Python's standard library, whose objects have mode 0600. Does what its
arguments say with the object /dev/shm/NAME, and prints the result in one line, or "errno N"."""

import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory


def opened(path, **options):
    """Opens memory without the tracker, which would remove other programs' objects at exit."""
    name = os.path.basename(path)
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False, **options)
    memory = SharedMemory(name, **options)
    resource_tracker.unregister("/" + name, "shared_memory")
    return memory


def create(path, size, mode):
    assert mode == "0600"
    opened(path, create=True, size=int(size)).close()
    return 0


def resize(path, size):
    memory = opened(path)
    os.truncate(memory._fd, int(size))
    return 0


def read(path, size):
    memory = opened(path)
    return bytes(memory.buf[: int(size)]).decode()


def write(path, text):
    text = text.encode() + b"\0"
    memory = opened(path)
    memory.buf[: len(text)] = text
    return 0


def stat(path):
    memory = opened(path)
    status = os.fstat(memory._fd)
    return (
        f"size {memory.size} mode {status.st_mode & 0o777:04o} uid {status.st_uid} "
        f"gid {status.st_gid}"
    )


def remove(path):
    SharedMemory(os.path.basename(path)).unlink()
    return 0


try:
    print(globals()[sys.argv[1]](*sys.argv[2:]))
except OSError as error:
    print("errno", error.errno)
