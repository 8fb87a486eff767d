# SPDX-License-Identifier: Apache-2.0
"""Ledgers, events and times of samples for the recordings that recording.py makes."""
import json

LINES = ("frozen", "gc", "on_cpu", "stolen", "run_queue", "lock", "poll", "network", "disk", "pipe", "sleep", "page_fault", "child",
         "other", "waiting_async")
# What a function of this runtime waits for, by weight; the slow ones wait for one thing more.
WAITS = {"python": ({"network": 60, "run_queue": 9, "disk": 8, "page_fault": 6, "lock": 4, "stolen": 3, "gc": 3}, {"network": 400, "sleep": 150}),
         "node": ({"poll": 10, "waiting_async": 55, "run_queue": 12, "gc": 9, "lock": 2, "stolen": 2}, {"waiting_async": 200, "run_queue": 60}),
         "jvm": ({"lock": 22, "gc": 18, "run_queue": 14, "network": 25, "disk": 6, "page_fault": 4, "stolen": 2}, {"gc": 250, "lock": 80})}
MODULES = ["PIL.Image", "PIL", "boto3", "botocore.session", "json.decoder", "urllib3", "ssl", "xml.etree", "numpy", "numpy.core", "asyncio",
           "http.client", "email.parser", "logging"]
CLASSES = ["shop.Report", "shop.Row", "java.util.stream.ReferencePipeline", "com.fasterxml.jackson.databind.ObjectMapper", "org.slf4j.Logger",
           "java.util.regex.Pattern", "shop.Report$Lambda"]


def family(runtime):
    return "python" if runtime.startswith("python") else "node" if runtime.startswith("node") else "jvm"


def ledger(rng, row, computed_ns, slow):
    """Lines that sum to the duration."""
    duration, left = row["duration_ns"], row["duration_ns"]
    lines = dict.fromkeys(LINES, 0)
    lines["on_cpu"] = min(computed_ns, int(duration * 0.93))
    left -= lines["on_cpu"]
    usual, more = WAITS[family(row["runtime"])]
    weights = {k: w * rng.uniform(0.5, 1.5) for k, w in {**usual, **(more if slow else {})}.items()}
    whole, rest = sum(weights.values()), left
    for key, weight in weights.items():
        lines[key] += int(rest * weight / whole)
        left -= int(rest * weight / whole)
    lines["other"] += left
    return lines


def event(t, duration, tid, what, name=None, cause=None, how="usdt"):
    one = {"t_ns": int(t), "duration_ns": int(duration), "tid": tid, "what": what, "name": name, "cause": cause, "how": how}
    return {k: v for k, v in one.items() if v is not None}


def states(rng, start, end, tid):
    """A thread's time on and off CPU."""
    t, out = start, []
    causes = ("network", "lock", "poll", "run_queue", "disk")
    while t < end:
        on = min(end - t, rng.uniform(0.05, 0.3) * (end - start))
        out.append(event(t, on, tid, "on_cpu", how="samples"))
        t += on
        off = min(end - t, rng.uniform(0.01, 0.15) * (end - start))
        if off > 0:
            out.append(event(t, off, tid, "off_cpu", causes[rng.randrange(len(causes))], how="samples"))
        t += off
    return out


def init_events(rng, row):
    start, whole, tid, kind = row["start_ns"], row["duration_ns"], row["pid"], family(row["runtime"])
    out, t = [], start
    for name, share in (("exec", 0.02), ("dynamic linking", 0.05), ("runtime start", 0.2), ("imports", 0.6), ("handler's own init", 0.13)):
        out.append(event(t, whole * share, tid, "phase", name, how="samples"))
        t += whole * share
    at, names, what = start + 0.27 * whole, (CLASSES, "class_load") if kind == "jvm" else (MODULES, "import"), None
    names, what = names
    for i, name in enumerate(names):
        length = whole * 0.6 / len(names)
        if i % 3 == 0:
            out.append(event(at, length * 1.9, tid, what, name))
        else:
            out.append(event(at + length * 0.1, length * rng.uniform(0.3, 0.8), tid, what, name))
        at += length
    return out


def row_events(rng, row, with_states):
    start, whole, kind = row["start_ns"], row["duration_ns"], family(row["runtime"])
    tid, out, t = row["pid"], [], row["start_ns"]
    steps = {"python": ("fetch", "decode", "resize", "upload"), "node": ("cart", "rules", "save"), "jvm": ("query", "render")}[kind]
    for i, name in enumerate(steps):
        length = whole * rng.uniform(0.6, 1) / len(steps)
        out.append(event(t, length, tid, "mark", name, how="write" if kind == "node" else "usdt"))
        t += length
    for i in range(rng.randrange(1, 5)):
        cause = {"python": "generation 0", "node": "Scavenge", "jvm": "G1 Evacuation Pause"}[kind]
        out.append(event(start + whole * rng.random() * 0.9, whole * 0.02 * rng.random(), tid + (2 if kind == "jvm" else 0), "gc",
                         "G1" if kind == "jvm" else None, cause, "uprobe" if kind == "node" else "usdt"))
    if kind == "jvm":
        for i in range(12):
            out.append(event(start + whole * rng.random() * 0.8, whole * 0.05 * rng.random(), tid + 1, "jit", f"shop.Report.render{i}", "C2"))
    if with_states:
        out += states(rng, start, start + whole, tid) + states(rng, start, start + whole, tid + 1)
    return sorted(out, key=lambda e: (e["t_ns"], -e["duration_ns"]))


def lines(events):
    return "".join(json.dumps(e, separators=(",", ":")) + "\n" for e in events)


def times(rng, n, tid, duration_ns):
    """Pairs of thread and time since the row's begin, as our pprof files hold them for one sample (formats/pprof_fields.h)."""
    return [v for t in sorted(rng.randrange(max(1, duration_ns)) for _ in range(n)) for v in (tid, t)]
