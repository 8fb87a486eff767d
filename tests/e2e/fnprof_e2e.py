# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: starting fnprof, reading what it wrote, and the invariants of every recording.

A test file is a unittest module that ends in `fnprof_e2e.main()`. It needs root and the program (FNPROF, else
build/release/fnprof); what cannot run here raises Skip with a reason that is printed, and when nothing could run
the exit code is 77.
"""
import calendar
import collections
import contextlib
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

TREE = pathlib.Path(__file__).resolve().parents[2]
FNPROF = os.environ.get("FNPROF") or str(TREE / "build/release/fnprof")
MATRIX = bool(os.environ.get("FNPROF_E2E_MATRIX"))
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent / "runtimes")]

Skip = unittest.SkipTest
KINDS = ("invocation", "init", "idle", "shared", "process")
REQUIRED = {"kind", "id", "function", "pid", "start", "start_ns", "duration_ns", "samples", "sampled_ns", "cpu_ns",
            "attribution", "losses", "pprof", "folded"}
OPTIONAL = {"version", "source", "runtime", "cold", "init", "outcome", "trace_id", "parent_span_id", "deadline",
            "children_cpu_ns", "post_cpu_ns", "ledger", "events", "events_lost", "truncated"}
SUMMARY = {"format", "start", "duration_ns", "kernel", "rate_hz", "ticks", "samples", "losses", "ticks_missed",
           "events_lost", "truncated", "cost", "processes"}
UTC = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z$")


def require_bpf():
    if os.geteuid() != 0:
        raise Skip("recording needs root: run it by ./dev test, or as root")
    if not os.access(FNPROF, os.X_OK):
        raise Skip(f"{FNPROF} is not built")


def utc_ns(text):
    match = UTC.match(text)
    if not match:
        raise AssertionError(f"not RFC 3339 in UTC with nanoseconds: {text!r}")
    seconds = calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S"))
    return seconds * 10**9 + int(match.group(2))


def file_name(text):
    """The name of a folder or file for `text`, by the rule of the face; None when it is cut and hashed."""
    raw = text.encode("utf-8", "surrogateescape")
    out = "".join(chr(b) if re.match(rb"[A-Za-z0-9._-]", bytes([b])) and not (i == 0 and b == 0x2e) else f"%{b:02X}"
                  for i, b in enumerate(raw))
    return out if len(out) <= 100 else None


def fnprof(*args, **how):
    """Runs the program to its end; stdout and stderr are in the result as text."""
    how.setdefault("timeout", 60)
    return subprocess.run([FNPROF, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", **how)


def read_lines(path):
    """The objects of a file of JSON lines; a last line without newline is none."""
    data = pathlib.Path(path).read_bytes()
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def read_folded(path):
    """{stack as a tuple of frames, root first: nanoseconds}"""
    out = collections.Counter()
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        stack, _, value = line.rpartition(" ")
        out[tuple(stack.split(";"))] += int(value)
    return out


class Recording:
    """One run of `fnprof record` into a directory of its own.

    with Recording("-F", 997, cmd=[...], env={...}) as recording: ...     started and live inside the block
    """

    def __init__(self, *args, cmd=None, env=None, cwd=None, directory=None, live=True, popen=None):
        self.args, self.cmd, self.env, self.cwd = [str(a) for a in args], cmd, env, cwd
        self.scratch = None
        if directory is None:
            self.scratch = tempfile.mkdtemp(prefix="fnprof-e2e-")
            directory = os.path.join(self.scratch, "out")
        self.dir, self.live, self.popen = pathlib.Path(directory), live, popen or {}
        self.process = self.status = self.usage = None
        self.stdout = self.stderr = ""

    def __enter__(self):
        self.start()
        if self.live:
            self.wait_live()
        return self

    def __exit__(self, kind, *_):
        if self.process and self.status is None:
            self.stop(signal.SIGINT if not self.cmd else signal.SIGTERM)
        if kind is None and self.scratch and not os.environ.get("FNPROF_E2E_KEEP"):
            shutil.rmtree(self.scratch, ignore_errors=True)
        elif self.scratch:
            print(f"kept: {self.scratch}; fnprof said:\n{self.stderr}", file=sys.stderr)

    def start(self):
        argv = [FNPROF, "record", "-o", str(self.dir), *self.args]
        if self.cmd:
            argv += ["--", *map(str, self.cmd)]
        env = dict(os.environ, **(self.env or {}))
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err,
                                        env=env, cwd=self.cwd, **self.popen)
        return self

    def wait_live(self, seconds=20):
        """Until index.jsonl is there: sampling and hooks are live."""
        end = time.monotonic() + seconds
        while not (self.dir / "index.jsonl").exists():
            if self.process.poll() is not None:
                self.wait()
                raise AssertionError(f"fnprof ended with {self.status} before it was live: {self.stderr}")
            if time.monotonic() > end:
                self.process.kill()
                self.wait()
                raise AssertionError(f"fnprof was not live within {seconds} s: {self.stderr}")
            time.sleep(0.005)
        return self

    def send(self, signum):
        self.process.send_signal(signum)

    def wait(self, seconds=60):
        """Until it has ended; its exit status (negative: the signal)."""
        if self.status is not None:
            return self.status
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._collect()
            raise AssertionError(f"fnprof did not end within {seconds} s: {self.stderr}") from None
        self._collect()
        return self.status

    def _collect(self):
        self.status = self.process.returncode
        for name, file in (("stdout", self._out), ("stderr", self._err)):
            file.seek(0)
            setattr(self, name, file.read().decode(errors="replace"))
            file.close()

    def stop(self, signum=signal.SIGINT, seconds=60):
        self.send(signum)
        return self.wait(seconds)

    @property
    def rows(self):
        return read_lines(self.dir / "index.jsonl")

    @property
    def summary(self):
        return json.loads((self.dir / "summary.json").read_text())

    def of(self, kind, function=None, pid=None):
        return [row for row in self.rows if row["kind"] == kind and function in (None, row["function"])
                and pid in (None, row["pid"])]

    def folded(self, row):
        return read_folded(self.dir / row["folded"])


@functools.lru_cache(maxsize=None)
def pprof_checker():
    path = TREE / "tests/formats/check_pprof.py"
    return str(path) if path.exists() else None


def stolen_by_host_ns():
    fields = open("/proc/stat").readline().split()
    return int(fields[8]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class TestCase(unittest.TestCase):
    """unittest's, with what holds for every recording."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        require_bpf()

    def setUp(self):
        self._stolen_at_start = stolen_by_host_ns()

    def stolen_ns(self):
        """What the host took from this machine's processors since the test began, all together. What a thread did in
        such a time no clock tells: bounds on single moments count it."""
        return stolen_by_host_ns() - self._stolen_at_start

    def shortDescription(self):
        return None

    def assert_row_is_whole(self, recording, row):
        missing, unknown = REQUIRED - row.keys(), row.keys() - REQUIRED - OPTIONAL
        self.assertFalse(missing | unknown, f"row {row['id']}: missing {missing}, unknown {unknown}")
        self.assertIn(row["kind"], KINDS)
        self.assertEqual(sum(row["attribution"].values()), row["samples"], row)
        self.assertLessEqual(set(row["attribution"]), {"exact", "inferred", "shared", "none"})
        for key in ("pprof", "folded"):
            path = recording.dir / row[key]
            self.assertTrue(path.resolve().is_relative_to(recording.dir.resolve()), path)
            self.assertTrue(path.is_file(), f"{key} of {row['id']} is missing: {path}")
        self.assertEqual(sum(recording.folded(row).values()), row["sampled_ns"], f"folded sum of {row['id']}")
        folder, name = pathlib.PurePosixPath(row["folded"]).parts[1:]
        if file_name(row["function"]) and "?" not in row["function"]:
            self.assertEqual(folder, file_name(row["function"]))
        begin = utc_ns(row["start"])
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(begin // 10**9)) + f".{begin % 10**9:09d}Z"
        # What is not UTF-8 stands as '?' in JSON; the file's name is made of the true bytes.
        if file_name(row["id"]) and "?" not in row["id"]:
            self.assertEqual(name, f"{stamp}-{file_name(row['id'])}.folded")

    def assert_directory_is_whole(self, recording, pprof=True):
        """Every line has its files, every file its line; the sums of the face hold."""
        rows, summary = recording.rows, recording.summary
        keys = [(row["kind"], row["id"], row["pid"], row["start_ns"]) for row in rows]
        self.assertEqual(len(set(keys)), len(keys), "a row stands twice in the index")
        for row in rows:
            self.assert_row_is_whole(recording, row)
        self.assertLessEqual(SUMMARY, summary.keys())
        self.assertEqual(summary["format"], 1)
        self.assertEqual(summary["samples"], sum(row["samples"] for row in rows))
        self.assertEqual(summary["ticks"], summary["samples"] + sum(summary["losses"].values()),
                         f"ticks = samples + losses: {summary}")
        for cause in {c for row in rows for c in row["losses"]}:
            self.assertLessEqual(sum(row["losses"].get(cause, 0) for row in rows), summary["losses"].get(cause, 0))
        here = {os.path.relpath(os.path.join(folder, name), recording.dir)
                for folder, _, names in os.walk(recording.dir) for name in names}
        known = {row[key] for row in rows for key in ("pprof", "folded", "events") if key in row}
        self.assertEqual(here - known - {"index.html"}, {"index.jsonl", "summary.json"}, "files without a line")
        if pprof:
            self.assert_pprof(recording, rows)

    def assert_pprof(self, recording, rows):
        for row in rows:
            zlib.decompress((recording.dir / row["pprof"]).read_bytes(), 31)
        checker = pprof_checker()
        if checker is None:
            return
        files = [str(recording.dir / row["pprof"]) for row in rows]
        for at in range(0, len(files), 500):
            done = subprocess.run([sys.executable, checker, *files[at:at + 500]], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout[:4000] + done.stderr[:2000])

    def assert_near(self, value, truth, share, what, slack=0):
        self.assertLessEqual(abs(value - truth), share * truth + slack,
                             f"{what}: {value} is not within {share:.1%} of {truth}"
                             f" ({(value - truth) / truth if truth else 0:+.2%})")


class Target:
    """A process outside of fnprof whose CPU time the kernel tells us at its end."""

    def __init__(self, argv, **how):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, **how)
        self.pid = self.process.pid
        self.usage = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.log.close()

    def end(self, signum=signal.SIGKILL):
        """Ends it (None: waits for its own end) and returns its CPU nanoseconds, with the children it waited for."""
        if self.usage is None:
            if signum is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signum)
            _, status, self.usage = os.wait4(self.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
        return round((self.usage.ru_utime + self.usage.ru_stime) * 1e9)

    def cpu_so_far(self):
        """What the process has spent until now, by its CPU clock (the number that clock_getcpuclockid makes)."""
        return time.clock_gettime_ns(~self.pid << 3 | 2)

    def wait_until_spent(self, cpu_ns, seconds=20):
        """Until its CPU clock stands at this, and it has then done nothing for a while."""
        last, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.cpu_so_far()
            if now >= cpu_ns and now - last < 1_000_000:
                return
            last = now
            time.sleep(0.05)
        raise AssertionError(f"process {self.pid} did not spend {cpu_ns} ns within {seconds} s")

    def state(self):
        """The kernel's word on it, for messages: state and wait channel of its first thread."""
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            where = pathlib.Path(f"/proc/{self.pid}/wchan").read_text()
            return f"{re.search('State:.*', status).group()} in {where}, tracer {re.search('TracerPid:.(.*)', status)[1]}"
        return "gone"

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


class Stopped(Target):
    """A process that has not yet executed its program, so that fnprof can attach to it alone and see all of it."""

    def __init__(self, argv, **how):
        super().__init__(["/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *argv], **how)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def go(self):
        os.kill(self.pid, signal.SIGCONT)


def function_start(client, api, name="orders", version="7", kind=Target, env=None):
    """A function process under its runtime client."""
    from runtime_api import lambda_environment
    full = dict(os.environ, **client.env, **lambda_environment(api, name, version, client.handler), **(env or {}))
    return kind(client.argv, cwd=client.cwd, env=full)


Function = function_start  # reads well in `with Function(client, api) as function`


def child_of(pid, seconds=10):
    """The one child of this process, once it has executed something else."""
    end = time.monotonic() + seconds
    own = os.readlink(f"/proc/{pid}/exe")
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in children:
                if os.readlink(f"/proc/{child}/exe") != own:
                    return int(child)
        time.sleep(0.005)
    raise AssertionError(f"process {pid} started nothing")


class _Result(unittest.TextTestResult):
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"SKIPPED: {test}: {reason}", file=sys.stderr, flush=True)


def main():
    """Runs the caller's tests; 0, 1, or 77 when none could run here."""
    sys.stdout.reconfigure(line_buffering=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    program = unittest.main(module="__main__", exit=False, verbosity=2, argv=sys.argv,
                            testRunner=unittest.TextTestRunner(resultclass=_Result, verbosity=2))
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun == 0 or len(result.skipped) >= result.testsRun else 0)
