#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debug data from debuginfod servers, when it is asked for: a good server, one without the file, one that lies, one that
sends garbage, one that hangs, one that is not there."""
import ctypes.util
import gzip
import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import fnprof_e2e
from fnprof_e2e import FNPROF, Recording, Skip
from programs_e2e import program

SOURCE = """
#include <stdint.h>
static inline __attribute__((always_inline)) uint64_t within(uint64_t n) { volatile uint64_t s = 0; while (n--) s += n; return s; }
__attribute__((noipa)) uint64_t around(uint64_t n) { return within(n) + 1; }
int main(int argc, char **argv) { for (int i = 0; i < 40 * argc; i++) around(10000000); return argv == 0; }
"""


class Server(http.server.ThreadingHTTPServer):
    """`answers` {build id: bytes}; what is None hangs until the end."""
    daemon_threads = True

    def __init__(self, answers):
        self.answers, self.asked, self.over = answers, [], threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = re.fullmatch(r"/buildid/([0-9a-f]+)/debuginfo", self.path)
        build_id = found and found[1]
        self.server.asked.append(build_id)
        answer = self.server.answers.get(build_id, b"")
        if answer is None:
            self.server.over.wait(60)
            return
        self.send_response(200 if answer else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Debuginfod(fnprof_e2e.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for tool in ("gcc", "objcopy", "readelf"):
            if not shutil.which(tool):
                raise Skip(f"no {tool} here")
        if not ctypes.util.find_library("debuginfod"):
            raise Skip("no libdebuginfod here")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="fnprof-debuginfod-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        source, cls.program = cls.folder / "x.c", cls.folder / "stripped"
        source.write_text(SOURCE)
        subprocess.run(["gcc", "-O2", "-g", "-Wl,--build-id", "-o", cls.program, source], check=True)
        subprocess.run(["objcopy", "--only-keep-debug", cls.program, cls.folder / "debug"], check=True)
        symbols = subprocess.run(["nm", cls.program], check=True, capture_output=True, text=True).stdout
        cls.around = re.search(r"^([0-9a-f]+) T around$", symbols, re.M)[1]
        subprocess.run(["strip", cls.program], check=True)
        notes = subprocess.run(["readelf", "-n", cls.program], check=True, capture_output=True, text=True).stdout
        cls.build_id = re.search(r"Build ID: ([0-9a-f]+)", notes)[1]
        cls.debug = (cls.folder / "debug").read_bytes()

    def setUp(self):
        super().setUp()
        self.cache = tempfile.mkdtemp(prefix="fnprof-debuginfod-")
        self.addCleanup(shutil.rmtree, self.cache, ignore_errors=True)

    def environment(self, url):
        return {"DEBUGINFOD_URLS": url, "DEBUGINFOD_CACHE_PATH": self.cache, "FNPROF_CACHE": ""}

    def ask(self, url, *flags, **env):
        done = subprocess.run([FNPROF, "inspect", "symbols", *flags, self.program], input=self.around + "\n", text=True,
                              capture_output=True, timeout=60, env={**os.environ, **self.environment(url), **env})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split("\n")[0], done.stderr

    def test_a_server_that_has_the_file(self):
        with Server({self.build_id: self.debug}) as server:
            name, said = self.ask(server.url, "--debuginfod")
            self.assertRegex(name, r"^(within|around) at .*x\.c:\d+$")
            self.assertEqual(said, "")
            self.assertEqual(server.asked, [self.build_id])
            self.ask(server.url, "--debuginfod")
            self.assertEqual(server.asked, [self.build_id], "it is in the cache")

    def test_nobody_is_asked_without_the_flag(self):
        with Server({self.build_id: self.debug}) as server:
            name, said = self.ask(server.url)
            self.assertRegex(name, r"^\[stripped\+0x[0-9a-f]+\]$")
            self.assertEqual((said, server.asked), ("", []))

    def test_a_server_without_the_file(self):
        with Server({}) as server:
            name, said = self.ask(server.url, "--debuginfod")
            self.assertRegex(name, r"^\[stripped\+0x[0-9a-f]+\]$")
            self.assertEqual(said, "")

    def test_what_is_not_the_file_is_said_and_not_kept(self):
        other = pathlib.Path(program("cycle")).read_bytes()
        for what in (b"garbage" * 1000, other, self.debug[:100]):
            with Server({self.build_id: what}) as server:
                name, said = self.ask(server.url, "--debuginfod")
                self.assertRegex(name, r"^\[stripped\+0x[0-9a-f]+\]$")
                self.assertIn(self.build_id, said)
                self.assertEqual(len(said.splitlines()), 1, said)
                kept = [name for _, _, names in os.walk(self.cache) for name in names if name == "debuginfo"]
                self.assertEqual(kept, [])

    def test_a_server_that_hangs_is_given_up(self):
        with Server({self.build_id: None}) as server:
            start = time.monotonic()
            name, _ = self.ask(server.url, "--debuginfod", DEBUGINFOD_TIMEOUT="2")
            self.assertRegex(name, r"^\[stripped\+0x[0-9a-f]+\]$")
            self.assertLess(time.monotonic() - start, 30)

    def test_without_servers_it_says_what_to_do(self):
        done = subprocess.run([FNPROF, "inspect", "symbols", "--debuginfod", self.program], input="", text=True,
                              capture_output=True, timeout=60, env={**os.environ, "DEBUGINFOD_URLS": " "})
        if done.returncode == 0:
            raise Skip("this machine has servers in /etc/debuginfod")
        self.assertIn("DEBUGINFOD_URLS", done.stderr)

    def test_a_recording_has_lines_of_stripped_programs(self):
        with Server({self.build_id: self.debug}) as server:
            with Recording("--debuginfod", cmd=[self.program], env=self.environment(server.url)) as recording:
                self.assertEqual(recording.wait(), 0, recording.stderr)
                (row,) = recording.of("process", "stripped")
                leaves = {frame for stack in recording.folded(row) for frame in stack}
                self.assertIn("within_[i]", leaves)
                self.assertIn(b"x.c", gzip.decompress((recording.dir / row["pprof"]).read_bytes()))
                self.assert_directory_is_whole(recording)

    def test_a_recording_loses_nothing_to_a_server_that_hangs_or_is_not_there(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody, Server({self.build_id: None}) as server:
            gone = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            nobody.close()
            for url in (server.url, gone):
                env = {**self.environment(url), "DEBUGINFOD_TIMEOUT": "1"}
                with Recording("--debuginfod", cmd=[self.program], env=env) as recording:
                    self.assertEqual(recording.wait(), 0, recording.stderr)
                    (row,) = recording.of("process", "stripped")
                    self.assertGreater(row["samples"], 0)
                    self.assertEqual(recording.summary["losses"].get("ring_full", 0), 0)
                    self.assert_directory_is_whole(recording)


if __name__ == "__main__":
    fnprof_e2e.main()
