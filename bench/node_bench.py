# SPDX-License-Identifier: Apache-2.0
"""What recording a Node.js program costs: in the kernel by depth, the program itself beside Node's own ways, and us."""
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from fnprof_e2e import Recording

DEEP = """function deep(n) { if (n) return deep(n - 1) + 1; const end = Date.now() + 60000; let s = 0;
while (Date.now() < end) for (let i = 0; i < 100000; i++) s = (s * 31 + i) | 0; return s; } deep(DEPTH);"""
# So many functions of their own names, each compiled and run.
MANY = """const all = []; for (let i = 0; i < COUNT; i++) all.push(new Function('n', `return function many${i}(n) {
let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s; }`)());
const end = Date.now() + 8000; for (let k = 0; Date.now() < end; k++) all[k % COUNT](20000);"""
GARBAGE = """let keep = []; const end = Date.now() + MS; while (Date.now() < end) {
for (let i = 0; i < 1000; i++) keep.push({ i, s: 'x' + i, f() { return i; } }); if (keep.length > 200000) keep = []; }"""
# Fixed work, a third of it in calls that are not inlined.
WORK = """function leaf(n) { let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s; }
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); } let s = 0;
for (let k = 0; k < 12; k++) { s += fib(29); s += leaf(6e6); JSON.parse(JSON.stringify(Array.from({ length: 20000 }, (x, i) => ({ i })))); }"""
ROUNDS = 3


def bpf_by_depth(row, node):
    for depth in (10, 30, 100):
        target = subprocess.Popen([node, "-e", DEEP.replace("DEPTH", str(depth))])
        time.sleep(0.3)
        with Recording("-F", 997, "-p", target.pid, "-d", 3) as recording:
            recording.wait()
            summary = recording.summary
        target.kill()
        target.wait()
        row(f"a sample of {depth} JavaScript frames", summary["cost"]["bpf_ns"] / max(summary["ticks"], 1) / 1e3, "us", None,
            f"all BPF time for each of {summary['ticks']} ticks, 997 Hz, in a start of 15 native frames")


def cpu_of(argv, cwd):
    """CPU time of a command and what it started and waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recorded_cpu(node, rate):
    with Recording("-F", rate, cmd=[node, "-e", WORK]) as recording:
        recording.wait(60)
        return recording.summary["processes"][0]["cpu_ns"] / 1e9


def slowdown(row, node):
    with tempfile.TemporaryDirectory() as scratch:
        ways = {"alone": lambda: cpu_of([node, "-e", WORK], scratch),
                "fnprof 99 Hz": lambda: recorded_cpu(node, 99),
                "fnprof 999 Hz": lambda: recorded_cpu(node, 999),
                "--cpu-prof (1000 Hz)": lambda: cpu_of([node, "--cpu-prof", "-e", WORK], scratch),
                "--perf-basic-prof": lambda: cpu_of([node, "--perf-basic-prof", "-e", WORK], scratch)}
        took = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, run in ways.items():
                took[way].append(run())
    alone = statistics.median(took["alone"])
    for way, values in took.items():
        if way != "alone":
            row(f"CPU time of a program: {way}", 100 * (statistics.median(values) / alone - 1), "% more", None,
                f"medians of {ROUNDS} runs in turn of {alone:.2f} s alone")


def agent_memory(row, node):
    used = []
    for count in (20, 20000):
        with Recording("-F", 999, cmd=[node, "-e", MANY.replace("COUNT", str(count))]) as recording:
            recording.wait(60)
            used.append(recording.summary["cost"]["rss_max_bytes"])
            named = {name for r in recording.rows for frames in recording.folded(r) for name in frames if name.startswith("many")}
    row("agent's memory for 20,000 functions", (used[1] - used[0]) / 2**20, "MiB more", None,
        f"peak RSS against that with 20; {len(named)} of them had a sample")


def moving(row, node, seconds=40):
    target = subprocess.Popen([node, "--trace-gc", "-e", GARBAGE.replace("MS", str(seconds * 1000 + 3000))], stdout=subprocess.PIPE,
                              text=True)
    with Recording("-F", 99, "-p", target.pid) as recording:
        rss = []
        for _ in range(4):
            time.sleep(seconds / 4)
            with open(f"/proc/{recording.process.pid}/statm", encoding="ascii") as f:
                rss.append(int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
        collections = target.communicate()[0].count(" ms: ")
        recording.wait(30)
    row("agent's memory while objects move", rss[-1] - rss[0], "MiB more", None,
        f"RSS after {seconds} s against that after {seconds // 4} s: {', '.join(f'{x:.1f}' for x in rss)}; {collections} collections")


def node(row):
    program = os.environ.get("FNPROF_BENCH_NODE") or shutil.which("node")
    if not program:
        print("no node here")
        return
    for part in (bpf_by_depth, slowdown, agent_memory, moving):
        part(row, program)
