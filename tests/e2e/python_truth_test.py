#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python frames as users get them: `fnprof record` beside programs whose stacks are known (programs/chains.py), its
pprof files read back. Every function, file and line from the leaf to the thread's root must be one that exists.

usage: python_truth_test.py PYTHON [PART...]     a version ("3.12"), "3.13t", "3.12-musl", "debian-sid-3.14", and with its
                                                 JIT switched on "debian-sid-3.14+jit"
"""
import os
import subprocess
import sys
import unittest

import fnprof_e2e
import prepare
import python_chains

NAME = python_chains.name_of_interpreter()
QUICK = ("basic", "tasks")
ALL = ("basic", "tasks", "threads:basic", "threads:tasks", "fork:basic", "spawn:tasks", "greenlets", "arrays")
RATE, SECONDS = 1997, 2
# Code that a JIT has just made is not mapped for us yet: such a walk goes on later, and deep ones end in a marker.
RIGHT = 0.8 if NAME.endswith("+jit") else 0.995
MATRIX = bool(os.environ.get("FNPROF_E2E_MATRIX"))


class PythonTruth(python_chains.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.pyspy = prepare.pyspy() if MATRIX and not cls.interpreter.chroot else None
        except prepare.Unavailable as reason:
            raise unittest.SkipTest(f"{NAME}: {reason}") from None

    def try_part(self, part):
        if part.startswith("spawn") and "/program" in self.interpreter.argv[0]:
            return  # a program that embeds Python is no `python` to be started again
        module = {"greenlets": "greenlet", "arrays": "numpy"}.get(part)
        if module and not self.interpreter.has(module):
            print(f"{NAME} {part}: not tried, {module} cannot be had for it")
            return
        try:
            ours, theirs = python_chains.try_part(self.interpreter, part, SECONDS, RATE, self.pyspy)
        except subprocess.TimeoutExpired as late:
            self.fail(f"{part}: {late}")
        print(f"{NAME} {part}: {ours}" + (f"; py-spy: {theirs}" if self.pyspy else ""), flush=True)
        bad = [example for example in ours.examples if example[0] not in ("right", "in libc")]
        for kind, count, frames in bad[:5]:
            print(f"    {kind} {count}:", *(f"{frame.name}:{frame.line}" for _, frame in frames[:12] if frame))
        self.assertGreater(ours.total, 100)
        self.assertEqual(ours.counts["wrong"], 0)
        asked = ours.total - ours.counts["in libc"]  # where a C library has no unwind tables
        self.assertGreaterEqual(ours.counts["right"] + 2, RIGHT * asked)  # of few samples two may be any

    def test_each_stack_is_one_that_exists(self):
        for part in sys.modules["__main__"].PARTS or (ALL if MATRIX else QUICK):
            with self.subTest(part):
                self.try_part(part)


PARTS = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
del sys.argv[1:]

if __name__ == "__main__":
    fnprof_e2e.main()
