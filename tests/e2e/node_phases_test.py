# SPDX-License-Identifier: Apache-2.0
"""Where a Node.js handler's CPU time goes, by its JavaScript functions: against what the handler measured itself.

usage: node_phases_test.py RUNTIME
"""
import collections
import os
import re
import sys

import fnprof_e2e
from fnprof_e2e import Function, Recording
from runtime_api import RuntimeApi
import prepare

NAME = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "node24"
INVOCATIONS = int(os.environ.get("FNPROF_INVOCATIONS", "300"))


class NodePhases(fnprof_e2e.TestCase):
    def test_phases_are_within_two_points_of_the_handlers_own_clock(self):
        client = prepare.prepare(NAME)
        client.cwd = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs/node_phases")
        client.env["LAMBDA_TASK_ROOT"] = client.cwd
        with RuntimeApi() as api, Function(client, api) as function:
            api.wait_for_next()
            for _ in range(20):
                api.invoke({})
            with Recording("-F", 1999, "-p", function.pid) as recording:
                calls = [api.invoke({}) for _ in range(INVOCATIONS)]
                function.end()
                self.assertEqual(recording.wait(), 0, recording.stderr)
                said, seen = collections.Counter(), collections.Counter()
                rows = {row["id"]: row for row in recording.rows}
                cut = total = named = 0
                # The first calls may still be without tables.
                for call in calls[10:]:
                    said.update(call.answer())
                    row = rows[call.id]
                    for stack, ns in fnprof_e2e.read_folded(recording.dir / row["folded"]).items():
                        names = {re.sub(r"_\[.\]$", "", name) for name in stack}
                        total += ns
                        cut += ns if stack[0].startswith("[truncated") else 0
                        for phase in call.answer():
                            seen[phase] += ns if phase in names else 0
                named = sum(seen.values())
                for phase in said:
                    truth, share = said[phase] / sum(said.values()), seen[phase] / max(named, 1)
                    print(f"{NAME} {phase}: {share:.2%} of the phases' samples, {truth:.2%} by its own clock, "
                          f"apart {100 * (share - truth):+.2f} points", file=sys.stderr)
                print(f"{NAME}: {total / 1e9:.2f} s sampled, {named / total:.1%} in phases, truncated {cut / total:.2%}",
                      file=sys.stderr)
                for phase in said:
                    truth, share = said[phase] / sum(said.values()), seen[phase] / max(named, 1)
                    self.assertLess(abs(share - truth), 0.02, phase)
                self.assertLess(cut / total, 0.02)


if __name__ == "__main__":
    fnprof_e2e.main()
