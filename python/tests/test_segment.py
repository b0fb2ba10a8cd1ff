import copy
import os
import pickle
import tempfile
import unittest
from multiprocessing import resource_tracker, shared_memory

import shmcomm
from shmcomm import CREATE, EXCL, RDONLY, Segment
from support import Case, numpy


class SegmentTest(Case):
    def test_processes_share_memory_of_every_kind(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name in self.posix_name(), self.sysv_name(), f"file:{directory.name}/file":
            with Segment(name, 5000, CREATE | EXCL) as segment:
                segment.buf[:11] = b"how are you"
                self.assertEqual((segment.name, segment.size), (name, 5000))
                program = (
                    "import sys, shmcomm\n"
                    "with shmcomm.Segment(sys.argv[1]) as segment:\n"
                    "    print(bytes(segment.buf[:11]), segment.size)\n"
                    "    segment.buf[:4] = b'fine'\n"
                )
                self.assertEqual(self.python(program, name), "b'how are you' 5000\n")
                self.assertEqual(bytes(segment.buf[:4]), b"fine")
            shmcomm.remove(name)
            with self.assertRaises(FileNotFoundError):
                Segment(name)
        with Segment("anon:", 5000) as segment:
            self.in_child(lambda: segment.buf.__setitem__(0, 7))
            self.assertEqual(segment.buf[0], 7)

    def test_names_are_text_bytes_or_paths(self):
        name = self.posix_name()
        for kind in str, os.fsencode:
            Segment(kind(name), 1, CREATE).close()
        shmcomm.remove(os.fsencode(name))

    def test_errors_are_those_of_the_system(self):
        name = self.posix_name()
        self.assertRaises(FileNotFoundError, Segment, name)
        self.assertRaises(FileNotFoundError, shmcomm.remove, name)
        self.opened(Segment, name, 100, CREATE)
        with self.assertRaises(FileExistsError) as raised:
            Segment(name, 100, CREATE | EXCL)
        self.assertEqual(raised.exception.filename, name)
        self.assertRaises(OSError, Segment, name, 101)
        self.assertRaises(OSError, Segment, "nonsense")

    def test_a_read_only_segment_is_not_written(self):
        name = self.posix_name()
        self.opened(Segment, name, 100, CREATE)
        segment = self.opened(Segment, name, 0, RDONLY)
        self.assertTrue(segment.buf.readonly)
        with self.assertRaises(TypeError):
            segment.buf[0] = 1
        self.assertRaises(ValueError, shmcomm.Mutex, segment)

    def test_state_and_changes(self):
        name = self.posix_name()
        segment = self.opened(Segment, name, 5000, CREATE | EXCL, 0o640)
        info = segment.stat()
        self.assertEqual((info.size, info.mode, info.uid), (5000, 0o640, os.geteuid()))
        self.assertEqual((info.key, info.id, info.attached), (0, -1, -1))
        self.assertEqual((info.creator_pid, info.removed, info.locked), (os.getpid(), False, False))
        self.assertEqual(info.pages, shmcomm.PAGES_NORMAL)
        segment.chmod(0o600)
        segment.chown(os.geteuid(), os.getegid())
        segment.lock()
        self.assertEqual((segment.stat().mode, segment.stat().locked), (0o600, True))
        segment.unlock()
        segment.sync()
        shmcomm.remove(name)
        self.assertTrue(segment.stat().removed)

        sysv = self.opened(Segment, self.sysv_name(), 5000, CREATE)
        info = sysv.stat()
        self.assertEqual((info.attached, info.last_pid), (1, os.getpid()))
        self.assertGreater(info.atime, 0)

    def test_a_closed_segment_is_an_error(self):
        segment = Segment("anon:", 100)
        buf = segment.buf
        segment.close()
        segment.close()
        for use in (lambda: segment.buf, segment.stat, segment.sync, segment.__enter__().lock):
            self.assertRaises(ValueError, use)
        self.assertRaises(ValueError, buf.__getitem__, 0)
        self.assertIn("closed", repr(segment))

    def test_a_slice_keeps_the_segment_open(self):
        segment = Segment("anon:", 100)
        part = segment.buf[10:20]
        for _ in range(2):
            self.assertRaises(BufferError, segment.close)
            part[0] = 1
            self.assertEqual(segment.buf[10], 1)
        part.release()
        segment.close()

    def test_an_array_keeps_the_segment_open(self):
        np = numpy()
        segment = Segment("anon:", 800)
        array = np.frombuffer(segment.buf, "f8")
        self.assertEqual(array.shape, (100,))
        array[5] = 1.5
        self.assertEqual(bytes(segment.buf[40:48]), array[5].tobytes())
        self.assertFalse(array.flags.owndata)
        for _ in range(2):
            self.assertRaises(BufferError, segment.close)
        array[6] = 2
        del array
        segment.close()

    def test_leaving_the_block_reports_a_view_that_is_in_use(self):
        with self.assertRaises(BufferError):
            with Segment("anon:", 100) as segment:
                part = segment.buf[:1]
        part.release()
        segment.close()
        # But not instead of another exception.
        with self.assertRaises(ZeroDivisionError):
            with Segment("anon:", 100) as segment:
                part = segment.buf[:1]
                part[0] //= 0

    def test_a_view_outlives_the_object(self):
        part = Segment("anon:", 100).buf[:]
        part[99] = 3
        self.assertEqual(part[99], 3)

    def test_no_exit_and_no_tracker_removes_a_segment(self):
        name = self.posix_name()
        program = (
            "import sys, multiprocessing, shmcomm\n"
            "from multiprocessing.shared_memory import SharedMemory\n"
            "tracked = SharedMemory(create=True, size=10)\n"  # starts the tracker
            "segment = shmcomm.Segment(sys.argv[1], 100, shmcomm.CREATE)\n"
            "view = segment.buf[:]\n"
            "tracked.close(); tracked.unlink()\n"
        )
        for _ in range(2):
            self.assertEqual(self.python(program, name), "")
            Segment(name).close()

    def test_a_handle_is_not_copied_to_another_process(self):
        segment = self.opened(Segment, "anon:", 100)
        for duplicate in copy.copy, copy.deepcopy, pickle.dumps:
            self.assertRaises((TypeError, ValueError), duplicate, segment)


class SharedMemoryTest(Case):
    def test_we_use_what_the_standard_library_creates(self):
        memory = shared_memory.SharedMemory(create=True, size=100)
        self.addCleanup(memory.unlink)
        self.addCleanup(memory.close)
        memory.buf[:5] = b"hello"
        with Segment(f"posix:/{memory.name.lstrip('/')}", 100) as segment:
            self.assertEqual(bytes(segment.buf[:5]), b"hello")
            segment.buf[:5] = b"world"
        self.assertEqual(bytes(memory.buf[:5]), b"world")

    def test_the_standard_library_uses_what_we_create(self):
        np = numpy()
        name = self.posix_name()
        segment = self.opened(Segment, name, 800, CREATE)
        ours = np.frombuffer(segment.buf, "i8")
        memory = shared_memory.SharedMemory(name[len("posix:/") :])
        # Before 3.13 its tracker would remove our segment at exit.
        resource_tracker.unregister(memory._name, "shared_memory")
        theirs = np.ndarray((100,), "i8", memory.buf)
        ours[:] = np.arange(100)
        self.assertTrue((theirs == ours).all())
        theirs *= 2
        self.assertEqual(ours[99], 198)
        mutex = shmcomm.Mutex(memory.buf, 0)
        other = shmcomm.Mutex(segment)
        with mutex:
            self.assertRaises(OSError, other.acquire)  # EDEADLK
        del ours, theirs, mutex
        memory.close()


if __name__ == "__main__":
    unittest.main()
