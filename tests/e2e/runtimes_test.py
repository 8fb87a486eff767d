#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The ground that the other tests stand on, without fnprof: each runtime's unmodified client serves every kind of
call of the example function from our Runtime API, in every shape that the server can give its answers.

usage: runtimes_test.py RUNTIME
"""
import sys
import time
import unittest

import fnprof_e2e
from fnprof_e2e import Function
from runtime_api import ERROR, OK, RuntimeApi, Shape
import prepare

NAME = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "python3.11"
KINDS = ("fast", "slow", "native", "sleep", "error", "big", "threads", "after")


class Runtime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = prepare.prepare(NAME)

    def serve(self, shape, kinds=KINDS):
        with RuntimeApi(shape) as api, Function(self.client, api) as function:
            try:
                api.wait_for_next()
                return [api.invoke({"kind": kind, "ms": 5}, seconds=20) for kind in kinds]
            except TimeoutError:
                self.fail(function.said())

    def test_every_kind_is_answered_as_it_should_be(self):
        for call in self.serve(Shape()):
            self.assertEqual(call.outcome, ERROR if call.kind == "error" else OK, call.kind)
            self.assertLessEqual(call.sent_ns, call.answered_ns)
            self.assertLessEqual(call.answered_ns, call.read_ns)
            if call.kind != "error":
                said = call.answer()
                self.assertEqual(said["request_id"], call.id)
                self.assertLessEqual(call.sent_ns, said["begin_ns"], "the clocks are the same")
                self.assertLessEqual(said["end_ns"], call.answered_ns)
            if call.kind in ("slow", "native"):
                self.assertGreaterEqual(call.answer()["cpu_ns"], 5_000_000 - 1)
            if call.kind == "big":
                self.assertGreater(len(call.body), 300_000)

    def test_every_shape_of_an_answer_is_understood(self):
        shapes = [Shape(lower=True), Shape(sort=True, context_bytes=3500), Shape(piece=7, pause=0.0005),
                  Shape(close_after=3), Shape(delay=0.01), Shape(trace=False, deadline=NAME == "go" or True)]
        if NAME == "go":  # libcurl clients that read Content-Length take no chunks
            shapes.append(Shape(chunked=True))
        for shape in shapes:
            kinds = ("fast",) * 5
            for call in self.serve(shape, kinds):
                self.assertEqual(call.outcome, OK, vars(shape))


if __name__ == "__main__":
    started = time.monotonic()
    fnprof_e2e.main()
