"""Threads that share objects, with and without a global interpreter lock."""

import asyncio
import errno
import threading
import time
import unittest

import shmcomm
from shmcomm import CREATE, RECV, SEND, Channel, Mutex, Segment, Topic
from support import PATIENCE, Case


class ChannelTest(Case):
    def test_threads_share_both_ends(self):
        """Every message is received once, whole, and those of each sender in order."""
        _, sender, receiver = self.channel()
        threads, each = 4, 300

        def send(thread):
            for i in range(each):
                message = b"%d %d " % (thread, i) * (1 + i % 50)
                if i % 3 == 0:
                    sender.send(message, PATIENCE)
                elif i % 3 == 1:
                    sender.send(bytearray(message), PATIENCE)
                else:
                    with sender.reserve(len(message), PATIENCE) as room:
                        room[:] = message
            sender.stat()

        def receive():
            received = []
            buffer = bytearray(1000)
            for i in range(each):
                if i % 3 == 0:
                    message = receiver.recv(PATIENCE)
                elif i % 3 == 1:
                    message = bytes(buffer[: receiver.recv_into(buffer, PATIENCE)])
                else:
                    with receiver.peek(PATIENCE) as view:
                        message = bytes(view)
                words = message.split()
                self.assertEqual(words, words[:2] * (1 + int(words[1]) % 50))
                received.append((int(words[0]), int(words[1])))
            receiver.stat()
            return received

        calls = [lambda thread=thread: send(thread) for thread in range(threads)]
        results = self.in_threads(*calls, *[receive] * threads)[threads:]
        for received in results:
            for thread in range(threads):
                numbers = [number for owner, number in received if owner == thread]
                self.assertEqual(numbers, sorted(numbers))
        everything = [(thread, i) for thread in range(threads) for i in range(each)]
        self.assertEqual(sorted(sum(results, [])), everything)

    def test_a_thread_that_waits_lets_others_in(self):
        _, sender, receiver = self.channel()
        result = []
        waiting = threading.Thread(target=lambda: result.append(receiver.recv()))
        waiting.start()
        for _ in range(3):
            self.assertEqual(receiver.stat().messages, 0)
        sender.send(b"end")
        waiting.join(PATIENCE)
        self.assertEqual(result, [b"end"])

    def test_a_timeout_ends_while_other_threads_wait(self):
        _, sender, receiver = self.channel()
        waiting = [threading.Thread(target=receiver.recv) for _ in range(2)]

        def wait_for_a_second():
            self.assertRaises(TimeoutError, receiver.recv, 1)
            for _ in waiting:
                sender.send(b"end")

        first = threading.Thread(target=wait_for_a_second)
        first.start()
        time.sleep(0.01)  # so that it waits already
        for thread in waiting:
            thread.start()
        for thread in first, *waiting:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())

    def test_closing_ends_the_wait_of_another_thread(self):
        name, sender, receiver = self.channel()
        errors = []

        def wait(call):
            try:
                call()
            except ValueError as error:
                errors.append(error)

        sender.send(bytes(4080))
        full = [threading.Thread(target=wait, args=(lambda: sender.send(b""),)) for _ in range(3)]
        for thread in full:
            thread.start()
        sender.close()
        for thread in full:
            thread.join(PATIENCE)
        self.assertEqual(len(errors), 3)
        self.opened(Channel, name, SEND)

    def test_a_handle_stays_while_a_thread_uses_it(self):
        name, sender, receiver = self.channel()
        receiver.close()
        for i in range(10):
            sender.send(b"%d" % i)
            channel = Channel(name, RECV)

            def peek():
                with channel.peek(0) as view:
                    bytes(view)

            uses = [
                peek,
                lambda: channel.recv(0.001),
                lambda: channel.recv_into(bytearray(10), 0),
                channel.stat,
                channel.fileno,
            ]
            self.in_threads(*[lambda use=use: self.until_closed(use) for use in uses],
                            lambda: self.close(channel))

    def until_closed(self, use):
        while True:
            try:
                use()
            except ValueError:
                return  # closed
            except (BlockingIOError, TimeoutError):
                pass

    def close(self, thing):
        """Closes it although other threads have views of its memory for a moment."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return thing.close()
            except BufferError:
                pass
        self.fail("a view is left")

    def test_event_loops_of_several_threads_share_an_end(self):
        _, sender, receiver = self.channel()

        async def receive():
            return [await receiver.recv_async() for _ in range(200)]

        async def send():
            for i in range(300):
                await sender.send_async(b"%d" % i)

        def run(coroutine):
            return asyncio.run(asyncio.wait_for(coroutine(), PATIENCE))

        results = self.in_threads(*[lambda: run(receive)] * 3, *[lambda: run(send)] * 2)
        numbers = [int(message) for received in results[:3] for message in received]
        self.assertEqual(sorted(numbers), sorted([*range(300), *range(300)]))


class TopicTest(Case):
    def test_threads_share_writer_and_reader(self):
        """Every message is whole, and is read once or counted as lost."""
        name = self.posix_name()
        writer = self.opened(Topic, name, SEND | CREATE, 1000, 64)
        reader = self.opened(Topic, name, RECV)
        threads, each = 3, 400
        writing = threads

        def write(thread):
            nonlocal writing
            for i in range(each):
                message = b"%d %d " % (thread, i) * (1 + i % 50)
                if i % 2 == 0:
                    writer.write(message)
                else:
                    with writer.begin(len(message)) as room:
                        room[:] = message
            with lock:
                writing -= 1

        def read(use):
            received = []
            while True:
                last = writing == 0
                try:
                    words = use().split()
                except BlockingIOError:
                    if last:
                        return received
                    continue
                except OSError as error:
                    self.assertEqual(error.errno, errno.ESTALE)
                    continue
                self.assertEqual(words, words[:2] * (1 + int(words[1]) % 50))
                received.append((int(words[0]), int(words[1])))

        def peek():
            with reader.peek(0) as view:
                return bytes(view)

        lock = threading.Lock()
        calls = [lambda thread=thread: write(thread) for thread in range(threads)]
        calls += [lambda: read(lambda: reader.read(0))] * 2 + [lambda: read(peek)]
        received = sum(self.in_threads(*calls)[threads:], [])
        self.assertEqual(len(set(received)), len(received))
        self.assertEqual(writer.stat().written, threads * each)
        self.assertEqual(len(received) + reader.lost, threads * each)


class MemoryTest(Case):
    def test_threads_share_a_mutex_and_a_segment(self):
        segment = self.opened(Segment, self.posix_name(), 4096, CREATE)
        shared = Mutex(segment)
        numbers = segment.buf.cast("Q")
        threads, each = 4, 1000

        def count():
            for i in range(each):
                mutex = shared if i % 2 else Mutex(segment)
                with mutex:
                    self.assertFalse(mutex.owner_died)
                    before = numbers[8]
                    self.assertEqual(bytes(segment.buf[72:80]), before.to_bytes(8, "little"))
                    numbers[8] = before + 1
                    numbers[9] = before + 1

        self.in_threads(*[count] * threads)
        self.assertEqual(numbers[8], threads * each)
        numbers.release()

    def test_memory_stays_while_a_thread_uses_it(self):
        for _ in range(20):
            segment = Segment("anon:", 1 << 16)

            def use():
                try:
                    for _ in range(300):
                        part = segment.buf[1 << 12 :]
                        part[0] = part[-1] = 1
                        part.release()
                        with Mutex(segment):
                            self.assertEqual(segment.stat().size, 1 << 16)
                except ValueError:
                    pass  # closed

            def close():
                while True:
                    try:
                        return segment.close()
                    except BufferError:
                        pass

            self.in_threads(use, use, use, close)


if __name__ == "__main__":
    unittest.main()
