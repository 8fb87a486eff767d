#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Runtime API in every shape that servers and clients give it, several instances at once, failed inits,
overlapping calls; then what nobody should send: malformed, binary, endless and pipelined answers, hostile ids."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import fnprof_e2e
from fnprof_e2e import Function, Recording
from runtime_api import ERROR, OK, RuntimeApi, Shape
import prepare

CLIENT = str(pathlib.Path(__file__).with_name("protocol_client.py"))


def client(*args):
    return prepare.Client([sys.executable, CLIENT, *args], "python", pathlib.Path(CLIENT).parent)


class Protocol(fnprof_e2e.TestCase):
    def serve(self, shape, payloads, who=None, function="shapes"):
        """(recording, calls, pid): these payloads, one after another, seen by a host-wide recording."""
        with RuntimeApi(shape) as api, Recording() as recording:
            with Function(who or client(), api, function) as process:
                api.wait_for_next()
                calls = [api.invoke(payload, function=function) for payload in payloads]
                time.sleep(0.05)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            self.check(recording, calls, process.pid)
            self.assert_directory_is_whole(recording)
            return recording, calls, [row for row in recording.of("invocation") if row["pid"] == process.pid]

    def check(self, recording, calls, pid):
        rows = [row for row in recording.of("invocation") if row["pid"] == pid]
        self.assertEqual([row["id"] for row in rows], [call.id for call in calls])
        for row, call in zip(rows, calls):
            self.assertEqual(row["outcome"], call.outcome, call.kind)

    # ---- shapes ----

    def test_every_shape_of_a_servers_answer(self):
        shapes = {
            "lower case": Shape(lower=True),
            "sorted, after 3.5 kB of context": Shape(sort=True, context_bytes=3500),
            "in pieces of 7 bytes": Shape(piece=7, pause=0.0003),
            "in single bytes": Shape(piece=1),
            "body in chunks": Shape(chunked=True),
            "closed after 3 requests": Shape(close_after=3),
            "slow": Shape(delay=0.02),
            "7 kB of context": Shape(context_bytes=7000),
        }
        for name, shape in shapes.items():
            with self.subTest(name):
                _, calls, rows = self.serve(shape, [{"kind": "fast", "n": n} for n in range(6)])
                for row, call in zip(rows, calls):
                    self.assertEqual(row.get("trace_id"), call.trace_id)

    def test_what_the_server_does_not_say_is_absent(self):
        """The emulator sends no trace id."""
        _, _, rows = self.serve(Shape(trace=False, deadline=False), [{"n": 1}, {"n": 2}])
        for row in rows:
            self.assertFalse({"trace_id", "parent_span_id", "deadline"} & row.keys(), row)

    def test_a_body_that_looks_like_a_head(self):
        """Bodies are followed by their length: a write may begin with the words of a request."""
        trap = "POST /2018-06-01/runtime/invocation/trap/response HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        for size in (0, 65536 - 200, 200_000):
            payload = ("x" * size + trap * 800).encode()
            with self.subTest(size):
                self.serve(Shape(), [payload, b"{}"])

    def test_streams_end_with_their_last_byte_and_by_their_trailer(self):
        _, calls, rows = self.serve(Shape(), [{"say": "well"}, {"say": "fail"}, {"say": "well"}], client("stream"))
        self.assertEqual([row["outcome"] for row in rows], [OK, ERROR, OK])
        self.assertTrue(all(call.streamed for call in calls))
        for row in rows:
            self.assertGreater(row["duration_ns"], 18_000_000, "it lasts until the last chunk")

    def test_answers_that_cannot_be_read_end_their_invocations(self):
        """The API's word, Accepted, tells what they were; how they ended is not known."""
        with RuntimeApi() as api, Recording() as recording:
            with Function(client("unread"), api, "unread") as process:
                api.wait_for_next()
                calls = [api.invoke({"n": n}, function="unread") for n in range(5)]
                time.sleep(0.05)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            rows = [row for row in recording.of("invocation") if row["pid"] == process.pid]
            self.assertEqual([row["id"] for row in rows], [call.id for call in calls])
            for row, call in zip(rows, calls):
                self.assertNotIn("outcome", row)
                self.assertLess(row["start_ns"] + row["duration_ns"], call.followed_ns or call.read_ns + 10**9)
            self.assertEqual([row["kind"] for row in recording.rows if row["pid"] == process.pid].count("shared"), 0)
            self.assert_directory_is_whole(recording)

    # ---- processes ----

    def test_several_instances_at_once(self):
        with Recording() as recording:
            apis = [RuntimeApi() for _ in range(4)]
            functions = [Function(client(), api, f"many-{n}") for n, api in enumerate(apis)]
            calls = {}
            for api in apis:
                api.wait_for_next()
            for round_number in range(25):
                batch = [api.submit({"round": round_number}, function=f"many-{n}") for n, api in enumerate(apis)]
                for n, call in enumerate(batch):
                    calls.setdefault(n, []).append(call.wait())
            time.sleep(0.05)
            for function, api in zip(functions, apis):
                function.end()
                api.close()
            self.assertEqual(recording.stop(), 0, recording.stderr)
            for n, function in enumerate(functions):
                rows = [row for row in recording.of("invocation") if row["pid"] == function.pid]
                self.assertEqual([row["id"] for row in rows], [call.id for call in calls[n]])
                self.assertEqual({row["function"] for row in rows}, {f"many-{n}"})
                self.assertEqual([row["cold"] for row in rows], [True] + [False] * 24)
            self.assert_directory_is_whole(recording)

    def test_a_child_may_answer_for_its_parent(self):
        _, calls, rows = self.serve(Shape(), [{"n": n} for n in range(5)], client("fork"))
        for row in rows:
            self.assertGreater(row["children_cpu_ns"], 4_000_000)
            self.assertNotIn("ledger", row)

    def test_a_shell_that_starts_curl_for_each_call_serves_its_own_invocations(self):
        if not shutil.which("curl"):
            raise fnprof_e2e.Skip("no curl here")
        shell = prepare.Client(["/bin/sh", str(pathlib.Path(CLIENT).with_name("programs") / "curl_bootstrap.sh")],
                               "native", pathlib.Path(CLIENT).parent)
        _, _, rows = self.serve(Shape(), [{"n": n} for n in range(5)], shell)
        self.assertEqual([row["cold"] for row in rows], [True] + [False] * 4)
        self.assertRegex(rows[0]["init"], rf"init-{rows[0]['pid']}-\d+$")

    def test_overlapping_calls_in_one_process_are_told_apart_by_thread(self):
        """Four threads, four connections: exactly one line each, and what the threads burn goes to their own call."""
        with RuntimeApi() as api, Recording("-F", 1999) as recording:
            with Function(client("overlap", "4"), api, "overlap") as process:
                api.wait_for_next(at_least=4)
                calls = [api.submit(b"%d" % (20 + 20 * (n % 4)), function="overlap") for n in range(24)]
                for call in calls:
                    call.wait()
                time.sleep(0.05)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            rows = {row["id"]: row for row in recording.of("invocation") if row["pid"] == process.pid}
            self.assertEqual(set(rows), {call.id for call in calls})
            shared = sum(row["sampled_ns"] for row in recording.of("shared", pid=process.pid))
            alone = sum(row["sampled_ns"] for row in rows.values())
            print(f"overlapping: {alone / (alone + shared):.3f} of the time told apart by thread", file=sys.stderr)
            self.assertGreater(alone, 9 * shared, "each thread of this client is certain")
            self.assert_directory_is_whole(recording)

    def test_a_failed_init_has_a_row_with_its_outcome(self):
        with RuntimeApi() as api, Recording() as recording:
            with Function(client("initerror"), api, "broken") as process:
                process.process.wait(10)
                process.usage = process.usage or __import__("resource").getrusage(-1)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            self.assertEqual(len(api.init_errors), 1)
            rows = [row for row in recording.rows if row["pid"] == process.pid]
            (init,) = [row for row in rows if row["kind"] == "init"]
            self.assertEqual((init["outcome"], init["function"]), (ERROR, "broken"))
            self.assertFalse([row for row in rows if row["kind"] in ("invocation", "process")], rows)

    def test_a_candidate_that_never_asks_for_work_is_a_process(self):
        """An extension or a supervisor has the platform's environment, too."""
        env = dict(os.environ, AWS_LAMBDA_RUNTIME_API="127.0.0.1:1", AWS_LAMBDA_FUNCTION_NAME="f")
        with Recording() as recording:
            target = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"], env=env)
            target.wait()
            self.assertEqual(recording.stop(), 0, recording.stderr)
            rows = [row for row in recording.rows if row["pid"] == target.pid]
            self.assertEqual([row["kind"] for row in rows], ["process"], rows)

    def test_death_in_a_call_before_and_after_its_deadline(self):
        for timeout_ms, wait, outcome in ((60000, 0.2, "killed"), (100, 0.4, "timeout")):
            with self.subTest(outcome), RuntimeApi() as api, Recording() as recording:
                with Function(prepare.prepare("go"), api, "dies") as process:
                    api.wait_for_next()
                    call = api.submit({"kind": "sleep", "ms": 5000}, timeout_ms=timeout_ms, function="dies")
                    time.sleep(wait)
                    process.end(signal.SIGKILL)
                time.sleep(0.1)
                self.assertEqual(recording.stop(), 0, recording.stderr)
                (row,) = [row for row in recording.of("invocation") if row["pid"] == process.pid]
                self.assertEqual((row["id"], row["outcome"]), (call.id, outcome))

    # ---- what nobody should send ----

    def hostile(self, answers, ids=()):
        """Sends these raw answers, then good calls; fnprof survives, the good calls are right."""
        with RuntimeApi() as api, Recording() as recording:
            with Function(client(), api, "hostile") as process:
                api.wait_for_next()
                for raw in answers:
                    api.submit(b"", raw=raw, function="hostile").wait()
                    api.wait_for_next()
                good = [api.invoke({"n": n}, function="hostile") for n in range(3)]
                time.sleep(0.05)
                self.assertIsNone(process.process.poll(), process.said())
            self.assertEqual(recording.stop(), 0, recording.stderr)
            self.assertLess(len(recording.stderr.splitlines()), 12, recording.stderr)
            rows = {row["id"] for row in recording.of("invocation") if row["pid"] == process.pid}
            self.assertLessEqual({call.id for call in good}, rows)
            self.assert_directory_is_whole(recording)
            return recording

    def test_malformed_and_binary_answers(self):
        head = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: bad-%d\r\n"
        self.hostile([
            b"\x00\xff\xfe" * 500,
            b"HTTP/1.1 200",
            b"HTTP/9.9 abc def\r\n\r\n",
            b"\r\n\r\n\r\n\r\n",
            head % 1 + b"Content-Length: -5\r\n\r\n",
            head % 2 + b"Content-Length: 99999999999999999999999\r\n\r\n",
            head % 3 + b"Transfer-Encoding: chunked\r\n\r\nzzzz\r\n",
            head % 4 + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            head % 5 + b"No colon here\r\n: no name\r\n\r\n",
            os.urandom(20000),
        ])

    def test_endless_heads_and_bodies(self):
        def endless(start, piece, count):
            yield start
            for _ in range(count):
                yield piece
        self.hostile([
            endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 8192, 150),
            endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000, 200),
            endless(b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: e\r\nTransfer-Encoding: chunked\r\n\r\n",
                    b"1;" + b"x" * 4000 + b"\r\nx\r\n", 200),
        ])

    def test_two_answers_in_one(self):
        one = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: pipe-%d\r\nContent-Length: 2\r\n\r\n{}"
        self.hostile([one % 1 + one % 2 + one % 3])

    def test_request_ids_never_leave_the_directory(self):
        ids = ["../../etc/passwd", "/etc/passwd", "..", ".", "a/b", ".hidden", "x" * 4000, "per%cent", "sp ace", "%2e%2e",
               "caf\u00e9", "tab\there", "\udcff\udcfe not utf-8", "nul", "quote\"quote", "\u202egnp", "-rf"]
        with RuntimeApi() as api, Recording() as recording:
            with Function(client(), api, "../../../tmp/owned") as process:
                api.wait_for_next()
                calls = []
                for request_id in ids:
                    calls.append(api.submit({"n": 1}, request_id=request_id, function="../../../tmp/owned"))
                    time.sleep(0.1)
                time.sleep(0.3)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            above = pathlib.Path(recording.scratch)
            self.assertEqual(os.listdir(above), ["out"], "nothing is written outside of DIR")
            self.assertFalse(os.path.exists("/tmp/owned"))
            rows = [row for row in recording.of("invocation") if row["pid"] == process.pid]
            for row in rows:
                self.assertEqual(row["function"], "../../../tmp/owned")
            plain = {request_id for request_id in ids if request_id.isascii() and len(request_id) < 300
                     and request_id.isprintable()}
            self.assertLessEqual(plain, {row["id"] for row in rows})
            self.assert_directory_is_whole(recording)
            self.assertNotIn("\u202e", recording.stderr)

    def test_control_characters_in_names_reach_no_terminal_and_no_folded_file(self):
        with RuntimeApi() as api, Recording() as recording:
            with Function(client(), api, "evil\x1b[31m\nname") as process:
                api.wait_for_next()
                api.invoke({"n": 1})
                time.sleep(0.05)
            self.assertEqual(recording.stop(), 0, recording.stderr)
            self.assertNotIn("\x1b", recording.stderr)
            for verb in (["ls"], ["show"]):
                done = fnprof_e2e.fnprof(*verb, recording.dir)
                self.assertNotIn("\x1b", done.stdout + done.stderr)
            self.assertTrue([row for row in recording.rows if row["pid"] == process.pid])
            self.assert_directory_is_whole(recording)

    def test_many_function_names(self):
        """As many names as there are calls: the same code as for 100,000, in a number that a test can wait for."""
        count = int(os.environ.get("FNPROF_E2E_NAMES", 3000))
        import prepare as runtimes
        program = runtimes.exec_program()
        script = ("import os, sys\n"
                  "folder, program, count = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
                  "q = [(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]\n"
                  "for n in range(count):\n"
                  "    name = f'{folder}/function-{n}'\n"
                  "    os.link(program, name)\n"
                  "    pid = os.posix_spawn(name, [name, '0'], {'Http_X_Call_Id': str(n)}, file_actions=q)\n"
                  "    os.waitpid(pid, 0)\n"
                  "    os.unlink(name)\n")
        folder = pathlib.Path(program).parent
        with Recording(cmd=[sys.executable, "-c", script, str(folder), str(program), str(count)]) as recording:
            self.assertEqual(recording.wait(170), 0, recording.stderr)
            names = {row["function"] for row in recording.of("invocation")}
            self.assertEqual(len(names), count)
            cost = recording.summary["cost"]
            print(f"{count} names: RSS at most {cost['rss_max_bytes'] >> 20} MiB", file=sys.stderr)
            self.assertLess(cost["rss_max_bytes"], 100 << 20)


if __name__ == "__main__":
    fnprof_e2e.main()
