# SPDX-License-Identifier: Apache-2.0
"""Native stacks against the truth: programs whose every possible stack is known by construction are recorded, and each
line of their folded files is held against that. `truth_test.py [-v]`; TRUTH_MS sets how long each program works.

A stack counts as whole when it reaches the thread's first frame; as wrong when it is whole and no way through the
program leads there, or when it was cut, says so, and still has a call in it that the program does not make.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import fnprof_e2e
from fnprof_e2e import MATRIX, Recording, Skip

HERE = pathlib.Path(__file__).parent / "truth"
MS = int(os.environ.get("TRUTH_MS") or (1500 if MATRIX else 200))
WHOLE = 0.995

C_FLAGS = ["-g", "-fomit-frame-pointer"]
VARIANTS = {
    "o2": ["gcc", "-O2"],
    "lto": ["gcc", "-O3", "-flto"],
    "clang": ["clang", "-O2"],
    "lazy": ["gcc", "-O2", "-no-pie", "-Wl,-z,lazy"],
    "static": ["gcc", "-O2", "-static"],
    "staticpie": ["gcc", "-O2", "-static-pie"],
    "musl": ["musl-gcc", "-O2", "-static"],
    "musldyn": ["musl-gcc", "-O2"],
}

# What every C program may show besides its own work: start, end, its clock.
C_START = r"\^( ~)?( main( over)?)?( ~)?( one)?|\^ ~ choose|\$( ~)?"
C_TAIL = "( calls_tail( tail)?( leaf)?)?"
# Own functions below main for each program; `~` is any run of frames of libraries, the dynamic linker or the vdso.
C_WORK = {
    "inline": "do_inline( inlining( between( innermost)?)?)?",
    "recurse400": "do_recurse400(( descend){1,400}|( descend){401}( leaf)?)?",
    "recurse3000": "do_recurse3000(( descend){1,3000}|( descend){3001}( leaf)?)?",
    "tail": "do_tail" + C_TAIL,
    "afterexec": "do_tail" + C_TAIL,
    "aftervfork": "do_tail" + C_TAIL,
    "signal": "do_signal( arm( ~)?)?" + C_TAIL,
    "altsignal": "do_altsignal( ~| arm( ~)?)?" + C_TAIL,
    "qsort": "do_qsort( sort( ~)?( compare( leaf)?)?)?",
    "plt": "do_plt( stubs( ~)?( chosen)?( one)?( leaf)?)?",
    "vdso": "do_vdso( clocks( ~)?)?",
    "longjmp": "do_longjmp( jumps( ~| leaf| last_call( leaf| leave( leaf| ~)?)?)?)?",
    "alloca": "do_alloca(( big_frame){0,3}|( big_frame){4}( with_alloca( leaf| ~)?)?"
              "| aligned_frame( leaf| with_alloca( leaf| ~)?)?)",
    "asm": "do_asm( assembly(( asm_with_cfi| asm_pushes| asm_frame_pointer)( called_by_asm( leaf)?)?| asm_leaf| asm_lies| ~)?)?",
    "threads": "do_threads( ~)?",
    "fork": "do_fork( do_fork)?( ~)?( over)?( in_child( over)?( ~)?)?( ~)?" + C_TAIL,
    "exec": "do_exec( do_exec)?( over)?( other_path)?( ~)?" + C_TAIL,
    "vfork": "do_vfork( other_path)?( ~| leaf)?",
    "dlopen": "do_dlopen( over)?( other_path)?( ~| library_enter( library_inner( leaf)?)?)?",
}
C_STACKS = {name: rf"{C_START}|\^ ~ main {work}( over( ~)?)?" for name, work in C_WORK.items()}
C_STACKS["threads"] += r"|\$( ~)?( in_thread( over( ~)?)?" + C_TAIL + ")?"
for interrupted in ("signal", "altsignal"):
    C_STACKS[interrupted] = rf"({C_STACKS[interrupted]})( ~)?( handler( leaf)?)?"

OTHERS = {
    "truth_cc": (["g++", "-O2", *C_FLAGS, "truth.cc", "-pthread"],
                 r"[\^$]( ~)?( main)?( ~)?|[\^$] ~( main)?( ~)? work( over)?( ~)?"
                 r"( sorted( ~)?( in_order( leaf)?)?|( try_it)( square::area){0,13}( ~)?( leaf)?)?( ~)?"),
    "truth_cc_lto": (["g++", "-O3", "-flto", *C_FLAGS, "truth.cc", "-pthread"], "as truth_cc"),
    "truth_rs": (["rustc", "-O", "-g", "-C", "force-frame-pointers=no", "truth.rs"],
                 r"[\^$]( ~)?( main)?( ~)?|[\^$] ~( main)?( ~)?( truth_rs::main)?( ~)?( truth_rs::main::\{\{?closure\}?\}\S*)?( ~)?"
                 r"( truth_rs::work( ~)?"
                 r"(( truth_rs::descend){1,40}( ~)?|( truth_rs::descend){41}( ~)?( truth_rs::leaf( ~)?)?"
                 r"| truth_rs::sorted( ~)?( truth_rs::in_order( ~)?( truth_rs::leaf( ~)?)?)?"
                 r"|( truth_rs::work::\{\{?closure\}?\}\S*)?( ~)?( truth_rs::thrower){0,6}( ~)?( truth_rs::leaf)?( ~)?)?)?"),
    "truth_go": (["go", "build", "truth.go"],
                 r"[\^$]( ~)?|\^( ~)?( main.main| main.main.func1)?( ~)?( main.work( ~)?"
                 r"(( main.descend){0,40}( ~)?|( main.descend){41}( main.leaf)?( ~)?"
                 r"| main.sorted( ~)?(( main.\(?\*?numbers\)?\.\w+){1,2}( ~)?( main.leaf)?)?( ~)?"
                 r"| main.catcher( ~)?( main.thrower){0,6}( main.leaf)?( ~)?( main.catcher.func1)?( ~)?| main.leaf( ~)?)?)?"),
}
OTHERS["truth_go_stripped"] = (["go", "build", "-ldflags=-s -w", "truth.go"], OTHERS["truth_go"][1])
OTHERS["truth_cc_lto"] = (OTHERS["truth_cc_lto"][0], OTHERS["truth_cc"][1])

C_OWN = {"main", "leaf", "descend", "tail", "inlining", "between", "innermost", "calls_tail", "handler", "compare", "sort",
         "one", "choose", "chosen", "stubs", "clocks", "leave", "last_call", "jumps", "with_alloca", "big_frame",
         "aligned_frame", "asm_with_cfi", "asm_leaf", "asm_lies", "asm_pushes", "asm_frame_pointer", "called_by_asm", "assembly",
         "over", "arm", "in_thread", "in_child", "other_path", "library_enter", "library_inner", "in_order", "sorted",
         "try_it", "work", "square::area"}
OWN = re.compile("|".join(f"do_{name}" for name in C_WORK) + r"|truth_rs::\S+|main\.\S+|" + "|".join(map(re.escape, sorted(C_OWN))))
SUFFIX = re.compile(r"_\[[ij0a]\]$")
FIRST_THREAD = re.compile(r"_start|_dl_start_user|_rt0_amd64_linux|runtime\.(goexit|mcall|systemstack|morestack|mstart|rt0_go|asmcgocall)(\.abi0)?")
OTHER_THREAD = re.compile(r"__?clone3?|clone3?|thread_start|\[(libc|ld-musl)[^;]*\]|runtime\.(clone|mstart|goexit)(\.abi0)?")


class Stack:
    """A line of a folded file, as the patterns see it: `^ ~ main do_tail leaf`."""

    def __init__(self, frames):
        self.frames = frames
        self.marker = frames[0] if frames[0].startswith("[truncated") else None
        user = [SUFFIX.sub("", f) for f in frames[bool(self.marker):] if not f.endswith("_[k]")]
        # The shell that starts the programs, until exec; and what has no user memory (yet, or no longer).
        self.no_program = not user or re.match(r"\[?(dash|bash|busybox)\b", user[0])
        words = []
        for at, frame in enumerate(user):
            if at == 0 and not self.marker and FIRST_THREAD.fullmatch(frame):
                words.append("^")
            elif at == 0 and not self.marker and OTHER_THREAD.fullmatch(frame):
                words.append("$")
            elif OWN.fullmatch(frame):
                words.append(frame)
            elif not words or words[-1] != "~":
                words.append("~")
        self.words = words
        self.text = " ".join(words)


class Tally:
    """The samples of one program. Stacks come with their times, so that counts are of samples, not of lines."""

    def __init__(self, pattern, deep=False):
        self.pattern, self.deep = re.compile(pattern), deep
        self.whole = self.cut = 0
        self.wrong, self.markers = collections.Counter(), collections.Counter()
        self.pairs = set()
        self.cut_stacks = []

    def add(self, frames, weight):
        stack = Stack(frames)
        if stack.no_program and not stack.marker:
            self.whole += weight
        elif stack.marker:
            self.cut_stacks.append((stack, weight))
        elif self.pattern.fullmatch(stack.text):
            self.whole += weight
            self.pairs.update(zip(stack.words, stack.words[1:]))
        else:
            self.wrong[";".join(frames)] += weight

    def finish(self):
        """Stacks that were cut must not show a call that no whole stack shows."""
        for stack, weight in self.cut_stacks:
            if self.deep and re.fullmatch(r"(descend )*descend( leaf)?", stack.text):
                self.whole += weight
                continue
            strange = [pair for pair in zip(stack.words, stack.words[1:]) if pair not in self.pairs]
            if strange and not self.pattern_has(strange):
                self.wrong[";".join(stack.frames)] += weight
            self.cut += weight
            self.markers[";".join(stack.frames)] += weight

    def pattern_has(self, pairs):
        return all(re.search(rf"{re.escape(a)}\b.*{re.escape(b)}\b", self.pattern.pattern) for a, b in pairs)

    @property
    def all(self):
        return self.whole + self.cut + sum(self.wrong.values())


def run(*argv, **how):
    return subprocess.run([str(a) for a in argv], check=True, cwd=HERE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, **how)


class Truth(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="fnprof-truth-"))
        os.chmod(cls.scratch, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.scratch, ignore_errors=True)

    def build(self, variant):
        """The C programs of a variant, a name each; a list of commands."""
        compiler, *flags = VARIANTS[variant]
        if not shutil.which(compiler):
            raise Skip(f"no {compiler} here")
        folder = self.scratch / variant
        folder.mkdir()
        run(compiler, *flags, *C_FLAGS, "truth.c", "assembly.S", "-o", folder / f"tail.{variant}", "-ldl", "-lpthread")
        names = [name for name in C_WORK if not (name == "dlopen" and variant in ("static", "staticpie", "musl"))]
        for name in names:
            if name != "tail":
                os.link(folder / f"tail.{variant}", folder / f"{name}.{variant}")
        if "dlopen" in names:
            shared = [f for f in flags if f not in ("-no-pie",)]
            run(compiler, *shared, *C_FLAGS, "-fno-optimize-sibling-calls", "-shared", "-fPIC", "library.c", "-o",
                folder / f"library.{variant}")
        return [f"{folder}/{name}.{variant} {MS}" for name in names if not name.startswith("after")]

    def record(self, commands, unshare=()):
        script = self.scratch / "run.sh"
        script.write_text("\n".join(commands) + "\n")
        with Recording("-F", 1997, cmd=[*unshare, "/bin/sh", script]) as recording:
            self.assertEqual(recording.wait(600), 0, recording.stderr)
            rows = recording.rows
            stacks = collections.defaultdict(list)
            for row in rows:
                weight = row["sampled_ns"] / max(row["samples"], 1)
                for frames, ns in recording.folded(row).items():
                    stacks[row["function"]].append((frames, ns / weight if weight else 0))
            self.assertEqual(recording.summary["losses"], {}, "no tick is lost")
        return stacks

    def hold(self, title, tallies, least=WHOLE):
        """Prints a line for each program, and asserts the two figures of the whole."""
        total = whole = 0
        problems = []
        for name, tally in tallies.items():
            tally.finish()
            self.assertGreater(tally.all, 5, f"{name} has hardly a sample")
            total, whole = total + tally.all, whole + tally.whole
            for stack, n in tally.wrong.most_common(4):
                problems.append(f"wrong {n:.0f}x in {name}: {stack[-900:]}")
            for text, n in tally.markers.most_common(2):
                print(f"    cut {n:5.0f} of {tally.all:5.0f} in {name}: {text[:150]}", flush=True)
        wrong = sum(sum(t.wrong.values()) for t in tallies.values())
        print(f"{title}: {total:.0f} samples, {100 * whole / total:.2f} % whole, {wrong:.0f} wrong", flush=True)
        self.assertEqual(wrong, 0, "\n".join(problems[:12]))
        self.assertGreaterEqual(whole, least * total, f"{title}: whole stacks")

    def check_variant(self, variant, unshare=()):
        stacks = self.record(self.build(variant), unshare)
        tallies = {}
        for function, lines in stacks.items():
            name, _, suffix = function.partition(".")
            if suffix != variant or name not in C_STACKS:
                continue
            pattern = C_STACKS[name]
            if name == "aftervfork":  # what was done between vfork and exec is the child's
                pattern += f"|{C_STACKS['vfork']}"
            tally = tallies[function] = Tally(pattern, deep=name == "recurse3000")
            for frames, n in lines:
                tally.add(frames, n)
        self.assertGreaterEqual(len(tallies), len(C_WORK) - 3, list(stacks))
        self.hold(f"C, {' '.join(VARIANTS[variant])}{' in namespaces' if unshare else ''}", tallies)

    def check_other(self, name):
        command, pattern = OTHERS[name]
        if not shutil.which(command[0]):
            raise Skip(f"no {command[0]} here")
        output = ["-o", self.scratch / name]
        run(*(command[:2] + output + command[2:] if command[0] == "go" else command + output))
        stacks = self.record([f"{self.scratch}/{name} {max(MS * 3, 1000)}"])
        tally = Tally(pattern)
        for frames, n in stacks[name]:
            tally.add(frames, n)
        self.hold(" ".join(command), {name: tally})


def add_tests():
    for variant in VARIANTS:
        setattr(Truth, f"test_c_{variant}", lambda self, v=variant: self.check_variant(v))
    for name in OTHERS:
        setattr(Truth, f"test_{name}", lambda self, n=name: self.check_other(n))

    def in_namespaces(self):
        VARIANTS["ns"] = VARIANTS["o2"]
        self.check_variant("ns", ["unshare", "-m", "-p", "-f", "--mount-proc"])
    Truth.test_c_in_mount_and_pid_namespaces = in_namespaces


add_tests()

if __name__ == "__main__":
    assert sys and unittest
    fnprof_e2e.main()
