# SPDX-License-Identifier: Apache-2.0
"""The runtimes' own events against what the runtimes say of themselves: collections exactly by number and within 5 % by
time, imports and classes by name.

usage: events_test.py RUNTIME (python3.11 is Debian's, which has probes; other versions have none; nodeN, javaN; javaN-COLLECTOR with Serial, Parallel, Shenandoah
or Z, javaN without one is G1)
"""
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import fnprof_e2e as e2e
import prepare
sys.path.insert(0, str(e2e.TREE / "tests/bpf"))
import jvms  # noqa: E402

NAME = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "python3.11"

PYTHON = """
import gc, json, sys, time
told, began = [], []
def note(phase, info):
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    if phase == "start":
        began.append(now)
    else:
        told.append((info["generation"], began.pop(), now))
gc.callbacks.append(note)
sys.audit("fnprof.begin", "filling")
kept = [[i] for i in range(300000)]
sys.audit("fnprof.end", "filling")
gc.collect()
gc.callbacks.clear()
import decimal, xml.dom.minidom
try:
    import no_such_module
except ImportError:
    pass
sys.audit("fnprof.mark", "done")
json.dump({"gc": told, "modules": sorted(sys.modules)}, open(sys.argv[1], "w"))
"""

NODE = """
let kept = [];
for (let i = 0; i < 3000000; i++) { const o = {a: i, b: [i]}; if (i % 20 == 0) kept.push(o); }
kept = null;
global.gc();
require('./lib/first.js');
"""
NODE_FILES = {"lib/first.js": "exports.b = require('second');", "node_modules/second/index.js": "exports.a = 1;",
              "module.mjs": "import './other.mjs';\nimport 'second';", "other.mjs": "export const a = 1;"}

JAVA = """
public class Fill {
    static volatile Object sink;
    public static void main(String[] arguments) throws Exception {
        var kept = new java.util.ArrayList<byte[]>();
        for (int i = 0; i < 400000; i++) { byte[] b = new byte[1024]; sink = b; if (i % 40 == 0) kept.add(b); }
        System.gc();
        Class.forName("java.util.concurrent.ConcurrentSkipListMap");
    }
}
"""

# Names of HotSpot's operations that are collections.
GC_STOP = re.compile("GC|Collect|Shenandoah|^Z|Mark|Pause|Remark|Cleanup|XMark|Relocate")


def find_jvm(version):
    """A JDK of this version that tells something: with probes, as Debian and Temurin build it."""
    found = [jvm for jvm in jvms.installed() if jvm.major == int(version)]
    root = prepare.CACHE / "debian-unstable-jvms"
    home = f"/usr/lib/jvm/java-{version}-openjdk-amd64"
    if not found and os.path.exists(f"{root}{home}/bin/java"):
        found = [jvms.Jvm(home, str(root))]
    if not found:
        raise e2e.Skip(f"no JDK {version} here")
    return found[0]


