#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a host can be like: a wall clock that jumps, namespaces, a kernel without BTF, no tracefs, programs that are
deleted or replaced while they run."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import fnprof_e2e
from fnprof_e2e import FNPROF, Recording, utc_ns
from programs_e2e import program
import prepare

MILLISECOND = 1_000_000


class Surroundings(fnprof_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.scratch = tempfile.mkdtemp(prefix="fnprof-around-")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.out = os.path.join(self.scratch, "out")

    def unshared(self, script, *args, flags="-m"):
        """Runs a shell script in namespaces of its own; "$@" are FNPROF, DIR and what else is given."""
        argv = ["unshare", *flags.split(), "/bin/sh", "-c", script, "sh", FNPROF, self.out, *map(str, args)]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def recording(self):
        found = Recording(directory=self.out)
        found.status = 0
        return found

    def test_a_wall_clock_that_jumps_moves_no_invocation(self):
        """Its offset is taken once: start - start_ns is one number for all rows."""
        shim = program("jump", "-shared", "-fPIC")
        script = f"for i in $(seq 60); do Http_X_Call_Id=c$i {prepare.exec_program()} 20 >/dev/null; done"
        with Recording("-F", 99, cmd=["/bin/bash", "-c", script], env={"LD_PRELOAD": shim}) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            rows = recording.of("invocation")
            self.assertEqual(len(rows), 60)
            offsets = [utc_ns(row["start"]) - row["start_ns"] for row in rows]
            self.assertLess(max(offsets) - min(offsets), MILLISECOND, "nanoseconds between the rows' clocks")
            self.assertLess(recording.summary["duration_ns"], 60e9)
            self.assertTrue(all(row["duration_ns"] < 5e9 for row in rows))
            self.assert_directory_is_whole(recording)

    def test_a_period_that_cannot_be_changed_is_kept(self):
        shim = program("one_period", "-shared", "-fPIC")
        with Recording("-F", 999, cmd=[program("cycle"), "1000", "1500"], env={"LD_PRELOAD": shim}) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            self.assertIn("cannot change the sampling period", recording.stderr)
            row, = recording.of("process", "cycle")
            self.assert_near(row["sampled_ns"], row["cpu_ns"], 0.05, "sampled_ns")

    def test_memory_of_who_starts_it_is_not_its_own(self):
        """A fork has its parent's memory until its exec, and getrusage() remembers that."""
        big = "import subprocess, sys; a = bytearray(200_000_000); sys.exit(subprocess.run(sys.argv[1:], preexec_fn=int).returncode)"
        subprocess.run([sys.executable, "-c", big, FNPROF, "record", "-o", self.out, "--", "/bin/true"], check=True,
                       capture_output=True, timeout=60)
        peak = self.recording().summary["cost"]["rss_max_bytes"]
        self.assertGreater(peak, 4 << 20)
        self.assertLess(peak, 150 << 20)

    def test_a_kernel_without_btf_is_named(self):
        done = self.unshared('mount -t tmpfs none /sys/kernel/btf && exec "$1" record -d 1 -o "$2"')
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("BTF", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def test_recording_needs_no_tracefs(self):
        script = ('umount -l /sys/kernel/tracing 2>/dev/null; umount -l /sys/kernel/debug 2>/dev/null; '
                  'exec "$1" record -F 499 -o "$2" -- "$3" 1000 500')
        done = self.unshared(script, program("cycle"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_directory_is_whole(self.recording())

    def test_in_a_time_namespace_times_are_the_kernels(self):
        if not os.path.exists("/proc/self/timens_offsets"):
            raise fnprof_e2e.Skip("this kernel has no time namespaces")
        begun = time.time_ns()
        script = 'Http_X_Call_Id=c1 exec "$1" record -F 499 -o "$2" -- "$3" 300'
        done = self.unshared(script, prepare.exec_program(), flags="-T -f --monotonic 5000000")
        ended = time.time_ns()
        self.assertEqual(done.returncode, 0, done.stderr)
        recording = self.recording()
        (row,) = recording.of("invocation")
        self.assertTrue(begun < utc_ns(row["start"]) < ended, (begun, row["start"], ended))
        self.assertLess(recording.summary["duration_ns"], ended - begun)
        self.assertLess(abs(row["start_ns"] - time.monotonic_ns()), 60e9, "as the kernel's clock counts")
        self.assert_near(row["sampled_ns"], row["cpu_ns"], 0.1, "samples")
        self.assert_directory_is_whole(recording)

    def test_a_lower_rate_of_the_kernel_is_said_and_used(self):
        limit = "/proc/sys/kernel/perf_event_max_sample_rate"
        script = (f'echo 250 > "$4" && mount --bind "$4" {limit} && "$1" doctor | grep -q "^less  *sample rate" && '
                  'exec "$1" record -F 999 -o "$2" -- "$3" 1000 500')
        done = self.unshared(script, program("cycle"), os.path.join(os.path.dirname(self.out), "limit"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("250", done.stderr)
        self.assertEqual(self.recording().summary["rate_hz"], 250)

    def test_in_a_pid_namespace_pids_are_its_own(self):
        done = self.unshared('"$1" record -F 499 -o "$2" -- "$3" 1000 500', program("cycle"), flags="-m -p -f --mount-proc")
        self.assertEqual(done.returncode, 0, done.stderr)
        recording = self.recording()
        (row,) = recording.rows
        self.assertLess(row["pid"], 100, "as our own namespace counts")
        self.assertGreater(row["samples"], 10)
        self.assertTrue(any("sixty" in stack for stack in recording.folded(row)), recording.folded(row))
        self.assert_directory_is_whole(recording)

    def test_a_program_in_another_mount_namespace_is_named_from_its_own_files(self):
        """The same path is another file for the host: names must come from the file that the process maps."""
        inside = os.path.join(self.scratch, "inside")
        os.mkdir(inside)
        lure = shutil.copy(program("hooked"), os.path.join(inside, "program"))
        script = 'mount -t tmpfs none "$1" && cp "$2" "$1/program" && exec "$1/program" 1000 60000'
        target = subprocess.Popen(["unshare", "-m", "/bin/sh", "-c", script, "sh", inside, program("cycle")])
        try:
            time.sleep(0.4)
            self.check_cycle(target)
        finally:
            target.kill()
            target.wait()
        self.assertTrue(os.path.exists(lure))

    def check_cycle(self, target):
        """A second of this running process, seen from outside, is named."""
        with Recording("-F", 499, "-p", target.pid, "-d", 1) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            (row,) = [row for row in recording.rows if row["pid"] == target.pid]
            named = sum(ns for stack, ns in recording.folded(row).items() if {"sixty", "thirty", "ten"} & set(stack))
            self.assertGreater(row["samples"], 20)
            self.assertGreater(named, 0.9 * row["sampled_ns"], recording.folded(row).most_common(5))
            self.assert_directory_is_whole(recording)

    def test_a_deleted_program_is_named(self):
        path = shutil.copy(program("cycle"), os.path.join(self.scratch, "gone"))
        target = subprocess.Popen([path, "1000", "60000"])
        os.unlink(path)
        try:
            self.check_cycle(target)
        finally:
            target.kill()
            target.wait()

    def test_a_program_that_is_replaced_while_it_runs_keeps_its_names(self):
        path = shutil.copy(program("cycle"), os.path.join(self.scratch, "replaced"))
        target = subprocess.Popen([path, "1000", "60000"])
        shutil.copy(program("hooked"), path + ".new")
        os.rename(path + ".new", path)
        try:
            self.check_cycle(target)
        finally:
            target.kill()
            target.wait()

    def test_a_leader_thread_that_exits_first(self):
        code = ("import ctypes, threading, time\n"
                "def work():\n"
                "    end = time.thread_time() + 0.4\n"
                "    while time.thread_time() < end: sum(range(1000))\n"
                "threading.Thread(target=work).start()\n"
                "ctypes.CDLL(None).pthread_exit(None)\n")
        with Recording("-F", 499, cmd=[sys.executable, "-c", code]) as recording:
            recording.wait(30)
            total = sum(row["cpu_ns"] for row in recording.rows)
            self.assertGreater(total, 400 * MILLISECOND)
            self.assert_directory_is_whole(recording)

    def test_an_exec_in_the_middle_begins_a_new_row(self):
        script = f"i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; exec {program('cycle')} 1000 300"
        with Recording("-F", 499, cmd=["/bin/sh", "-c", script]) as recording:
            self.assertEqual(recording.wait(), 0, recording.stderr)
            rows = recording.of("process")
            self.assertEqual(len(rows), 2, rows)
            self.assertEqual(len({row["pid"] for row in rows}), 1)
            self.assertEqual(rows[1]["function"], "cycle")
            self.assertLessEqual(rows[0]["start_ns"] + rows[0]["duration_ns"], rows[1]["start_ns"])
            self.assert_directory_is_whole(recording)


if __name__ == "__main__":
    assert pathlib
    fnprof_e2e.main()
