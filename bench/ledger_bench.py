# SPDX-License-Identifier: Apache-2.0
"""What ledgers, events and stacks of waits cost the functions that are watched, and programs that are not. Parts of
bench/run."""
import json
import pathlib
import statistics
import subprocess
import time

from fnprof_e2e import Recording
from programs_e2e import program


def programs():
    """{name: (ns, runs)} of the loaded BPF programs, by the kernel's own counts."""
    told = json.loads(subprocess.check_output(["bpftool", "-j", "prog", "show"]))
    return {one["name"]: (one.get("run_time_ns", 0), one.get("run_cnt", 0)) for one in told
            if one.get("name", "").startswith("fnp_")}


def cost_of_a_switch(watched, off_cpu):
    """ns of the programs of a switch, beside a program that switches as often as it can."""
    argv = [program("blocked"), "flood", "4"]
    load = subprocess.Popen(argv, stdout=subprocess.PIPE)
    where = ["-p", load.pid] if watched else []
    with Recording("-F", 99, *where, env={"FNPROF_OFF_CPU": str(off_cpu)} if off_cpu is not None else None) as recording:
        time.sleep(0.5)
        before = programs()
        time.sleep(2)
        after = programs()
        recording.stop()
        counts = recording.summary["off_cpu"]
    load.communicate()
    ours = [name for name in after if name.startswith("fnp_sched_swit") or name == "fnp_return"]
    runs = max(after[name][1] - before[name][1] for name in ours)
    return sum(after[name][0] - before[name][0] for name in ours) / runs, runs / 2, counts


def switches(row):
    for watched, off_cpu, what in ((False, None, "not watched"), (True, 0, "watched"),
                                   (True, None, "watched, with stacks")):
        ns, rate, counts = cost_of_a_switch(watched, off_cpu)
        row(f"a switch, {what}", ns, "ns", None, f"run_time_ns of its programs, {rate:.0f} runs a second on the host")
        if off_cpu is None and watched:
            row("stacks taken beside that", counts["stacks"], "stacks", None,
                f"of {counts['times']} switches; {counts['refused']} refused and counted")


GC = """
import gc, json, sys, time
gc.disable()
kept = [[] for _ in range(int(sys.argv[1]))]
def run(n):
    begin = time.thread_time_ns()
    for _ in range(n):
        gc.collect(0)
    return (time.thread_time_ns() - begin) / n
time.sleep(0.4)
run(200)
print(json.dumps(sorted(run(300) for _ in range(20))[:10]))
"""


def collections(row, rounds=6):
    """A collection of almost nothing, with and without: what is left is the two probes."""
    runs = {False: [], True: []}
    argv = ["/usr/bin/python3.11", "-c", GC, "10"]
    if not pathlib.Path(argv[0]).exists():
        return
    for _ in range(rounds):
        for on in (False, True):
            if on:
                with Recording("-F", 1, cmd=argv, live=False) as recording:
                    recording.wait()
                    runs[on].append(statistics.median(json.loads(recording.stdout)))
            else:
                runs[on].append(statistics.median(json.loads(subprocess.check_output(argv))))
    off, on = statistics.median(runs[False]), statistics.median(runs[True])
    row("an event of a collection, begin and end", (on - off) / 1e3, "us more", None,
        f"{off:.0f} ns without; thread time, medians of {rounds} runs in turn")
