"""Receives in an asyncio loop: event_loop.py LIBRARY NAME COUNT."""

import asyncio
import ctypes
import errno
import os
import sys
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_void_p

SHMC_CREATE, SHMC_SEND, SHMC_RECV = 1, 0x100, 0x200

shmcomm = ctypes.CDLL(sys.argv[1], use_errno=True)
name, count = sys.argv[2].encode(), int(sys.argv[3])
shmcomm.shmc_channel_open.restype = c_void_p
shmcomm.shmc_channel_open.argtypes = [c_char_p, c_size_t, c_int, c_uint]
shmcomm.shmc_channel_fd.argtypes = [c_void_p]
shmcomm.shmc_channel_close.argtypes = [c_void_p]
shmcomm.shmc_send.argtypes = [c_void_p, c_char_p, c_size_t, c_int]
shmcomm.shmc_recv.restype = c_ssize_t
shmcomm.shmc_recv.argtypes = [c_void_p, c_char_p, c_size_t, c_int]


def send():
    sender = shmcomm.shmc_channel_open(name, 0, SHMC_SEND, 0)
    for number in range(count):
        text = str(number).encode()
        assert shmcomm.shmc_send(sender, text, len(text), -1) == 0
    shmcomm.shmc_channel_close(sender)


async def receive(receiver):
    buffer, numbers, ticks = ctypes.create_string_buffer(16), [], 0
    ended = asyncio.get_running_loop().create_future()

    def on_readable():
        length = shmcomm.shmc_recv(receiver, buffer, len(buffer), 0)
        if length >= 0:
            numbers.append(int(buffer.raw[:length]))
        elif ctypes.get_errno() != errno.EAGAIN:
            ended.set_result(ctypes.get_errno())

    asyncio.get_running_loop().add_reader(shmcomm.shmc_channel_fd(receiver), on_readable)
    while not ended.done():
        ticks += 1  # another task of the loop
        await asyncio.sleep(0.001)
    asyncio.get_running_loop().remove_reader(shmcomm.shmc_channel_fd(receiver))
    assert numbers == list(range(count)) and ended.result() == errno.EPIPE and ticks > 1
    return len(numbers)


receiver = shmcomm.shmc_channel_open(name, 4096, SHMC_RECV | SHMC_CREATE, 0o600)
if os.fork() == 0:
    send()
    os._exit(0)
print(asyncio.run(receive(receiver)))
os.wait()
shmcomm.shmc_channel_close(receiver)
shmcomm.shmc_remove(name)
