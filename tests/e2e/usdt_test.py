# SPDX-License-Identifier: Apache-2.0
"""The USDT engine on a program made for it: every form of argument, semaphores, libraries and processes that come
later, many probes in many processes, files that are replaced, notes that lie."""
import collections
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import fnprof_e2e as e2e
import programs_e2e

PLAIN = "shop:*"
SALE = [0x1122334455667788, -5, 0xff85, -123, 0x77, -9, 1001, -1002, -1002, -41, 42]
FORMS = [-9, 1001, -1002, -1002, -41, 42, 1001, 0x77, -1004, -5, 0xff85, -123]  # of an argument, a probe each
BPFTRACE_NOT = (4, 5, 6, 7)  # it refuses the last two, and reads memory beside the instruction for the first two
MORE = "-3600 240 -3600 1001 -1004 ? 9223372036854775807"


def events_of(recording):
    return [event for row in recording.rows if "events" in row
            for event in e2e.read_lines(recording.dir / row["events"]) if event["what"] != "off_cpu"]


class Usdt(e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if platform.machine() != "x86_64":
            raise e2e.Skip("the program's notes are for x86-64")
        cls.pie = programs_e2e.program("notes")
        subprocess.run(["cc", "-O2", "-no-pie", "-fno-pie", "-o", cls.pie + "-fixed",
                        programs_e2e.HERE / "notes.c", "-ldl"], check=True)
        cls.fixed = cls.pie + "-fixed"
        cls.library = cls.pie + ".so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", cls.library, programs_e2e.HERE / "notes.c"],
                       check=True)

    def assert_sales(self, events, rounds, times=1):
        by_name = collections.defaultdict(list)
        for event in events:
            self.assertEqual((event["what"], event["how"], event["duration_ns"]), ("usdt", "usdt", 0))
            by_name[event["name"]].append(event.get("arguments", ""))
        sales = sorted(by_name.pop("shop:sale"), key=lambda line: int(line.split()[0]))
        truth = sorted([" ".join(map(str, [i, *SALE])) for i in range(rounds)] * times,
                       key=lambda line: int(line.split()[0]))
        self.assertEqual(sales, truth)
        self.assertEqual(by_name.pop("shop:more"), [MORE] * rounds * times)
        self.assertEqual(sorted(map(int, by_name.pop("shop:locked"))), sorted([*range(rounds)] * times))
        self.assertEqual(by_name.pop("shop:none"), [""] * rounds * times)
        for number, value in enumerate(FORMS):
            self.assertEqual(by_name.pop(f"shop:form{number}"), [str(value)] * rounds * times, number)
        self.assertFalse(by_name)

    def test_every_form_of_argument_also_in_libraries_that_come_late(self):
        for program in (self.pie, self.fixed):
            with e2e.Recording("--usdt", PLAIN, cmd=[program, 100, self.library], live=False) as recording:
                self.assertEqual(recording.wait(), 0)
                self.assert_sales(events_of(recording), 100, times=2)
                self.assert_directory_is_whole(recording)
                self.assertEqual(recording.summary["events_lost"], 0)

    def test_places_one_by_one_as_kernels_before_6_6_have_them(self):
        with e2e.Recording("--usdt", "shop:none", cmd=[self.pie, 100], live=False, env={"FNPROF_UPROBES": "one"}) as recording:
            self.assertEqual(recording.wait(), 0)
            self.assertEqual([event["name"] for event in events_of(recording)], ["shop:none"] * 100)
            self.assertEqual(recording.summary["events_lost"], 0)

    def test_processes_that_start_later_are_whole(self):
        script = f"for i in 1 2 3 4 5; do {self.pie} 40 & done; wait"
        with e2e.Recording("--usdt", PLAIN, cmd=["sh", "-c", f"{self.pie} 0; sleep 0.4; {script}"],
                           live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            self.assert_sales(events_of(recording), 40, times=5)

    def semaphore(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    def test_semaphore_is_raised_and_lowered_again_also_after_a_kill(self):
        with subprocess.Popen([self.pie, "watch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            for end in (signal.SIGINT, signal.SIGKILL):
                self.assertEqual(self.semaphore(process), 0)
                with e2e.Recording("-p", process.pid, "--usdt", "shop:sale") as recording:
                    limit = time.monotonic() + 5
                    while self.semaphore(process) == 0 and time.monotonic() < limit:
                        time.sleep(0.02)
                    self.assertEqual(self.semaphore(process), 1)
                    recording.send(end)
                    recording.process.wait(30)
                    limit = time.monotonic() + 5
                    while self.semaphore(process) and time.monotonic() < limit:
                        time.sleep(0.02)
                    self.assertEqual(self.semaphore(process), 0)
                    recording.wait()
            process.stdin.close()

    def test_200_probes_in_50_processes(self):
        script = f"for i in $(seq 50); do {self.pie} many 3 & sleep 0.03; done; wait"
        with e2e.Recording("--usdt", "shop:many*", cmd=["sh", "-c", f"{self.pie} 0; sleep 0.8; {script}"],
                           live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            found = collections.Counter(event["name"] for event in events_of(recording))
            self.assertEqual(found, {f"shop:many{i}": 150 for i in range(200)})
            for event in events_of(recording):
                self.assertEqual(event["name"], f"shop:many{event['arguments']}")

    def test_file_that_is_replaced_keeps_its_probes_and_the_new_one_gets_its_own(self):
        place = self.pie + "-replaced"
        shutil.copy(self.pie, place)
        script = (f"{place} 10; sleep 0.4; {place} 10; cp {self.library} /dev/null; "
                  f"cp {self.fixed} {place}.new; mv {place}.new {place}; {place} 0; sleep 0.4; {place} 10")
        with e2e.Recording("--usdt", PLAIN, cmd=["sh", "-c", script], live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            sales = [event for event in events_of(recording) if event["name"] == "shop:sale"]
            self.assertIn(len(sales), range(20, 31))  # the first run may end before it was seen
            for event in sales:
                self.assertEqual(event["arguments"].split()[1:], list(map(str, SALE)))

    def test_notes_that_lie_harm_nobody(self):
        raw = bytearray(open(self.pie, "rb").read())
        at, places = raw.find(b"stapsdt\0"), 0
        while at >= 0:
            # Every place one byte further: in the middle of instructions, or where nothing is.
            raw[at + 8:at + 16] = ((int.from_bytes(raw[at + 8:at + 16], "little") + (1 << (4 * (places % 12))))
                                   & (1 << 64) - 1).to_bytes(8, "little")
            raw[at + 24:at + 32] = (1).to_bytes(8, "little")  # the semaphore
            places += 1
            at = raw.find(b"stapsdt\0", at + 1)
        path = self.pie + "-lying"
        with open(path, "wb") as out:
            out.write(raw)
        os.chmod(path, 0o755)
        self.assertGreater(places, 200)
        shown = subprocess.run([e2e.FNPROF, "inspect", "object", "--usdt", path], capture_output=True, text=True)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("passed over", shown.stdout)
        self.assertIn("semaphore in read-only memory", shown.stdout)
        # Who asks for them all the same may break the program, but nothing of fnprof.
        with e2e.Recording("--usdt", PLAIN, cmd=["sh", "-c", f"{path} 3; {path} 3; {self.fixed} 0; sleep 0.4; {self.fixed} 5"],
                           live=False) as recording:
            recording.wait()
            self.assertNotIn(recording.status, (134, 139, -6, -11))
            self.assert_directory_is_whole(recording)
            sales = [event for event in events_of(recording) if event["name"] == "shop:sale"]
            self.assertGreaterEqual(len(sales), 5)

    def test_probes_at_the_end_of_a_section_and_of_the_code(self):
        path = self.pie + "-end"
        subprocess.run(["cc", "-O1", "-static", "-nostdlib", "-no-pie", "-o", path, programs_e2e.HERE / "section_end.c"],
                       check=True)
        with e2e.Recording("--usdt", "edge:*", cmd=[path], live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            found = collections.defaultdict(list)
            for event in events_of(recording):
                found[event["name"]].append(int(event["arguments"]))
        self.assertEqual(found, {name: list(range(1000)) for name in ("edge:begins", "edge:ends")})

    def test_processes_that_were_too_quick_for_their_probes_are_counted(self):
        """50 at once, of a file that nobody had met: what is missing is of those that are counted."""
        with e2e.Recording("--usdt", "shop:many*", cmd=["sh", "-c", f"for i in $(seq 50); do {self.pie} many 3 & done; wait"],
                           live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            found = collections.Counter(event["name"] for event in events_of(recording))
            late = recording.summary["probes"]
        missing = 50 * 3 * 200 - sum(found.values())
        print(f"{missing} of {50 * 3 * 200} hits are missing; {late}", file=sys.stderr)
        self.assertLessEqual(missing, late["late_processes"] * 3 * 200)
        self.assertLess(late["late_max_ns"], 5e9)
        self.assertEqual("what they hit until then is missing" in recording.stderr, late["late_processes"] > 0)

    def test_bpftrace_agrees_on_every_form_that_it_knows(self):
        if not shutil.which("bpftrace"):
            raise e2e.Skip("bpftrace is not installed")
        # Another reader of notes: arguments behind one that it does not know, and the seventh, it does not take.
        probes = {f"form{n}": [value] for n, value in enumerate(FORMS) if n not in BPFTRACE_NOT}
        probes.update(more=list(map(int, MORE.split()[:3])))
        text = " ".join(f'usdt:{self.pie}:shop:{name} {{ printf("told {name} {" ".join(["%ld"] * len(values))}\\n", '
                        f'{", ".join(f"arg{n}" for n in range(len(values)))}); }}' for name, values in probes.items())
        done = subprocess.run(["bpftrace", "-e", text, "-c", f"{self.pie} 25"], capture_output=True, text=True,
                              timeout=60)
        told = collections.Counter(line for line in done.stdout.splitlines() if line.startswith("told "))
        if not told:
            raise e2e.Skip(f"bpftrace cannot: {done.stderr.strip()[-200:]}")
        self.assertEqual(told, {f"told {name} {' '.join(map(str, values))}": 25 for name, values in probes.items()})

    def test_name_that_nobody_has_is_said(self):
        with e2e.Recording("--usdt", "shop:nothing", cmd=[self.pie, 1], live=False) as recording:
            self.assertEqual(recording.wait(), 0)
            self.assertIn("has a probe 'shop:nothing'", recording.stderr)
            done = subprocess.run([e2e.FNPROF, "record", "--usdt", "nocolon", "--", "true"], capture_output=True)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    e2e.main()
