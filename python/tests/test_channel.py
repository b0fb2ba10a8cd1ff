import array
import errno
import signal
import threading
import unittest

import shmcomm
from shmcomm import CREATE, RECV, SEND, SHARED, Channel
from support import PATIENCE, Case, numpy


class MessagesTest(Case):
    def test_messages_are_ordered_and_whole(self):
        _, sender, receiver = self.channel()
        messages = [b"", b"a", bytes(range(256)), b"x" * 4080]
        for message in messages:
            for kind in bytes, bytearray, memoryview:
                sender.send(kind(message))
                self.assertEqual(receiver.recv(), message)
        for i in range(1000):
            sender.send(b"%d" % i)
            if i % 10 == 9:
                received = [receiver.recv(0) for _ in range(10)]
                self.assertEqual(received, [b"%d" % j for j in range(i - 9, i + 1)])

    def test_any_contiguous_buffer_is_sent(self):
        _, sender, receiver = self.channel()
        values = array.array("d", [1.5, 2.5])
        for buffer in values, memoryview(values), memoryview(values).toreadonly():
            sender.send(buffer)
            self.assertEqual(receiver.recv(), values.tobytes())
        self.assertRaises(TypeError, sender.send, "text")
        self.assertRaises((TypeError, ValueError, BufferError), sender.send, memoryview(b"abcd")[::2])
        del buffer
        values.append(3.5)  # nothing holds the buffer any more
        self.assertRaises(BlockingIOError, receiver.recv, 0)

    def test_a_message_is_received_into_a_buffer(self):
        _, sender, receiver = self.channel()
        for message in b"", b"fine":
            sender.send(message)
            buffer = bytearray(b"........")
            self.assertEqual(receiver.recv_into(buffer), len(message))
            self.assertEqual(buffer, message + b"........"[len(message) :])
        buffer.append(0)
        sender.send(b"too long")
        for small in bytearray(7), bytearray():
            with self.assertRaises(OSError) as raised:
                receiver.recv_into(small)
            self.assertEqual(raised.exception.errno, errno.EMSGSIZE)
        self.assertRaises(TypeError, receiver.recv_into, b"read-only")
        self.assertEqual(receiver.recv(), b"too long")

    def test_messages_of_every_length_are_received(self):
        _, sender, receiver = self.channel(1 << 16)
        lengths = [0, 4095, 4096, 4097, 20000, 1, 65520]
        for length in lengths:
            sender.send(bytes([length % 251]) * length)
            self.assertEqual(receiver.recv(0), bytes([length % 251]) * length)
        sending = threading.Thread(target=lambda: [sender.send(b"x" * n) for n in lengths])
        sending.start()
        self.assertEqual([len(receiver.recv(PATIENCE)) for _ in lengths], lengths)
        sending.join()

    def test_a_signal_handler_may_receive(self):
        """It may run between any two steps of the call that it interrupts."""
        _, sender, receiver = self.channel(1 << 20)
        received = []

        def receive(*_):
            try:
                received.append(int(receiver.recv(0)))
            except (BlockingIOError, BufferError):
                pass  # it interrupted the last one

        numbers = list(range(20000))
        for number in numbers:
            sender.send(b"%d" % number)
        signal.signal(signal.SIGALRM, receive)
        self.addCleanup(signal.signal, signal.SIGALRM, signal.SIG_DFL)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        while receiver.stat().messages:
            receive()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.assertEqual(sorted(received), numbers)

    def test_state(self):
        name, sender, receiver = self.channel()
        sender.send(b"12345")
        self.assertEqual(receiver.stat(), (4096, 16, 1, 1, 0, True, True))
        self.assertEqual((sender.capacity, sender.max_message), (4096, 4080))
        self.assertIn(name, repr(sender))
        sender.close()
        self.assertIn("closed", repr(sender))
        self.assertFalse(receiver.stat().sender_alive)

    def test_arrays_travel_without_a_copy(self):
        np = numpy()
        _, sender, receiver = self.channel(1 << 20)
        with sender.reserve(80000) as room:
            values = np.frombuffer(room, "f8")
            values[:] = np.arange(10000)
            del values
        with receiver.peek() as message:
            values = np.frombuffer(message, "f8")
            self.assertEqual(values.sum(), 49995000)
            self.assertFalse(values.flags.writeable)
            del values
        sender.send(np.arange(10))
        self.assertEqual(receiver.recv(), np.arange(10).tobytes())


