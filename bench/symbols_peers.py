#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of addresses beside peers, as a table.

usage: symbols_peers.py FNPROF OBJECT [COUNT]

Asks `fnprof inspect symbols`, llvm-symbolizer, addr2line and eu-addr2line for one address and for COUNT (10,000)
random addresses of OBJECT's .text: CPU time and largest memory of each program, one after the other in one run. The
separate debug file is looked up by build id, as all of them do; fnprof's first row fills its cache of decompressed
sections, the others have it. Then the answers are compared with llvm-symbolizer's, address by address.
"""

import os
import pathlib
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def debug_file_of(path):
    match = re.search(r"Build ID: ([0-9a-f]{6,})", output_of("readelf", "-nW", path))
    if match:
        file = pathlib.Path("/usr/lib/debug/.build-id") / match[1][:2] / (match[1][2:] + ".debug")
        if file.exists():
            return str(file)
    return path


def random_addresses(path, count):
    match = re.search(r"\.text +PROGBITS +([0-9a-f]+) +[0-9a-f]+ ([0-9a-f]+)", output_of("readelf", "-SW", path))
    start, size = int(match[1], 16), int(match[2], 16)
    chance = random.Random(1)
    return [start + chance.randrange(size) for _ in range(count)]


def measure(command, text, environment=None):
    """CPU seconds, MB and what it printed; in a child of its own, because the kernel keeps one maximum for all."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False,
                                env={**os.environ, **(environment or {})})
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        with os.fdopen(write, "w") as out:
            out.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}\n{result.stdout}")
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        head, printed = answer.readline().split(), answer.read()
    os.waitpid(pid, 0)
    return float(head[0]), int(head[1]) / 1024, printed


def ours(printed):
    """[(function, file:line), ...] an address; "" for what is not known."""
    blocks = []
    for block in printed.split("\n\n")[:-1]:
        frames = []
        for line in block.split("\n"):
            name, _, place = line.partition(" at ")
            frames.append(("" if re.fullmatch(r"\[.*\+0x[0-9a-f]+\]", name) else name, place))
        blocks.append(frames)
    return blocks


def plain(name):
    """A demangled name without outermost parameters, return type or clone suffix."""
    name = re.sub(r"( \(\.[^)]*\))+$", "", name)
    name = re.sub(r" const$", "", name)
    if name.endswith(")"):
        depth = 0
        for at in range(len(name) - 1, -1, -1):
            depth += (name[at] == ")") - (name[at] == "(")
            if depth == 0:
                name = name[:at]
                break
    depth, start = 0, 0
    for at, letter in enumerate(name):
        depth += (letter in "<({[") - (letter in ">)}]")
        if letter == " " and depth == 0 and not name[:at].endswith("operator"):
            start = at + 1
    return name[start:]


def llvms(printed):
    blocks = []
    for block in printed.split("\n\n")[:-1]:
        lines = block.split("\n")
        frames = []
        for name, place in zip(lines[::2], lines[1::2]):
            place = re.sub(r":\d+$", "", place)
            known = not place.startswith("??") and not place.endswith(":0")
            frames.append(("" if name == "??" else plain(name), place if known else ""))
        blocks.append(frames)
    return blocks


def compare(our_blocks, their_blocks):
    equal = outer = nothing = 0
    for our, their in zip(our_blocks, their_blocks):
        our = [(plain(name), place) for name, place in our]
        if our == their:
            equal += 1
        elif not their[-1][0] and not our[-1][0]:
            nothing += 1
        elif len(our) == len(their) and our[:-1] == their[:-1] and our[-1][1] == their[-1][1]:
            outer += 1
    total = len(their_blocks)
    print(f"\nof {total} addresses beside llvm-symbolizer: {equal} equal in names, lines and inlined callers; "
          f"{nothing} in no function (padding) for both;\n{outer} differ in the outermost name alone (an alias, or "
          f"the symbol's name before the debug data's); {total - equal - nothing - outer} in something else")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    fnprof, path = sys.argv[1], sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) == 4 else 10000
    debug = debug_file_of(path)
    addresses = random_addresses(path, count)
    text = "".join(f"{address:#x}\n" for address in addresses)
    one = f"{addresses[0]:#x}\n"
    cache = tempfile.mkdtemp(prefix="fnp-symbols-bench-")
    environment = {"XDG_CACHE_HOME": cache}
    mine = [fnprof, "inspect", "symbols", path]
    rows = [("fnprof, cache empty, 1", mine, one), ("fnprof, 1", mine, one), (f"fnprof, {count}", mine, text)]
    for name, command in (("llvm-symbolizer", ["llvm-symbolizer", f"--obj={debug}"]),
                          ("addr2line -Cfi", ["addr2line", "-Cfi", "-e", debug]),
                          ("eu-addr2line -Cfi", ["eu-addr2line", "-Cfi", "-e", path])):
        if not shutil.which(command[0]):
            print(f"{name}: missing")
            continue
        rows += [(f"{name}, 1", command, one), (f"{name}, {count}", command, text)]
    printed = {}
    print(f"{path}, debug data: {os.path.getsize(debug) / 1e6:.0f} MB\n")
    print(f"{'':32} {'CPU ms':>10} {'MB':>8}")
    for name, command, stdin in rows:
        seconds, megabytes, printed[name] = measure(command, stdin, environment)
        print(f"{name:32} {seconds * 1000:10.1f} {megabytes:8.1f}")
    if f"llvm-symbolizer, {count}" in printed:
        compare(ours(printed[f"fnprof, {count}"]), llvms(printed[f"llvm-symbolizer, {count}"]))
    shutil.rmtree(cache)


if __name__ == "__main__":
    main()