class Events(e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnprof-events-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder], check=True))

    def record(self, cmd, env=None):
        """What was told, by kind; standard output."""
        with e2e.Recording(cmd=cmd, env=env, cwd=self.folder, live=False) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            self.assert_directory_is_whole(recording)
            events = [event for row in recording.rows if "events" in row
                      for event in e2e.read_lines(recording.dir / row["events"])]
            for row in recording.rows:
                self.assertNotIn("events_lost", row)
        by_kind = {}
        for event in sorted(events, key=lambda one: one["t_ns"]):
            by_kind.setdefault(event["what"], []).append(event)
        return by_kind, recording.stdout

    def compare_pauses(self, events, truth_ms, stopped_ms=None):
        """`stopped_ms`: for how long threads stood still for it, where the runtime tells that, too: a little longer than what
        it calls its pause."""
        self.assertEqual(len(events), len(truth_ms))
        ours = sum(event["duration_ns"] for event in events) / 1e6
        print(f"{NAME}: {len(events)} collections, {ours:.1f} ms; it says {sum(truth_ms):.1f} ms")
        if stopped_ms and ours > sum(truth_ms):
            print(f"{NAME}: threads stood still for {stopped_ms:.1f} ms")
            self.assertLess(ours, 1.05 * max(stopped_ms, sum(truth_ms)) + 0.05 * len(truth_ms))
            return
        self.assert_near(ours, sum(truth_ms), 0.05, "time of collections in ms", slack=0.05 * len(truth_ms))

    def compare_python(self, events, truth, how):
        """Truth: the callbacks' times, which stand inside of the probes, and around what is probed where a build has none."""
        first, last = truth["gc"][0][1], truth["gc"][-1][2]
        # Those before the callbacks were set and after are not compared.
        inside = [one for one in events["gc"]
                  if one["t_ns"] + one["duration_ns"] >= first and one["t_ns"] <= last]
        names = [one["name"] for one in inside if "name" in one]
        truth_names = [f"generation {one[0]}" for one in truth["gc"]]
        if len(names) == len(inside):
            self.assertEqual(names, truth_names)
        elif names:
            self.assertEqual(names[-1], truth_names[-1], "the one that the program asked for")
        self.assertEqual({one["how"] for one in inside}, {how})
        return inside, [(end - begin) / 1e6 for _, begin, end in truth["gc"]]

    def compare_imports(self, events, truth, how):
        imported = {one["name"] for one in events["import"] if "cause" not in one}
        for module in ("decimal", "xml", "xml.dom", "xml.dom.minidom", "json"):
            self.assertIn(module, imported)
        self.assertLessEqual(imported - {"sitecustomize", "usercustomize"}, set(truth["modules"]))
        self.assertEqual({one["how"] for one in events["import"]}, {how})
        self.assertIn(("no_such_module", "not found"), {(one["name"], one.get("cause")) for one in events["import"]})

    @e2e.unittest.skipUnless(NAME == "python3.11", "Debian's Python")
    def test_python_with_probes(self):
        program = "/usr/bin/python3.11"
        if not os.path.exists(program):
            raise e2e.Skip("Debian's Python 3.11, which has probes, is not here")
        (self.folder / "fill.py").write_text(PYTHON)
        events, _ = self.record([program, "fill.py", "truth.json"])
        truth = json.loads((self.folder / "truth.json").read_text())
        inside, times = self.compare_python(events, truth, "usdt")
        self.compare_pauses(inside, times)
        self.compare_imports(events, truth, "usdt")
        self.assertIn("encodings", {one["name"] for one in events["import"]})
        self.assertEqual([(one["name"], one["duration_ns"] > 0) for one in events["mark"]],
                         [("filling", True), ("done", False)])

    @e2e.unittest.skipUnless(NAME.startswith("python") and NAME != "python3.11", "a Python without probes")
    def test_python_without_probes(self):
        python = prepare.interpreter(NAME[len("python"):])
        (self.folder / "fill.py").write_text(PYTHON)
        # CMD itself: the first process of a file runs before its probes sit, whoever else starts it.
        events, _ = self.record([*python.argv, "fill.py", "truth.json"], python.env)
        truth = json.loads((self.folder / "truth.json").read_text())
        self.compare_imports(events, truth, "uprobe")
        if "gc" not in events:
            print(f"{NAME}: its file is stripped, so that nothing says where it collects")
            return
        inside, times = self.compare_python(events, truth, "uprobe")
        self.assertEqual(len(inside), len(times))
        print(f"{NAME}: {len(inside)} collections, {sum(one['duration_ns'] for one in inside) / 1e6:.1f} ms; "
              f"it says {sum(times):.1f} ms with its callbacks")
        self.assertLess(sum(one["duration_ns"] for one in inside) / 1e6, 1.05 * sum(times) + 0.05 * len(times))
        self.assertGreater(sum(one["duration_ns"] for one in inside) / 1e6, 0.6 * sum(times))

    @e2e.unittest.skipUnless(NAME.startswith("node"), "Node's")
    def test_node(self):
        program = prepare.node(NAME[len("node"):]).argv[0]
        (self.folder / "fill.js").write_text(NODE)
        for name, text in NODE_FILES.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        events, said = self.record([program, "--trace-gc", "--expose-gc", "fill.js"])
        lines = [line for line in said.splitlines() if re.match(r"\[\d+:0x[0-9a-f]+\] +\d+ ms: ", line)]
        truth = [float(re.search(r"MB, (?:pooled: [\d.]+ MB, )?([\d.]+) / ", line).group(1)) for line in lines]
        self.compare_pauses(events["gc"], truth)
        for event, line in zip(events["gc"], lines):
            self.assertEqual(event["name"] == "Scavenge", "Scavenge" in line, line)
            self.assertIn(event["cause"], line)
            self.assertEqual(event["how"], "uprobe")
        # Every file that it required, by name, in this order.
        files = ["fill.js", "lib/first.js", "node_modules/second/index.js"]
        self.assertEqual([(one["name"], one["how"]) for one in events["module_load"]],
                         [(str(self.folder / name), "uprobe") for name in files])
        events, _ = self.record([program, "module.mjs"])
        loaded = {one["name"] for one in events["module_load"]}
        # (On some versions one place serves ES modules whose code another one compiles.)
        self.assertLessEqual(loaded, {str(self.folder / name) for name in ["module.mjs", "other.mjs", "node_modules/second/index.js"]})
        self.assertIn(str(self.folder / "node_modules/second/index.js"), loaded)

    @e2e.unittest.skipUnless(NAME.startswith("java"), "the JVM's")
    def test_java(self):
        version, _, collector = NAME[len("java"):].partition("-")
        jvm = find_jvm(version)
        (self.folder / "Fill.java").write_text(JAVA)
        javac = next(iter(sorted(glob.glob("/usr/lib/jvm/*/bin/javac"))), None)
        if not javac:
            raise e2e.Skip("no javac here")
        subprocess.run([javac, "--release", "11", "Fill.java"], cwd=self.folder, check=True)
        flag = f"-XX:+Use{collector or 'G1'}GC"
        if "Unrecognized" in subprocess.run([*jvm.java, flag, "-version"], capture_output=True, text=True).stderr:
            raise e2e.Skip(f"this JDK {version} has no {flag}")
        place = jvms.put(jvm, str(self.folder))
        self.addCleanup(jvms.take_away, jvm, place)
        events, said = self.record([*jvm.java, "-Xmx64m", flag, f"-Xlog:safepoint,gc*:file={place}/gc.log",
                                    f"-Xlog:class+load:file={place}/class.log", "-XX:+PrintCompilation",
                                    "-cp", place, "Fill"])
        for log in ("gc.log", "class.log"):
            if jvm.root:
                shutil.copy(f"{jvm.root}{place}/{log}", self.folder)
        log = (self.folder / "gc.log").read_text()
        # The pauses of ZGC stand among its phases alone.
        tag = "gc,phases" if collector == "Z" else "gc"
        pauses = re.findall(rf"\[{tag} *\] GC\(\d+\) (?:[YyOo]: )?(Pause .*?) (?:\d+M->\d+M\(\d+M\) )?([\d.]+)ms", log)
        if collector == "Parallel":
            # Both pauses of a System.gc() are one collection there.
            pauses = [one for one in pauses if not one[0].startswith("Pause Young (System.gc())")] \
                if int(version) < 23 else pauses
        print(f"{NAME}: {jvm.name}, {len(events.get('gc', []))} events, {len(pauses)} lines")
        stops = re.findall(r"Safepoint \"(\w+)\".*At safepoint: +(\d+) ns", log)
        self.compare_pauses(events["gc"], [float(ms) for _, ms in pauses],
                            sum(int(ns) for name, ns in stops if GC_STOP.search(name)) / 1e6)
        # Where the JVM tells its cause is known once it was looked at, a tenth of a second after its start.
        for event, (cause, _) in zip(events["gc"], pauses):
            if "(" in cause and collector in ("", "Serial", "Parallel"):
                self.assertIn(event.get("cause", cause), cause)
        self.assertIn("System.gc()", [event.get("cause") for event in events["gc"]])
        loaded = {re.sub(r"[/+]0x.*", "", name) for name in
                  re.findall(r" (\S+) source:", (self.folder / "class.log").read_text())}
        ours = {event["name"] for event in events["class_load"]}
        print(f"{NAME}: {len(ours)} classes by name, {len(loaded)} lines of -Xlog:class+load")
        self.assertEqual(ours, loaded)
        made = {event["name"] for event in events["class_init"]}
        self.assertLessEqual(made, loaded)
        self.assertLessEqual({"Fill", "java.util.concurrent.ConcurrentSkipListMap", "java.lang.System"}, made)
        self.assertTrue(all(event["duration_ns"] > 0 for event in events["class_init"]))
        print(f"{NAME}: {len(made)} of them initialized")
        compiled = re.findall(r"^\s*\d+\s+\d+ [ %s!b]{4,6}\s+\d\s+(\S+) ", said, re.M)
        print(f"{NAME}: {len(events['jit'])} compilations, {len(compiled)} lines of -XX:+PrintCompilation")


if __name__ == "__main__":
    e2e.main()
