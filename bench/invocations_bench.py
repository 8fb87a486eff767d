# SPDX-License-Identifier: Apache-2.0
"""What an invocation costs that no sample hits, at 1,000 a second: in the kernel by program, and in the agent.

The kernel counts the run time of each program, two looks at the clock included (some 25 ns of ours, and of what a run costs
the host as much again that stands in no figure). It counts what the host does besides, too: every switch and every byte of
the server, which is not watched. So the same load is recorded twice, watched and not, and the difference is the
invocation's own."""
import collections
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from fnprof_e2e import Recording

RATE = 1000
UNWATCHED_S, WATCHED_S, PROFILED_S = 4, 6, 6


def programs():
    """{name: (runs, ns)} of all programs of ours that are loaded."""
    sums = collections.Counter(), collections.Counter()
    for one in json.loads(subprocess.check_output(["bpftool", "prog", "show", "--json"])):
        if one.get("name", "").startswith("fnp_"):
            sums[0][one["name"]] += one.get("run_cnt", 0)
            sums[1][one["name"]] += one.get("run_time_ns", 0)
    return {name: (sums[0][name], sums[1][name]) for name in sums[0]}


def cpu_seconds(pid):
    """The scheduler's own count, finer than the ticks of /proc/PID/stat."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


def over(seconds, agent):
    """{program: (runs, ns)} and the agent's CPU seconds, each for one invocation's share of the time."""
    before, spent, begun = programs(), cpu_seconds(agent), time.monotonic()
    time.sleep(seconds)
    after, spent, n = programs(), cpu_seconds(agent) - spent, RATE * (time.monotonic() - begun)
    return {name: tuple((a - b) / n for a, b in zip(after[name], before.get(name, (0, 0)))) for name in after}, spent / n


def share_of(recording, name):
    """How much of all that was sampled stands below this function."""
    stacks = collections.Counter()
    for line in recording.rows:
        stacks.update(recording.folded(line))
    return sum(ns for stack, ns in stacks.items() if name in stack) / sum(stacks.values())


def memory_directory():
    """Where files cost no disk's time: some file systems make new files slowly where many were just deleted (ext4 without a
    journal looks at each of their inodes), which is what a bench of many recordings does."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def measure(load, scratch):
    clients = pathlib.Path(f"/proc/{load.pid}/task/{load.pid}/children").read_text().split()
    with subprocess.Popen(["sleep", "60"]) as other, \
            Recording("-F", 1, "-p", other.pid, directory=f"{scratch}/not") as recording:
        time.sleep(0.3)
        unwatched, _ = over(UNWATCHED_S, recording.process.pid)
        recording.stop()
        other.kill()
    with Recording("-F", 1, "-p", ",".join(clients), directory=f"{scratch}/out") as recording:
        time.sleep(0.5)
        watched, agent = over(WATCHED_S, recording.process.pid)
        with Recording("-F", 997, "-p", recording.process.pid, "-d", PROFILED_S, directory=f"{scratch}/agent") as profile:
            profile.wait()
        recording.wait(120)
    return unwatched, watched, agent, profile, recording


def invocations(row, build):
    """1,000 invocations a second that hardly any sample hits, with their files in memory."""
    scratch = tempfile.mkdtemp(prefix="fnprof-bench-", dir=memory_directory())
    seconds = UNWATCHED_S + WATCHED_S + PROFILED_S + 6
    load = subprocess.Popen([build / "tests/e2e/lambda_load", "--rate", str(RATE), "--seconds", str(seconds)],
                            stdout=subprocess.PIPE)
    stats_before = STATS.read_text()
    try:
        time.sleep(0.5)
        STATS.write_text("1")  # fnprof itself has them counted a tenth of the time
        unwatched, watched, agent, profile, recording = measure(load, scratch)
        load.communicate()
        events_lost = recording.summary["events_lost"]
        files = share_of(profile, "fnp_directory_write")
    finally:
        STATS.write_text(stats_before)
        load.kill()
        shutil.rmtree(scratch, ignore_errors=True)
    row("records lost at 1,000 invocations a second", events_lost, "", 0, "of all kinds")
    total, same = (sum(ns for _, ns in figures.values()) / 1e3 for figures in (watched, unwatched))
    row("an invocation, in the kernel", total - same, "us", 3, "watched, less the same load when it is not")
    row("  with all that the host does meanwhile", total, "us", None, "all programs")
    for name, (runs, ns) in sorted(watched.items(), key=lambda item: -item[1][1]):
        others = unwatched.get(name, (0, 0))
        if runs > 0.05:
            row(f"  {name}", (ns - others[1]) / 1e3, "us", None,
                f"{runs:.2f} runs of {ns / runs:.0f} ns; not watched {others[0]:.2f} of {others[1] / max(others[0], 1e-9):.0f}")
    row("an invocation, in the agent without files", agent * 1e6 * (1 - files), "us", 20,
        "CPU time; the share of the files by a recording of the agent")
    row("its two files and its line", agent * 1e6 * files, "us", None, "in memory")
