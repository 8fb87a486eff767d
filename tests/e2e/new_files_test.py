#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host that runs ever new programs, each deleted soon after it ran: they are named, and their files are closed again."""
import os
import pathlib
import re
import subprocess
import sys
import time

import fnprof_e2e
from fnprof_e2e import Recording
import prepare

COUNT = int(os.environ.get("FNPROF_E2E_COUNT", 400))
LAG = 40  # programs that are still there; who deletes a program while it runs has its frames without names at times
KEPT_SECONDS = 30 + 3 + 12  # what nobody refers to; mappings of the dead; how far apart two looks may be


class NewFiles(fnprof_e2e.TestCase):
    def setUp(self):
        super().setUp()
        function = prepare.exec_program()
        notes = subprocess.run(["readelf", "-n", function], capture_output=True, text=True, check=True).stdout
        self.build_id = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes)[1])
        self.program = pathlib.Path(function).read_bytes()

    def run_new_program(self, folder, number):
        """One that nobody has seen: its build id is random."""
        path = folder / f"new-{number}"
        path.write_bytes(self.program.replace(self.build_id, os.urandom(len(self.build_id)), 1))
        path.chmod(0o755)
        subprocess.run([path, "3"], env={"Http_X_Call_Id": f"new-{number}"}, stdout=subprocess.DEVNULL, check=True)
        return path

    @staticmethod
    def open_files(recording):
        maps = pathlib.Path(f"/proc/{recording.process.pid}/maps").read_text()
        return len(re.findall(r"/new-\d+", maps))

    def test_ever_new_programs_are_named_and_then_closed(self):
        with Recording("-F", 997) as recording:
            paths = []
            for number in range(COUNT):
                paths.append(self.run_new_program(recording.dir.parent, number))
                if len(paths) > LAG:
                    paths.pop(0).unlink()
            most = self.open_files(recording)
            end = time.monotonic() + KEPT_SECONDS
            while self.open_files(recording) and time.monotonic() < end:
                time.sleep(1)
            left = self.open_files(recording)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            rows = [row for row in recording.of("invocation") if row["id"].startswith("new-")]
            self.assertEqual(len({row["id"] for row in rows}), COUNT)
            self.assertEqual(len(rows), COUNT)
            self.check_names(recording, rows)
        print(f"{most} files were open, {left} were left", file=sys.stderr)
        self.assertGreater(most, COUNT / 2)
        self.assertEqual(left, 0)

    def check_names(self, recording, rows):
        named = nameless = 0
        for row in rows:
            for stack, ns in fnprof_e2e.read_folded(recording.dir / row["folded"]).items():
                if any(frame.startswith("[new-") for frame in stack):
                    nameless += ns
                named += ns
        self.assertGreater(named, COUNT * 1_000_000)
        self.assertLess(nameless, 0.01 * named)


if __name__ == "__main__":
    fnprof_e2e.main()
