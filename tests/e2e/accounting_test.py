#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sums of the face, against the kernel's own books: ticks, weights, CPU time, and shares that do not alias."""
import json
import signal
import sys
import time

import fnprof_e2e
from fnprof_e2e import Recording, Stopped
from programs_e2e import program

MILLISECOND = 1_000_000


class Accounting(fnprof_e2e.TestCase):
    def rows_of(self, recording, pid):
        return [row for row in recording.rows if row["pid"] == pid]

    def test_ticks_are_not_lost_beside_our_own_hooks(self):
        """A loop of hooked calls at 1,999 Hz: the weights of its samples are its CPU time."""
        with Recording("-F", 1999, cmd=[program("hooked"), 3000]) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            spent = int(recording.stdout)
            sampled = sum(row["sampled_ns"] for row in recording.rows)
            print(f"hooked calls: sampled {sampled / spent:.4f} of the CPU time", file=sys.stderr)
            self.assert_near(sampled, spent, 0.02, "sampled_ns beside our hooks")
            self.assert_directory_is_whole(recording)

    def test_cpu_time_of_a_command_is_exact(self):
        """Threads, children that are waited for, an exec in the middle: the rows of each pid sum to its rusage."""
        code = ("import subprocess, threading, time\n"
                "def burn(s):\n"
                "    end = time.thread_time() + s\n"
                "    while time.thread_time() < end: sum(range(1000))\n"
                "t = [threading.Thread(target=burn, args=(0.2,)) for _ in range(3)]\n"
                "[x.start() for x in t]; burn(0.1); [x.join() for x in t]\n")
        started = Stopped([sys.executable, "-c", code])
        with started, Recording("-F", 99, "-p", started.pid) as recording:
            begun = started.cpu_so_far()
            started.go()
            cpu_ns = started.end(None)
            self.assertEqual(recording.wait(), 0, "the end of all PIDs ends a recording: " + recording.stderr)
            rows = self.rows_of(recording, started.pid)
            self.assertTrue(all(row["kind"] == "process" for row in rows), rows)
            self.assert_near(sum(row["cpu_ns"] for row in rows), cpu_ns - begun, 0.002, "cpu_ns", slack=MILLISECOND)
            self.assert_directory_is_whole(recording)

    def test_a_process_of_many_threads_is_accounted_for(self):
        """Ten thousand of them in the matrix: each is a thread that is met, charged and buried."""
        n = 10000 if fnprof_e2e.MATRIX else 2000
        started = Stopped([program("crowd"), n])
        with started, Recording("-F", 99, "-p", started.pid) as recording:
            begun = started.cpu_so_far()
            started.go()
            cpu_ns = started.end(None)
            self.assertEqual(recording.wait(), 0, recording.stderr)
            if started.process.returncode == 77:
                self.skipTest(started.said())
            rows = self.rows_of(recording, started.pid)
            spent, summary = sum(row["cpu_ns"] for row in rows), recording.summary
            print(f"{n} threads: the rows' CPU time is {spent / (cpu_ns - begun) - 1:+.4%} off; "
                  f"{summary['events_lost']} events lost", file=sys.stderr)
            # The kernel adds a thread that dies to its process before its last moments, and as it stood at its last switch
            # or tick (__exit_signal): what it spent after that is in no rusage.
            self.assertGreater(spent, 0.998 * (cpu_ns - begun) - MILLISECOND)
            self.assertLess(spent, 1.002 * (cpu_ns - begun) + MILLISECOND + n * 40_000)
            self.assert_directory_is_whole(recording)

    def test_the_whole_tree_of_a_command_is_accounted_for(self):
        """As the launcher: each process from its fork, or for the command from its exec, to its teardown."""
        code = ("import json, os, subprocess, sys, time\n"
                "out = []\n"
                "for i in range(30):\n"
                "    pid = os.posix_spawn(sys.argv[1], [sys.argv[1], '20'], os.environ, file_actions=["
                "(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])\n"
                "    u = os.wait4(pid, 0)[2]\n"
                "    out.append((pid, round((u.ru_utime + u.ru_stime) * 1e9)))\n"
                "print(json.dumps(out))\n")
        import prepare
        with Recording("-F", 997, cmd=[sys.executable, "-c", code, prepare.exec_program()]) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            for pid, cpu_ns in json.loads(recording.stdout):
                rows = self.rows_of(recording, pid)
                self.assert_near(sum(row["cpu_ns"] for row in rows), cpu_ns, 0.005, f"cpu_ns of {pid}: {rows}",
                                 slack=50_000)
            self.assert_directory_is_whole(recording)

    def test_work_in_step_with_the_clock_does_not_alias(self):
        """Shares of a 60/30/10 cycle are those of its own CPU clock within 2 percentage points, whatever its period."""
        worst = 0
        for period_us in (500, 1000, 2000, 5010, 20000):
            with Recording("-F", 1999, cmd=[program("cycle"), period_us, 3000]) as recording:
                self.assertEqual(recording.wait(), 0, recording.stderr)
                (row,) = [r for r in recording.rows if r["samples"] > 100]
                seen = dict.fromkeys(("sixty", "thirty", "ten"), 0)
                for stack, ns in recording.folded(row).items():
                    for name in seen:
                        if name in stack:
                            seen[name] += ns
                total = sum(seen.values())
                self.assertGreater(total, 0.9 * row["sampled_ns"], recording.folded(row).most_common(5))
                shares = [seen[name] / total for name in ("sixty", "thirty", "ten")]
                spent = json.loads(recording.stdout)
                truths = [ns / sum(spent) for ns in spent]
                off = max(abs(share - truth) for share, truth in zip(shares, truths))
                worst = max(worst, off)
                print(f"period {period_us} us, {row['samples']} samples: "
                      + " ".join(f"{share:.3f} ({truth:.3f})" for share, truth in zip(shares, truths)),
                      file=sys.stderr)
                # 2 points at 5,000 samples; a program that got less of the processor has fewer.
                allowed = 0.02 * max(1, (5000 / row["samples"]) ** 0.5)
                self.assertLess(off, allowed, f"period {period_us} us: {shares}, {truths}")
        print(f"worst share is off by {worst * 100:.2f} points", file=sys.stderr)

    def test_a_full_ring_is_counted_not_silent(self):
        """While the program is stopped nobody reads the ring: what does not fit is a loss, and the sum still holds."""
        with Recording("-F", 10000, cmd=[program("cycle"), 1000, 8000]) as recording:
            time.sleep(0.5)
            recording.send(signal.SIGSTOP)
            time.sleep(6)
            recording.send(signal.SIGCONT)
            self.assertEqual(recording.wait(), 0, recording.stderr)
            summary = recording.summary
            self.assertEqual(summary["ticks"], summary["samples"] + sum(summary["losses"].values()))
            sampled = sum(row["sampled_ns"] for row in recording.rows)
            print(f"stopped for 6 of 8 s at {summary['rate_hz']} Hz: {summary['samples']} samples, "
                  f"losses {summary['losses']}, sampled {sampled / 8e9:.2f}", file=sys.stderr)
            self.assert_directory_is_whole(recording)


if __name__ == "__main__":
    fnprof_e2e.main()
