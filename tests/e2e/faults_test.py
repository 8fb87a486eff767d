#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thread that faults at the first instruction of a function stands there, whatever byte lies before it."""
import platform

import fnprof_e2e
from fnprof_e2e import Recording, Skip
from programs_e2e import program


class Faults(fnprof_e2e.TestCase):
    def test_a_byte_like_a_breakpoint_before_a_function_is_none(self):
        if platform.machine() != "x86_64":
            raise Skip("the program is for x86-64")
        at_fault = 0
        with Recording("-F", 997, cmd=[program("faults"), 1], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            self.assertEqual(recording.summary["truncated"], {})
            for row in recording.of("process", "faults"):
                for stack in recording.folded(row):
                    user = [frame for frame in stack if not frame.endswith("_[k]")]
                    self.assertNotIn("before", user)
                    if user[-1:] == ["touch"]:
                        self.assertEqual(user[-2], "main", stack)
                        at_fault += len(user) < len(stack)
        self.assertGreater(at_fault, 3)  # kinds of stacks, all of them in the kernel


if __name__ == "__main__":
    fnprof_e2e.main()
