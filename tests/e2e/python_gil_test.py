#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The label `gil` of a sample: does its thread hold the interpreter lock? programs/gil.py knows.

usage: python_gil_test.py PYTHON     as python_truth_test.py has it
"""
import collections
import sys

import fnprof_e2e
import python_chains
from fnprof_e2e import TREE, Recording

NAME = python_chains.name_of_interpreter()
PROGRAM = TREE / "tests/e2e/programs/gil.py"


class PythonLock(python_chains.TestCase):
    def test_samples_say_who_holds_it(self):
        counts = collections.Counter()
        command = [*self.interpreter.argv, self.interpreter.place(PROGRAM), 2]
        with Recording("-F", 997, cmd=command, env=self.interpreter.env) as recording:
            recording.wait()
            for row in recording.rows:
                for count, frames, labels in python_chains.stacks_of(recording.dir / row["pprof"]):
                    python = [frame.name for file, frame in frames if file == "[python]"]
                    thread = next((name for name in python if name in ("holds", "releases")), None)
                    # In the interpreter itself (no frame but Python's), and in the code that computes without it.
                    inside = frames[0][0] == "[python]"
                    computes = "libcrypto" in frames[0][0] or "_hashlib" in frames[0][0] or "_sha2" in frames[0][0]
                    if count and thread and (inside if thread == "holds" else computes):
                        counts[thread, labels.get("gil")] += count
        print(f"{NAME}:", dict(counts), file=sys.stderr)
        if NAME.endswith("t") and not NAME.endswith("+jit"):  # free-threaded
            self.assertEqual({said for _, said in counts}, {None})
            return
        for thread, said, other in (("holds", "held", "not held"), ("releases", "not held", "held")):
            self.assertGreater(counts[thread, said], 50)
            # While a thread asks for the lock, or has just taken it, it runs too.
            self.assertLessEqual(counts[thread, other] + counts[thread, None], 2 + counts[thread, said] / 20)


if __name__ == "__main__":
    fnprof_e2e.main()
