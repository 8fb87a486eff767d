#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Process = invocation: 1,000 programs of about 5 ms, executed once a request as CGI and OpenFaaS do."""
import json
import os
import subprocess
import sys

import fnprof_e2e
from fnprof_e2e import Recording
from runtime_api import OK
import prepare

# Spawns the programs and prints what the kernel says each of them spent: [[id, pid, cpu_ns, status], ...]
SPAWNER = """
import json, os, sys
program, count, ms = sys.argv[1], int(sys.argv[2]), sys.argv[3]
quiet = [(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]
out = []
for n in range(count):
    call = 'call-%06d' % n
    env = {'Http_X_Call_Id': call, 'Http_Method': 'POST', 'Http_Path': '/', 'PATH': os.environ['PATH']}
    code = '3' if n % 50 == 49 else '0'
    pid = os.posix_spawn(program, [program, ms, code], env, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    out.append((call, pid, round((usage.ru_utime + usage.ru_stime) * 1e9), status))
print(json.dumps(out))
"""


class Exec(fnprof_e2e.TestCase):
    def check(self, recording, calls):
        rows = recording.of("invocation")
        self.assertEqual(sorted(row["id"] for row in rows), sorted(call[0] for call in calls))
        by_id = {row["id"]: row for row in rows}
        for call, pid, cpu_ns, status in calls:
            row = by_id[call]
            self.assertEqual((row["pid"], row["source"], row["function"]), (pid, "exec", "function"), row)
            self.assertEqual(row["outcome"], OK if status == 0 else "error", row)
            self.assert_near(row["cpu_ns"], cpu_ns, 0.005, f"cpu_ns of {call}", slack=100_000)
        self.assert_near(sum(row["cpu_ns"] for row in rows), sum(call[2] for call in calls), 0.005, "cpu_ns of all")
        self.check_names(recording, rows)
        self.assert_near(sum(row["sampled_ns"] for row in rows), sum(call[2] for call in calls), 0.05,
                         "sampled_ns of all programs")
        self.assert_directory_is_whole(recording)

    def check_names(self, recording, rows):
        """No frame of the program or of the kernel without a name; a library's local function may be an offset."""
        total = nameless = 0
        examples = {}
        for row in rows:
            for stack, ns in recording.folded(row).items():
                total += ns
                bad = [f for f in stack if f.startswith("[") and "+0x" in f and not f.startswith(("[lib", "[ld-"))]
                bad += [f for f in stack if f.startswith("[truncated")]
                if bad:
                    nameless += ns
                    examples[bad[0]] = examples.get(bad[0], 0) + ns
        print(f"named: {1 - nameless / max(total, 1):.4f} of {total / 1e9:.2f} s; nameless: {examples}", file=sys.stderr)
        self.assertLessEqual(nameless, 0.01 * total, examples)

    def test_a_thousand_programs_below_a_command(self):
        argv = [sys.executable, "-c", SPAWNER, str(prepare.exec_program()), "1000", "5"]
        with Recording("-F", 997, cmd=argv) as recording:
            self.assertEqual(recording.wait(120), 0, recording.stderr)
            self.check(recording, json.loads(recording.stdout))
            self.assertEqual({row["kind"] for row in recording.rows} - {"invocation"}, {"process"})

    def test_programs_of_a_host_that_is_watched(self):
        with Recording("-F", 997) as recording:
            argv = [sys.executable, "-c", SPAWNER, str(prepare.exec_program()), "100", "5"]
            calls = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            rows = {row["id"]: row for row in recording.of("invocation", function="function")}
            self.assertLessEqual({call[0] for call in calls}, rows.keys())

    def test_what_an_invocation_starts_belongs_to_it(self):
        """A shell script as the function: its children inherit the environment and have no line of their own."""
        env = {"Http_X_Call_Id": "with-children", "Http_Method": "GET", "Http_Path": "/x"}
        script = f"{prepare.exec_program()} 40 >/dev/null; {prepare.exec_program()} 40 >/dev/null; true"
        with Recording("-F", 1999, cmd=["/bin/sh", "-c", script], env=env) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            (row,) = recording.of("invocation")
            self.assertEqual((row["id"], row["outcome"]), ("with-children", OK))
            self.assertGreater(row["children_cpu_ns"], 75_000_000)
            self.assertLess(row["cpu_ns"], 40_000_000)
            self.assertEqual([r["kind"] for r in recording.rows], ["invocation"], recording.rows)

    def test_without_an_id_the_row_has_one_of_its_own(self):
        env = {"GATEWAY_INTERFACE": "CGI/1.1"}
        with Recording("-F", 99, cmd=[prepare.exec_program(), "20"], env=env) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            (row,) = recording.of("invocation")
            self.assertTrue(row["id"].startswith(f"exec-{row['pid']}-"), row["id"])

    def test_a_program_without_a_request_is_a_process(self):
        with Recording("-F", 99, cmd=[prepare.exec_program(), "20"]) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            self.assertEqual([row["kind"] for row in recording.rows], ["process"])


if __name__ == "__main__":
    assert os.environ
    fnprof_e2e.main()
