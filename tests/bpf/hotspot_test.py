# SPDX-License-Identifier: Apache-2.0
"""Java frames of living JVMs: programs whose stacks are known by construction (HotspotTruth.java) are recorded, and every
stack below their `main` must be one that can be. Each JVM below /usr/lib/jvm is tried, FNPROF_TEST_JVMS adds others
(home folders, separated by colons); HotspotTruth needs one of them with a compiler. FNPROF_E2E_MATRIX=1 adds the
versions that registries have (jvms.py), with --matrix nothing is done without it.

    hotspot_test.py [--quick] [--matrix] [--ms=N] [VERSION...] [PROGRAM...] [WAY...]

prints a line for each JVM, way to run it and program.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

import jvms

HERE = os.path.dirname(os.path.abspath(__file__))
FNPROF = os.environ.get("FNPROF", "build/release/fnprof")
# Until libjvm's tables are there, deep stacks are cut and marked. A program under sanitizers takes long to have them.
START_MS = int(os.environ.get("FNPROF_TEST_START_MS", 0))
T = "HotspotTruth."

LOAD = r"Loader\.(<init>|loadClass(;Loader\.loadClass)?)"

# What may stand below `main` in each program: a regular expression of names joined by semicolons. Native and kernel
# frames may end any of them, and the JVM's own code any Java frame.
CHAINS = {
    "chain": r"chain(;a(;b(;c(;leaf)?)?)?)?",
    "recursion": r"recursion((;deep){0,800}|(;deep){801}(;leaf)?)",
    "churn": r"churn(;tinier(;tiny)?)?",
    "interfaces": r"interfaces(;(Square|Circle|Line)\.area(;leaf)?)?",
    "exceptions": r"exceptions((;thrower){0,6}|;leaf)",
    "callbacks": r"callbacks(;called(;leaf)?)?",
    "copies": r"copies",
    "locks": r"locks(;locked(;leaf)?)?",
    "lambdas": r"lambdas(;\$Lambda\.applyAsInt(;lambda\$lambdas\$0(;leaf)?)?)?",
    "garbage": r"garbage",
    "handles": r"handles(;leaf)?",
    "osr": r"osr",
    "wide": "wide(;\U00020000(;leaf)?)?",
    "reloaded": rf"reloaded(;({LOAD}|Reloaded\.(<init>|run(;(Reloaded\.own|{LOAD}))?)))?",
    "deopts": rf"deopts(;Assumed\.<init>|;drive(;Assumed\.work(;leaf|;surprise(;({LOAD}|Surprise\.<init>"
              rf"(;Assumed\.<init>)?|Surprise\.work(;leaf|;{LOAD})?))?)?)?)?",
    "texts": r"texts(;(compare|search|encode|round))?",
    "virtuals": r"virtualRun(;descend){0,101}|virtualRun(;descend){101};leaf|virtuals",
    "parked": r"parkedRun(;shallow){0,20}|parkedRun(;shallow){1,20};leaf|parked(;eight)?",
    "upcalls": r"upcalls(;prepareUpcalls.*|;(order(;leaf)?|small))?",
    "parts": r"partsRun(;p;q;r)*(;p(;q)?)?(;down|;back(;leaf)?)?|parts(;eight)?",
}
FIRST = {"virtuals": 21, "parts": 21, "parked": 21, "upcalls": 22}  # a program needs this version at least
# How much of a program's samples is in its leaf at least.
LEAF = {"chain": .95, "recursion": .05, "interfaces": .5, "callbacks": .3, "locks": .9, "lambdas": .1, "wide": .5}

QUICK = {"interpreter": ["recursion", "churn", "exceptions"],
         "tiered": ["recursion", "churn", "exceptions", "callbacks", "lambdas", "reloaded", "deopts", "wide", "texts", "virtuals",
                    "parts", "parked", "upcalls"]}

WAYS = {
    "interpreter": ["-Xint"],
    "c1": ["-XX:TieredStopAtLevel=1"],
    "tiered": [],
    "c2": ["-XX:-TieredCompilation"],
    "no inlining": ["-XX:-Inline"],
    "serial": ["-XX:+UseSerialGC"],
    "parallel": ["-XX:+UseParallelGC"],
    "z": ["-XX:+UseZGC"],
    "shenandoah": ["-XX:+UseShenandoahGC"],
    "plain pointers": ["-XX:-UseCompressedOops"],
    "small headers": ["-XX:+UnlockExperimentalVMOptions", "-XX:+UseCompactObjectHeaders"],
    "one code heap": ["-XX:-SegmentedCodeCache"],
}
FIRST_OF_WAY = {"z": 15, "small headers": 25}


def own_frames(names):
    """The program's own frames below main, without suffixes and the class's name; None when main is not in it."""
    bare = [re.sub(r"_\[[a-z0]\]$", "", n) for n in names]
    roots = [at for at, name in enumerate(bare) if name in (T + "main", T + "virtualRun", T + "partsRun", T + "parkedRun")]
    if not roots:
        return None
    at = roots[0] - bare[roots[0]].endswith("Run")
    return [re.sub(r"^HotspotTruth[.$]", "", n) for n in bare[at + 1:] if n.startswith("HotspotTruth")]


def judge(folded, program):
    """(samples of the program, whole, wrong stacks, share in the leaf, unnamed): weights, and examples."""
    allowed = re.compile(CHAINS[program] + "$")
    total = whole = leaf = unnamed = 0
    wrong, cut = {}, {}
    with open(folded, encoding="utf-8") as f:
        for line in f:
            stack, _, weight = line.rstrip("\n").rpartition(" ")
            names, weight = stack.split(";"), int(weight)
            own = own_frames(names)
            started = "JVM_InitializeFromArchive" in stack or "create_vm" in stack or "JLI_" in stack
            if names[0].startswith("[truncated"):
                if not started and (T in stack or "[jvm" in stack or "upcall" in stack or len(names) == 1):
                    total += weight
                    cut[stack] = cut.get(stack, 0) + weight
                continue
            # No marker, and not from its root: cut in silence.
            if own is None and T in stack and T + "<clinit>" not in stack:
                wrong[stack] = wrong.get(stack, 0) + weight
                total += weight
            if own is None:
                continue
            total += weight
            whole += weight
            unnamed += weight if "[jvm+" in stack else 0
            if own and not allowed.match(";".join(own)) and "[jvm+" not in stack:
                wrong[stack] = wrong.get(stack, 0) + weight
            leaf += weight if own and own[-1] == "leaf" else 0
    return total, whole, wrong, leaf, unnamed, cut


def compile_truth(folder):
    for javac in sorted(glob.glob("/usr/lib/jvm/*/bin/javac"), reverse=True):
        done = subprocess.run([javac, "--release", "11", "-d", folder, os.path.join(HERE, "HotspotTruth.java")],
                              capture_output=True, text=True)
        if done.returncode == 0:
            return True
    return False


def run(jvm, classes, program, way, ms):
    """Records one program; what is wrong with it, as a list of texts."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        command = [*jvm.java, *way[1], "-Dsun.reflect.inflationThreshold=100000",
                   "-Djdk.reflect.useNativeAccessorOnly=true", "-cp", classes, "HotspotTruth", program, str(ms)]
        done = subprocess.run([FNPROF, "record", "-F", "999", "-o", out, "--", *command], capture_output=True, text=True)
        files = glob.glob(os.path.join(out, "profiles/*/*.folded"))
        if done.returncode != 0 or not files:
            if re.search("Unrecognized|not supported", done.stdout + done.stderr):
                return []
            return [f"{program}: record failed: {done.stderr.strip()[-300:]}"]
        total, whole, wrong, leaf, unnamed, cut = judge(files[0], program)
    total = max(total, 1)
    print(f"{jvm.name} {way[0]} {program}: {total / 1e6:.0f} ms, whole {whole / total:.2%}, "
          f"wrong {sum(wrong.values()) / total:.2%}, unnamed {unnamed / total:.2%}, leaf {leaf / total:.1%}", flush=True)
    # Which of several inlined methods a leaf is, scopes_truth counts.
    # Short runs on a loaded machine have few samples: six are no share.
    much = max(total * .01, 6e6)
    problems = [f"{program}: may not be: {s}" for s in list(wrong)[:2]] if sum(wrong.values()) > much else []
    if total < ms * 1e5:
        problems.append(f"{program}: hardly any sample")
    if sum(cut.values()) > much + START_MS * 1e6:
        problems += [f"{program}: cut: {s}" for s, _ in sorted(cut.items(), key=lambda x: -x[1])[:3]]
    if unnamed > much:
        problems.append(f"{program}: unnamed {unnamed / total:.2%}")
    # With these collectors C2 puts no poll into a counted loop, so nothing describes what was inlined there.
    if leaf / total < LEAF.get(program, 0) and way[0] not in ("serial", "parallel"):
        problems.append(f"{program}: only {leaf / total:.1%} in the leaf")
    return [f"{jvm.name} {way[0]} {p}"[:1500] for p in problems]


