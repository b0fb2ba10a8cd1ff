"""unload.py LIBRARY NAME: loads the library, opens a channel and closes it,
unloads the library, and forks; three times."""

import ctypes
import os
import sys

import _ctypes

SHMC_CREATE, SHMC_SEND = 1, 256

for _ in range(3):
    library = ctypes.CDLL(sys.argv[1], use_errno=True)
    open_channel = library.shmc_channel_open
    open_channel.restype = ctypes.c_void_p
    open_channel.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint]
    library.shmc_channel_close.argtypes = [ctypes.c_void_p]
    channel = open_channel(sys.argv[2].encode(), 0, SHMC_CREATE | SHMC_SEND, 0o600)
    if not channel:
        sys.exit(os.strerror(ctypes.get_errno()))
    library.shmc_channel_close(channel)
    _ctypes.dlclose(library._handle)
    child = os.fork()
    if child == 0:
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("the child did not live")
print("forked")
