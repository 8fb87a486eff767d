# SPDX-License-Identifier: Apache-2.0
"""What recording a Java program costs: in the kernel by depth, the program itself beside async-profiler, and us; and how
much of a short JVM's samples has names."""
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from fnprof_e2e import Recording
import jvm_peers

# The frames are compiled (warmed up), or interpreted; the leaf computes without a call.
DEEP = """public class Deep {
    static volatile long sink;
    static int deep(int n, long until) {
        if (n > 0)
            return deep(n - 1, until) + 1;
        int s = 0;
        do {
            for (int i = 0; i < 1000000; i++)
                s = s * 31 + i;
            sink += s;
        } while (System.nanoTime() < until);
        return s;
    }
    public static void main(String[] arguments) {
        int depth = Integer.parseInt(arguments[0]);
        for (int i = 0; i < Integer.parseInt(arguments[1]); i++)
            sink += deep(depth, 0);
        sink += deep(depth, System.nanoTime() + 60_000_000_000L);
    }
}"""
# Fixed work again and again in one process, by order; it starts and stops async-profiler by its own interface.
WORK = """import java.io.*;
import java.lang.management.*;
import java.util.*;
import java.util.stream.*;
public class Work {
    static volatile long sink;
    static int down(int n, int[] numbers) { return n == 0 ? sum(numbers) : down(n - 1, numbers) + 1; }
    static int sum(int[] numbers) {
        int s = 0;
        for (int n : numbers)
            s = s * 31 + n;
        return s;
    }
    static void work() {
        int[] numbers = new int[2000];
        for (int k = 0; k < 60; k++) {
            Map<String, Integer> counts = new TreeMap<>();
            for (int i = 0; i < 4000; i++)
                counts.merge("k" + (i * 7919 + k) % 997, 1, Integer::sum);
            sink += counts.size() + IntStream.range(0, 20000).filter(x -> x % 3 == 0).mapToObj(Integer::toString)
                .collect(Collectors.joining()).hashCode();
            for (int i = 0; i < 600; i++)
                sink += down(60, numbers);
        }
    }
    public static void main(String[] arguments) throws Exception {
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        Object profiler = Class.forName("one.profiler.AsyncProfiler").getMethod("getInstance", String.class)
                          .invoke(null, arguments[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            if (line.isEmpty()) {
                long begin = threads.getCurrentThreadCpuTime();
                work();
                System.out.println(threads.getCurrentThreadCpuTime() - begin);
            } else {
                System.out.println(profiler.getClass().getMethod("execute", String.class).invoke(profiler, line)
                                   .toString().replace("\\n", " "));
            }
        }
    }
}"""
CLASSES, METHODS = 50, 400
ROUNDS = 8


def compiled(folder, **sources):
    for name, text in sources.items():
        pathlib.Path(folder, f"{name}.java").write_text(text)
    subprocess.run(["javac", "-nowarn", *(f"{name}.java" for name in sources)], cwd=folder, check=True)


def bpf_by_depth(row, folder):
    compiled(folder, Deep=DEEP)
    for how, options, calls in (("compiled", [], 20000), ("interpreted", ["-Xint"], 0)):
        for depth in (20, 100, 400):
            target = subprocess.Popen(["java", *options, "-XX:-Inline", "-cp", folder, "Deep", str(depth), str(calls)])
            time.sleep(4 if calls else 1)
            with Recording("-F", 997, "-p", target.pid, "-d", 3) as recording:
                recording.wait()
                summary = recording.summary
                deepest = max(len([n for n in names if n.startswith("Deep.deep")])
                              for r in recording.rows for names in recording.folded(r))
            target.kill()
            target.wait()
            row(f"a sample of {depth} Java frames, {how}", summary["cost"]["bpf_ns"] / max(summary["ticks"], 1) / 1e3, "us",
                None, f"all BPF time for each of {summary['ticks']} ticks, 997 Hz; {deepest} frames of it seen, "
                f"{sum(summary['truncated'].values())} stacks cut")


def shares(recording):
    """(ns of all samples, ns of those with a frame that has no name, of those that are cut)"""
    total = unnamed = cut = 0
    for r in recording.rows:
        if not r.get("runtime", "").startswith("jvm"):
            continue
        for names, weight in recording.folded(r).items():
            total += weight
            cut += weight if names[0].startswith("[truncated") else 0
            unnamed += weight if any(n.startswith(("[jvm+", "[anon+")) for n in names) else 0
    return total, unnamed, cut


