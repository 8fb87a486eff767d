#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More than one interpreter in a process: subinterpreters (programs/interpreters.py), and libraries of other
interpreters that are loaded and never started.

usage: python_interpreters_test.py PYTHON     as python_truth_test.py has it
"""
import collections
import sys

import fnprof_e2e
import prepare
import python_chains
from fnprof_e2e import TREE, Recording

NAME = python_chains.name_of_interpreter()
PROGRAM = TREE / "tests/e2e/programs/interpreters.py"
VERSION = tuple(map(int, NAME.removesuffix("+jit").split("-")[-1].rstrip("t").split(".")[:2])) if "." in NAME else (3, 11)
RATE = 997
# Whose frames stand beneath those of the subinterpreter, without classes' names (3.10 and older have none).
BENEATH = {
    "shared_lock": ["shared_lock", "main", "<module>"],
    "own_lock": ["own_lock", "main", "<module>"],
    "beneath_c": ["<lambda>", "beneath_c", "main", "<module>"],
    "in_thread": ["in_thread", "run", "_bootstrap_inner", "_bootstrap"],
    "high_level": ["high_level", "main", "<module>"],
}
WITHIN = (["sub_burn", "sub_work", "<module>"], ["sub_sorts", "sub_work", "<module>"],
          ["<lambda>", "sub_sorts", "sub_work", "<module>"])
BETWEEN = ["sub_work", "<module>"] # true for some instructions between the two
# A library's interpreter is never started here: a program that has Python in itself loads extensions linked with one.
LOADS = """import sys, time
try: import ctypes
except ImportError: sys.exit(77) # its library for that is not here
def burn():
    end = time.process_time() + 0.7
    while time.process_time() < end: sum(range(200))
def after(): burn()
burn()
ctypes.CDLL(sys.argv[1])
after()
"""


class PythonInterpreters(python_chains.TestCase):
    def recorded(self, *command, rate=RATE):
        """(samples, names of Python frames leaf first, is it cut) of all stacks."""
        env = dict(PYTHONDONTWRITEBYTECODE="1", **self.interpreter.env)
        with Recording("-F", rate, cmd=[*self.interpreter.argv, *command], env=env) as recording:
            status = recording.wait()
            if status == 77:
                self.skipTest("this interpreter has no ctypes here")
            self.assertEqual(status, 0, recording.stderr)
            for row in recording.rows:
                for count, frames, _ in python_chains.stacks_of(recording.dir / row["pprof"]):
                    names = [frame.name for file, frame in frames if file == "[python]"]
                    cut = any(file == "[marker]" and frame.name.startswith("[truncated") for file, frame in frames)
                    yield count, names, cut

    def verdict(self, names, cut):
        """What a stack with frames of a subinterpreter's work is: (way, right or else)."""
        at = max(i for i, name in enumerate(names) if name == "sub_work") + 2
        names = [name.rpartition(".")[2] for name in names]
        within, beneath = names[:at], names[at:]
        if within not in (*WITHIN, BETWEEN):
            return "?", "cut" if cut else "wrong"
        if within == BETWEEN:
            return "between", "right"
        way = next((way for way in BENEATH if way in beneath), None)
        if way == "high_level":
            beneath = beneath[beneath.index(way):] # what it goes through is its own affair
        if cut:
            return way or "?", "cut"
        return way or "?", "right" if beneath == BENEATH.get(way) else "wrong"

    def test_frames_of_the_calling_interpreter_stand_beneath(self):
        counts, wrong = collections.Counter(), []
        for count, names, cut in self.recorded(self.interpreter.place(PROGRAM), 0.6):
            if count and "sub_work" in names:
                kind = self.verdict(names, cut)
                counts[kind] += count
                if kind[1] == "wrong":
                    wrong.append((count, names))
        print(f"{NAME}:", *(f"{way} {kind} {n}," for (way, kind), n in sorted(counts.items())), flush=True)
        self.assertEqual(wrong, [])
        self.assertLessEqual(counts["between", "right"], 3, "more than some instructions take")
        ways = [way for way in BENEATH if VERSION >= (3, 14) or way != "high_level"]
        for way in ways if VERSION >= (3, 12) else [way for way in ways if way != "own_lock"]:
            self.assertGreater(counts[way, "right"], 100, way)
        right = sum(n for (_, kind), n in counts.items() if kind == "right")
        self.assertGreaterEqual(right + 2, 0.995 * counts.total())

    def test_another_interpreters_library_takes_nothing_away(self):
        if self.interpreter.chroot:
            self.skipTest("no other library below its root")
        try:
            (program, *_), _ = prepare.cpython_from_maven("3.12")
        except prepare.Unavailable as reason:
            self.skipTest(str(reason))
        library = program.parent.parent / "libpython3.12.so.1.0"
        counts = collections.Counter()
        for count, names, _ in self.recorded("-c", LOADS, library):
            counts["after" if "after" in names else "before" if "burn" in names else "other"] += count
        print(f"{NAME}:", dict(counts), flush=True)
        self.assertGreater(counts["after"], 0.7 * counts["before"])


if __name__ == "__main__":
    fnprof_e2e.main()
