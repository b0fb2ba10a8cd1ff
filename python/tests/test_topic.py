import asyncio
import errno
import sys
import threading
import unittest

from shmcomm import CREATE, HISTORY, RECV, SEND, Topic
from support import PATIENCE, Case


class TopicTest(Case):
    def topic(self, max_message=100, depth=4):
        """A name, the writer and a reader of a new topic."""
        name = self.posix_name()
        writer = self.opened(Topic, name, SEND | CREATE, max_message, depth)
        return name, writer, self.opened(Topic, name, RECV)

    def test_readers_see_messages_in_order(self):
        name, writer, reader = self.topic()
        other = self.opened(Topic, name, RECV)
        for message in b"", b"one", bytearray(b"two"), memoryview(b"three"):
            writer.write(message)
            self.assertEqual(other.read(), message)
        with writer.begin(4) as room:
            room[:] = b"four"
        self.assertEqual(reader.stat(), (100, 4, 5, True))
        self.assertEqual(writer.max_message, 100)
        for topic in reader, other:
            self.assertEqual(topic.latest(), (b"four", 5))
        late = self.opened(Topic, name, RECV)
        self.assertEqual(late.read(), b"four")
        history = self.opened(Topic, name, RECV | HISTORY)
        self.assertIn(history.read(), (b"one", b"two", b"three"))

    def test_lost_and_read_are_all(self):
        _, writer, reader = self.topic()
        numbers = []
        for burst in 1, 3, 20, 2, 100:
            for _ in range(burst):
                writer.write(b"%d" % writer.stat().written)
            while True:
                try:
                    numbers.append(int(reader.read(0)))
                except BlockingIOError:
                    break
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(len(numbers) + reader.lost, 126)
        self.assertEqual(numbers[-1], 125)

    def test_a_message_in_place(self):
        _, writer, reader = self.topic()
        writer.write(b"first")
        with reader.peek() as message:
            self.assertEqual(message, b"first")
            self.assertTrue(message.readonly)
            self.assertRaises(BufferError, reader.read)
            self.assertRaises(BufferError, reader.close)
        self.assertRaises(ValueError, message.__getitem__, 0)
        writer.write(b"second")
        with self.assertRaises(OSError) as raised:
            with reader.peek() as message:
                for _ in range(10):
                    writer.write(b"overwrites")
        self.assertEqual(raised.exception.errno, errno.ESTALE)
        with self.assertRaises(ZeroDivisionError), writer.begin(5):
            raise ZeroDivisionError
        self.assertEqual(writer.stat().written, 12)
        with self.assertRaises(BufferError):
            with reader.peek() as message:
                part = message[1:]
        self.assertRaises(BufferError, reader.close)
        self.assertEqual(part, b"verwrites")
        del part

    def test_waits_end(self):
        name, writer, reader = self.topic()
        self.assertRaises(BlockingIOError, reader.latest)
        self.assertRaises(BlockingIOError, reader.read, 0)
        self.assertRaises(TimeoutError, reader.read, 0.15)
        self.assertRaises(TimeoutError, reader.peek(0.01).__enter__)
        self.assert_interrupted(reader.read)
        self.assert_interrupted(reader.peek().__enter__)
        errors = []

        def wait():
            try:
                reader.read()
            except ValueError as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        reader.close()
        thread.join(PATIENCE)
        self.assertEqual(len(errors), 1)
        reader = self.opened(Topic, name, RECV)
        writer.close()
        self.assertRaises(BrokenPipeError, reader.read)

    def test_errors(self):
        name, writer, reader = self.topic()
        self.assertRaises(ValueError, writer.begin(101).__enter__)
        self.assertRaises(OSError, writer.write, bytes(101))
        self.assertRaises(OSError, reader.write, b"")
        self.assertRaises(OSError, Topic, name, SEND)  # EBUSY
        self.assertRaises(FileNotFoundError, Topic, self.posix_name(), RECV)
        writer.close()
        for use in lambda: writer.write(b""), writer.begin(1).__enter__, writer.latest, writer.stat:
            self.assertRaises(ValueError, use)

    def test_tasks_read(self):
        name, writer, reader = self.topic()

        async def write():
            for i in range(300):
                writer.write(b"%d" % i)
                await asyncio.sleep(0)

        async def read(topic):
            last = -1
            while last < 299:
                number = int(await topic.read_async())
                self.assertGreater(number, last)
                last = number

        async def main():
            other = self.opened(Topic, name, RECV)
            await asyncio.gather(read(reader), read(other), write())
            writer.close()
            with self.assertRaises(BrokenPipeError):
                await reader.read_async()

        asyncio.run(asyncio.wait_for(main(), PATIENCE))

    def test_fork(self):
        name, writer, reader = self.topic()

        def child():
            self.assertRaises(PermissionError, writer.write, b"")
            self.assertRaises(PermissionError, reader.read, 0)
            writer.close()
            with Topic(name, RECV) as own:
                self.assertEqual(own.read(), b"fine")

        writer.write(b"fine")
        self.in_child(child)
        self.assertEqual(reader.read(), b"fine")

    def test_a_killed_writer_leaves_whole_messages(self):
        name = self.posix_name()
        Topic(name, SEND | CREATE, 4000, 8).close()
        program = """if True:
            import shmcomm, sys
            with shmcomm.Topic(sys.argv[1], shmcomm.SEND) as topic:
                number = topic.stat().written
                while True:
                    with topic.begin(4000) as room:
                        room[:] = bytes([number & 255]) * 4000
                    number += 1
        """
        for _ in range(3):
            reader = self.opened(Topic, name, RECV)  # its first message may be the last writer's
            before = reader.stat().written
            writer = self.start(sys.executable, "-c", program, name)
            for _ in range(100):
                message = self.read_from(writer, reader)
                self.assertEqual(message, message[:1] * 4000)
            writer.kill()
            writer.wait()
            self.assertGreaterEqual(reader.stat().written, before + 99)
            self.assertEqual(reader.latest()[1], reader.stat().written)


if __name__ == "__main__":
    unittest.main()
