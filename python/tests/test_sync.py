import ctypes
import errno
import os
import sys
import threading
import unittest

import shmcomm
from shmcomm import _library
from shmcomm import CREATE, EVENTS, EXCL, Mutex, Segment, Semaphore
from support import Case, PATIENCE

HOLD = """if True:
    import shmcomm, sys
    segment = shmcomm.Segment(sys.argv[1])
    shmcomm.Mutex(segment, 8).acquire()
    print("held", flush=True)
    sys.stdin.readline()
"""


class MutexTest(Case):
    def setUp(self):
        self.name = self.posix_name()
        self.segment = self.opened(Segment, self.name, 4096, CREATE)
        self.mutex = Mutex(self.segment, 8)

    def test_a_mutex_excludes(self):
        counter = self.segment.buf[64:72].cast("Q")
        mutexes = [self.mutex, Mutex(self.segment, 8)]

        def count(mutex):
            for _ in range(500):
                with mutex:
                    counter[0] += 1

        threads = [threading.Thread(target=count, args=(mutexes[i % 2],)) for i in range(4)]
        for thread in threads:
            thread.start()
        self.in_child(lambda: count(mutexes[0]))
        for thread in threads:
            thread.join()
        self.assertEqual(counter[0], 2500)
        counter.release()

    def test_a_wait_ends_at_its_timeout(self):
        with self.mutex:
            result = []
            other = threading.Thread(
                target=lambda: result.extend(
                    [
                        self.mutex.acquire(False),
                        self.mutex.acquire(timeout=0),
                        self.mutex.acquire(timeout=0.15),
                    ]
                )
            )
            other.start()
            other.join()
            self.assertEqual(result, [False, False, False])
        self.assertTrue(self.mutex.acquire(False))
        self.mutex.release()

    def test_the_death_of_the_holder_is_a_state(self):
        holder = self.start(sys.executable, "-c", HOLD, self.name)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        self.assertFalse(self.mutex.acquire(timeout=0.01))
        holder.kill()
        self.assertTrue(self.mutex.acquire(timeout=PATIENCE))
        self.assertTrue(self.mutex.owner_died)
        self.mutex.release()
        with self.mutex:
            self.assertFalse(self.mutex.owner_died)

    def test_ctrl_c_ends_a_wait(self):
        holder = self.start(sys.executable, "-c", HOLD, self.name)
        self.assertEqual(holder.stdout.readline(), b"held\n")
        self.assert_interrupted(self.mutex.acquire)
        self.assert_interrupted(lambda: self.mutex.acquire(timeout=PATIENCE))

    def test_errors(self):
        self.assertRaises(PermissionError, self.mutex.release)
        with self.mutex:
            with self.assertRaises(OSError) as raised:
                self.mutex.acquire()
            self.assertEqual(raised.exception.errno, errno.EDEADLK)
        self.assertRaises(OSError, Mutex, self.segment, 4)
        for offset in -8, 4088, 1 << 62:
            self.assertRaises(ValueError, Mutex, self.segment, offset)
        self.assertRaises(TypeError, Mutex, bytes(16))
        self.assertRaises(ValueError, Mutex, bytearray(8))

    def test_a_mutex_keeps_the_memory_attached(self):
        self.segment.close()
        with self.mutex:
            pass
        self.assertRaises(ValueError, Mutex, self.segment)


class SemaphoreTest(Case):
    def test_units_return_from_the_dead(self):
        name = self.sysv_name()
        semaphore = self.opened(Semaphore, name, 2, CREATE | EXCL)
        self.assertEqual(semaphore.value, 2)
        with semaphore:
            self.assertEqual(semaphore.value, 1)
            self.in_child(lambda: self.assertTrue(semaphore.acquire()))
            self.assertEqual(semaphore.value, 1)
            self.assertTrue(semaphore.acquire(False))
            self.assertFalse(semaphore.acquire(False))
            self.assertFalse(semaphore.acquire(timeout=0.15))
            semaphore.release()
        self.assertEqual(semaphore.value, 2)

    def test_events_stay(self):
        posix = self.posix_name()
        self.addCleanup(self._remove, shmcomm.remove_semaphore, posix)
        for name in self.sysv_name(), posix:
            semaphore = self.opened(Semaphore, name, 0, CREATE | EVENTS)
            self.in_child(Semaphore(name, 0, EVENTS).release)
            self.assertTrue(semaphore.acquire(timeout=PATIENCE))
            self.assertFalse(semaphore.acquire(timeout=0.15))
            self.assertEqual(semaphore.value, 0)
            self.assert_interrupted(semaphore.acquire)

    def test_a_wait_is_ended(self):
        name = self.sysv_name()
        semaphore = self.opened(Semaphore, name, 0, CREATE)
        self.assert_interrupted(semaphore.acquire)
        errors = []

        def wait():
            try:
                semaphore.acquire()
            except (OSError, ValueError) as error:
                errors.append(type(error))

        for end in semaphore.close, lambda: shmcomm.remove_semaphore(name):
            thread = threading.Thread(target=wait)
            thread.start()
            end()
            thread.join()
            semaphore = self.opened(Semaphore, name, 0, CREATE)
        self.assertEqual(len(errors), 2)
        self.assertIs(errors[0], ValueError)
        self.assertRaises(FileNotFoundError, shmcomm.remove_semaphore, f"{name}#9")

    def test_a_closed_semaphore_is_an_error(self):
        semaphore = Semaphore(self.sysv_name(), 1, CREATE)
        semaphore.close()
        semaphore.close()
        for use in semaphore.acquire, semaphore.release, lambda: semaphore.value:
            self.assertRaises(ValueError, use)


class HeaderTest(Case):
    """The numbers in this package are those of shmcomm.h."""

    def test_flags(self):
        header = os.path.join(os.path.dirname(__file__), "../../include/shmcomm.h")
        if not os.path.exists(header):
            self.skipTest("there is no shmcomm.h beside the package")
        with open(header) as lines:
            words = [line.split() for line in lines if line.startswith("#define SHMC_")]
        constants = {word[1][5:]: word[2] for word in words if len(word) == 3}
        for name in shmcomm.__all__:
            value = getattr(shmcomm, name)
            if isinstance(value, int):
                self.assertEqual(value, int(constants.pop(name), 0), name)
        left = {name for name in constants if not name.startswith("VERSION")}
        self.assertEqual(left, {"INTR", "SHMCOMM_H"} & left)

    def test_versions(self):
        self.assertEqual(shmcomm.library_version, shmcomm.__version__)

    def test_the_library_fills_structures_of_these_sizes(self):
        sizes = os.environ.get("SHMCOMM_TEST_SIZES")
        if sizes is None:
            self.skipTest("cargo test tells the sizes")
        structures = _library.SegmentStatus, _library.ChannelStatus, _library.TopicStatus
        self.assertEqual(" ".join(str(ctypes.sizeof(kind)) for kind in structures), sizes)


if __name__ == "__main__":
    unittest.main()