class ErrorsTest(Case):
    def assert_errno(self, number, call, *arguments):
        with self.assertRaises(OSError) as raised:
            call(*arguments)
        self.assertEqual(raised.exception.errno, number)

    def test_opening(self):
        name, sender, receiver = self.channel()
        self.assertRaises(FileNotFoundError, Channel, self.posix_name(), SEND)
        self.assertRaises(FileExistsError, Channel, name, SEND | CREATE | shmcomm.EXCL)
        self.assert_errno(errno.EBUSY, Channel, name, SEND)
        self.assert_errno(errno.EINVAL, Channel, name, SEND | RECV)
        self.assert_errno(errno.EINVAL, Channel, name, 0)

    def test_waits_end(self):
        name, sender, receiver = self.channel()
        self.assertRaises(BlockingIOError, receiver.recv, 0)
        self.assertRaises(BlockingIOError, receiver.recv, -1)
        for timeout in 1e-9, 0.01, 0.15:
            self.assertRaises(TimeoutError, receiver.recv, timeout)
            self.assertRaises(TimeoutError, receiver.recv_into, bytearray(9), timeout)
            self.assertRaises(TimeoutError, receiver.peek(timeout).__enter__)
        self.assert_errno(errno.EMSGSIZE, sender.send, bytes(4081))
        sender.send(bytes(4080))
        self.assertRaises(BlockingIOError, sender.send, b"", 0)
        self.assertRaises(TimeoutError, sender.send, bytearray(8), 0.15)
        self.assertRaises(TimeoutError, sender.reserve(8, 0.15).__enter__)
        receiver.close()
        self.assertRaises(BrokenPipeError, sender.send, b"")
        receiver = self.opened(Channel, name, RECV)
        sender.close()
        self.assertEqual(receiver.recv(), bytes(4080))
        self.assertRaises(BrokenPipeError, receiver.recv)
        shmcomm.remove(name)
        self.assert_errno(errno.EIDRM, receiver.recv, PATIENCE)

    def test_the_wrong_end(self):
        _, sender, receiver = self.channel()
        self.assert_errno(errno.EINVAL, sender.recv)
        self.assert_errno(errno.EINVAL, receiver.send, b"")
        self.assert_errno(errno.EINVAL, receiver.send, bytearray(1))
        self.assertRaises(ValueError, sender.reserve(-1).__enter__)

    def test_ctrl_c_ends_every_wait(self):
        _, sender, receiver = self.channel()
        buffer = bytearray(10)
        for wait in (
            receiver.recv,
            receiver.peek().__enter__,
            lambda: receiver.recv(PATIENCE),
            lambda: receiver.recv_into(buffer),
        ):
            self.assert_interrupted(wait)
        sender.send(bytes(4080))
        for wait in lambda: sender.send(b""), sender.reserve(8).__enter__:
            self.assert_interrupted(wait)
        self.assertEqual(len(receiver.recv()), 4080)
        sender.send(b"fine")
        self.assertEqual(receiver.recv(), b"fine")

    def test_a_closed_channel_is_an_error(self):
        _, sender, receiver = self.channel()
        sender.close()
        sender.close()
        for use in (
            lambda: sender.send(b""),
            lambda: sender.send(bytearray(1)),
            sender.recv,
            lambda: sender.recv_into(bytearray(1)),
            sender.peek().__enter__,
            sender.reserve(1).__enter__,
            sender.stat,
        ):
            self.assertRaises(ValueError, use)


