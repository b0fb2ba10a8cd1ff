"""What the tests share: unique names that are removed afterwards, and other processes."""

import contextlib
import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import tempfile
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
        directory = tempfile.mkdtemp(prefix=f"shmcomm-test-{os.getpid()}-")
        self.addCleanup(os.rmdir, directory)
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

    @contextlib.contextmanager
    def interrupted(self):
        """The block must be ended by a KeyboardInterrupt, as Ctrl-C causes it."""
        # Again and again: one that comes before the wait is no proof.
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with self.assertRaises(KeyboardInterrupt):
                yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def numpy():
    """The package numpy; the test skips where it is missing."""
    try:
        import numpy
    except ImportError:
        raise unittest.SkipTest("numpy is not installed") from None
    return numpy
