#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names of addresses beside peers, as a table.

usage: symbols_peers.py FNPROF OBJECT [COUNT]

Asks `fnprof inspect symbols`, llvm-symbolizer, addr2line and eu-addr2line for one address and for COUNT (10,000)
random addresses of OBJECT's .text: CPU time and largest memory of each program, one after the other in one run. The
separate debug file is looked up by build id, as all of them do; fnprof's first row fills its cache of decompressed
sections, the others have it. Then the answers are compared with llvm-symbolizer's, address by address.
"""

import collections
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


def spelled(name):
    """A name as we write it: what compilers and the linker add, and what llvm-symbolizer has other words for."""
    name = re.sub(r"@@?\w[\w.]*$|(\.(part|constprop|isra|cold|lto_priv|llvm)(\.\d+)*)+$", "", name)
    if re.search(r"::h[0-9a-f]{16}$", name):  # Rust's older mangling, which it leaves as it is
        name = re.sub(r"::h[0-9a-f]{16}$", "", name)
        for code, text in (("LT", "<"), ("GT", ">"), ("LP", "("), ("RP", ")"), ("C", ","), ("BP", "*"), ("RF", "&")):
            name = name.replace(f"${code}$", text)
        name = re.sub(r"\$u([0-9a-f]+)\$", lambda m: chr(int(m[1], 16)), name).replace("..", "::")
        name = re.sub(r"(^|::)_([<{[])", r"\1\2", name)
    name = re.sub(r"{lambda(\([^{}]*\))#\d+}|'lambda\d*'(\([^{}']*\))", lambda m: "lambda" + (m[1] or m[2]), name)
    while (at := name.find("&(")) >= 0:  # a template argument that is a function: `&(f(int))` where others write `&f`
        depth, end = 0, at + 1
        for end in range(at + 1, len(name)):
            depth += (name[end] == "(") - (name[end] == ")")
            if depth == 0:
                break
        name = name[:at + 1] + plain(name[at + 2:end]) + name[end + 1:]
    return name.replace("> >", ">>").replace("> >", ">>")


def reason(our, their, addresses):
    """Why two chains of one address differ; "" when they do not."""
    if our == their:
        return ""
    if not their[-1][0] and not our[-1][0]:
        return ""  # padding, in no function for both
    if len(our) != len(their):
        return "another number of inlined callers"
    if any(a[1] != b[1] for a, b in zip(our, their)):
        return "another line"
    unlike = [(a[0], b[0]) for a, b in zip(our, their) if a[0] != b[0]]
    if all(b.startswith("_Z") or spelled(a) == spelled(b) for a, b in unlike):
        return SPELLING
    if all(addresses.get(spelled(a), set()) & addresses.get(spelled(b), set()) for a, b in unlike):
        return ALIAS
    if not our[-1][0]:
        return "in no function, for us: behind the end of one"
    return "another name"


SPELLING = "llvm-symbolizer spells it otherwise, or cannot demangle it"
ALIAS = "an alias: both names are symbols of this address; ours is the debug data's"


def addresses_of(path):
    """Where each symbol lies, by name; a name may stand at several."""
    found = collections.defaultdict(set)
    for line in (output_of("nm", "-C", path) + output_of("nm", "-DC", path)).splitlines():
        words = line.split(None, 2)
        if len(words) == 3:
            found[plain(spelled(words[2]))].add(words[0])
    return found


def compare(our_blocks, their_blocks, path):
    """Prints how many addresses have the same answer, and why others have not. Share of those that have."""
    addresses = addresses_of(path)
    reasons = collections.Counter(reason(our, their, addresses) for our, their in zip(our_blocks, their_blocks))
    equal, total = reasons.pop("", 0), len(their_blocks)
    same = (equal + reasons[SPELLING] + reasons[ALIAS]) / total
    print(f"\n{100 * same:.2f} % of {total} addresses as llvm-symbolizer names them, with lines and inlined callers; "
          f"{equal} letter by letter, and")
    for why, n in reasons.most_common():
        print(f"  {n:5} {why}")
    return same


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
        same = compare(ours(printed[f"fnprof, {count}"]), llvms(printed[f"llvm-symbolizer, {count}"]), debug)
        if same < 0.995:
            sys.exit("fewer than 99.5 % are the same")
    shutil.rmtree(cache)


if __name__ == "__main__":
    main()
