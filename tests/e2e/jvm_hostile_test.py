#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""JVMs that lie and JVMs that die: what a process publishes of itself is input, and it may be gone while it is read. The
recording goes on to its end, counts every tick, and names nothing by a lie.

usage: jvm_hostile_test.py
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import fnprof_e2e
from fnprof_e2e import MATRIX, Recording
from programs_e2e import program

LIES = ["nowhere", "endless", "stride", "texts", "offsets", "heads", "heaps", "all", "interpreter", "frames", "names", "lengths",
        "methods", "segments", "changing"]
SOME = ["endless", "offsets", "all", "frames", "changing"]  # without the matrix
BUSY = """public class Busy {
    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    static Object[] keep = new Object[1000];
    public static void main(String[] a) throws Exception {
        for (int i = 0; i < 3; i++)
            new Thread(() -> { for (int k = 0;; k++) keep[k % 1000] = new int[fib(k % 20) % 1000 + 10]; }).start();
        Thread.sleep(Long.parseLong(a[0]));
        System.exit(Integer.parseInt(a[1]));
    }
}"""
ENDS = {"killed": "java -cp {cp} Busy 60000 0 & p=$!; sleep 0.{n}; kill -9 $p; wait $p",
        "exits": "java -cp {cp} Busy {n} 7",
        "crashes": "java -XX:ErrorFile=/dev/null -XX:-CreateCoredumpOnCrash -cp {cp} Busy 60000 0 & p=$!; sleep 0.6; kill -SEGV $p; wait $p",
        "execs": "for i in 1 2 3; do java -version 2>&1; done; exec java -cp {cp} Busy {n} 0"}
STATUS = {"killed": (137,), "exits": (7,), "crashes": (1, 134), "execs": (0,)}  # a JVM that may not dump exits with 1


class Lies(fnprof_e2e.TestCase):
    def recorded(self, lie, ms=200):
        with Recording("-F", 999, cmd=[program("jvm_liar", "-rdynamic"), lie, ms], live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            self.assert_directory_is_whole(recording)
            self.assertLess(recording.summary["cost"]["agent_cpu_ns"], 3e9)
            (row,) = recording.of("process")
            return row, recording.folded(row)

    def test_what_is_true_is_shown(self):
        row, stacks = self.recorded("none")
        self.assertTrue(row["runtime"].startswith("jvm"), row)
        named = sum(weight for names, weight in stacks.items() if "main" in names and names[-1] == "liar.Class.method")
        self.assertGreater(named, 0.9 * sum(stacks.values()), stacks)

    def test_tables_that_are_filled_later_are_read_again(self):
        row, stacks = self.recorded("late", 500)
        named = sum(weight for names, weight in stacks.items() if names[-1] == "liar.Class.method")
        self.assertGreater(named, 0.5 * sum(stacks.values()), stacks)

    def test_lies_cost_frames_alone(self):
        for lie in LIES if MATRIX else SOME:
            with self.subTest(lie):
                row, stacks = self.recorded(lie)
                self.assertGreater(row["sampled_ns"], 0.7 * row["cpu_ns"])
                names = {name for stack in stacks for name in stack}
                self.assertLess(max(map(len, names)), 5000)
                if lie not in ("texts", "stride", "heads", "changing", "interpreter"):
                    shown = {name for name in names if "method" in name}
                    self.assertLessEqual(shown, {"a:b??[31m?? c.method" if lie == "names" else "liar.Class.method"})


class Deaths(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("java") or not shutil.which("javac"):
            raise unittest.SkipTest("no java with javac here")
        cls.folder = tempfile.mkdtemp(prefix="fnprof-jvms-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        pathlib.Path(cls.folder, "Busy.java").write_text(BUSY)
        subprocess.run(["javac", "Busy.java"], cwd=cls.folder, check=True)

    def test_a_jvm_may_end_at_any_moment(self):
        for how, command in ENDS.items():
            for n in (250, 110, 400)[:3 if MATRIX and how in ("killed", "exits") else 1]:
                with self.subTest(how=how, n=n):
                    script = command.format(cp=self.folder, n=n)
                    with Recording("-F", 1999, cmd=["bash", "-c", script], live=False, env={"FNPROF_CACHE": ""}) as recording:
                        status = recording.wait()
                        self.assertIn(status, STATUS[how], recording.stderr)
                        self.assert_directory_is_whole(recording)
                        self.assertTrue([row for row in recording.rows if row.get("runtime", "").startswith("jvm")])


if __name__ == "__main__":
    fnprof_e2e.main()
