"""What the tests share: unique names that are removed afterwards, and other processes."""

import concurrent.futures
import contextlib
import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

import shmcomm

_count = itertools.count()

PATIENCE = 60
"""Seconds; longer than anything here takes on a loaded machine."""

# A wait that does not end would be no failure otherwise.
faulthandler.dump_traceback_later(10 * PATIENCE, exit=True)


class Case(unittest.TestCase):
    def posix_name(self):
        """A name whose object is removed when the test ends."""
        # The tests in Rust remove what a killed process of this prefix left.
        name = f"posix:/shmcomm-test-{os.getpid()}-py{next(_count)}"
        self.addCleanup(self._remove, shmcomm.remove, name)
        return name

    def sysv_name(self):
        """A name of System V objects, which are removed when the test ends."""
        while True:
            directory = tempfile.mkdtemp(prefix=f"shmcomm-test-{os.getpid()}-")
            self.addCleanup(os.rmdir, directory)
            # ftok takes few bits of a file's identity: another file may have the same.
            if not key_is_used(directory):
                break
        name = f"sysv:{directory}"
        self.addCleanup(self._remove, shmcomm.remove, name)
        self.addCleanup(self._remove, shmcomm.remove_semaphore, name)
        return name

    def _remove(self, remove, name):
        with contextlib.suppress(FileNotFoundError):
            remove(name)

    def opened(self, opener, *arguments):
        """An object that is closed when the test ends."""
        thing = opener(*arguments)
        self.addCleanup(thing.close)
        return thing

    def channel(self, capacity=4096, shared=0):
        """A name and both ends of a new channel."""
        name = self.posix_name()
        flags = shmcomm.CREATE | shared
        receiver = self.opened(shmcomm.Channel, name, shmcomm.RECV | flags, capacity)
        sender = self.opened(shmcomm.Channel, name, shmcomm.SEND | flags)
        return name, sender, receiver

    def python(self, program, *arguments):
        """Runs a program, which must succeed and print nothing on stderr. Returns its output."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode()

    def start(self, *command):
        """Starts a process with pipes, which is killed when the test ends."""
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def stop():
            process.kill()
            process.communicate()

        self.addCleanup(stop)
        return process

    def in_child(self, call):
        """Runs it in a forked child, whose exceptions fail the test."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork
            child = os.fork()
        if child == 0:
            status = 1
            try:
                call()
                status = 0
            except BaseException as error:
                sys.stderr.write(f"child: {error!r}\n")
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def in_threads(self, *calls):
        """Runs them at the same time. Returns their results; their exceptions fail the test."""
        # Threads change places within most calls, as they do without a global lock.
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)
        start = threading.Barrier(len(calls))

        def run(call):
            start.wait()
            return call()

        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))

    def assert_interrupted(self, wait):
        """A KeyboardInterrupt must end the wait, as Ctrl-C causes it."""
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            with self.assertRaises(KeyboardInterrupt):
                # So late that the wait has begun, unless the machine is very busy.
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                wait()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def read_from(self, writer, topic):
        """The next message, of a process that may have yet to open the topic."""
        while True:
            exited = writer.poll() is not None
            try:
                return topic.read(PATIENCE)
            except BrokenPipeError:
                if exited:
                    raise


def key_is_used(directory):
    """Whether a System V object has the key of this directory."""
    status = os.stat(directory)
    key = 0x66 << 24 | (status.st_dev & 0xFF) << 16 | status.st_ino & 0xFFFF
    used = set()
    for kind in "shm", "sem":
        with open(f"/proc/sysvipc/{kind}") as table:
            used.update(line.split()[0] for line in table)
    return str(key) in used


def numpy():
    """The package numpy; the test skips where it is missing."""
    try:
        import numpy
    except ImportError:
        raise unittest.SkipTest("numpy is not installed") from None
    return numpy
