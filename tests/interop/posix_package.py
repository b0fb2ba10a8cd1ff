"""POSIX shared memory by the package posix_ipc. Does what its arguments say with the object
/dev/shm/NAME, and prints the result in one line, or "errno N"."""

import errno
import mmap
import os
import sys

import posix_ipc


def opened(path, **options):
    return posix_ipc.SharedMemory("/" + os.path.basename(path), **options)


def mapped(path):
    memory = opened(path)
    mapping = mmap.mmap(memory.fd, memory.size)
    memory.close_fd()
    return mapping


def create(path, size, mode):
    opened(path, flags=posix_ipc.O_CREX, size=int(size), mode=int(mode, 8)).close_fd()
    return 0


def resize(path, size):
    memory = opened(path)
    os.truncate(memory.fd, int(size))
    return 0


def read(path, size):
    return mapped(path).read(int(size)).decode()


def write(path, text):
    mapped(path).write(text.encode() + b"\0")
    return 0


def stat(path):
    memory = opened(path)
    status = os.fstat(memory.fd)
    return (
        f"size {memory.size} mode {status.st_mode & 0o777:04o} uid {status.st_uid} "
        f"gid {status.st_gid}"
    )


def remove(path):
    posix_ipc.unlink_shared_memory("/" + os.path.basename(path))
    return 0


try:
    print(globals()[sys.argv[1]](*sys.argv[2:]))
except posix_ipc.ExistentialError as error:
    print("errno", errno.EEXIST if "already exists" in str(error) else errno.ENOENT)
