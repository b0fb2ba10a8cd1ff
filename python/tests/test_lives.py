"""Forks, signals and exits."""

import signal
import sys
import threading
import unittest

import shmcomm
from shmcomm import RECV, SEND, Channel
from support import PATIENCE, Case


class ForkTest(Case):
    def test_a_child_may_close_and_open_again(self):
        name, sender, receiver = self.channel()
        sender.send(b"one")

        def child():
            for use in lambda: sender.send(b""), sender.stat:
                self.assertRaises(PermissionError, use)
            self.assertRaises(PermissionError, receiver.recv, 0)
            self.assertRaises(OSError, Channel, name, SEND)  # EBUSY
            sender.close()
            receiver.close()

        self.in_child(child)
        self.assertEqual(receiver.recv(), b"one")
        receiver.close()
        self.in_child(lambda: Channel(name, RECV).close())

    def test_a_child_of_a_waiting_thread_is_not_stuck(self):
        _, sender, receiver = self.channel()
        waiting = threading.Thread(target=receiver.recv)
        waiting.start()
        for _ in range(20):
            self.in_child(receiver.close)
        sender.send(b"end")
        waiting.join(PATIENCE)
        self.assertFalse(waiting.is_alive())

    def test_a_child_inside_a_block(self):
        _, sender, receiver = self.channel()
        sender.send(b"first")
        with receiver.peek() as message:

            def child():
                self.assertRaises(ValueError, message.__getitem__, 0)

            self.in_child(child)
            self.assertEqual(message, b"first")
        with sender.reserve(6) as room:
            self.in_child(lambda: self.assertRaises(ValueError, room.__setitem__, 0, 1))
            room[:] = b"second"
        self.assertEqual(receiver.recv(), b"second")


class ExitTest(Case):
    def test_exit_with_open_channels_and_waiting_threads(self):
        name, sender, receiver = self.channel()
        receiver.close()
        program = """if True:
            import shmcomm, sys, threading, weakref
            global_channel = shmcomm.Channel(sys.argv[1], shmcomm.RECV)
            segment = shmcomm.Segment("anon:", 100)
            view = segment.buf[3:]
            mutex = shmcomm.Mutex(segment)
            mutex.acquire()
            with global_channel.peek() as message:
                copy = bytes(message)
            block = global_channel.peek()
            held = block.__enter__()
            part = held[1:]
            out = shmcomm.Channel(sys.argv[2], shmcomm.SEND | shmcomm.CREATE)
            shmcomm.remove(sys.argv[2])
            reservation = out.reserve(5)
            room = reservation.__enter__()
            sys.modules["kept"] = segment
            cycle = [mutex]
            cycle.append(cycle)
            threading.Thread(target=mutex.acquire, daemon=True).start()
            print(copy)
        """
        sender.send(b"one")
        sender.send(b"two")
        self.assertEqual(self.python(program, name, self.posix_name()), "b'one'\n")
        self.assertEqual(self.opened(Channel, name, RECV).recv(), b"two")

    def test_exit_while_a_daemon_thread_receives(self):
        name, sender, receiver = self.channel()
        receiver.close()
        program = """if True:
            import shmcomm, sys, threading
            channel = shmcomm.Channel(sys.argv[1], shmcomm.RECV)
            threading.Thread(target=channel.recv, daemon=True).start()
            while channel.stat().received:
                pass
        """
        for _ in range(3):
            self.assertEqual(self.python(program, name), "")

    def test_ctrl_c_ends_a_program(self):
        name, sender, receiver = self.channel()
        receiver.close()
        program = """if True:
            import shmcomm, signal, sys
            signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
            with shmcomm.Channel(sys.argv[1], shmcomm.RECV) as channel:
                try:
                    print("ready", flush=True)
                    channel.recv()
                except KeyboardInterrupt:
                    print("interrupted")
        """
        process = self.start(sys.executable, "-c", program, name)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.read(), b"interrupted\n")
        self.assertEqual(process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
