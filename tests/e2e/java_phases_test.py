#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The phases of a Java handler under the real runtime interface client: how CPU time divides between them, by samples,
against what ThreadMXBean says inside the handler. And the cold start's `init` profile: what stands out in it.

usage: java_phases_test.py [INVOCATIONS]      for ./dev matrix
"""
import collections
import os
import sys
import unittest

import fnprof_e2e
from fnprof_e2e import Function, Recording, Stopped
from runtime_api import RuntimeApi
import prepare

INVOCATIONS = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 300
HANDLER = "fnprof.example.Handler."
PHASES = {"rank": "rankItems", "compress": "compressReceipt", "sign": "signReceipt"}


@unittest.skipUnless(os.environ.get("FNPROF_E2E_MATRIX"), "one of the matrix's")
class Phases(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = prepare.prepare("java17")
        with RuntimeApi() as api, Function(cls.client, api, kind=Stopped) as function:
            with Recording("-F", 997, "-p", function.pid) as recording:
                begun = function.cpu_so_far()
                function.go()
                api.wait_for_next()
                cls.calls = [api.invoke({"kind": "phases", "ms": 20}, seconds=30) for _ in range(INVOCATIONS)]
                cls.cpu_ns = function.end() - begun
                if recording.wait() != 0:
                    raise AssertionError(recording.stderr)
                cls.rows = [row for row in recording.rows if row["pid"] == function.pid]
                cls.stacks = {row["id"]: recording.folded(row) for row in cls.rows}

    def test_phases_divide_as_the_handler_says(self):
        said, sampled = collections.Counter(), collections.Counter()
        for call in self.calls:
            answer = call.answer()
            for phase, method in PHASES.items():
                said[phase] += answer[phase + "_ns"]
                for stack, weight in self.stacks[call.id].items():
                    names = [name.rsplit("_[", 1)[0] for name in stack]
                    sampled[phase] += weight if HANDLER + method in names else 0
        for phase in PHASES:
            truth = said[phase] / sum(said.values())
            seen = sampled[phase] / sum(sampled.values())
            print(f"{phase}: sampled {seen:.2%}, ThreadMXBean {truth:.2%} of {sum(said.values()) / 1e6:.0f} ms",
                  file=sys.stderr)
            self.assertLess(abs(seen - truth), 0.02, phase)

    def test_cpu_time_of_the_rows_is_the_process_s(self):
        total = sum(row["cpu_ns"] for row in self.rows)
        print(f"cpu_ns of all rows {(total - self.cpu_ns) / 1e6:+.3f} ms of {self.cpu_ns / 1e6:.0f} ms", file=sys.stderr)
        self.assert_near(total, self.cpu_ns, 0.02, "cpu_ns of all rows")

    def test_the_cold_start_can_be_read(self):
        """Class loading, the JIT and the interpreter stand out in `init`; nearly nothing is without a name."""
        (init,) = [row for row in self.rows if row["kind"] == "init"]
        shares, total = collections.Counter(), 0
        for names, weight in self.stacks[init["id"]].items():
            stack = ";".join(names)
            total += weight
            shares["cut"] += weight if stack.startswith("[truncated") else 0
            shares["unnamed"] += weight if "[jvm+" in stack or "[anon+" in stack else 0
            shares["JIT"] += weight if "CompileBroker::" in stack else 0
            shares["classes"] += weight if any(w in stack for w in ("ClassLoader.", "ClassFileParser::", "SystemDictionary",
                                                                    "InstanceKlass::")) else 0
            shares["interpreted"] += weight if "_[0]" in stack else 0
        print("init: " + ", ".join(f"{what} {part / total:.1%}" for what, part in shares.items())
              + f" of {total / 1e6:.0f} ms", file=sys.stderr)
        self.assertLess(shares["cut"] + shares["unnamed"], 0.05 * total)
        for what in ("JIT", "classes", "interpreted"):
            self.assertGreater(shares[what], 0.05 * total, what)


if __name__ == "__main__":
    fnprof_e2e.main()
