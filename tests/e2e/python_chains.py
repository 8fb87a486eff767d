# SPDX-License-Identifier: Apache-2.0
"""Samples of Python programs held against the truth that programs/chains.py writes about itself."""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import fnprof_e2e
import prepare
from fnprof_e2e import TREE, Recording

sys.path.insert(0, str(TREE / "tests/formats"))
import check_pprof  # noqa: E402

CHAINS = TREE / "tests/e2e/programs/chains.py"
Frame = collections.namedtuple("Frame", "name file first line")


class Truth:
    """All stacks that exist: paths of a tree. Tools that do not know the first line of a function say that it is 0."""

    def __init__(self, paths, first_lines=True):
        self.first_lines, self.below, self.files, self.generators = first_lines, collections.defaultdict(set), set(), set()
        for number, path in enumerate(paths):
            for n, node in enumerate(json.loads(pathlib.Path(path).read_text())):
                if node is None:
                    continue
                caller, name, file, first, line, is_generator = node
                frame = Frame(name, file, first if first_lines else 0, line)
                caller = (number, caller) if caller else 0
                self.below[caller, frame].add((number, n))
                self.below[caller, frame._replace(line=None)].add((number, n))
                self.files.add(file)
                if is_generator:
                    self.generators.add(frame._replace(line=None))

    def has(self, stack):
        """Is this stack, leaf first, one that exists? A leaf that has just begun has no line, or its first one."""
        # What tracing itself keeps alive (to 3.12) dies while it is off: so callbacks of weak references are not in it.
        while len(stack) > 1 and stack[0].file.endswith("/_weakrefset.py"):
            stack = stack[1:]
        at = {0}
        for frame in reversed(stack[1:]):
            at = set().union(*(self.below.get((node, frame), ()) for node in at))
        if not stack or not at:
            return False
        leaf = stack[0]
        if any((node, leaf) in self.below for node in at):
            return True
        # What calls a generator's function makes it: its frame is there, and runs later, called by another.
        began, bare = not self.first_lines or leaf.line in (0, leaf.first), leaf._replace(line=None)
        return began and (bare in self.generators or any((node, bare) in self.below for node in at))


    def first_unknown(self, stack):
        """For a message: the outermost frame at which a stack leaves all that exist."""
        at = {0}
        for frame in reversed(stack):
            at = set().union(*(self.below.get((node, frame), ()) for node in at))
            if not at:
                return frame
        return None


class Verdict:
    """Counts of samples: right, cut (a marker says so), without (no Python frame), wrong (and an example)."""

    def __init__(self):
        self.counts, self.examples = collections.Counter(), []

    def add(self, kind, count, example=None):
        self.counts[kind] += count
        if example is not None:
            self.examples.append((kind, count, example))

    @property
    def total(self):
        return sum(self.counts.values())

    @property
    def share(self):
        return self.counts["right"] / self.total if self.total else 0

    def __str__(self):
        rest = ", ".join(f"{n} {kind}" for kind, n in sorted(self.counts.items()) if kind != "right" and n)
        return f"{self.counts['right']} of {self.total} right ({self.share:.2%}{'; ' + rest if rest else ''})"


def stacks_of(path):
    """(samples, frames leaf first as (mapping's file, Frame)) of a pprof file."""
    check = check_pprof.Check(pathlib.Path(path).read_bytes())
    for sample in check.profile["sample"]:
        frames = []
        for number in sample["location_id"]:
            location = check.locations[number]
            file = check.text(check.mappings[location["mapping_id"]]["filename"])
            for line in location["line"]:
                function = check.functions[line["function_id"]]
                frames.append((file, Frame(check.text(function["name"]), check.text(function["filename"]),
                                           function["start_line"], line["line"])))
        labels = {check.text(label["key"]): check.text(label["str"]) for label in sample["label"]}
        yield sample["value"][0], frames, labels


