#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code that a JIT makes and tells of: a jitdump, a perf map; also in namespaces of its own, and of a real one (LLVM's)."""
import collections
import gzip
import os
import pathlib
import shutil
import subprocess
import tempfile

import fnprof_e2e
from fnprof_e2e import Recording, Skip
from programs_e2e import program

MS = 700
LOOPS = ("first loop_[j]", "second loop_[j]")
SOURCE = """
extern long strtol(const char *, char **, int);
__attribute__((noinline)) static long leaf(long n) { long s = 0; for (volatile long i = 0; i < n; i++) s += i; return s; }
__attribute__((noinline)) long middle(long n) { long s = leaf(n); return s + leaf(n / 2); }
int main(int argc, char **argv) { return middle(strtol(argv[1], 0, 10)) == 1; }
"""


class Jit(fnprof_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.scratch = tempfile.mkdtemp(prefix="fnprof-jit-")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)

    def record(self, *cmd, env=None, function="jit"):
        """The nanoseconds of each leaf of the program's own stacks, and all bytes of its pprof files."""
        leaves, raw = collections.Counter(), b""
        with Recording("-F", 997, cmd=cmd, env=env) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            for row in recording.of("process", function):
                raw += gzip.decompress((recording.dir / row["pprof"]).read_bytes())
                for stack, weight in recording.folded(row).items():
                    user = [frame for frame in stack if not frame.endswith("_[k]")]
                    leaves[user[-1] if user else ""] += weight
        return leaves, raw

    def assert_both_loops(self, leaves, least):
        """Each ran for half of the time, in the same memory."""
        total = sum(leaves.values())
        for loop in LOOPS:
            self.assertGreater(leaves[loop] / total, least, leaves)

    def test_a_jitdump_tells_code_in_the_same_memory_apart(self):
        leaves, raw = self.record(program("jit"), self.scratch, MS)
        self.assert_both_loops(leaves, 0.3)
        self.assertIn(b"loops.x", raw)

    def test_a_jitdump_is_found_in_other_namespaces(self):
        inside = 'mount -t tmpfs none /mnt && exec "$0" /mnt "$1"'
        leaves, raw = self.record("unshare", "-m", "-p", "-f", "--mount-proc", "/bin/sh", "-c", inside, program("jit"), MS)
        self.assert_both_loops(leaves, 0.3)
        self.assertIn(b"loops.x", raw)

    def test_a_perf_map_is_found_in_other_namespaces(self):
        """Here the newest line of an address counts, from when it is read."""
        inside = 'mount -t tmpfs none /tmp && exec "$0" "" "$1"'
        elsewhere = tempfile.mkdtemp(prefix="fnprof-jit-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, elsewhere, ignore_errors=True)
        copy = shutil.copy(program("jit"), elsewhere)
        leaves, _ = self.record("unshare", "-m", "-p", "-f", "--mount-proc", "/bin/sh", "-c", inside, copy, MS)
        self.assert_both_loops(leaves, 0.1)

    def test_a_register_that_is_no_frame_pointer_makes_no_caller(self):
        """Where the code that a JIT made keeps none, a stack ends in a marker, or is right."""
        made = cut = 0
        with Recording("-F", 1997, cmd=[program("frameless"), MS]) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            for row in recording.of("process", "frameless"):
                for stack, _ in recording.folded(row).items():
                    own = [frame for frame in stack if not frame.endswith("_[k]")]
                    if not own or not own[-1].startswith("[anon+"):
                        continue
                    made += 1
                    cut += own[0].startswith("[truncated")
                    self.assertNotIn("decoy", stack)
                    if own[0].startswith("[truncated"):
                        self.assertEqual(own[:-1], ["[truncated: no unwind row]"], "nothing of it is known")
                    else:
                        self.assertEqual(own[-3:-1], ["main", "caller"], own)
        self.assertGreater(made, 0)
        self.assertGreater(cut, 0)

    def test_code_of_llvms_own_jit(self):
        lli, clang = shutil.which("lli"), shutil.which("clang")
        if not lli or not clang:
            raise Skip("no lli and clang here")
        source, bitcode = pathlib.Path(self.scratch, "x.c"), pathlib.Path(self.scratch, "x.bc")
        source.write_text(SOURCE)
        subprocess.run([clang, "-g", "-O1", "-fno-omit-frame-pointer", "-emit-llvm", "-c", source, "-o", bitcode], check=True)
        leaves, raw = self.record(lli, "--jit-kind=mcjit", "--frame-pointer=all", bitcode, 400_000_000,
                                  env={"JITDUMPDIR": self.scratch}, function=os.path.basename(lli))
        if not any(name.endswith(".dump") for _, _, names in os.walk(self.scratch) for name in names):
            raise Skip("this lli writes no jitdump")
        self.assertGreater(leaves["leaf_[j]"] / sum(leaves.values()), 0.6, leaves)
        self.assertIn(str(source).encode(), raw)


if __name__ == "__main__":
    fnprof_e2e.main()
