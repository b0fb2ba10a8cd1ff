"""System V shared memory by the package sysv_ipc. Does what its arguments say, and prints the
result in one line, or "errno N"."""

import errno
import sys

import sysv_ipc


def number(text):
    return int(text, 0)


def key(path, id):
    return f"0x{sysv_ipc.ftok(path, number(id), silence_warning=True):08x}"


def create(key, size, mode):
    memory = sysv_ipc.SharedMemory(number(key), sysv_ipc.IPC_CREX, int(mode, 8), int(size), b"\0")
    return memory.id


def find(key):
    return sysv_ipc.SharedMemory(number(key)).id


def read(id, size):
    return sysv_ipc.attach(int(id)).read(int(size)).decode()


def write(id, text):
    sysv_ipc.attach(int(id)).write(text.encode() + b"\0")
    return 0


def hold(id):
    memory = sysv_ipc.attach(int(id))
    print("pause", flush=True)
    sys.stdin.readline()
    memory.detach()
    return 0


def stat(id):
    memory = sysv_ipc.attach(int(id))
    memory.detach()
    return (
        f"size {memory.size} mode {memory.mode & 0o777:04o} "
        f"uid {memory.uid} gid {memory.gid} creator {memory.creator_pid} "
        f"attached {memory.number_attached}"
    )


def remove(id):
    memory = sysv_ipc.attach(int(id))
    memory.detach()
    memory.remove()
    return 0


try:
    print(globals()[sys.argv[1]](*sys.argv[2:]))
except sysv_ipc.ExistentialError as error:
    print("errno", errno.EEXIST if "already exists" in str(error) else errno.ENOENT)
