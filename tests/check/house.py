#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can hold, over the files that git knows of.

usage: house.py [ROOT]      prints FILE:LINE: what is wrong; exits 1 when anything is

One function a rule: it takes the tree and yields findings. A rule has a test in house_test.py that breaks it.
"""
import pathlib
import re
import subprocess
import sys

# Who may include whom: from a place in the tree to the places that it may name. A place is the longest of these
# prefixes that a path begins with; what is not below any of them (tests, bench, examples) is free.
# Inside profiler/ each place may also name all that stand on its own step or below.
PROFILER_STEPS = [
    ["profiler/main"],
    ["profiler/commands"],
    ["profiler/demo"],
    ["profiler/session"],
    ["profiler/watch", "profiler/watch_begin", "profiler/watch_exits", "profiler/watch_records", "profiler/watch_state",
     "profiler/launch", "profiler/loading"],
    ["profiler/collectors", "profiler/samples", "profiler/profiles", "profiler/places", "profiler/probes",
     "profiler/probe_meanings",
     "profiler/probe_plan", "profiler/span_names", "profiler/spans", "profiler/runtimes", "profiler/jit_names",
     "profiler/runtime_layouts", "profiler/rings",
     "profiler/ring_reader",
     "profiler/stack_table", "profiler/output"],
    ["profiler/sources", "profiler/invocations", "profiler/targets"],
    ["profiler/records", "profiler/features"],
    ["profiler/rate"],
]
OUTSIDE = {
    "base": ["base"],
    "formats": ["base", "formats"],
    "symbolizer": ["base", "symbolizer", "bpf/layout"],
    "bpf": ["bpf"],
    "profiler": ["base", "formats", "symbolizer", "bpf"],
}
# The one way up: a collector, a source, ... is handed what it needs by a table; nothing is listed here without a
# sentence in the file that includes.
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')

COMMENTED = {".c", ".h", ".py", ".sh", ".js", ".mjs", ".go", ".java", ".css", ".S"}
SPDX = re.compile(r"SPDX-License-Identifier: (Apache-2\.0 OR GPL-2\.0-only|Apache-2\.0|GPL-2\.0-only)\b")

# A machine's own paths, and the places where packages come from: both are nobody's business but the machine's.
LOCAL = re.compile(
    r"(?<![\w./-])/(?:work|root|home/(?!USER\b|user\b|\$)[a-z][\w-]*)/[\w.]"
    r"|\b(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|repo1?\.maven\.org"
    r"|proxy\.golang\.org|deb\.debian\.org|static\.crates\.io)\b"
)
LOCAL_FREE = ("tests/check/", "tests/fuzz/corpus/")


class Tree:
    """The files of a work tree that git tracks, or would."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        out = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True).stdout
        self.names = sorted(n for n in out.decode().split("\0") if n and (self.root / n).is_file())

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")


def place_of(path, places):
    """The longest of `places` that `path` stands in; a file's place is also its name without the suffix."""
    bare = path.split(".")[0]
    found = [p for p in places if path.startswith(p + "/") or bare == p]
    return max(found, key=len, default=None)


def profiler_step(path):
    for number, places in enumerate(PROFILER_STEPS):
        if place_of(path, places):
            return number
    return None


def may_include(source, target):
    """None when it may, else why not."""
    source_place = place_of(source, OUTSIDE)
    target_place = place_of(target, OUTSIDE)
    if source_place is None or target_place is None:
        return None
    if source_place == "profiler" and target_place == "profiler":
        own, other = profiler_step(source), profiler_step(target)
        # A file that has no place yet (a helper beside main.c) stands at the top: it may name all, and only the
        # top may name it.
        own, other = own or 0, other or 0
        return None if own <= other else "profiler/ is included downwards only"
    if place_of(target, OUTSIDE[source_place]):
        return None
    return f"{source_place}/ may include only {', '.join(p + '/' for p in OUTSIDE[source_place])}"


def includes(tree):
    for name in tree.names:
        if not name.endswith((".c", ".h")):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            beside = pathlib.PurePosixPath(name).parent / match.group(1)
            target = str(beside) if (tree.root / beside).is_file() else match.group(1)
            if ".." in target.split("/"):
                yield f"{name}:{number}: include by the path from the top of the tree, not by '..'"
                continue
            why = may_include(name, target)
            if why:
                yield f"{name}:{number}: includes {target}: {why}"


def licences(tree):
    for name in tree.names:
        text = tree.text(name)
        head = "\n".join(text.splitlines()[:5])
        if pathlib.PurePosixPath(name).suffix not in COMMENTED and not text.startswith("#!"):
            continue
        if name.startswith("tests/fuzz/corpus/"):
            continue
        match = SPDX.search(head)
        if not match:
            yield f"{name}:1: no SPDX-License-Identifier in the first five lines"
            continue
        in_kernel = (name.startswith("bpf/") and name.endswith((".c", ".h"))) or name.endswith(".bpf.c")
        if in_kernel and "GPL-2.0-only" not in match.group(1):
            yield f"{name}:1: bpf/ is GPL-2.0-only (what both sides read: Apache-2.0 OR GPL-2.0-only)"
        if not in_kernel and match.group(1) != "Apache-2.0":
            yield f"{name}:1: outside bpf/ the licence is Apache-2.0"


def local_words(tree):
    for name in tree.names:
        if name.startswith(LOCAL_FREE):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            match = LOCAL.search(line)
            if match:
                yield f"{name}:{number}: names this machine's paths or a registry's host: {match.group(0)}"


LITERALS = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*(?:PRI\w+\s*)?"(?:[^"\\\n]|\\.)*")*')
PLACEHOLDER = re.compile(r"%[-+ #0-9.*]*(?:hh|h|ll|l|z|j)?[a-z]")


def messages(tree):
    """All string literals of the program, with an ellipsis for each conversion."""
    found = set()
    for name in tree.names:
        if name.endswith((".c", ".h")) and not name.startswith(("tests/", "bench/", "bpf/", "examples/")):
            for literal in LITERALS.findall(tree.text(name)):
                text = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', literal)).replace('\\"', '"')
                found.add(PLACEHOLDER.sub("\u2026", text))
    return found


def headings_are_messages(tree):
    """A search for what the program said must find its cure: each heading of the third order is a message."""
    page = "docs/troubleshooting.md"
    if page not in tree.names:
        return
    known = messages(tree)
    for number, line in enumerate(tree.text(page).splitlines(), 1):
        if line.startswith("### ") and not any(line[4:] in message for message in known):
            yield f"{page}:{number}: the program has no such message: {line[4:]}"


RULES = [includes, licences, local_words, headings_are_messages]


def main():
    tree = Tree(sys.argv[1] if len(sys.argv) > 1 else ".")
    findings = [finding for rule in RULES for finding in rule(tree)]
    for finding in findings:
        print(finding)
    print(f"house rules: {len(tree.names)} files, {len(findings)} findings")
    return 1 if findings or not tree.names else 0


if __name__ == "__main__":
    sys.exit(main())
