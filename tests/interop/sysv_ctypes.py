"""System V shared memory by the C library's functions. Does what its arguments say, and prints the
result in one line, or "errno N"."""

import ctypes
import sys
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_ulong, c_ushort, c_void_p

IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_STAT = 0o1000, 0o2000, 0, 2


class Info(ctypes.Structure):
    """struct shmid_ds of 64-bit systems."""

    _fields_ = (
        [("key", c_uint), ("uid", c_uint), ("gid", c_uint), ("cuid", c_uint), ("cgid", c_uint)]
        + [("mode", c_ushort), ("_1", c_ushort), ("_2", c_uint), ("_3", c_ulong * 2)]
        + [("size", c_size_t), ("times", c_ulong * 3)]
        + [("creator", c_int), ("last", c_int), ("attached", c_ulong), ("_4", c_ulong * 2)]
    )


libc = ctypes.CDLL(None, use_errno=True)
libc.ftok.argtypes = [c_char_p, c_int]
libc.shmget.argtypes = [c_uint, c_size_t, c_int]
libc.shmat.argtypes = [c_int, c_void_p, c_int]
libc.shmat.restype = c_void_p
libc.shmctl.argtypes = [c_int, c_int, c_void_p]


def checked(result):
    if result in (-1, c_void_p(-1).value):
        print("errno", ctypes.get_errno())
        sys.exit()
    return result


def number(text):
    return int(text, 0)


def attach(id):
    return checked(libc.shmat(int(id), None, 0))


def key(path, id):
    return f"0x{checked(libc.ftok(path.encode(), number(id))):08x}"


def create(key, size, mode):
    return checked(libc.shmget(number(key), int(size), IPC_CREAT | IPC_EXCL | int(mode, 8)))


def find(key):
    return checked(libc.shmget(number(key), 0, 0))


def read(id, size):
    return ctypes.string_at(attach(id), int(size)).decode()


def write(id, text):
    ctypes.memmove(attach(id), text.encode(), len(text) + 1)
    return 0


def hold(id):
    attach(id)
    print("pause", flush=True)
    sys.stdin.readline()
    return 0


def stat(id):
    info = Info()
    checked(libc.shmctl(int(id), IPC_STAT, ctypes.byref(info)))
    return (
        f"size {info.size} mode {info.mode & 0o777:04o} uid {info.uid} gid {info.gid} "
        f"creator {info.creator} attached {info.attached}"
    )


def remove(id):
    return checked(libc.shmctl(int(id), IPC_RMID, None))


print(globals()[sys.argv[1]](*sys.argv[2:]))
