#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ledger of invocations: its lines sum to the wall time, hold what functions know of themselves, and lose no CPU
time.

usage: ledger_test.py RUNTIME
"""
import os
import pathlib
import signal
import sys
import threading
import time

import fnprof_e2e
from fnprof_e2e import Function, Recording, Stopped
from runtime_api import RuntimeApi
import prepare

NAME = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "python3.11"
IS_PYTHON = NAME.startswith("python")
LINES = ["frozen", "gc", "on_cpu", "stolen", "run_queue", "lock", "poll", "network", "disk", "pipe", "sleep",
         "page_fault", "child", "other", "waiting_async"]
MS = 1_000_000


class Ledger(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = prepare.prepare(NAME)
        if IS_PYTHON:
            here = fnprof_e2e.TREE / "tests/e2e/programs/waits"
            cls.waits = prepare.Client(cls.client.argv, cls.client.runtime, here,
                                       {**cls.client.env, "LAMBDA_TASK_ROOT": str(here)})

    def record(self, client, payloads, meanwhile=None):
        """[(call, row)], all rows of the function, with fnprof there from its exec to its end. `meanwhile` is called with
        its pid while the first call runs."""
        with RuntimeApi() as api, Function(client, api, kind=Stopped) as function:
            with Recording("-F", 99, "-p", function.pid) as recording:
                begun = function.cpu_so_far()
                function.go()
                api.wait_for_next()
                if meanwhile:
                    threading.Timer(0.1, meanwhile, [function.pid]).start()
                calls = [api.invoke(payload, seconds=60) for payload in payloads]
                cpu_ns = function.end() - begun
                self.assertEqual(recording.wait(), 0, recording.stderr)
                rows = [row for row in recording.rows if row["pid"] == function.pid]
                self.check(rows, cpu_ns, recording.summary)
                by_id = {row["id"]: row for row in rows}
                return [(call, by_id[call.id]) for call in calls], rows

    def check(self, rows, cpu_ns, summary):
        """What holds for every recording: every row that must have a ledger has one that sums; no CPU time is lost."""
        self.assertEqual(summary["events_lost"], 0)
        # What the lines were made to sum by is said, and is nothing that anybody would see.
        ledgers = summary["ledgers"]
        print(f"{NAME}: {ledgers}", file=sys.stderr)
        self.assertLessEqual(ledgers["mended_ns"], 0.001 * sum(row["duration_ns"] for row in rows if "ledger" in row) + 1000 +
                             self.stolen_ns() / 100)
        for row in rows:
            self.assertEqual("ledger" in row, row["kind"] in ("invocation", "init"), row)
            if "ledger" in row:
                self.assertLessEqual(set(LINES) - {"gc"}, set(row["ledger"]), row)
                self.assertLessEqual(set(row["ledger"]), set(LINES), row)
                self.assertEqual(sum(row["ledger"].values()), row["duration_ns"], row)
        # (What wait4 tells has the children that were waited for.)
        self.conserved = sum(row["cpu_ns"] + row.get("children_cpu_ns", 0) for row in rows) / cpu_ns - 1
        print(f"{NAME}: the rows' CPU time is {self.conserved:+.4%} off the process's own", file=sys.stderr)

    def test_a_thousand_invocations_sum_and_conserve(self):
        kinds = [{"kind": "fast"}] * 19 + [{"kind": "sleep", "ms": 20}]
        pairs, rows = self.record(self.client, kinds * 50)
        self.assertEqual(len(pairs), 1000)
        # 0.1 %, and what the rusage of a process that is killed rounds to.
        self.assertLess(abs(self.conserved) * sum(row["cpu_ns"] for row in rows),
                        0.001 * sum(row["cpu_ns"] for row in rows) + MS, f"{self.conserved:+.4%}")
        asleep = "waiting_async" if NAME.startswith("node") else "sleep"
        slept = []
        for call, row in pairs:
            if call.kind == "sleep":
                slept.append(row["ledger"][asleep])
                # A runtime's own threads may compute meanwhile.
                known = sum(row["ledger"][line] for line in (asleep, "on_cpu", "run_queue", "stolen"))
                self.assertGreater(known, 0.98 * row["duration_ns"], row)
            # A short call may not be charged at all, when the kernel makes up for what the host took before.
            # A collection's time comes first: it may be all that a short call was on a CPU for.
            self.assertGreater(sum(row["ledger"].get(line, 0) for line in ("on_cpu", "stolen", "gc")), 0, row)
        # One thread or many: what was on a CPU cannot be more than what was charged. (Threads that are stolen from at
        # the same time are on a CPU for the ledger, and uncharged. And what the host took is known a tick late.)
        more = [row for _, row in pairs if row["ledger"]["on_cpu"] > row["cpu_ns"] + 0.2 * MS]
        excess = sum(row["ledger"]["on_cpu"] - row["cpu_ns"] for row in more)
        self.assertTrue(len(more) <= len(pairs) // 100 or excess < self.stolen_ns() / 20, (excess, self.stolen_ns(), more[:3]))
        self.assertGreater(sorted(slept)[len(slept) // 2], 0.95 * 20 * MS)

    def test_time_on_a_cpu_is_the_threads_own_clock(self):
        if not IS_PYTHON:
            self.skipTest("a handler of one thread alone")
        pairs, _ = self.record(self.waits, [{"kind": "cpu", "ms": 400}] * 6)
        offs = []
        for call, row in pairs:
            truth = call.answer()["cpu_ns"]
            offs.append((row["ledger"]["on_cpu"] - truth) / truth)
            self.assertLess(abs(row["ledger"]["on_cpu"] - row["cpu_ns"]), 0.003 * truth, row)
        print(f"{NAME}: on_cpu is {' '.join(f'{off:+.3%}' for off in offs)} off the thread's clock", file=sys.stderr)
        # The client's own work around the handler is in the invocation, too: the best of them shows what is ours.
        self.assertLess(min(map(abs, offs)), 0.005)
        self.assertLess(max(map(abs, offs)), 0.02)

    def test_waits_stand_in_their_line(self):
        if not IS_PYTHON:
            self.skipTest("the function that waits is written in Python")
        kinds = {"sleep": "sleep", "sleep_in_poll": "sleep", "lock": "lock", "pipe": "pipe", "network": "network",
                 "poll": "poll", "child": "child", "disk": "disk"}
        payloads = [{"kind": kind, "ms": 300} for kind in [*kinds, "make_cold", "page_fault"]]
        pairs, _ = self.record(self.waits, payloads)
        for call, row in pairs:
            if call.kind == "make_cold":
                continue
            said, ledger = call.answer(), row["ledger"]
            waited = said["wall_ns"] - said["cpu_ns"] - ledger["run_queue"] - ledger["stolen"]
            share = ledger[kinds.get(call.kind, call.kind)] / waited
            print(f"{NAME} {call.kind}: {share:.4f} of {waited / MS:.1f} ms", file=sys.stderr)
            self.assertGreater(share, 0.99, (call.kind, said, ledger))
            # A thread is charged from its wake-up on, before anybody sees it run: thousands of times in these.
            if call.kind in ("disk", "page_fault"):
                off = ledger["on_cpu"] / row["cpu_ns"] - 1
                print(f"{NAME} {call.kind}: on_cpu is {off:+.3%} off the CPU time", file=sys.stderr)
                self.assertLess(abs(off), 0.02, (call.kind, said, ledger))

    def test_stopped_time_is_frozen(self):
        if not IS_PYTHON:
            self.skipTest("once is enough")
        folder = pathlib.Path("/sys/fs/cgroup/freezer")
        own = folder / f"fnprof-test-{os.getpid()}"
        stopped = []

        def stop(pid):
            begin = time.monotonic_ns()
            os.kill(pid, signal.SIGSTOP)
            while " T " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
                time.sleep(0.0002)
            it_is = time.monotonic_ns()
            time.sleep(0.25)
            os.kill(pid, signal.SIGCONT)
            stopped.append((time.monotonic_ns() - begin, time.monotonic_ns() - it_is))

        def freeze(pid):
            (own / "cgroup.procs").write_text(str(pid))
            begin = time.monotonic_ns()
            (own / "freezer.state").write_text("FROZEN")
            while "FROZEN" not in (own / "freezer.state").read_text():
                time.sleep(0.0002)
            it_is = time.monotonic_ns()
            time.sleep(0.25)
            (own / "freezer.state").write_text("THAWED")
            stopped.append((time.monotonic_ns() - begin, time.monotonic_ns() - it_is))
            (folder / "cgroup.procs").write_text(str(pid))

        ways = [stop]
        if (folder / "cgroup.procs").exists():
            own.mkdir()
            self.addCleanup(own.rmdir)
            ways.append(freeze)
        for way in ways:
            for kind in ("cpu", "sleep"):
                (_, row), = self.record(self.waits, [{"kind": kind, "ms": 500}], way)[0]
                asked, stood = stopped.pop()
                share, least = row["ledger"]["frozen"] / asked, row["ledger"]["frozen"] / stood
                print(f"{NAME}: {way.__name__} in {kind}: {share:.4f} of the time since it was asked for is frozen, "
                      f"{least:.4f} of that since it was so", file=sys.stderr)
                # A thread that sleeps freezes where it is, and is seen to be frozen only when it wakes up.
                if kind == "cpu":
                    self.assertGreater(least, 0.99, row["ledger"])
                    self.assertLess(share, 1.03, row["ledger"])

    def test_phases_of_a_start_are_told(self):
        with RuntimeApi() as api:
            client = self.client
            from runtime_api import lambda_environment
            env = {**client.env, **lambda_environment(api, "orders", "7", client.handler)}
            with Recording(cmd=client.argv, env=env, cwd=client.cwd) as recording:
                api.invoke({"kind": "fast"}, seconds=60)
                recording.send(signal.SIGINT)
                recording.wait()
                inits = recording.of("init")
                self.assertEqual(len(inits), 1)
                events = fnprof_e2e.read_lines(recording.dir / inits[0]["events"])
        phases = [event for event in events if event["what"] == "phase"]
        print(f"{NAME}: {[(one['name'], round(one['duration_ns'] / MS, 1)) for one in phases]}", file=sys.stderr)
        self.assertEqual([one["name"] for one in phases], ["exec and dynamic linking", "runtime start", "program start"])
        self.assertEqual(sum(one["duration_ns"] for one in phases), inits[0]["duration_ns"])
        self.assertEqual(phases[0]["t_ns"], inits[0]["start_ns"])
        for before, after in zip(phases, phases[1:]):
            self.assertEqual(before["t_ns"] + before["duration_ns"], after["t_ns"])
            self.assertGreater(before["duration_ns"], 0)


if __name__ == "__main__":
    fnprof_e2e.main()
