#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""1,000 invocations a second from clients in C: none lost, none twice, and CPU time that sums to the nanosecond.

The directory lies in memory, because what is tried is whether invocations are seen, not the pace of a disk.
"""
import collections
import os
import pathlib
import shutil
import sys
import tempfile

import fnprof_e2e
from fnprof_e2e import Recording, read_lines

LOAD = os.environ.get("LAMBDA_LOAD") or str(fnprof_e2e.TREE / "build/release/tests/e2e/lambda_load")
RATE, SECONDS, CLIENTS = 1000, 10, 4


class Load(fnprof_e2e.TestCase):
    def setUp(self):
        super().setUp()
        if not os.access(LOAD, os.X_OK):
            raise fnprof_e2e.Skip(f"{LOAD} is not built")
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="fnprof-load-", dir=memory))
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)

    def test_none_is_lost_and_none_is_twice(self):
        truth_path = self.scratch / "truth"
        command = [LOAD, "--rate", RATE, "--seconds", SECONDS, "--clients", CLIENTS, "--truth", truth_path]
        with Recording(cmd=command, directory=self.scratch / "out") as recording:
            self.assertEqual(recording.wait(120), 0, recording.stdout + recording.stderr)
        truth = {one["id"]: one for one in read_lines(truth_path)}
        rows, summary = recording.rows, recording.summary
        invocations = [row for row in rows if row["kind"] == "invocation"]
        counts = collections.Counter(row["id"] for row in invocations)
        cost = summary["cost"]
        print(f"{len(invocations)} of {len(truth)} invocations, events lost: {summary['events_lost']}; an invocation "
              f"with its two files in memory costs the agent {cost['agent_cpu_ns'] / len(truth) / 1000:.1f} us, "
              f"its hooks {cost['bpf_ns'] / len(truth) / 1000:.1f} us", file=sys.stderr)
        self.assertEqual(len(truth), RATE * SECONDS)
        self.assertEqual(sorted(counts), sorted(truth))
        self.assertEqual([name for name, n in counts.items() if n > 1], [])
        for row in invocations:
            self.check(row, truth[row["id"]])
        # A sender that loses the processor before its call's end is seen late: on a busy machine some do.
        late = [row for row in invocations
                if row["start_ns"] + row["duration_ns"] > truth[row["id"]]["read_ns"] + 1_000_000]
        self.assertLessEqual(len(late), len(invocations) // 100, late[:5])
        kinds = collections.Counter(row["kind"] for row in rows)
        self.assertEqual(kinds, {"invocation": len(truth), "init": CLIENTS, "idle": CLIENTS, "process": 1})
        self.assertEqual(sum(bool(row.get("cold")) for row in invocations), CLIENTS)
        self.check_sums(rows, summary)

    def check(self, row, truth):
        self.assertEqual((row["outcome"], row["function"], row["version"]), (truth["outcome"], "load", "1"), row)
        self.assertEqual(row["trace_id"], "65000000" + f"{int(row['id'].split('-')[1]):024x}")
        # It cannot have begun before the server handed it out.
        self.assertGreaterEqual(row["start_ns"], truth["sent_ns"], row)

    def check_sums(self, rows, summary):
        cpu_ns = collections.Counter()
        for row in rows:
            cpu_ns[row["pid"]] += row["cpu_ns"]
        self.assertEqual(cpu_ns, {one["pid"]: one["cpu_ns"] for one in summary["processes"]})


if __name__ == "__main__":
    fnprof_e2e.main()
