#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of a real recording in the hands of those whom people use: Google's pprof, speedscope, flamegraph.pl.

What they read is compared with the index. The formats' own tests (tests/formats/readers_test.py) know each byte of a
small profile; here the profiles are those of an unmodified function, as they fall.
"""
import os
import re
import subprocess
import sys
import unittest

import fnprof_e2e
from fnprof_e2e import TREE, Function, Recording
from runtime_api import RuntimeApi
import prepare

sys.path.insert(0, str(TREE / "tests/formats"))
import readers_test as readers  # noqa: E402

NAME = "python3.11"
KINDS = ("fast", "slow", "native", "error", "sleep")


def had(find):
    """What a foreign reader is started by; without it the test is skipped, by the reader's own word."""
    try:
        return find()
    except readers.Skip as why:
        raise unittest.SkipTest(str(why)) from None


class Readers(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        client = prepare.prepare(NAME)
        cls.recording = Recording("-F", 997)
        cls.addClassCleanup(cls.recording.__exit__, None, None, None)
        cls.recording.__enter__()
        with RuntimeApi() as api, Function(client, api, "readers", "1"):
            api.wait_for_next()
            cls.calls = [api.invoke({"kind": kind, "ms": 20}, function="readers") for kind in KINDS * 6]
        assert cls.recording.stop() == 0, cls.recording.stderr
        cls.rows = [row for row in cls.recording.rows if row["function"] == "readers"]
        cls.environment = dict(os.environ, PPROF_TMPDIR=str(cls.recording.dir / "..."), HOME=str(cls.recording.dir))

    def pprof(self, *options, said=r""):
        """What pprof says; on standard error nothing but what matches `said`."""
        done = subprocess.run([had(readers.google_pprof), *map(str, options)], capture_output=True, text=True,
                              env=self.environment, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr.strip(), f"^(?:{said})$", f"pprof {options}")
        return done.stdout

    def total(self, text):
        shown = re.search(r" of (\d+)(?:ns)? total", text)
        self.assertTrue(shown, text)
        return int(shown.group(1))

    def test_googles_pprof_reads_each_row_without_a_warning(self):
        self.assertGreaterEqual(len(self.rows), len(self.calls))
        for row in self.rows:
            path = self.recording.dir / row["pprof"]
            self.assertIn("Samples:", self.pprof("-raw", path))
            self.assertEqual(self.total(self.pprof("-top", "-unit=ns", path)), row["sampled_ns"], row["id"])

    def test_googles_pprof_finds_an_invocation_by_its_labels(self):
        files = [self.recording.dir / row["pprof"] for row in self.rows if row["kind"] == "invocation"]
        slow = max((row for row in self.rows if row["kind"] == "invocation"), key=lambda row: row["sampled_ns"])
        one = self.pprof("-top", "-unit=ns", "-nodefraction=0", f"-tagfocus=request_id=^{slow['id']}$", *files, said=r"(?s:.*)")
        self.assertEqual(self.shown(one), slow["sampled_ns"])
        ms = slow["duration_ns"] // 1_000_000
        late = sum(row["sampled_ns"] for row in self.rows
                   if row["kind"] == "invocation" and row["duration_ns"] >= ms * 1_000_000)
        text = self.pprof("-top", "-unit=ns", "-nodefraction=0", f"-tagfocus=duration={ms}ms:", *files, said=r"(?s:.*)")
        self.assertEqual(self.shown(text), late)

    def shown(self, text):
        shown = re.search(r"Showing nodes accounting for (\d+)(?:ns)?, ", text)
        self.assertTrue(shown, text)
        return int(shown.group(1))

    def test_speedscope_imports_each_row(self):
        node, package = had(readers.speedscope_package)
        rows = [row for row in self.rows if row["samples"]]
        files = [self.recording.dir / row[key] for row in rows for key in ("pprof", "folded")]
        done = subprocess.run([node, str(TREE / "tests/formats/speedscope_import.js"), package, *files],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout[-2000:])
        weights = [line.split()[2] for line in done.stdout.splitlines() if re.search(r"\.(pb\.gz|folded) \w+ \d+", line)]
        self.assertEqual([int(weight) for weight in weights], [row["sampled_ns"] for row in rows for _ in range(2)])

    def test_flamegraph_pl_draws_each_row(self):
        program = had(readers.flamegraph_program)
        for row in self.rows:
            if not row["samples"]:
                continue
            done = subprocess.run(["perl", program, "--countname", "ns", self.recording.dir / row["folded"]],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), row)
            self.assertIn(f"all ({row['sampled_ns']:,} ns, 100%)", done.stdout)


if __name__ == "__main__":
    fnprof_e2e.main()
