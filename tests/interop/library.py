"""The library from Python, without a package: library.py LIBRARY NAME..., and COMM_PATH_NAME for
the five functions."""

import ctypes
import os
import sys
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_void_p

SHMC_CREATE, SHMC_EXCL = 1, 2

shmcomm = ctypes.CDLL(sys.argv[1], use_errno=True)
shmcomm.shmc_version.restype = c_char_p
shmcomm.shmc_segment_open.restype = c_void_p
shmcomm.shmc_segment_open.argtypes = [c_char_p, c_size_t, c_int, c_uint]
shmcomm.shmc_segment_addr.restype = c_void_p
shmcomm.shmc_segment_addr.argtypes = [c_void_p]
shmcomm.shmc_segment_size.restype = c_size_t
shmcomm.shmc_segment_size.argtypes = [c_void_p]
shmcomm.shmc_segment_close.argtypes = [c_void_p]
shmcomm.shm_at.restype = c_void_p
shmcomm.shm_dt.argtypes = [c_void_p]

print("version", shmcomm.shmc_version().decode())
for name in sys.argv[2:]:
    name = name.encode()
    made = shmcomm.shmc_segment_open(name, 5000, SHMC_CREATE | SHMC_EXCL, 0o600)
    again = shmcomm.shmc_segment_open(name, 5000, SHMC_CREATE | SHMC_EXCL, 0o600)
    error = os.strerror(ctypes.get_errno())
    other = shmcomm.shmc_segment_open(name, 0, 0, 0)
    ctypes.memmove(shmcomm.shmc_segment_addr(made), b"how are you", 12)
    text = ctypes.string_at(shmcomm.shmc_segment_addr(other)).decode()
    print(again, error, shmcomm.shmc_segment_size(other), text)
    print(shmcomm.shmc_segment_close(made), shmcomm.shmc_segment_close(other))
    print(shmcomm.shmc_remove(name), shmcomm.shmc_remove(name), os.strerror(ctypes.get_errno()))

id = shmcomm.create_shm(5000)
address = shmcomm.shm_at(shmcomm.get_shm())
ctypes.memmove(address, b"fine", 5)
print(ctypes.string_at(shmcomm.shm_at(id)).decode(), shmcomm.shm_dt(address))
print(shmcomm.destory_shm(id))
