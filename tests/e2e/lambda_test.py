#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real runtime clients, 300 mixed invocations each, with fnprof as the launcher, started before, and attached after.

Every invocation whose life lies in the recording has exactly one line, with what the Runtime API's server and the
function itself know of it.

usage: lambda_test.py RUNTIME
"""
import os
import random
import signal
import statistics
import sys

import fnprof_e2e
from fnprof_e2e import Function, Recording, child_of, utc_ns
from kernel_times import Receipts
from runtime_api import OK, RuntimeApi, lambda_environment
import prepare

NAME = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "python3.11"
COUNT = int(os.environ.get("FNPROF_E2E_COUNT", 300))
MILLISECOND = 1_000_000
INTERRUPTED = 300_000  # a send takes some ten microseconds
# A timestamp of the kernel's and one of ours are read by different instructions of different threads.
READING = 100_000


def mixed(count, seed):
    kinds = ["fast"] * 55 + ["slow"] * 12 + ["native"] * 8 + ["sleep"] * 8 + ["error"] * 7 + ["big"] * 6 + ["threads"] * 4
    return [{"kind": kind, "ms": 6} for kind in random.Random(seed).choices(kinds, k=count)]


def outside(value, low, high):
    """How far a value lies outside of low..high."""
    return max(0, low - value, value - high)


class Lambda(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = prepare.prepare(NAME)

    def invoke_mixed(self, api, pid, count=COUNT, seed=1):
        """In a closed loop, as the platform does it: the next is handed out when the last was answered."""
        with Receipts(pid) as self.receipts:
            return [api.invoke(payload, version="3", function=self.function) for payload in mixed(count, seed)]

    def setUp(self):
        super().setUp()
        self.function = f"orders-{NAME}-{os.getpid()}-{self._testMethodName[-8:]}"

    # ---- the three ways to begin ----

    def test_as_the_launcher(self):
        with RuntimeApi() as api:
            env = dict(self.client.env, **lambda_environment(api, self.function, "3", self.client.handler))
            with Recording("-F", 997, cmd=self.client.argv, env=env, cwd=self.client.cwd) as recording:
                api.wait_for_next()
                pid = child_of(recording.process.pid)
                calls = self.invoke_mixed(api, pid)
                status = recording.stop(signal.SIGTERM)
                self.assertIn(status, (0, 128 + signal.SIGTERM), recording.stderr)
                self.check(recording, calls, pid, cold=True)
                self.check_init(recording, calls, pid)

    def test_started_before(self):
        with Recording("-F", 997) as recording, RuntimeApi() as api:
            with Function(self.client, api, self.function, "3") as function:
                api.wait_for_next()
                calls = self.invoke_mixed(api, function.pid)
                cpu_ns = function.end()
            self.assertEqual(recording.stop(), 0, recording.stderr)
            self.check(recording, calls, function.pid, cold=True)
            self.check_init(recording, calls, function.pid)
            self.check_cpu(recording, function.pid, cpu_ns)

    def test_attached_after(self):
        with RuntimeApi() as api, Function(self.client, api, self.function, "3") as function:
            api.wait_for_next()
            api.invoke({"kind": "slow", "ms": 5}, function=self.function)
            api.wait_for_next()
            with Recording("-F", 997, "-p", function.pid) as recording:
                calls = self.invoke_mixed(api, function.pid)
                self.assertEqual(recording.stop(), 0, recording.stderr)
                self.check(recording, calls, function.pid, cold=False)
                self.assertEqual(recording.of("init", pid=function.pid), [])

    # ---- what must hold ----

    def check(self, recording, calls, pid, cold):
        rows = recording.of("invocation", pid=pid)
        ids = [row["id"] for row in rows]
        self.assertEqual(sorted(ids), sorted(call.id for call in calls), "exactly one line for each invocation")
        self.assertEqual(ids, [call.id for call in calls], "in the order in which they closed")
        by_id = {row["id"]: row for row in rows}
        for number, call in enumerate(calls):
            self.check_identity(by_id[call.id], call, pid)
            self.check_cold(by_id[call.id], number == 0, cold)
        self.check_times([(by_id[call.id], call) for call in calls])
        others = [row for row in recording.rows if row["pid"] == pid and row["kind"] != "invocation"]
        kinds = [row["kind"] for row in others]
        self.assertEqual(len(set(kinds)), len(kinds), f"a line too many: {others}")
        self.assertEqual(kinds.count("idle"), 1)
        self.assertNotIn("process", kinds)
        self.assertEqual(sum(row["samples"] for row in others if row["kind"] == "shared"), 0,
                         "no sample is shared when calls never overlap")
        self.assert_directory_is_whole(recording)

    def check_cold(self, row, is_first, exec_was_seen):
        """The first call of a process whose exec was seen is cold, no other. Where the exec was not seen, nobody knows
        of the first; of a later one it is known that it is not the first."""
        if exec_was_seen:
            self.assertIs(row["cold"], is_first, row)
        elif is_first:
            self.assertNotIn("cold", row, "its exec was not seen")
        else:
            self.assertIs(row.get("cold", False), False, row)

    def check_identity(self, row, call, pid):
        expected = {"function": self.function, "version": "3", "source": "lambda", "runtime": self.client.runtime,
                    "outcome": call.outcome, "trace_id": call.trace_id, "parent_span_id": call.parent_span_id,
                    "pid": pid}
        self.assertEqual({key: row.get(key) for key in expected}, expected, row)
        self.assertEqual(utc_ns(row["deadline"]) // MILLISECOND, call.deadline_ms)

    def check_times(self, pairs):
        """Within 1 ms of the truth, which is the kernel's: the read that brought the work returned then, and the last
        byte of the answer had come to the server's socket then. A thread that loses its processor in the middle of its
        send, often to the server that it wakes, ends anywhere in that call, and there it must be; elsewhere such a
        thread moves one of the two, so one in a hundred may be further away. And each lies within what is possible: a
        begin between the server's send (or the beginning of that read) and the read's end, an end between the
        function's own last look at the clock and the client's next call. Where the kernel's tracer cannot be had, the
        server's send and the function's first look at the clock bound the begin instead, and that is said."""
        starts, ends, far, interrupted = [], [], [], 0
        for row, call in pairs:
            said, start, end = call.answer(), row["start_ns"], row["start_ns"] + row["duration_ns"]
            entered, received = self.receipts.first(call.sent_ns) or (0, said.get("begin_ns", start))
            worked, gone = said.get("end_ns", call.sent_ns), call.followed_ns or call.read_ns
            starts.append(outside(start, max(call.sent_ns, entered) - READING, received + READING))
            if not self.receipts.known:
                received = min(start, received)
            ends.append(outside(end, min(worked, call.answered_ns - MILLISECOND), max(gone, call.answered_ns + MILLISECOND)))
            answered, sending = call.answered_ns, self.receipts.sending(call.answered_ns)
            if sending and sending[1] - sending[0] > INTERRUPTED:
                interrupted += 1
                answered = end if outside(end, sending[0] - READING, sending[1] + READING) == 0 else answered
            far.append(max(abs(start - received), abs(end - answered), abs(end - start - answered + received)))
        if not self.receipts.known:
            print("THE KERNEL'S TRACER CANNOT BE HAD: begins are bounded, not compared", file=sys.stderr)
        print(f"{self._testMethodName}: begin, end and duration differ from the kernel's by {statistics.median(far) / 1e3:.0f} us "
              f"(median), {max(far) / 1e3:.0f} us (most); {interrupted} sends were interrupted", file=sys.stderr)
        self.assertLess(interrupted, len(pairs) / 2)
        self.assertEqual((max(starts), max(ends)), (0, 0), "nanoseconds outside of the possible, of start and end")
        # A processor that the host takes away in between is gone for about a millisecond.
        stolen_calls = self.stolen_ns() / 20 / MILLISECOND
        self.assertLessEqual(sum(ns > MILLISECOND for ns in far), 0.01 * len(far) + stolen_calls, sorted(far)[-10:])

    def check_init(self, recording, calls, pid):
        (init,) = recording.of("init", pid=pid)
        first = recording.of("invocation", pid=pid)[0]
        self.assertEqual((init["function"], init["outcome"]), (self.function, OK), init)
        self.assertEqual(first["init"], init["id"], "the first invocation paid for the init")
        self.assertLessEqual(init["start_ns"] + init["duration_ns"], first["start_ns"])
        self.assertGreater(init["cpu_ns"], 0)

    def check_cpu(self, recording, pid, cpu_ns):
        """The cpu_ns of a process's rows are all of its CPU time, from fork to the end of its tearing down."""
        rows = [row for row in recording.rows if row["pid"] == pid]
        self.assert_near(sum(row["cpu_ns"] for row in rows), cpu_ns, 0.005, "cpu_ns of all rows", slack=MILLISECOND)


if __name__ == "__main__":
    fnprof_e2e.main()
