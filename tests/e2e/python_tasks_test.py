#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who awaits the asyncio task that runs: programs/awaiting.py recorded, and read back from pprof and folded files.

usage: python_tasks_test.py PYTHON     as python_truth_test.py has it
"""
import collections
import sys

import fnprof_e2e
import python_chains
from fnprof_e2e import TREE, Recording

NAME = python_chains.name_of_interpreter()
PROGRAM = TREE / "tests/e2e/programs/awaiting.py"
SECONDS, RATE = 2, 997

# By the task that runs: who awaits it, the nearest first.
AWAITED_BY = {
    "in_task": ["waits", "task_waits", "main"],
    "in_gather": ["gather_waits", "main"],
    "in_nested": ["nested_gather", "waits", "nested_waits", "main"],
    "in_alone": [],
    "in_callback": [],
    "in_coroutine": [],
}


def lines_of_awaits():
    """{function: the line in which it awaits}"""
    found, name = {}, None
    for number, text in enumerate(PROGRAM.read_text().splitlines(), 1):
        if text.startswith("async def "):
            name = text.split()[2].partition("(")[0]
        elif "await " in text and name and not text.startswith("#"):
            found[name] = number
    return found


class PythonTasks(python_chains.TestCase):
    def record(self):
        """(task, how its frames stand, what awaits it) of all samples, by pprof; and the folded text."""
        environment = dict(PYTHONDONTWRITEBYTECODE="1", **self.interpreter.env)
        command = [*self.interpreter.argv, self.interpreter.place(PROGRAM), SECONDS]
        folded = []
        with Recording("-F", RATE, cmd=command, env=environment) as recording:
            recording.wait()
            for row in recording.rows:
                folded.append((recording.dir / row["folded"]).read_text())
                for count, frames, _ in python_chains.stacks_of(recording.dir / row["pprof"]):
                    names = [frame.name for file, frame in frames if file == "[python]"]
                    task = next((name for name in names if name.startswith("in_")), None)
                    awaiting = [(at, frame) for at, (file, frame) in enumerate(frames) if file == "[python awaiting]"]
                    self.samples.append((task, names, awaiting, frames, count))
        return "".join(folded)

    def test_who_awaits_a_task_is_shown_behind_its_frames(self):
        self.samples, lines = [], lines_of_awaits()
        folded = self.record()
        counts, right = collections.Counter(), collections.Counter()
        for task, _, awaiting, frames, count in self.samples:
            if any(frame.name.startswith("[truncated") for _, frame in frames):
                continue
            if task not in AWAITED_BY:
                continue
            counts[task] += count
            said = [frame.name for _, frame in awaiting]
            if said == AWAITED_BY[task]:
                right[task] += count
            else:
                self.assertEqual(said, [], frames)  # none is no lie, another is one
            if not awaiting:
                continue
            # Right behind the outermost frame that runs, in one piece, each in the line in which it awaits.
            first = awaiting[0][0]
            self.assertEqual([at for at, _ in awaiting], list(range(first, first + len(awaiting))))
            self.assertEqual(frames[first - 1][1].name, task)
            self.assertEqual([frame.line for _, frame in awaiting], [lines[name] for name in said])
        print(f"{NAME}:", *(f"{task} {right[task]} of {counts[task]}" for task in AWAITED_BY), file=sys.stderr)
        for task in AWAITED_BY:
            self.assertGreater(counts[task], 20, task)
            self.assertGreaterEqual(right[task] + 2, 0.98 * counts[task], task)
        self.assertIn(";main_[a];task_waits_[a];waits_[a];in_task;pause;burn", folded)


if __name__ == "__main__":
    fnprof_e2e.main()