class BlocksTest(Case):
    def test_a_block_that_raises_sends_nothing_and_frees_nothing(self):
        for shared in 0, SHARED:
            name, sender, receiver = self.channel(shared=shared)
            for _ in range(3):
                with self.assertRaises(ZeroDivisionError):
                    with sender.reserve(100):
                        raise ZeroDivisionError
            for message in b"", b"stays":
                sender.send(message)
                for _ in range(3):
                    with self.assertRaises(ZeroDivisionError):
                        with receiver.peek() as view:
                            self.assertEqual(view, message)
                            raise ZeroDivisionError
                self.assertEqual(receiver.recv(), message)
            self.assertEqual(receiver.stat()[2:5], (0, 2, 2))

    def test_a_block_that_raised_keeps_nobody_from_a_shared_end(self):
        name, sender, receiver = self.channel(shared=SHARED)
        other = self.opened(Channel, name, SEND | SHARED)
        with self.assertRaises(ZeroDivisionError), sender.reserve(100):
            raise ZeroDivisionError
        other.send(b"fine", PATIENCE)
        with self.assertRaises(ZeroDivisionError), receiver.peek():
            raise ZeroDivisionError
        other = self.opened(Channel, name, RECV | SHARED)
        self.assertEqual(other.recv(PATIENCE), b"fine")

    def test_a_view_that_outlives_its_block_is_an_error(self):
        _, sender, receiver = self.channel()
        with sender.reserve(5) as room:
            room[:] = b"first"
        self.assertRaises(ValueError, room.__setitem__, 0, 1)
        with receiver.peek() as message:
            self.assertEqual(message, b"first")
            self.assertRaises(TypeError, message.__setitem__, 0, 1)
        self.assertRaises(ValueError, message.__getitem__, 0)
        self.assertRaises(BlockingIOError, receiver.recv, 0)

    def test_a_part_that_outlives_its_block_is_an_error(self):
        name, sender, receiver = self.channel()
        sender.send(b"first")
        for part_of in lambda view: view[1:3], memoryview, numpy_array:
            with self.assertRaises(BufferError):
                with receiver.peek() as message:
                    part = part_of(message)
            self.assertEqual(bytes(part), b"irst"[: len(part)] if len(part) == 2 else b"first")
            self.assertRaises(BufferError, receiver.close)
            del part, message
            with self.assertRaises(BufferError):
                with sender.reserve(5) as room:
                    part = part_of(room)
            self.assertRaises(BufferError, sender.close)
            del part, room
        self.assertEqual(receiver.recv(), b"first")
        self.assertRaises(BlockingIOError, receiver.recv, 0)
        sender.close()

    def test_a_view_keeps_the_mapping_of_a_lost_channel(self):
        name, sender, receiver = self.channel()
        sender.send(b"first")
        other = threading.local()
        receiver.close()
        lost = Channel(name, RECV)
        with self.assertRaises(BufferError):
            with lost.peek() as message:
                other.part = message[:]
        del message, lost
        self.assertEqual(other.part, b"first")
        self.assertRaises(OSError, Channel, name, RECV)  # EBUSY
        del other
        self.assertEqual(self.opened(Channel, name, RECV).recv(), b"first")

    def test_inside_a_block_other_calls_are_errors(self):
        _, sender, receiver = self.channel()
        sender.send(b"first")
        with receiver.peek() as message:
            for use in receiver.recv, receiver.peek().__enter__, receiver.stat, receiver.close:
                self.assertRaises(BufferError, use)
            self.assertEqual(message, b"first")
        with sender.reserve(0):
            self.assertRaises(BufferError, sender.send, b"")
            self.assertRaises(BufferError, sender.close)
        self.assertEqual(receiver.recv(), b"")


def numpy_array(view):
    try:
        return numpy().frombuffer(view, "u1")
    except unittest.SkipTest:
        return memoryview(view)


if __name__ == "__main__":
    unittest.main()
