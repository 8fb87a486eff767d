#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a recording ends: in every way that it can, with whole files."""
import json
import os
import signal
import subprocess
import sys
import time

import fnprof_e2e
from fnprof_e2e import FNPROF, Recording, child_of, fnprof
from programs_e2e import program
import prepare

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = [sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\ntime.sleep(600)"]


def wait_until_deaf(pid, seconds=20):
    """Until it ignores SIGINT: an interpreter may take its time to come to that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ignored = next(line for line in open(f"/proc/{pid}/status") if line.startswith("SigIgn:"))
        if int(ignored.split()[1], 16) & 1 << (signal.SIGINT - 1):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} does not ignore SIGINT")


def calls(count, ms=2, forever=False):
    """A shell that executes the example function again and again."""
    loop = "while :" if forever else f"for i in $(seq {count})"
    script = f'i=0; {loop}; do i=$((i+1)); Http_X_Call_Id=c$i {prepare.exec_program()} {ms} >/dev/null; done'
    return ["/bin/bash", "-c", script]


class Ending(fnprof_e2e.TestCase):
    def group(self):
        return {"start_new_session": True}

    def interrupt(self, recording):
        """What a terminal does: the whole foreground group has the signal."""
        os.killpg(recording.process.pid, signal.SIGINT)

    def test_a_duration_ends_it_with_success(self):
        begun = time.monotonic()
        with Recording("-d", 1) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
        self.assertLess(time.monotonic() - begun, 5)

    def test_there_is_a_page_and_it_can_be_made_again(self):
        with Recording("-F", 99, cmd=calls(20)) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            page = recording.dir / "index.html"
            self.assertTrue(page.exists())
            self.assertLess(page.stat().st_size, 32 << 20)
            again = recording.dir.parent / "again.html"
            done = fnprof("export", recording.dir, "--format", "page", "-o", again)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater(again.stat().st_size, page.stat().st_size // 2)

    def test_one_interrupt_ends_a_host_wide_recording(self):
        with Recording() as recording:
            self.assertEqual(recording.stop(signal.SIGINT), 0, recording.stderr)
            self.assert_directory_is_whole(recording)

    def test_termination_ends_a_host_wide_recording(self):
        with Recording() as recording:
            self.assertEqual(recording.stop(signal.SIGTERM), 0, recording.stderr)
            self.assert_directory_is_whole(recording)

    def test_an_interrupt_reaches_the_command_and_waits_for_it(self):
        with Recording(cmd=calls(0, forever=True), popen=self.group()) as recording:
            time.sleep(1)
            self.interrupt(recording)
            status = recording.wait(10)
            self.assertIn(status, (0, 128 + signal.SIGINT), recording.stderr)
            self.assertGreater(len(recording.of("invocation")), 10)
            self.assert_directory_is_whole(recording)

    def test_a_deaf_command_is_waited_for_but_never_killed(self):
        with Recording(cmd=DEAF, popen=self.group()) as recording:
            pid = child_of(recording.process.pid)
            wait_until_deaf(pid)
            begun = time.monotonic()
            self.interrupt(recording)
            recording.wait(15)
            waited = time.monotonic() - begun
            alive = os.path.exists(f"/proc/{pid}/exe")
            os.kill(pid, signal.SIGKILL)
            self.assertTrue(alive, "it was killed")
            self.assertTrue(4 < waited < 9, f"waited {waited:.1f} s of 5")
            self.assert_directory_is_whole(recording)

    def test_a_second_interrupt_ends_at_once_with_whole_files(self):
        with Recording(cmd=DEAF, popen=self.group()) as recording:
            pid = child_of(recording.process.pid)
            wait_until_deaf(pid)
            self.interrupt(recording)
            time.sleep(0.5)
            begun = time.monotonic()
            self.interrupt(recording)
            recording.wait(15)
            self.assertLess(time.monotonic() - begun, 2)
            os.kill(pid, signal.SIGKILL)
            self.assert_directory_is_whole(recording)

    def test_termination_is_passed_on_to_the_command(self):
        code = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(60)"
        with Recording(cmd=[sys.executable, "-c", code]) as recording:
            time.sleep(1)
            self.assertIn(recording.stop(signal.SIGTERM, 20), (0, 9), recording.stderr)
            self.assert_directory_is_whole(recording)

    def test_the_end_of_all_pids_ends_it(self):
        with subprocess.Popen([program("cycle"), "1000", "4000"]) as target:
            with Recording("-p", target.pid) as recording:
                target.wait()
                self.assertEqual(recording.wait(10), 0, recording.stderr)
                (row,) = recording.rows
                self.assertEqual((row["kind"], row["pid"]), ("process", target.pid))
                self.assert_directory_is_whole(recording)

    def test_what_the_pids_have_started_does_not_keep_it_going(self):
        with subprocess.Popen(["/bin/sh", "-c", "sleep 1.5; sleep 60 & echo $!"], stdout=subprocess.PIPE) as target:
            with Recording("-p", target.pid) as recording:
                child = int(target.stdout.readline())
                try:
                    self.assertEqual(recording.wait(10), 0, recording.stderr)
                finally:
                    os.kill(child, signal.SIGKILL)
                self.assertEqual(len(recording.of("process", pid=child)), 1)
                self.assert_directory_is_whole(recording)

    def test_a_hang_up_under_nohup_does_not_end_it(self):
        with Recording(popen={"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}) as recording:
            recording.send(signal.SIGHUP)
            time.sleep(0.5)
            self.assertIsNone(recording.process.poll(), "it ended")
            self.assertEqual(recording.stop(signal.SIGINT), 0, recording.stderr)

    def test_a_target_that_is_killed_in_the_middle(self):
        env = {"Http_X_Call_Id": "cut", "Http_Method": "GET", "Http_Path": "/"}
        with Recording("-F", 997, cmd=[prepare.exec_program(), "60000"], env=env) as recording:
            pid = child_of(recording.process.pid)
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(recording.wait(10), 128 + signal.SIGKILL, recording.stderr)
            (row,) = recording.of("invocation")
            self.assertEqual((row["id"], row["outcome"]), ("cut", "killed"), row)
            self.assertGreater(row["sampled_ns"], 50_000_000)
            self.assert_directory_is_whole(recording)

    def test_an_invocation_that_outlives_the_recording_is_unfinished(self):
        env = dict(os.environ, Http_X_Call_Id="long", Http_Method="GET", Http_Path="/")
        with Recording("-F", 997) as recording:
            with subprocess.Popen([str(prepare.exec_program()), "60000"], env=env, stdout=subprocess.DEVNULL) as target:
                time.sleep(1)
                recording.stop()
                target.kill()
            (row,) = [row for row in recording.of("invocation") if row["pid"] == target.pid]
            self.assertEqual((row["id"], row["outcome"]), ("long", "unfinished"))
            self.assert_directory_is_whole(recording)

    def test_kill_leaves_only_whole_files(self):
        """kill -9 at some moment, five times: what the index names is there and readable, whatever else lies about
        begins with a dot, and nothing older than a second is missing."""
        for after in (0.1, 0.4, 0.9, 1.6, 2.3):
            with Recording("-F", 997, cmd=calls(0, forever=True), popen=self.group()) as recording:
                time.sleep(after)
                seen = len(recording.rows)
                time.sleep(1)
                os.kill(recording.process.pid, signal.SIGKILL)
                killed_ns = time.monotonic_ns()
                self.assertEqual(recording.wait(), -signal.SIGKILL)
                os.killpg(recording.process.pid, signal.SIGKILL)
                rows = recording.rows
                self.assertGreaterEqual(len(rows), seen)
                # One after the other: what is missing ended before the next began.
                begins = {int(row["id"][1:]): row["start_ns"] for row in rows if row["kind"] == "invocation"}
                old = [number for number, ns in begins.items() if ns < killed_ns - 1_000_000_000]
                missing = set(range(1, max(old, default=1))) - begins.keys()
                self.assertFalse(missing, "none is missing that ended a second before")
                for row in rows:
                    self.assert_row_is_whole(recording, row)
                self.assert_pprof(recording, rows)
                named = {row[key] for row in rows for key in ("pprof", "folded")}
                ahead = 0
                for folder, _, names in os.walk(recording.dir):
                    for name in names:
                        path = os.path.relpath(os.path.join(folder, name), recording.dir)
                        if path in named or path == "index.jsonl" or name.startswith("."):
                            continue
                        ahead += 1
                        self.assertGreater(os.path.getsize(os.path.join(folder, name)), 0, path)
                self.assertLess(ahead, 700, "files whose line was still to come")
                self.assertEqual(fnprof("ls", recording.dir).returncode, 0, "what is left can be read")

    def test_the_default_directory_is_new_and_found_again(self):
        import tempfile
        with tempfile.TemporaryDirectory() as here:
            done = subprocess.run([FNPROF, "record", "-d", "1"], cwd=here, capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0, done.stderr)
            (name,) = os.listdir(here)
            self.assertRegex(name, r"^fnprof-\d{8}T\d{6}")
            self.assertEqual(subprocess.run([FNPROF, "ls"], cwd=here, capture_output=True).returncode, 0)


if __name__ == "__main__":
    assert json and SLEEPER
    fnprof_e2e.main()
