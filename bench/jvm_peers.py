#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Java stacks beside async-profiler 4.5 (Maven's tools.profiler:async-profiler), both in one run of each program of
tests/bpf/HotspotTruth.java: shares of samples in the program whose whole chain is there, and of those with a chain that
cannot be.

    jvm_peers.py [--ms=N] [--matrix] [--one-mode] [--show] [VERSION...] [PROGRAM...] [WAY...]

    needs root, FNPROF and mvn

WAYs are hotspot_test.py's; without one a program runs as it comes. --matrix: with the versions that registries have;
--one-mode: async-profiler as it comes alone, not in its mode `vm`, too; --show: the stacks that are cut or wrong.

Of async-profiler a stack of the program's thread counts as cut when it names the program but not its main, or is one
of its own words for "could not be walked". Of fnprof it is what hotspot_test.py says.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TREE, "tests/bpf"))
import hotspot_test as truth  # noqa: E402
import jvms  # noqa: E402
import prepare  # noqa: E402

VERSION = "4.5"
MODES = {"async-profiler": "", "async-profiler vm": ",cstack=vm"}
PROGRAMS = ["chain", "recursion", "churn", "exceptions", "callbacks", "lambdas", "handles", "wide", "reloaded", "deopts",
            "virtuals", "parts", "parked", "upcalls"]
LOST = re.compile(r"unknown_Java|not_walkable|break_|skipped_frames|\[deoptimization\]$|thread_exit|unknown_state|GC_active")

LAMBDA = re.compile(r"\$\$Lambda[.+/$](0x[0-9a-f]+|[0-9]+)")  # its own way to write them, not a wrong name


def library():
    with prepare.made_once(f"async-profiler-{VERSION}") as (folder, is_new):
        if is_new:
            maven, artifact = prepare.find_command("mvn"), f"tools.profiler:async-profiler:{VERSION}"
            prepare.run([maven, "-q", "-B", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"])
            prepare.run([maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"])
            with zipfile.ZipFile(next(folder.glob("*.jar"))) as archive:
                archive.extract("linux-x64/libasyncProfiler.so", folder)
    return str(folder / "linux-x64/libasyncProfiler.so")


def judge_async(path, program):
    """(samples, whole, wrong) of the program's own thread."""
    allowed = re.compile(truth.CHAINS[program] + "$")
    total = whole = wrong = 0
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            stack, _, weight = line.rstrip("\n").rpartition(" ")
            names, weight = LAMBDA.sub("$$Lambda", stack).split(";"), int(weight)
            own = truth.own_frames(names)
            if own is None:
                mine = program in truth.FIRST or names[0].startswith("[main ")
                if mine and (truth.T in stack or LOST.search(stack)):
                    total += weight
                continue
            total += weight
            lost = LOST.search(stack)
            whole += 0 if lost else weight
            wrong += weight if not lost and own and not allowed.match(";".join(own)) else 0
    return total, whole, wrong


def run(jvm, classes, program, way, options):
    """One line for each mode: how async-profiler and fnprof saw the same run."""
    for mode in list(MODES)[:1 if options["one_mode"] else None]:
        # Where the JVM sees it, which may have another root.
        collapsed = f"{classes}/collapsed"
        agent = (f"-agentpath:{classes}/libasyncProfiler.so=start,event=cpu,interval=1ms,threads,dot,collapsed,"
                 f"file={collapsed}{MODES[mode]}")
        with tempfile.TemporaryDirectory() as scratch:
            out = os.path.join(scratch, "out")
            done = subprocess.run([truth.FNPROF, "record", "-F", "999", "-o", out, "--", *jvm.java, *truth.WAYS.get(way, []),
                                   agent, "-Dsun.reflect.inflationThreshold=100000",
                                   "-Djdk.reflect.useNativeAccessorOnly=true", "-cp", classes, "HotspotTruth", program,
                                   str(options["ms"])], capture_output=True, text=True)
            files = glob.glob(os.path.join(out, "profiles/*/*.folded"))
            name = f"{jvm.name} {way} {program}"
            if done.returncode != 0 or not files or not os.path.exists(jvm.root + collapsed):
                if not re.search("Unrecognized|not supported", done.stdout + done.stderr):
                    print(f"{name}: could not be run: {(done.stderr or done.stdout).strip()[-200:]}", flush=True)
                return
            total, whole, wrong, _, unnamed, cut = truth.judge(files[0], program)
            peer = judge_async(jvm.root + collapsed, program)
            os.unlink(jvm.root + collapsed)
        print(f"{name}: fnprof {whole / max(total, 1):.2%} whole, {sum(wrong.values()) / max(total, 1):.2%} "
              f"wrong, {unnamed / max(total, 1):.2%} unnamed of {total / 1e6:.0f} ms; {mode} "
              f"{peer[1] / max(peer[0], 1):.2%} whole, {peer[2] / max(peer[0], 1):.2%} wrong of {peer[0]}", flush=True)
        for what, stacks in (("wrong", wrong), ("cut", cut)) if options["show"] else ():
            for stack, weight in sorted(stacks.items(), key=lambda x: -x[1])[:3]:
                print(f"    {what} {weight / 1e6:.0f} ms: {stack[:1000]}", flush=True)


def main(arguments):
    ms = next((int(a[5:]) for a in arguments if a.startswith("--ms=")), 1000)
    options = {"ms": ms, "one_mode": "--one-mode" in arguments, "show": "--show" in arguments}
    wanted = [int(a) for a in arguments if a.isdigit()]
    ways = [w for w in truth.WAYS if w in arguments] or ["tiered"]
    with tempfile.TemporaryDirectory() as classes:
        truth.compile_truth(classes)
        shutil.copy(library(), classes)
        for jvm in jvms.matrix() if "--matrix" in arguments else jvms.installed():
            if wanted and jvm.major not in wanted:
                continue
            there = jvms.put(jvm, classes)
            for way in ways:
                for program in [a for a in arguments if a in truth.CHAINS] or PROGRAMS:
                    if jvm.major >= max(truth.FIRST.get(program, 0), truth.FIRST_OF_WAY.get(way, 0)):
                        run(jvm, there, program, way, options)
            jvms.take_away(jvm, there)


if __name__ == "__main__":
    main(sys.argv[1:])
