#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of house.py finds what breaks it, and leaves alone what does not."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import house  # noqa: E402

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def findings(rule, files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        subprocess.run(["git", "init", "-q", root], check=True)
        return list(rule(house.Tree(root)))


class Includes(unittest.TestCase):
    def check(self, source, target, allowed):
        found = findings(house.includes, {source: f'#include "{target}"\n', target: ""})
        self.assertEqual(found == [], allowed, f"{source} -> {target}: {found}")

    def test_everybody_may_include_base(self):
        for source in ["base/a.c", "formats/a.c", "symbolizer/a.c", "profiler/main.c", "tests/a.c"]:
            self.check(source, "base/x.h", True)

    def test_base_includes_nobody(self):
        for target in ["formats/x.h", "symbolizer/x.h", "profiler/x.h", "bpf/wire.h"]:
            self.check("base/a.c", target, False)

    def test_formats_and_symbolizer_do_not_know_each_other(self):
        self.check("formats/a.c", "symbolizer/x.h", False)
        self.check("symbolizer/a.c", "formats/x.h", False)

    def test_of_bpf_the_symbolizer_sees_the_layouts_alone(self):
        self.check("symbolizer/a.c", "bpf/layout/native.h", True)
        self.check("symbolizer/a.c", "bpf/wire.h", False)
        self.check("formats/a.c", "bpf/layout/native.h", False)
        self.check("profiler/targets/a.c", "bpf/wire.h", True)

    def test_bpf_sees_itself_alone(self):
        self.check("bpf/cpu.bpf.c", "bpf/walk/native.h", True)
        self.check("bpf/cpu.bpf.c", "base/x.h", False)

    def test_profiler_is_included_downwards_only(self):
        self.check("profiler/session.c", "profiler/collectors/cpu.h", True)
        self.check("profiler/samples.c", "profiler/invocations/row.h", True)
        self.check("profiler/commands/record.c", "profiler/session.h", True)
        self.check("profiler/collectors/cpu.c", "profiler/session.h", False)
        self.check("profiler/session.c", "profiler/commands/record.h", False)
        self.check("profiler/invocations/row.c", "profiler/output/index.h", False)
        self.check("profiler/targets/maps.c", "profiler/samples.h", False)

    def test_a_file_beside_main_is_for_the_top_alone(self):
        self.check("profiler/main.c", "profiler/options.h", True)
        self.check("profiler/targets/maps.c", "profiler/options.h", False)

    def test_nobody_below_the_profiler_includes_it(self):
        self.check("symbolizer/a.c", "profiler/targets/maps.h", False)

    def test_an_include_from_beside_counts_by_its_place(self):
        found = findings(house.includes, {"base/a.c": '#include "b.h"\n', "base/b.h": ""})
        self.assertEqual(found, [])

    def test_the_way_up_by_dots_is_refused(self):
        found = findings(house.includes, {"base/a.c": '#include "../formats/b.h"\n', "formats/b.h": ""})
        self.assertEqual(len(found), 1)

    def test_system_headers_are_free(self):
        self.assertEqual(findings(house.includes, {"base/a.c": "#include <bpf/libbpf.h>\n"}), [])


class Licences(unittest.TestCase):
    def test_a_file_without_the_line_is_found(self):
        self.assertEqual(len(findings(house.licences, {"base/a.c": "int x;\n"})), 1)
        self.assertEqual(len(findings(house.licences, {"tool": "#!/bin/sh\n"})), 1)

    def test_a_file_with_the_line_is_fine(self):
        self.assertEqual(findings(house.licences, {"base/a.c": LICENCE, "README.md": "hello\n"}), [])

    def test_the_kernel_side_is_gpl(self):
        self.assertEqual(len(findings(house.licences, {"bpf/cpu.bpf.c": LICENCE})), 1)
        gpl = LICENCE.replace("Apache-2.0", "GPL-2.0-only")
        self.assertEqual(findings(house.licences, {"bpf/cpu.bpf.c": gpl}), [])
        self.assertEqual(len(findings(house.licences, {"base/a.c": gpl})), 1)


class LocalWords(unittest.TestCase):
    def test_paths_of_a_machine_are_found(self):
        for text in ["see /" + "work/main/x", "cd /root/src", "/home/anna/fnprof"]:
            self.assertEqual(len(findings(house.local_words, {"a.md": text})), 1, text)

    def test_hosts_of_registries_are_found(self):
        self.assertEqual(len(findings(house.local_words, {"a.md": "from pypi.org"})), 1)

    def test_other_paths_are_free(self):
        for text in ["/proc/PID/root/x", "/usr/share/x", "a/" + "work/b", "~/.cache/x", "network/x"]:
            self.assertEqual(findings(house.local_words, {"a.md": text}), [], text)


class Headings(unittest.TestCase):
    PAGE = "docs/troubleshooting.md"

    def test_a_heading_that_is_no_message_is_found(self):
        files = {self.PAGE: "### there is no process \u2026\n### gone\n", "a.c": 'f("there is no process %u", x);\n'}
        self.assertEqual(findings(house.headings_are_messages, files), [f"{self.PAGE}:2: the program has no such message: gone"])

    def test_a_message_may_be_put_together_from_pieces(self):
        files = {self.PAGE: '### "\u2026" is full: \u2026 left\n', "a.c": 'f("\\"%s\\" is "\n  "full: %llu left");\n'}
        self.assertEqual(findings(house.headings_are_messages, files), [])


if __name__ == "__main__":
    unittest.main()