def starts(row, folder):
    """Short programs, from their first instruction on: the first one of a host, and later ones."""
    pathlib.Path(folder, "Hello.java").write_text("public class Hello { public static void main(String[] a) { "
                                                  "System.out.println(\"hello\"); } }")
    subprocess.run(["javac", "Hello.java"], cwd=folder, check=True)
    for name, argv in (("java -version", ["java", "-version"]), ("a first program", ["java", "-cp", folder, "Hello"])):
        for how, runs in (("nothing kept", 5), ("later", 10)):
            total = unnamed = cut = 0
            for i in range(runs):
                cache = os.path.join(folder, f"cache-{i if how == 'nothing kept' else 'kept'}")
                with Recording("-F", 999, cmd=argv, env={"FNPROF_CACHE": cache}, live=False) as recording:
                    recording.wait()
                    if how == "later" and i == 0:
                        continue
                    more = shares(recording)
                    total, unnamed, cut = total + more[0], unnamed + more[1], cut + more[2]
            row(f"{name}, {how}: samples with all names", 100 * (1 - (unnamed + cut) / max(total, 1)), "%", 99,
                f"{unnamed / max(total, 1):.2%} with a frame that has no name, {cut / max(total, 1):.2%} cut, of "
                f"{total / 1e6:.0f} ms in {runs} starts, 999 Hz", at_least=True)


class Worker:
    """The program of WORK."""

    def __init__(self, folder):
        compiled(folder, Work=WORK)
        library = jvm_peers.library()
        jar = next(pathlib.Path(library).parents[1].glob("*.jar"))
        self.process = subprocess.Popen(["java", "-cp", f"{folder}:{jar}", "Work", library], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line=""):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def work(self):
        return int(self.ask())


def with_fnprof(worker, rate):
    with Recording("-F", rate, "-p", worker.process.pid) as recording:
        took = worker.work()
        recording.stop()
    return took


def with_async(worker, rate, more=""):
    worker.ask(f"start,event=cpu,interval={10**9 // rate},threads{more}")
    took = worker.work()
    worker.ask("stop")
    return took


def slowdown(row, folder):
    worker = Worker(folder)
    for _ in range(6):
        worker.work()
    ways = {f"{who} {rate} Hz": (run, rate) for rate in (99, 999) for who, run in (
        ("fnprof", with_fnprof), ("async-profiler", with_async),
        ("async-profiler vm", lambda w, r: with_async(w, r, ",cstack=vm")))}
    ratios, alone = {way: [] for way in ways}, [worker.work()]
    for _ in range(ROUNDS):
        for way, (run, rate) in ways.items():
            took = run(worker, rate)
            alone.append(worker.work())
            ratios[way].append(took / statistics.mean(alone[-2:]) - 1)
    worker.process.stdin.close()
    worker.process.wait()
    for way, values in ratios.items():
        low, middle, high = statistics.quantiles(values, n=4)
        row(f"CPU time of a thread: {way}", 100 * middle, "% more", None,
            f"+-{100 * (high - low) / 2 / len(values) ** .5:.2f}; {len(values)} turns of one process beside turns without, "
            f"{statistics.median(alone) / 1e6:.0f} ms each")


def many(number):
    calls = "\n".join(f"static int m{number}_{i}(int n) {{ return m{number}_{i + 1}(n) + 1; }}" for i in range(METHODS - 1))
    return (f"public class Many{number} {{ {calls} static int m{number}_{METHODS - 1}(int n) {{ int s = n; "
            "for (int i = 0; i < 20000; i++) s = s * 31 + i; return s; } }")


def agent_memory(row, folder):
    sources = {f"Many{number}": many(number) for number in range(CLASSES)}
    calls = " ".join(f"case {number}: sink += Many{number}.m{number}_0(k); break;" for number in range(CLASSES))
    sources["Many"] = ("public class Many { static volatile long sink; static void call(int k, int which) { switch (which) { "
                       f"{calls} }} }} public static void main(String[] a) {{ int n = Integer.parseInt(a[0]); "
                       "long end = System.nanoTime() + 8_000_000_000L; "
                       "for (int k = 0; System.nanoTime() < end; k++) for (int i = 0; i < 50; i++) call(k, k % n); } }")
    compiled(folder, **sources)
    used = []
    for count in (1, CLASSES):
        with Recording("-F", 999, cmd=["java", "-XX:-Inline", "-cp", folder, "Many", str(count)]) as recording:
            recording.wait(60)
            used.append(recording.summary["cost"]["rss_max_bytes"] / 2**20)
            named = {name.rsplit("_[", 1)[0] for r in recording.rows for names in recording.folded(r) for name in names
                     if name.startswith("Many") and ".m" in name}
    row(f"agent's memory for {CLASSES * METHODS:,} methods", used[1] - used[0], "MiB more", None,
        f"peak RSS {used[1]:.1f} against {used[0]:.1f} with {METHODS}; {len(named)} of them had a sample")


PARTS = {"depth": bpf_by_depth, "starts": starts, "slowdown": slowdown, "memory": agent_memory}


def java(row):
    if not shutil.which("java") or not shutil.which("javac"):
        print("no java with javac here")
        return
    for name in os.environ.get("FNPROF_BENCH_JAVA", " ".join(PARTS)).split():
        with tempfile.TemporaryDirectory(prefix="fnprof-bench-") as folder:
            PARTS[name](row, folder)
