"""Messages between two Python processes: shmcomm beside what else Python programs use.

    python3 bench/python/exchange.py [--rounds 5] [--seconds 0.2] [--only NAME]

prints a table in markdown. It needs two idle cores and the package shmcomm (or PYTHONPATH=python and
SHMCOMM_LIBRARY); posix_ipc and pyzmq, where they are installed. Each process sends and receives
bytes objects, or fills and reads a buffer where the name says so.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from multiprocessing import shared_memory

import shmcomm

try:
    import posix_ipc
except ImportError:
    posix_ipc = None
try:
    import zmq
except ImportError:
    zmq = None

SIZES = {"64 B": 64, "4 KiB": 4096, "1 MiB": 1 << 20}
fork = multiprocessing.get_context("fork")


class Channels:
    """shmcomm.Channel, one for each direction."""

    name = "**shmcomm**: `send`, `recv`"

    def __init__(self, size):
        self.size = size
        self.capacity = 1 << 20 if size < 4096 else 8 << 20
        self.names = [f"posix:/shmcomm-bench-{os.getpid()}-{i}" for i in range(2)]
        for name in self.names:
            shmcomm.Channel(name, shmcomm.RECV | shmcomm.CREATE, self.capacity).close()

    def connect(self, side):
        out = shmcomm.Channel(self.names[side], shmcomm.SEND)
        inbox = shmcomm.Channel(self.names[1 - side], shmcomm.RECV)
        return self.calls(out, inbox)

    def calls(self, out, inbox):
        return out.send, inbox.recv

    def close(self):
        for name in self.names:
            shmcomm.remove(name)


class ChannelsIntoBuffers(Channels):
    name = "**shmcomm**: `send`, `recv_into` a buffer"

    def calls(self, out, inbox):
        buffer = bytearray(self.size)
        view = memoryview(buffer)

        def receive():
            return view[: inbox.recv_into(buffer)]

        return out.send, receive


class Pipes:
    """multiprocessing.Pipe, one for each direction."""

    name = "`multiprocessing.Pipe`: `send_bytes`, `recv_bytes`"

    def __init__(self, size):
        self.pipes = [fork.Pipe(duplex=False) for _ in range(2)]

    def connect(self, side):
        return self.pipes[side][1].send_bytes, self.pipes[1 - side][0].recv_bytes

    def close(self):
        for pipe in self.pipes:
            for end in pipe:
                end.close()


class Queues:
    name = "`multiprocessing.Queue`: `put`, `get`"

    def __init__(self, size):
        self.queues = [fork.Queue() for _ in range(2)]

    def connect(self, side):
        return self.queues[side].put, self.queues[1 - side].get

    def flush(self):
        for queue in self.queues:
            queue.close()
            queue.join_thread()

    close = flush


class Slot:
    """One message in shared memory, and two semaphores: the textbook."""

    def __init__(self, size):
        self.size = size
        self.slots = [self.create() for _ in range(2)]

    def connect(self, side):
        out, free, full = self.slots[side]
        into, freed, filled = self.slots[1 - side]
        size = self.size

        def send(message):
            free.acquire()
            out[:size] = message
            full.release()

        def receive():
            filled.acquire()
            message = bytes(into[:size])
            freed.release()
            return message

        return send, receive


class StandardSlot(Slot):
    name = "`multiprocessing.shared_memory`, two `Semaphore`"

    def create(self):
        memory = shared_memory.SharedMemory(create=True, size=self.size)
        self.memories = [*getattr(self, "memories", []), memory]
        return memory.buf, fork.Semaphore(1), fork.Semaphore(0)

    def close(self):
        del self.slots
        for memory in self.memories:
            memory.close()
            memory.unlink()


class PosixQueues:
    name = "`posix_ipc.MessageQueue`"

    def __init__(self, size):
        with open("/proc/sys/fs/mqueue/msgsize_max") as limit:
            if size > int(limit.read()):
                raise NotImplementedError
        self.queues = [
            posix_ipc.MessageQueue(
                None, posix_ipc.O_CREX, max_messages=10, max_message_size=size
            )
            for _ in range(2)
        ]

    def connect(self, side):
        receive = self.queues[1 - side].receive
        return self.queues[side].send, lambda: receive()[0]

    def close(self):
        for queue in self.queues:
            queue.close()
            queue.unlink()


class PosixSlot(Slot):
    name = "`posix_ipc.SharedMemory`, two `Semaphore`"

    def create(self):
        import mmap

        memory = posix_ipc.SharedMemory(None, posix_ipc.O_CREX, size=self.size)
        mapping = mmap.mmap(memory.fd, self.size)
        memory.close_fd()
        memory.unlink()
        semaphores = []
        for value in 1, 0:
            semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, initial_value=value)
            semaphore.unlink()
            semaphores.append(semaphore)
        return (mapping, *semaphores)

    def close(self):
        for mapping, *semaphores in self.slots:
            mapping.close()
            for semaphore in semaphores:
                semaphore.close()


class ZeroMQ:
    name = "pyzmq, PAIR, ipc"
    copy = True

    def __init__(self, size):
        self.directory = tempfile.TemporaryDirectory()

    def connect(self, side):
        # Here, since a context does not survive fork.
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PAIR)
        address = f"ipc://{self.directory.name}/socket"
        if side == 0:
            self.socket.bind(address)
        else:
            self.socket.connect(address)
        return self.calls()

    def calls(self):
        return self.socket.send, self.socket.recv

    def flush(self):
        self.socket.close()
        self.context.term()

    def close(self):
        self.flush()
        self.directory.cleanup()


class ZeroMQInPlace(ZeroMQ):
    name = "pyzmq, PAIR, ipc, `copy=False`"

    def calls(self):
        socket = self.socket
        return (
            lambda message: socket.send(message, copy=False),
            lambda: socket.recv(copy=False).buffer,
        )


SYSTEMS = [Channels, ChannelsIntoBuffers, Pipes, Queues, StandardSlot]
SYSTEMS += [PosixQueues, PosixSlot] if posix_ipc else []
SYSTEMS += [ZeroMQ, ZeroMQInPlace] if zmq else []
# What they were given may still be on its way when a call has returned.
WITH_THREADS = [Queues, ZeroMQ, ZeroMQInPlace]


def answer(calls, count):
    """The other process of a round trip."""
    send, receive = calls
    for _ in range(count):
        send(bytes(receive()))


def drain(calls, count):
    """The other process of a stream."""
    send, receive = calls
    size = len(receive())
    for _ in range(count - 1):
        receive()
    send(bytes(size))


def round_trip(calls, message, count):
    send, receive = calls
    for _ in range(count):
        send(message)
        receive()


def stream(calls, message, count):
    send, receive = calls
    for _ in range(count):
        send(message)
    receive()


def seconds(system, kind, size, count):
    """The time of this number of round trips or messages."""
    near, far = (round_trip, answer) if kind == "round trip" else (stream, drain)
    message = os.urandom(size)
    warm = max(1, count // 10)
    systems = system(size)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            calls = systems.connect(1)
            far(calls, warm)
            far(calls, count)
            if system in WITH_THREADS:
                systems.flush()
            status = 0
        except BaseException as error:
            sys.stderr.write(f"{system.name}: {error!r}\n")
        finally:
            os._exit(status)
    calls = systems.connect(0)
    near(calls, message, warm)
    begin = time.perf_counter()
    near(calls, message, count)
    elapsed = time.perf_counter() - begin
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)
    del calls
    systems.close()
    return elapsed


def measure(arguments):
    """Medians in seconds for each system, kind and size."""
    wanted = [system for system in SYSTEMS if arguments.only.lower() in system.name.lower()]
    cells = [(kind, size) for kind in ("round trip", "stream") for size in SIZES.values()]
    counts = {}
    times = {}
    for turn in range(arguments.rounds + 1):
        for kind, size in cells:
            for system in wanted:
                cell = system, kind, size
                try:
                    count = counts.get(cell, 20)
                    each = seconds(*cell, count) / count
                except NotImplementedError:
                    continue
                # The first turn finds how many it takes.
                if turn == 0:
                    each = seconds(*cell, 200) / 200
                    counts[cell] = max(20, int(arguments.seconds / each))
                else:
                    times.setdefault(cell, []).append(each)
    return wanted, {cell: statistics.median(each) for cell, each in times.items()}


def number(value):
    for unit, factor in ("M", 1e6), ("k", 1e3):
        if value >= factor:
            value /= factor
            return f"{value:.3g}{unit}"
    return f"{value:.3g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of each measurement")
    parser.add_argument("--only", default="", help="systems whose name has this in it")
    arguments = parser.parse_args()
    systems, times = measure(arguments)

    versions = f"Python {platform.python_version()}, Linux {platform.release()}"
    versions += f", posix_ipc {posix_ipc.VERSION}" if posix_ipc else ""
    versions += f", pyzmq {zmq.__version__}" if zmq else ""
    heads = [f"{size}, µs" for size in SIZES] + [f"{size}/s" for size in SIZES]
    print("| round trip, then messages a second | " + " | ".join(heads) + " |")
    print("|---|" + "--:|" * len(heads))

    def row(name, value):
        cells = [value("round trip", size) for size in SIZES.values()]
        cells += [value("stream", size) for size in SIZES.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")

    for system in systems:

        def value(kind, size):
            each = times.get((system, kind, size))
            if each is None:
                return "–"
            return f"{each * 1e6:,.1f}" if kind == "round trip" else number(1 / each)

        row(system.name, value)
    for peer in systems:
        if peer not in (Channels, ChannelsIntoBuffers) and Channels in systems:

            def ratio(kind, size):
                other = times.get((peer, kind, size))
                return "–" if other is None else f"{other / times[Channels, kind, size]:.2f}"

            row(f"`send`, `recv` ahead of {peer.name}, times", ratio)
    print(f"\n{versions}. Medians of {arguments.rounds} rounds, in which the systems take turns.")


if __name__ == "__main__":
    main()