def main(arguments):
    ms, quick = 1500, "--quick" in arguments
    programs = [a for a in arguments if a in CHAINS]
    ways = [w for w in WAYS if w in arguments] or (list(QUICK) if quick else list(WAYS))
    for a in arguments:
        ms = int(a[5:]) if a.startswith("--ms=") else ms
    if os.geteuid() != 0 or ("--matrix" in arguments and not os.environ.get("FNPROF_E2E_MATRIX")):
        print("needs root" if os.geteuid() else "one of the matrix's")
        return 77
    problems = []
    found = jvms.matrix() if os.environ.get("FNPROF_E2E_MATRIX") else jvms.installed()
    wanted = [int(a) for a in arguments if a.isdigit()]
    with tempfile.TemporaryDirectory() as classes:
        if not found or not compile_truth(classes):
            print("no JVM, or no javac, here")
            return 77
        for jvm in found:
            if wanted and jvm.major not in wanted:
                continue
            there = jvms.put(jvm, classes)
            for way in ways:
                for program in programs or (QUICK[way] if quick else CHAINS):
                    if jvm.major >= max(FIRST.get(program, 0), FIRST_OF_WAY.get(way, 0)):
                        problems += run(jvm, there, program, (way, WAYS[way]), ms)
            jvms.take_away(jvm, there)
    for p in problems:
        print("PROBLEM", p)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
