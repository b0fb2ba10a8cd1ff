import asyncio
import select
import sys
import threading
import time
import unittest

from shmcomm import CREATE, RECV, Channel
from support import PATIENCE, Case


class AsyncTest(Case):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))

    def test_tasks_exchange_messages_while_others_run(self):
        _, sender, receiver = self.channel()
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def send():
            for i in range(2000):
                await sender.send_async(b"%d" % i)

        async def receive():
            for i in range(2000):
                self.assertEqual(await receiver.recv_async(), b"%d" % i)

        async def main():
            counting = asyncio.ensure_future(count())
            await asyncio.gather(send(), receive())
            counting.cancel()

        self.run_async(main())
        self.assertGreater(turns, 10)

    def test_a_message_of_another_process_wakes_a_task(self):
        name = self.posix_name()
        receiver = self.opened(Channel, name, RECV | CREATE, 4096)
        program = """if True:
            import shmcomm, sys
            with shmcomm.Channel(sys.argv[1], shmcomm.SEND) as channel:
                for i in range(200):
                    channel.send(b"%d" % i)
        """

        async def main():
            self.start(sys.executable, "-c", program, name)
            for i in range(200):
                self.assertEqual(await receiver.recv_async(), b"%d" % i)
            with self.assertRaises(BrokenPipeError):
                await receiver.recv_async()

        self.run_async(main())

    def test_several_tasks_wait_at_one_end(self):
        _, sender, receiver = self.channel()

        async def main():
            tasks = [asyncio.ensure_future(receiver.recv_async()) for _ in range(5)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            for i in range(4):
                await asyncio.sleep(0.001)
                sender.send(b"%d" % i)
            received = await asyncio.gather(*tasks, return_exceptions=True)
            self.assertIsInstance(received.pop(1), asyncio.CancelledError)
            self.assertEqual(sorted(received), [b"0", b"1", b"2", b"3"])
            sender.send(bytes(4080))
            full = [asyncio.ensure_future(sender.send_async(b"%d" % i)) for i in range(3)]
            await asyncio.sleep(0.001)
            self.assertEqual(len(receiver.recv()), 4080)
            await asyncio.gather(*full)
            self.assertEqual([receiver.recv() for _ in full], [b"0", b"1", b"2"])

        self.run_async(main())

    def test_a_cancelled_wait_takes_nothing(self):
        _, sender, receiver = self.channel()

        async def main():
            for _ in range(3):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(receiver.recv_async(), 0.01)
            sender.send(b"fine")
            self.assertEqual(await receiver.recv_async(), b"fine")

        self.run_async(main())

    def test_closing_ends_the_wait(self):
        _, sender, receiver = self.channel()
        name = receiver.name

        async def main(close):
            channel = Channel(name, RECV)
            waiting = [asyncio.ensure_future(channel.recv_async()) for _ in range(2)]
            await asyncio.sleep(0.001)
            close(channel)
            for task in waiting:
                with self.assertRaises(ValueError):
                    await task

        receiver.close()
        self.run_async(main(Channel.close))
        self.run_async(main(lambda channel: threading.Thread(target=channel.close).start()))

    def test_closing_in_a_thread_does_not_disturb_others(self):
        """The channel that is opened next gets no descriptor that the loop has yet to give up."""
        _, _, receiver = self.channel()
        name, other, own = self.channel()
        own.close()

        async def main():
            waiting = asyncio.ensure_future(receiver.recv_async())
            await asyncio.sleep(0)
            closing = threading.Thread(target=receiver.close)
            closing.start()
            closing.join(PATIENCE)
            with Channel(name, RECV) as channel:
                asyncio.get_running_loop().call_later(0.01, other.send, b"fine")
                self.assertEqual(await channel.recv_async(), b"fine")
            with self.assertRaises(ValueError):
                await waiting

        self.run_async(main())

    def test_closing_while_a_task_begins_to_wait(self):
        _, _, receiver = self.channel()

        async def main():
            loop = asyncio.get_running_loop()
            add_reader = loop.add_reader

            def add_reader_late(*arguments):
                threading.Thread(target=receiver.close).start()
                time.sleep(0.05)
                add_reader(*arguments)

            loop.add_reader = add_reader_late
            with self.assertRaises(ValueError):
                await receiver.recv_async()

        self.run_async(main())

    def test_the_descriptor_is_readable_while_there_are_messages(self):
        _, sender, receiver = self.channel()

        def readable(timeout=0):
            return bool(select.select([receiver], [], [], timeout)[0])

        self.assertRaises(BlockingIOError, receiver.recv, 0)
        receiver.fileno()
        self.assertRaises(BlockingIOError, receiver.recv, 0)
        self.assertFalse(readable())
        for i in range(3):
            sender.send(b"%d" % i)
        for i in range(3):
            self.assertTrue(readable(PATIENCE))
            receiver.recv(0)
        self.assertRaises(BlockingIOError, receiver.recv, 0)
        self.assertFalse(readable())
        receiver.close()
        self.assertRaises(ValueError, receiver.fileno)


if __name__ == "__main__":
    unittest.main()