def judge(recording, truth, pids):
    verdict = Verdict()
    for row in recording.rows:
        if row["pid"] not in pids:
            continue
        for count, frames, _ in stacks_of(recording.dir / row["pprof"]):
            python = [frame for file, frame in frames if file == "[python]"]
            if any(frame.name == "wait" and frame.file.endswith("chains.py") for frame in python):
                continue  # before its gate was opened
            if any(file == "[marker]" and frame.name.startswith("[truncated") for file, frame in frames):
                # A C library without unwind tables (musl): it hides what called it, and what started the thread.
                before = [file for file, _ in frames[-2:-1]]
                without = bool(before) and before[0].endswith("/libc.so")
                if without:
                    verdict.add("right" if truth.has(python) else "in libc", count, frames)
                else:
                    verdict.add("cut", count, frames)
            elif not python:
                verdict.add("without", count, frames)
            elif truth.has(python):
                verdict.add("right", count)
            else:
                verdict.add("wrong", count, [("first unknown:", truth.first_unknown(python)), *frames])
    return verdict


def judge_pyspy(path, truth):
    verdict = Verdict()
    for text in pathlib.Path(path).read_text(errors="replace").splitlines():
        stack, _, count = text.rpartition(" ")
        python = []
        for frame in stack.split(";"):
            found = re.fullmatch(r"(.*) \((.*):(\d+)\)", frame)
            if found and found[2] in truth.files:
                python.append(Frame(found[1], found[2], 0, int(found[3])))
        python.reverse()
        if any(frame.name == "wait" and frame.file.endswith("chains.py") for frame in python):
            continue
        verdict.add("right" if python and truth.has(python) else "wrong" if python else "without", int(count), text)
    return verdict


def name_of_interpreter():
    """The interpreter that a test was asked for, taken from its arguments."""
    return sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "3.11"


class TestCase(fnprof_e2e.TestCase):
    """A test with one interpreter, `NAME` of its module, that is skipped where it cannot be had."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.interpreter = prepare.interpreter(sys.modules[cls.__module__].NAME)


def scratch_folder(test):
    """A folder that is gone when the test is over."""
    folder = tempfile.mkdtemp(prefix="fnprof-python-")
    test.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


class Subject:
    """A part of chains.py under an interpreter, behind its gate, with its truth."""

    def __init__(self, interpreter, part):
        self.argv = [str(a) for a in interpreter.argv]
        self.env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1", OPENBLAS_NUM_THREADS="1", **interpreter.env)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnprof-chains-", dir=interpreter.scratch))
        self.inside = pathlib.Path("/") / self.folder.relative_to(interpreter.root)
        self.program = interpreter.place(CHAINS)
        self.part = part

    def write_truth(self):
        done = subprocess.run([*self.argv, self.program, self.part, "--truth", self.inside / "truth"], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        if done.returncode:
            raise AssertionError(f"{self.argv} {self.part} ended with {done.returncode}: {done.stdout.decode()[-2000:]}")
        return sorted(self.folder.glob("truth*"))

    @contextlib.contextmanager
    def started(self):
        """Yields the pids that will do the work, and how to let them go."""
        gate = self.folder / "gate"
        os.mkfifo(gate)
        process = subprocess.Popen([*self.argv, self.program, self.part, self.inside / "gate"], env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        try:
            line = process.stdout.readline().split()
            if not line or line[0] != b"ready":
                raise AssertionError(f"{self.argv} {self.part} did not start: {line}")
            pids = [int(pid) for pid in line[1:]]
            yield pids, lambda: os.close(os.open(gate, os.O_WRONLY))
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def try_part(interpreter, part, seconds, rate, pyspy=None):
    """(our verdict, py-spy's or None) on one part of the program."""
    subject = Subject(interpreter, part)
    paths = subject.write_truth()
    theirs = None
    with subject.started() as (pids, go):
        with Recording("-F", rate, "-p", ",".join(map(str, pids)), "-d", seconds + 1) as recording:
            other = None
            if pyspy:
                raw = subject.folder / "pyspy"
                other = subprocess.Popen([pyspy, "record", "--native", "-r", "200", "-d", str(seconds), "-f", "raw",
                                          "--full-filenames", "-o", raw, "--pid", str(pids[0])],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(0.3)
            go()
            recording.wait()
            if other:
                said = other.communicate(timeout=60)[1].decode(errors="replace").strip()
                theirs = judge_pyspy(raw, Truth(paths, first_lines=False)) if raw.exists() else said.splitlines()[-1:]
            ours = judge(recording, Truth(paths), pids)
    return ours, theirs
