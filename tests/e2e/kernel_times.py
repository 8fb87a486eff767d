# SPDX-License-Identifier: Apache-2.0
"""When the kernel handed bytes to a process, by the kernel's own tracer (tracefs), in CLOCK_MONOTONIC nanoseconds.

A second opinion on when an invocation began. A test's server knows when it sent; a client that waits for a processor
takes the bytes later, by milliseconds on a busy machine, and only the kernel knows when. The tracer has nothing in
common with the hooks of fnprof: an instance of its own, the events of system calls, its own ring buffer.
"""
import atexit
import bisect
import contextlib
import functools
import os
import pathlib
import re
import subprocess
import tempfile

TRACEFS = pathlib.Path("/sys/kernel/tracing")
READS = ("read", "recvfrom", "recvmsg", "readv")
SENDS = ("write", "sendto", "sendmsg", "writev")
CLOCKS_APART = 50_000  # of a time that was converted from another clock
LINE = re.compile(rb"-(\d+) +\[\d+\] +\S+ +(\d+)\.(\d+): sys_(\w+)(?: -> (0x[0-9a-f]+)|\()")


@functools.cache
def tracefs():
    """Where the kernel's tracer is; mounted for as long as we run where nobody has."""
    if (TRACEFS / "instances").is_dir():
        return TRACEFS
    place = tempfile.mkdtemp(prefix="fnprof-tracefs-")
    mounted = subprocess.run(["mount", "-t", "tracefs", "tracefs", place], capture_output=True).returncode == 0
    atexit.register(os.rmdir, place)
    if mounted:
        atexit.register(subprocess.run, ["umount", "-l", place], capture_output=True)
    return pathlib.Path(place)


class Receipts:
    """The reads of a process, and of what it starts from now on, that brought at least `least` bytes; and its sends.

    with Receipts(pid) as receipts: ...; receipts.first(after_ns) -> (enter_ns, exit_ns) or None
    receipts.sending(at_ns) -> (enter_ns, exit_ns) of the send in which that moment lies, or None
    `receipts.known` is False where there is no such tracer; then it has nothing to tell.
    """

    def __init__(self, pid, least=64):
        self.pid, self.least, self.known, self.times, self.sends = pid, least, False, [], []
        self.home = tracefs() / "instances" / f"fnprof-test-{os.getpid()}-{pid}"

    def __enter__(self):
        try:
            self.home.mkdir()
            (self.home / "trace_clock").write_text("mono")
            (self.home / "buffer_size_kb").write_text("4096")
            (self.home / "options/event-fork").write_text("1")
            (self.home / "set_event_pid").write_text(" ".join(os.listdir(f"/proc/{self.pid}/task")))
            for name in READS + SENDS:
                (self.home / f"events/syscalls/sys_enter_{name}/enable").write_text("1")
                if name in READS:
                    (self.home / f"events/syscalls/sys_exit_{name}/filter").write_text(f"ret >= {self.least}")
                (self.home / f"events/syscalls/sys_exit_{name}/enable").write_text("1")
            self.known = True
        except OSError:
            self._remove()
        return self

    def __exit__(self, *_):
        if self.known:
            (self.home / "tracing_on").write_text("0")
            for name, left, entered in self._read():
                (self.times if name in READS else self.sends).append((left, entered))
            self.times.sort()
            self.sends.sort()
            self._remove()

    def _remove(self):
        with contextlib.suppress(OSError):
            (self.home / "events/enable").write_text("0")
            self.home.rmdir()

    def _read(self):
        """(name, exit_ns, enter_ns) of each call."""
        entered = {}
        with open(self.home / "trace", "rb") as trace:
            for line in trace:
                match = LINE.search(line)
                if not match:
                    continue
                tid, seconds, fraction, name, returned = match.groups()
                at = int(seconds) * 10**9 + int(fraction.ljust(9, b"0"))
                if returned:
                    yield name.decode(), at, entered.pop((tid, name), 0)
                else:
                    entered[tid, name] = at

    def sending(self, at_ns):
        at = bisect.bisect_left(self.sends, (at_ns - CLOCKS_APART, 0))
        if at == len(self.sends) or self.sends[at][1] > at_ns + CLOCKS_APART:
            return None
        left, entered = self.sends[at]
        return entered, left

    def first(self, after_ns):
        at = bisect.bisect_left(self.times, (after_ns, 0))
        if at == len(self.times):
            return None
        left, entered = self.times[at]
        return entered, left
