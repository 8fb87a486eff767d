#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names, lines and inlined callers of 10,000 random addresses of large objects, beside llvm-symbolizer's.

At least 99.5 % must be the same, where a symbol's other name at the same address, and another spelling of the same
name, count as that (bench/symbols_peers.py says which those are, and prints how many). Objects that are not here are
skipped.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TREE / "bench"), str(TREE / "tests/e2e")]
sys.dont_write_bytecode = True
import fnprof_e2e  # noqa: E402
import symbols_peers  # noqa: E402
from fnprof_e2e import Skip  # noqa: E402

COUNT = 10000
LEAST = 0.995


class Names(fnprof_e2e.TestCase):
    def check(self, path):
        if not path or not os.path.exists(path) or not shutil.which("llvm-symbolizer"):
            raise Skip(f"no {path or 'such object'}, or no llvm-symbolizer")
        debug = symbols_peers.debug_file_of(path)
        text = "".join(f"{address:#x}\n" for address in symbols_peers.random_addresses(path, COUNT))
        _, _, our = symbols_peers.measure([os.environ["FNPROF"], "inspect", "symbols", path], text, {"FNPROF_CACHE": ""})
        _, _, their = symbols_peers.measure(["llvm-symbolizer", f"--obj={debug}"], text)
        print(path)
        our, their = symbols_peers.ours(our), symbols_peers.llvms(their)
        self.assertEqual(len(our), COUNT)
        self.assertGreaterEqual(symbols_peers.compare(our, their, debug), LEAST)

    def test_libjvm_with_debug_data(self):
        path = "/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so"
        if os.path.exists(path) and symbols_peers.debug_file_of(path) == path:
            raise Skip("libjvm's debug data is not installed")
        self.check(path)

    def test_the_c_library(self):
        self.check("/lib/x86_64-linux-gnu/libc.so.6")

    def test_libllvm(self):
        found = sorted(pathlib.Path("/usr/lib/x86_64-linux-gnu").glob("libLLVM*.so.1"))
        self.check(str(found[-1]) if found else None)

    def test_a_rust_program(self):
        if not shutil.which("rustc"):
            raise Skip("no rustc here")
        folder = tempfile.mkdtemp(prefix="fnprof-names-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(["rustc", "-O", "-g", "-o", f"{folder}/truth", str(TREE / "tests/e2e/truth/truth.rs")],
                                  check=True, capture_output=True)
        self.check(f"{folder}/truth")


if __name__ == "__main__":
    assert unittest
    fnprof_e2e.main()
