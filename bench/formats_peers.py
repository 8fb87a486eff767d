#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encoding of profiles beside its peers, as a table.

usage: formats_peers.py FORMATS_BENCH [TIMES]

FORMATS_BENCH (build/release/bench/formats_bench) encodes 10,000 stacks of 30 frames and leaves the profile; Google's
Go encoder reads that very file and writes it again; stackcollapse-perf.pl and inferno-collapse-perf, where they are
installed, fold the same stacks as `perf script` prints them (which they must also parse, unlike us). All figures are
CPU time, got one after the other in one run; the results are compared. A peer that cannot be had is named as missing.
"""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
STACKS = 10000
TARGET_FOLDED = 2e6  # samples/s


def cache(name):
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(base) / "fnprof-dev" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def check(truth, text):
    if not truth:
        raise SystemExit("formats_peers: wrong result: %s" % text)


def ours(program, times, directory):
    """{name: (ns, samples, bytes)}"""
    out = subprocess.run([program, times, directory], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = {}
    for line in out.splitlines():
        name, *numbers = line.split()
        rows[name] = tuple(int(n) for n in numbers)
    return rows


def google(times, directory):
    """The Go encoder's row, or why there is none."""
    where = cache("go")
    program = where / "bin" / "formats_go"
    environment = dict(os.environ, GOPATH=str(where), GOFLAGS="-modcacherw")
    if not shutil.which("go"):
        return None, "no go here"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."],
        cwd=str(HERE / "formats_go"),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    if built.returncode != 0:
        return None, built.stderr.strip().splitlines()[-1]
    out = subprocess.run(
        [str(program), str(directory / "bench.pb.gz"), times], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [int(n) for n in out.split()], ""


def collapse(program, directory):
    """CPU nanoseconds of one run over the text of `perf script`; its lines must be as many stacks as there are."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(directory / "bench.perf", "rb") as stdin:
        out = subprocess.run([program], stdin=stdin, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = sum(int(line.rsplit(b" ", 1)[1]) for line in out.splitlines())
    check(total in (STACKS, STACKS * 10101010), "%s sums to %d" % (program, total))  # samples, or their periods
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(seconds * 1e9), len(out)


def find(name, *places):
    return shutil.which(name) or next((str(p) for p in places if pathlib.Path(p).exists()), None)


def row(name, ns, samples, size, ratio=""):
    print(
        "%-34s %10.3f ms %12.0f /s %12s %10s" % (name, ns / 1e6, samples * 1e9 / ns, "{:,}".format(size) if size else "-", ratio)
    )


def main(arguments):
    if len(arguments) not in (1, 2):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    times = arguments[1] if len(arguments) > 1 else "20"
    missing = []
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        rows = ours(arguments[0], times, name)
        print("Encoding 10,000 stacks of 30 frames; CPU time of one encoding, mean of %s; x = peer / ours" % times)
        print("%-34s %13s %15s %12s %10s" % ("", "CPU time", "samples", "bytes", ""))
        row("fnprof folded", *rows["folded"], "target 2 M/s" if rows["folded"][1] * 1e9 / rows["folded"][0] >= TARGET_FOLDED else "BELOW 2 M/s")
        for peer, program in (
            ("stackcollapse-perf.pl", find("stackcollapse-perf.pl")),
            ("inferno-collapse-perf", find("inferno-collapse-perf", cache("inferno") / "bin" / "inferno-collapse-perf")),
        ):
            if program:
                ns, size = collapse(program, directory)
                row(peer + " (with parsing)", ns, STACKS, size, "%.1f x" % (ns / rows["folded"][0]))
            else:
                missing.append("%s is not installed" % peer)
        row("fnprof pprof, gzip", *rows["pprof"])
        peer, why = google(times, directory)
        if peer:
            samples, total, packed, packed_size, plain, plain_size, parse = peer
            check(samples == STACKS and total == STACKS * 10101010, "Go reads %d samples, sum %d" % (samples, total))
            check(rows["pprof-plain"][2] == plain_size, "Go writes %d bytes, we %d" % (plain_size, rows["pprof-plain"][2]))
            check(rows["pprof"][2] < 1.1 * packed_size, "our gzip has %d bytes, Go's %d" % (rows["pprof"][2], packed_size))
            row("Google's Go encoder, gzip", packed, STACKS, packed_size, "%.1f x" % (packed / rows["pprof"][0]))
        row("fnprof pprof, plain", *rows["pprof-plain"])
        if peer:
            row("Google's Go encoder, plain", plain, STACKS, plain_size, "%.1f x" % (plain / rows["pprof-plain"][0]))
        row("fnprof pprof, read back", *rows["pprof-read"])
        if peer:
            row("Google's Go decoder", parse, STACKS, packed_size, "%.1f x" % (parse / rows["pprof-read"][0]))
        else:
            missing.append("Google's Go encoder: %s" % why)
        for name, label in (
            ("build", "fnprof, building the profile"),
            ("speedscope", "fnprof speedscope"),
            ("flamegraph", "fnprof flamegraph"),
            ("folded-small", "fnprof folded, 12 stacks"),
            ("pprof-small", "fnprof pprof gzip, 12 stacks"),
        ):
            row(label, *rows[name])
    for text in missing:
        print("MISSING: " + text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
