#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python functions as users run them: very short processes, and the phases of a handler under the real client.

usage: python_test.py [VERSION]
"""
import collections
import json
import os
import subprocess
import sys
import unittest

import fnprof_e2e
import prepare
import programs_e2e
import python_chains
from fnprof_e2e import Function, Recording
from programs_e2e import program
from runtime_api import RuntimeApi

NAME = python_chains.name_of_interpreter()
PHASES = ("parse", "compute", "render")
HANDLER = """import time


def spend(ns):
    end = time.thread_time_ns() + ns
    while time.thread_time_ns() < end:
        sum(range(50))


def parse(ns):
    spend(ns)


def compute(ns):
    spend(ns)


def render(ns):
    spend(ns)


def handler(event, _context):
    spent = {}
    for name in ("parse", "compute", "render"):
        before = time.thread_time_ns()
        globals()[name](event[name])
        spent[name] = time.thread_time_ns() - before
    return spent
"""


class Python(fnprof_e2e.TestCase):
    def interpreter(self):
        return prepare.interpreter(NAME)

    def test_processes_of_some_milliseconds_have_their_names(self):
        """500 of them; each has a code object of its own address, and is gone before anybody looks."""
        interpreter = self.interpreter()
        code = "def work():\n for i in range(150): sum(range(i))\nwork()"
        script = 'i=0; while [ $i -lt 500 ]; do "$@"; i=$((i+1)); done'
        named, unnamed, cut, stacks = 0, collections.Counter(), 0, 0
        with Recording("-F", 1997, cmd=["/bin/sh", "-c", script, "sh", *interpreter.argv, "-S", "-E", "-c", code],
                       env=interpreter.env) as recording:
            self.assertEqual(recording.wait(120), 0)
            # Some are gone before their runtime is recognised; their Python frames are asked for all the same.
            rows = [row for row in recording.rows if row["function"] != "sh"]
            for row in rows:
                for count, frames, _ in python_chains.stacks_of(recording.dir / row["pprof"]):
                    names = [frame.name for file, frame in frames if file == "[python]"]
                    stacks += count * bool(names)
                    cut += count * any(file == "[marker]" for file, _ in frames)
                    for name in names:
                        named += count * (not name.startswith("["))
                        unnamed[name] += count * name.startswith("[")
            total = named + sum(unnamed.values())
            print(f"{len(rows)} processes, {stacks} Python stacks, {named} of {total} frames named "
                  f"({named / total:.2%}), {cut} stacks cut")
            self.assertEqual(len(rows), 500)
            self.assertGreater(total, 500)
            self.assertGreaterEqual(named, 0.99 * total)

    def test_functions_that_take_each_others_memory_keep_their_names(self):
        """Compiled, run and freed one after another, nearly all at addresses that an earlier one had."""
        interpreter, names, wrong = self.interpreter(), collections.Counter(), collections.Counter()
        with Recording("-F", 1997, cmd=[*interpreter.argv, programs_e2e.HERE / "reused.py", "2"],
                       env=interpreter.env) as recording:
            self.assertEqual(recording.wait(60), 0)
            said = json.loads(recording.stdout.splitlines()[0])
            for row in recording.rows:
                for count, frames, _ in python_chains.stacks_of(recording.dir / row["pprof"]):
                    for _, frame in frames:
                        if not frame.name.startswith("fn_"):
                            continue
                        names[frame.name] += count
                        file = {"<string>", frame.name.replace("fn_", "<cell ") + ">"}
                        below = frame.line - frame.first
                        if frame.file not in file or below not in (0, 1, 2 + int(frame.name[3:]) % 2):
                            wrong[frame] += count
        print(f"{said}, {len(names)} names in {names.total()} samples, at most {max(names.values())} each; wrong: {dict(wrong)}")
        self.assertGreater(said["shared"], 0.3 * said["ran"])
        self.assertEqual(wrong, {})
        self.assertGreaterEqual(len(names), 0.9 * said["ran"])
        self.assertLess(max(names.values()), 30)  # 3 ms at 1,997 Hz are 6

    def test_a_process_that_writes_over_its_interpreter_is_recorded(self):
        """Chains that meet themselves, wild pointers, texts of gigabytes: samples are marked, and what is right stays so."""
        if NAME not in ("3.11", "3.12"):
            self.skipTest("programs/hostile.py knows the fields of 3.11 and 3.12")
        interpreter = self.interpreter()
        library = program("spoil", "-shared", "-fPIC")
        with Recording("-F", 1997, cmd=[*interpreter.argv, programs_e2e.HERE / "hostile.py", library, "4"],
                       env=interpreter.env) as recording:
            self.assertEqual(recording.wait(60), 0)
            summary, counts = recording.summary, collections.Counter()
            self.assertEqual(summary["ticks"], summary["samples"] + sum(summary["losses"].values()))
            self.assertLess(sum(summary["losses"].values()), 0.01 * summary["ticks"] + 5)
            for row in recording.rows:
                for count, frames, _ in python_chains.stacks_of(recording.dir / row["pprof"]):
                    names = [frame.name for file, frame in frames if file == "[python]"]
                    native = [frame.name for file, frame in frames if file != "[python]"]
                    kind = "honest" if "honest" in names else "spoilt" if "spoil" in native else "other"
                    cut = any(name.startswith("[truncated") for name in native)
                    counts[kind, "cut" if cut else "whole"] += count
                    if kind == "honest" and not cut:
                        self.assertEqual(names[-2:], ["honest", "<module>"], names)
        print(dict(counts))
        self.assertGreater(counts["spoilt", "cut"], 100)
        self.assertGreater(counts["honest", "whole"], 50)
        self.assertLess(counts["honest", "cut"], 0.01 * counts["honest", "whole"] + 3)

    def test_phases_of_a_handler_have_their_shares(self):
        """Under awslambdaric, 300 invocations: the share of each phase in the samples, and by the thread's clock."""
        try:
            client = prepare.prepare(f"python{NAME}")
        except (prepare.Unavailable, KeyError) as reason:
            raise unittest.SkipTest(f"{NAME}: {reason}") from None
        folder = python_chains.scratch_folder(self)
        (folder / "handler.py").write_text(HANDLER)
        client.cwd, client.env = str(folder), dict(client.env, LAMBDA_TASK_ROOT=str(folder))
        truth, seen = collections.Counter(), collections.Counter()
        with RuntimeApi() as api, Function(client, api) as function:
            api.wait_for_next()
            with Recording("-F", 1997, "-p", function.pid) as recording:
                for n in range(300):
                    payload = {"parse": 1_000_000 + n % 7 * 100_000, "compute": 5_000_000, "render": 2_000_000}
                    truth.update(api.invoke(payload, seconds=30).answer())
                recording.stop()
                self.assertEqual(len(recording.of("invocation")), 300)
                for row in recording.of("invocation"):
                    for stack, ns in recording.folded(row).items():
                        for phase in PHASES:
                            seen[phase] += ns * (phase in stack)
        for phase in PHASES:
            share, should = seen[phase] / seen.total(), truth[phase] / truth.total()
            print(f"{phase}: {share:.2%} of the samples, {should:.2%} of the thread's CPU time")
            self.assertLess(abs(share - should), 0.02, phase)


if __name__ == "__main__":
    fnprof_e2e.main()
