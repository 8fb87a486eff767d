#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input of a person: each has one clear sentence, a fitting exit code, and nothing is lost or overwritten."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import fnprof_e2e
from fnprof_e2e import FNPROF, Recording, fnprof
from programs_e2e import program

NOBODY = 65534


class BadInput(fnprof_e2e.TestCase):
    def setUp(self):
        super().setUp()
        self.scratch = tempfile.mkdtemp(prefix="fnprof-bad-")
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.out = os.path.join(self.scratch, "out")

    def assert_one_sentence(self, done, status, *words):
        """Exit code, and one sentence on stderr that has these words; nothing on stdout."""
        self.assertEqual(done.returncode, status, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertGreaterEqual(len(lines), 1, "it said nothing")
        self.assertLessEqual(len(lines), 2, f"more than a sentence (and a hint): {done.stderr}")
        for word in words:
            self.assertIn(word.lower(), done.stderr.lower())

    # ---- the command line ----

    def test_unknown_verb(self):
        self.assert_one_sentence(fnprof("recrod"), 2, "recrod", "record")

    def test_unknown_option(self):
        self.assert_one_sentence(fnprof("record", "--frobnicate"), 2, "frobnicate")
        self.assert_one_sentence(fnprof("ls", "-Q"), 2, "Q")

    def test_option_without_its_value(self):
        self.assert_one_sentence(fnprof("record", "-o"), 2, "-o")

    def test_rates_that_are_none(self):
        for rate in ("0", "-1", "10001", "12abc", "", "99999999999999999999"):
            self.assert_one_sentence(fnprof("record", "-F", rate, "-o", self.out), 2)
        self.assertFalse(os.path.exists(self.out))

    def test_durations_that_are_none(self):
        for seconds in ("0", "x", "-5"):
            self.assert_one_sentence(fnprof("record", "-d", seconds, "-o", self.out), 2)

    def test_no_such_pid(self):
        self.assert_one_sentence(fnprof("record", "-p", 2**22 - 3, "-o", self.out), 125, str(2**22 - 3))
        self.assertFalse(os.path.exists(self.out))

    def test_pids_that_are_none(self):
        for pids in ("abc", "1,,2", "0", "-4", "", "1,x"):
            done = fnprof("record", "-p", pids, "-o", self.out)
            self.assertIn(done.returncode, (2, 125), pids)
            self.assertTrue(done.stderr.strip())
        self.assertFalse(os.path.exists(self.out))

    def test_pid_of_a_kernel_thread(self):
        if not pathlib.Path("/proc/2/status").exists() or os.path.exists("/proc/2/exe"):
            with contextlib.suppress(OSError):
                os.readlink("/proc/2/exe")
                self.skipTest("no kernel threads are visible in this PID namespace")
        self.assert_one_sentence(fnprof("record", "-p", 2, "-o", self.out), 125, "kernel thread")

    def test_no_such_recording(self):
        for verb in ("ls", "show", "export"):
            args = ["--format", "folded"] if verb == "export" else []
            done = fnprof(verb, os.path.join(self.scratch, "nothing"), *args)
            self.assert_one_sentence(done, 1, "nothing")

    def test_a_word_where_no_recording_is_was_meant_as_one(self):
        for verb in ("ls", "show", "export"):
            args = ["--format", "folded"] if verb == "export" else []
            self.assert_one_sentence(fnprof(verb, "nosuch", *args, cwd=self.scratch), 1, "nosuch", "No such file")

    # ---- the directory ----

    def test_directory_that_exists_is_left_alone(self):
        os.mkdir(self.out)
        kept = pathlib.Path(self.out, "index.jsonl")
        kept.write_text("mine\n")
        done = fnprof("record", "-o", self.out, "-d", "1")
        self.assert_one_sentence(done, 125, self.out)
        self.assertEqual(os.listdir(self.out), ["index.jsonl"])
        self.assertEqual(kept.read_text(), "mine\n")

    def test_demo_looks_at_the_directory_before_it_prepares_anything(self):
        os.mkdir(self.out)
        pathlib.Path(self.out, "x").write_text("")
        self.assert_one_sentence(fnprof("demo", "-o", self.out, env=dict(os.environ, HOME=self.scratch)), 1, "not empty")
        self.assertEqual(sorted(os.listdir(self.scratch)), ["out"])

    def test_directory_that_is_a_file(self):
        pathlib.Path(self.out).write_text("mine")
        self.assert_one_sentence(fnprof("record", "-o", self.out, "-d", "1"), 125, self.out)
        self.assertEqual(pathlib.Path(self.out).read_text(), "mine")

    def test_empty_directory_is_taken(self):
        os.mkdir(self.out)
        done = fnprof("record", "-o", self.out, "-d", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.out, "summary.json")))

    def test_a_bad_directory_is_said_before_the_command_begins(self):
        """As a mistake in the command line is: nothing was begun that would have to be recorded again."""
        os.mkdir(self.out)
        pathlib.Path(self.out, "x").write_text("")
        mark = os.path.join(self.scratch, "ran")
        done = fnprof("record", "-o", self.out, "--", "/bin/sh", "-c", f"touch {mark}")
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertFalse(os.path.exists(mark))

    @contextlib.contextmanager
    def file_system(self, options):
        where = os.path.join(self.scratch, "fs")
        os.mkdir(where)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        try:
            yield where
        finally:
            subprocess.run(["umount", "-l", where], check=True)

    def test_read_only_directory(self):
        with self.file_system("size=1m,ro") as where:
            done = fnprof("record", "-o", where + "/out", "-d", "1")
            self.assert_one_sentence(done, 125, "read-only")

    def test_file_system_that_takes_no_folders(self):
        done = fnprof("record", "-o", "/proc/recording", "-d", "1")
        self.assert_one_sentence(done, 125, "/proc/recording", "takes no folder")
        done = fnprof("record", "-o", self.out + "/below/nothing", "-d", "1")
        self.assert_one_sentence(done, 125, "the folder above it does not exist")

    def test_full_disk_keeps_what_is_whole(self):
        """400 programs of 2 ms into 600 kB: exit 125, the command unharmed, every line with both of its files."""
        import prepare
        with self.file_system("size=600k") as where:
            ran = os.path.join(self.scratch, "ran")
            script = f'for i in $(seq 400); do Http_X_Call_Id=c$i {prepare.exec_program()} 2 >/dev/null; done; touch {ran}'
            done = fnprof("record", "-F", "997", "-o", where + "/out", "--", "/bin/bash", "-c", script)
            self.assertEqual(done.returncode, 125, done.stderr)
            self.assertIn("No space left", done.stderr)
            self.assertLess(len(done.stderr.splitlines()), 8, "one line for each problem, not for each file")
            self.assertTrue(os.path.exists(ran), "the command went on to its end")
            out = pathlib.Path(where, "out")
            rows = fnprof_e2e.read_lines(out / "index.jsonl")
            self.assertGreater(len(rows), 0)
            for row in rows:
                self.assertEqual(sum(fnprof_e2e.read_folded(out / row["folded"]).values()), row["sampled_ns"])
                self.assertGreater((out / row["pprof"]).stat().st_size, 0)
            self.assert_pprof_files(out, rows)

    def test_a_limit_of_file_sizes_is_a_full_disk(self):
        script = 'ulimit -f 40; exec "$0" record -F 997 -o "$1" -- "$2" 1000 500'
        done = subprocess.run(["/bin/sh", "-c", script, FNPROF, self.out, program("cycle")], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("File too large", done.stderr)
        for row in fnprof_e2e.read_lines(pathlib.Path(self.out, "index.jsonl")):
            self.assertGreater(pathlib.Path(self.out, row["pprof"]).stat().st_size, 0)

    def test_a_second_signal_ends_also_who_could_not_write(self):
        """The command goes on, as it always does; nobody waits for it who was told to end twice."""
        script = 'ulimit -f 0; exec "$0" record -o "$1" -- /bin/sh -c \'trap "" TERM; echo; exec sleep 20\''
        recording = subprocess.Popen(["/bin/sh", "-c", script, FNPROF, self.out], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL)
        self.addCleanup(recording.stdout.close)
        self.addCleanup(recording.kill)
        recording.stdout.readline()  # it ignores the signal from here on
        for _ in range(2):
            recording.terminate()
            time.sleep(0.5)
        self.assertEqual(recording.wait(timeout=12), 125)

    def assert_pprof_files(self, out, rows):
        class Written:
            dir = out
        self.assert_pprof(Written, rows)

    # ---- the command ----

    def test_command_that_does_not_exist(self):
        done = fnprof("record", "-o", self.out, "--", "/no/such/command")
        self.assert_one_sentence(done, 127, "/no/such/command")
        self.assertFalse(os.path.exists(self.out), "a recording of nothing, which `ls` would take as the newest")

    def test_command_not_in_path(self):
        os.mkdir(self.out)
        done = fnprof("record", "-o", self.out, "--", "no-such-command-at-all")
        self.assert_one_sentence(done, 127, "no-such-command-at-all")
        self.assertEqual(os.listdir(self.out), [], "a folder that was there stays, and stays empty")

    def test_command_that_cannot_be_executed(self):
        path = os.path.join(self.scratch, "text")
        pathlib.Path(path).write_text("hello")
        self.assert_one_sentence(fnprof("record", "-o", self.out, "--", path), 126, path)
        self.assertFalse(os.path.exists(self.out))

    def test_the_exit_status_is_the_commands(self):
        for number, script in enumerate(("exit 0", "exit 7", "kill -9 $$", "exit 255")):
            expected = (0, 7, 137, 255)[number]
            done = fnprof("record", "-o", f"{self.out}{number}", "--", "/bin/sh", "-c", script)
            self.assertEqual(done.returncode, expected, done.stderr)

    def test_standard_streams_are_the_commands(self):
        done = subprocess.run([FNPROF, "record", "-o", self.out, "--", "/bin/sh", "-c", "cat; echo err >&2"],
                              input=b"in\x00\xff", capture_output=True, timeout=30)
        self.assertEqual(done.stdout, b"in\x00\xff")
        self.assertTrue(done.stderr.startswith(b"err\n") or b"\nerr\n" in done.stderr)
        self.assertNotIn(b"\x1b", done.stderr, "escape codes where there is no terminal")

    def test_standard_streams_that_are_closed(self):
        """They stay closed for the command, and nothing of the recording is written where they were."""
        said = os.path.join(self.scratch, "said")
        shell = 'exec "$@" 0<&- 1>&- 2>&-'
        script = f"exec 7>{said}; for n in 0 1 2; do readlink /proc/$$/fd/$n >&7; done; true"
        done = subprocess.run(["/bin/sh", "-c", shell, "sh", FNPROF, "record", "-o", self.out, "--", "/bin/bash", "-c", script],
                              timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(pathlib.Path(said).read_text(), "")
        self.assertEqual(len(fnprof_e2e.read_lines(os.path.join(self.out, "index.jsonl"))) > 0, True)

    def test_a_reader_of_messages_that_goes_away_ends_nothing(self):
        """`fnprof record ... 2>&1 | head -1`"""
        out, into = os.pipe()
        os.close(out)
        script = "trap 'exit 9' PIPE; sleep 0.2; exit 3"
        done = subprocess.run([FNPROF, "record", "-o", self.out, "--", "/bin/sh", "-c", script], stderr=into, timeout=60)
        os.close(into)
        self.assertEqual(done.returncode, 3)
        self.assertTrue(os.path.exists(os.path.join(self.out, "summary.json")))

    def test_a_host_without_functions_says_that_none_was_seen(self):
        """In a PID namespace of its own, where there is nothing else."""
        done = subprocess.run(["unshare", "-p", "-f", "--mount-proc", FNPROF, "record", "-o", self.out, "-d", "1"],
                              capture_output=True, text=True, timeout=60)
        if "unshare:" in done.stderr:
            self.skipTest(done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no function was seen", done.stderr)

    # ---- privileges ----

    def unprivileged(self, *args, caps=None):
        """As nobody, with these capabilities at most."""
        os.chmod(self.scratch, 0o777)
        argv = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        if caps is not None:
            caps = ",".join(["-all", *("+" + cap for cap in caps)])
            argv += ["--inh-caps", caps, "--ambient-caps", caps]
        copy = os.path.join(self.scratch, "fnprof")
        if not os.path.exists(copy):
            shutil.copy(FNPROF, copy)
        return subprocess.run(argv + [copy, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              cwd=self.scratch)

    def test_without_privileges_the_missing_capability_is_named(self):
        done = self.unprivileged("record", "-o", self.out, "-d", "1")
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("CAP_BPF", done.stderr)
        self.assertLessEqual(len(done.stderr.strip().splitlines()), 3, done.stderr)
        self.assertFalse(os.path.exists(self.out), "nothing is left behind")

    def test_each_missing_capability_is_named(self):
        """Of two needed ones the other is held; without the third, one's own processes are recorded all the same."""
        for held, missing in ((("bpf", "sys_ptrace"), "CAP_PERFMON"), (("perfmon", "sys_ptrace"), "CAP_BPF")):
            done = self.unprivileged("record", "-o", self.out, "-d", "1", caps=held)
            self.assert_one_sentence(done, 125, missing + " is not held")
            self.assertFalse(os.path.exists(self.out), "nothing is left behind")
        done = self.unprivileged("record", "-o", self.out, "-p", str(os.getpid()), "-d", "1", caps=("bpf", "perfmon"))
        self.assert_one_sentence(done, 125, "CAP_SYS_PTRACE", str(os.getpid()))
        done = self.unprivileged("record", "-o", self.out, "-d", "1", caps=("bpf", "perfmon"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("CAP_SYS_PTRACE", done.stderr)
        done = self.unprivileged("record", "-o", self.out + "2", "--", "/bin/true", caps=("bpf", "perfmon"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("CAP_SYS_PTRACE", done.stderr)

    def test_doctor_says_what_is_missing_without_privileges(self):
        done = self.unprivileged("doctor")
        self.assertIn(done.returncode, (0, 1))
        self.assertIn("CAP_BPF", done.stdout + done.stderr)
        self.assertIn("Lambda", done.stdout + done.stderr, "it says where it cannot run")

    def test_doctor_as_root(self):
        done = fnprof("doctor")
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn("BTF", done.stdout)

    # ---- answers to good input ----

    def test_help_of_every_verb(self):
        for verb in ("record", "ls", "show", "export", "demo", "doctor", "inspect"):
            done = fnprof(verb, "--help")
            self.assertEqual(done.returncode, 0, f"{verb}: {done.stderr}")
            self.assertIn(verb, done.stdout)

    def test_standard_output_that_is_closed_is_an_error(self):
        """No failing path exits 0."""
        with Recording("-F", 99, cmd=[program("cycle"), 1000, 200]) as recording:
            recording.wait()
            full = subprocess.run(f"{FNPROF} ls {recording.dir} --kind all >/dev/full", shell=True, capture_output=True, text=True)
            self.assertEqual(full.returncode, 1, full.stderr)
            self.assertTrue(full.stderr.strip())

    def test_inspect_process_of_nothing(self):
        self.assert_one_sentence(fnprof("inspect", "process", 2**22 - 3), 1, str(2**22 - 3))

    def test_export_of_an_id_that_is_not_there(self):
        with Recording("-F", 99, cmd=[program("cycle"), 1000, 200]) as recording:
            recording.wait()
            for verb, args in (("show", []), ("export", ["--format", "folded"])):
                self.assert_one_sentence(fnprof(verb, recording.dir, "no-such-id", *args), 1, "no-such-id")
            self.assert_one_sentence(fnprof("export", recording.dir, "--format", "docx"), 2, "docx")


if __name__ == "__main__":
    assert json and sys and unittest
    fnprof_e2e.main()
