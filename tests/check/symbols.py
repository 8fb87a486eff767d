#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every symbol that leaves a file of ours begins with fnp_ (only `main` may not).

usage: symbols.py NM BUILD_DIR      looks at the static library of each folder
"""
import pathlib
import re
import subprocess
import sys

# What compilers put beside our own: sanitizers, coverage, and the objects that bpftool's skeletons embed.
FOREIGN = re.compile(r"^(fnp_|main$|_*asan|_*ubsan|_*tsan|_*odr|__gcov|__llvm|__start_|__stop_|_GLOBAL_|llvm_gc|__odr)")


def strangers(nm_output):
    """(file, symbol) of each defined global symbol without the prefix, from the text of `nm -A -g --defined-only`."""
    for line in nm_output.splitlines():
        fields = line.split()
        if len(fields) == 3 and not FOREIGN.match(fields[2]):
            yield fields[0].rpartition(":")[0], fields[2]


def main():
    assert list(strangers("lib.a:a.o:00f0 T parse")) == [("lib.a:a.o", "parse")]
    assert not list(strangers("lib.a:a.o:00f0 T fnp_parse"))
    nm, build = sys.argv[1], pathlib.Path(sys.argv[2])
    libraries = sorted(build.rglob("libfnprof_*.a"))
    if not libraries:
        print("no library in", build)
        return 1
    found = []
    for library in libraries:
        out = subprocess.run([nm, "-A", "-g", "--defined-only", str(library)],
                             check=True, capture_output=True, text=True).stdout
        found += strangers(out)
    for where, symbol in found:
        print(f"{where}: {symbol} has no prefix fnp_")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
