"""Python and C programs exchange messages and memory with each other, through kills."""

import os
import random
import signal
import sys
import time
import unittest
from pathlib import Path

import shmcomm
from shmcomm import CREATE, RECV, SEND, Channel, Segment, Topic
from support import PATIENCE, Case

# Sends numbers, or receives and prints them, until it is killed.
SEND_NUMBERS = """if True:
    import shmcomm, sys
    with shmcomm.Channel(sys.argv[1], shmcomm.SEND) as channel:
        number = channel.stat().sent
        while True:
            with channel.reserve(4000) as room:
                room[:8] = number.to_bytes(8, "little")
                room[8:] = bytes([number & 255]) * 3992
            number += 1
"""
RECEIVE_AND_TELL = """if True:
    import os, shmcomm, sys, time
    with shmcomm.Channel(sys.argv[1], shmcomm.RECV) as channel:
        while channel.stat().messages:
            with channel.peek() as message:
                os.write(1, bytes(message) + b"\\n")
                time.sleep(0.001)
"""


@unittest.skipUnless("SHMCOMM_TEST_PROGRAMS" in os.environ, "cargo test builds the C programs")
class ExchangeTest(Case):
    def c(self, program, *arguments):
        """Starts a C program of tests/c."""
        path = Path(os.environ["SHMCOMM_TEST_PROGRAMS"]) / program
        return self.start(str(path), *arguments)

    def says(self, process):
        """The output of a process until it exits."""
        output = process.communicate(timeout=PATIENCE)[0].decode()
        self.assertEqual(process.returncode, 0)
        return output.splitlines()

    def test_messages_from_c(self):
        name = self.posix_name()
        with Channel(name, RECV | CREATE, 4096) as channel:
            process = self.c("channel", "open", name, "0", "s", "0", "send", "hello", "-1",
                             "reserve", "in place", "100", "-1", "commit", "8", "send", "", "-1")
            self.assertEqual(channel.recv(PATIENCE), b"hello")
            with channel.peek(PATIENCE) as message:
                self.assertEqual(message, b"in place")
            self.assertEqual(channel.recv(PATIENCE), b"")
            self.assertRaises(BrokenPipeError, channel.recv)
            self.assertEqual(set(line.split(": ")[1] for line in self.says(process)), {"ok"})

    def test_messages_to_c(self):
        name = self.posix_name()
        with Channel(name, SEND | CREATE, 4096) as channel:
            process = self.c("channel", "open", name, "0", "r", "0", "recv", "-1", "peek", "-1",
                             "release", "recv", "-1")
            channel.send(b"hello")
            with channel.reserve(8) as room:
                room[:] = b"in place"
            channel.send(bytearray(b"fine"))
            expected = ["open: ok", 'recv: "hello"', 'peek: "in place"', "release: ok", 'recv: "fine"']
            self.assertEqual(self.says(process), expected)

    def test_memory_from_and_to_c(self):
        name = self.posix_name()
        with Segment(name, 5000, CREATE) as segment:
            segment.buf[:6] = b"hello\0"
            process = self.c("segment", "open", name, "0", "", "0", "size", "show", "put", "fine")
            self.assertEqual(self.says(process), ["open: ok", "size: 5000", "show: hello"])
            self.assertEqual(bytes(segment.buf[:5]), b"fine\0")
        shmcomm.remove(name)
        self.says(self.c("segment", "open", name, "5000", "cx", "0600", "put", "from C"))
        with Segment(name) as segment:
            self.assertEqual((segment.size, bytes(segment.buf[:6])), (5000, b"from C"))

    def test_topics_from_and_to_c(self):
        name = self.posix_name()
        with Topic(name, SEND | CREATE, 100, 4) as topic:
            topic.write(b"hello")
            reader = self.c("topic", "open", name, "0", "0", "r", "0", "read", "-1", "read", "-1")
            self.assertEqual(reader.stdout.readline(), b"open: ok\n")
            self.assertRegex(reader.stdout.readline(), b'read: "hello"')
            topic.write(b"fine")
            self.assertRegex(self.says(reader)[0], 'read: "fine"')
        with Topic(name, RECV) as topic:
            self.assertEqual(topic.read(PATIENCE), b"fine")
            writer = self.c("topic", "open", name, "0", "0", "s", "0", "write", "from C")
            self.assertEqual(self.read_from(writer, topic), b"from C")
            self.says(writer)

    def test_c_meets_a_killed_python(self):
        """A C program receives what killed senders had sent, and the next sender goes on."""
        name = self.posix_name()
        Channel(name, SEND | CREATE, 1 << 16).close()
        for _ in range(3):
            receiver = self.c("channel", "open", name, "0", "r", "0", "recvn", "-1", "stat")
            sender = self.start(sys.executable, "-c", SEND_NUMBERS, name)
            self.wait_for_more(name, random.randrange(50, 500))
            sender.kill()
            lines = self.says(receiver)
            self.assertRegex(lines[1], r"recvn: \d+, errno 32")  # EPIPE: all of it was received
            self.assertRegex(lines[2], r"messages 0 .* sender 0 receiver 1")

    def wait_for_more(self, name, number):
        """Waits until this number of messages has been sent."""
        path = Path("/dev/shm") / name[len("posix:/") :]
        before = None
        end = time.monotonic() + PATIENCE
        with open(path, "rb", buffering=0) as file:
            while time.monotonic() < end:
                sent = int.from_bytes(os.pread(file.fileno(), 8, 72), "little")
                before = sent if before is None else before
                if sent >= before + number:
                    return
        self.fail("nothing is sent")

    def test_python_meets_a_killed_c(self):
        """Python sends to C programs that are killed at random, and loses no end of the channel."""
        name = self.posix_name()
        with Channel(name, SEND | CREATE, 4096) as channel:
            for _ in range(5):
                receiver = self.c("channel", "open", name, "0", "r", "0", "recvn", "-1")
                self.assertEqual(receiver.stdout.readline(), b"open: ok\n")
                for i in range(random.randrange(100)):
                    channel.send(b"%d" % i, PATIENCE)
                receiver.kill()
                with self.assertRaises(BrokenPipeError):
                    while True:
                        channel.send(b"too many", PATIENCE)
            with Channel(name, RECV) as receiver:
                while receiver.stat().messages:
                    receiver.recv()
                self.assertEqual(receiver.stat().used, 0)

    def test_no_message_is_lost_or_doubled_when_python_dies(self):
        """Numbered messages, whole, in order, from senders that are killed at random."""
        name = self.posix_name()
        expected = 0
        with Channel(name, RECV | CREATE, 1 << 16) as channel:
            for _ in range(5):
                sender = self.start(sys.executable, "-c", SEND_NUMBERS, name)
                last = expected + random.randrange(200)
                while sender.poll() is None or channel.stat().messages:
                    try:
                        message = channel.recv(PATIENCE)
                    except BrokenPipeError:
                        continue  # this sender has yet to open its end
                    if expected == last:
                        sender.kill()
                        sender.wait()
                    self.assertEqual(int.from_bytes(message[:8], "little"), expected)
                    self.assertEqual(message[8:], bytes([expected & 255]) * 3992)
                    expected += 1
                self.assertEqual(sender.returncode, -signal.SIGKILL)

    def test_a_message_that_python_died_on_is_received_again(self):
        """C sends numbers to Python programs that are killed at random."""
        name = self.posix_name()
        Channel(name, RECV | CREATE, 4096).close()
        numbers = [str(i) for i in range(200)]
        calls = [word for number in numbers for word in ("send", number, "-1")]
        sent = self.says(self.c("channel", "open", name, "0", "s", "0", *calls))
        self.assertEqual(sent, ["open: ok"] + 200 * ["send: ok"])
        received = []
        for _ in range(5):
            receiver = self.start(sys.executable, "-c", RECEIVE_AND_TELL, name)
            lines = [receiver.stdout.readline() for _ in range(random.randrange(1, 40))]
            receiver.kill()
            lines.append(receiver.stdout.read())
            receiver.wait()  # its output may end before its end of the channel is free
            received += b"".join(lines).decode().split()
        with Channel(name, RECV) as channel:
            while channel.stat().messages:
                received.append(channel.recv().decode())
        # Printed before it was freed: at most one per kill comes twice, and next to itself.
        doubled = [a for a, b in zip(received, received[1:]) if a == b]
        self.assertLessEqual(len(doubled), 5)
        for number in doubled:
            received.remove(number)
        self.assertEqual(received, numbers)


if __name__ == "__main__":
    unittest.main()
