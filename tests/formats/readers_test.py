#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Foreign readers on our files.

usage: readers_test.py READER formats_emit

READER is own (check_pprof.py, and that it finds what is broken), protoc, pprof (Google's), speedscope,
flamegraph.pl, or chromium (on the flame graph). What is fetched (pprof by go, speedscope by npm) is kept below ${XDG_CACHE_HOME:-~/.cache}/fnprof-dev
and fetched once. Exit 77 when a reader cannot be had here.
"""

import gzip
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.dom.minidom

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import check_pprof  # noqa: E402

CPU_NS = 95000000  # of build_mixed() in build.h


class Skip(Exception):
    pass


def cache(name):
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = pathlib.Path(base) / "fnprof-dev" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def run(*command, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 300, **options}
    done = subprocess.run([str(c) for c in command], **options)
    if done.returncode != 0:
        raise AssertionError("%s: exit %d\n%s" % (command, done.returncode, done.stderr.decode("utf-8", "replace")))
    return done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def expect(truth, text):
    if not truth:
        raise AssertionError(text)


# ---- our own checker ------------------------------------------------------------------------------------------------


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def encode(fields):
    """[(number, wire type, value)] to bytes; LEN values are bytes or such a list."""
    out = b""
    for number, kind, value in fields:
        out += varint(number << 3 | kind)
        if kind == check_pprof.LEN:
            value = encode(value) if isinstance(value, list) else value
            out += varint(len(value)) + value
        else:
            out += varint(value)
    return out


def change(plain, number, nth, edit):
    """The file with the nth field `number` edited: `edit` takes the list of its fields and returns bytes."""
    out, seen = b"", 0
    for have, kind, value in check_pprof.fields(plain):
        if have == number:
            if seen == nth:
                value = edit(list(check_pprof.fields(value))) if kind == check_pprof.LEN else edit(value)
                if value is None:
                    seen += 1
                    continue
            seen += 1
        out += encode([(have, kind, value)])
    expect(seen > nth, "the file has no field %d number %d" % (number, nth))
    return out


def put(number, value):
    """An edit that sets a number in a message."""

    def edit(fields):
        rest = [f for f in fields if f[0] != number]
        return encode(sorted(rest + ([(number, check_pprof.VARINT, value)] if value else []), key=lambda f: f[0]))

    return edit


def without(number):
    return lambda fields: encode([f for f in fields if f[0] != number])


def drop_label(key):
    """A sample without its nth label."""

    def edit(fields):
        labels = [f for f in fields if f[0] == 3]
        return encode([f for f in fields if f[0] != 3] + labels[:key] + labels[key + 1 :])

    return edit


def break_one_thing(plain, strings):
    """(what the checker must say, the broken file)"""
    number = {text: n for n, text in enumerate(strings)}
    yield "string 0 is not empty", encode([(6, 2, b"x")]) + plain
    yield "is not used: 'unused'", plain + encode([(6, 2, b"unused")])
    yield "is there 2 times", plain + encode([(6, 2, b"cpu")])
    yield "is not UTF-8", plain + encode([(6, 2, b"\xff")])
    yield "default_sample_type is 'samples'", change(plain, 14, 0, lambda _: number["samples"])
    yield "default_sample_type is ''", change(plain, 14, 0, lambda _: None)
    yield "period_type is", change(plain, 11, 0, put(1, number["samples"]))
    yield "period is 0", change(plain, 12, 0, lambda _: None)
    yield "time_nanos is 0", change(plain, 9, 0, lambda _: None)
    yield "duration_nanos is 0", change(plain, 10, 0, lambda _: None)
    yield "value types begin with", change(plain, 1, 0, put(1, number["cpu"]))
    yield "ids of table mapping", change(plain, 3, 1, put(1, 77))
    yield "ids of table location", change(plain, 4, 1, put(1, 77))
    yield "ids of table function", change(plain, 5, 1, put(1, 77))
    yield "there is no mapping 99", change(plain, 4, 0, put(2, 99))
    yield "there is no mapping 0", change(plain, 4, 0, put(2, 0))
    yield "lies outside mapping", change(plain, 4, 0, put(3, 0x10))
    yield "has no line", change(plain, 4, 0, without(4))
    yield "there is no function 99", change(plain, 4, 1, lambda f: encode(f[:3] + [(4, 2, encode([(1, 0, 99)]))]))
    yield "has no file", change(plain, 3, 0, put(5, 0))
    yield "mapping 1 is no program", change(plain, 3, 0, put(5, number["[python]"]))
    yield "start 0x400000, limit 0x400000", change(plain, 3, 0, put(3, 0x400000))
    yield "build id 'cpu'", change(plain, 3, 0, put(6, number["cpu"]))
    yield "has_functions is not set", change(plain, 3, 2, put(7, 0))
    yield "has_filenames is not set", change(plain, 3, 2, put(8, 0))
    yield "has_line_numbers is not set", change(plain, 3, 2, put(9, 0))
    mappings = sum(1 for f in check_pprof.fields(plain) if f[0] == 3)
    lone = [(1, 0, mappings + 1), (2, 0, 1), (3, 0, 2), (5, 0, number["cpu"]), (7, 0, 1), (8, 0, 1), (9, 0, 1)]
    yield "mapping %d (cpu) is not used" % (mappings + 1), plain + encode([(3, 2, lone)])
    functions = sum(1 for f in check_pprof.fields(plain) if f[0] == 5)
    lone = [(1, 0, functions + 1), (2, 0, number["cpu"]), (3, 0, number["cpu"])]
    yield "function %d (cpu) is not used" % (functions + 1), plain + encode([(5, 2, lone)])
    yield "has no name", change(plain, 5, 0, put(2, 0))
    yield "has no name", change(plain, 5, 0, put(3, 0))
    locations = sum(1 for f in check_pprof.fields(plain) if f[0] == 4)
    lone = [(1, 0, locations + 1), (2, 0, 1), (3, 0, 0x400005), (4, 2, [(1, 0, 1)])]
    yield "location %d (0x400005) is not used" % (locations + 1), plain + encode([(4, 2, lone)])
    yield "there is no location 99", change(plain, 2, 0, lambda f: encode([(1, 2, b"\x63")] + f[1:]))
    yield "has no stack", change(plain, 2, 0, without(1))
    yield "has 0 values", change(plain, 2, 0, without(2))
    yield "has values [-1, 1]", change(plain, 2, 0, lambda f: encode([f[0], (2, 2, b"\xff" * 9 + b"\x01\x01")] + f[2:]))
    for n, key in enumerate(("'function'", "'request_id'")):
        yield "has no label " + key, change(plain, 2, 0, drop_label(n))
    yield "has no number `duration`", change(plain, 2, 0, drop_label(2))
    yield "has no label 'thread'", change(plain, 2, 0, drop_label(3))
    yield "has two labels 'thread'", change(plain, 2, 0, lambda f: encode(f + f[-1:]))
    samples = [f for f in check_pprof.fields(plain) if f[0] == 2]
    yield "stack and labels stand in an earlier sample, too", plain + encode(samples[:1])
    yield "is not first", change(plain, 2, 3, lambda f: encode([(1, 2, f[0][2][::-1])] + f[1:]))
    yield "folded sums to", change(plain, 2, 0, lambda f: encode([f[0], (2, 2, b"\x01\x07")] + f[2:]))
    yield "folded has", change(plain, 2, 0, lambda f: encode([(1, 2, f[0][2][1:])] + f[1:]))
    yield "is longer than the file", plain[:-1]
    yield "has a field 16", plain + encode([(16, 0, 1)])


def own(directory):
    for name in ("mixed", "empty"):
        findings = check_pprof.check_file(str(directory / (name + ".pb.gz")))
        expect(not findings, "%s: %s" % (name, findings))
    plain = gzip.decompress((directory / "mixed.pb.gz").read_bytes())
    strings = [value.decode() for number, _, value in check_pprof.fields(plain) if number == 6]
    (directory / "broken.folded").write_bytes((directory / "mixed.folded").read_bytes())
    broken = directory / "broken.pb.gz"
    tried = 0
    for want, data in break_one_thing(plain, strings):
        broken.write_bytes(gzip.compress(data))
        findings = check_pprof.check_file(str(broken))
        expect(any(want in f for f in findings), "not found: %s; but: %s" % (want, findings))
        tried += 1
    broken.write_bytes((directory / "mixed.pb.gz").read_bytes()[:-1])
    expect(check_pprof.check_file(str(broken)), "a cut gzip was accepted")
    for text in ("a 1", "a\n", "a;;b 1\n", ";a 1\n", "a; 1\n", "a -1\n", "a 01\n", "a 1\na 2\n", "a\tb 1\n", "a_[k]_[j] 1\n"):
        try:
            check_pprof.read_folded(text.encode())
        except check_pprof.Broken:
            continue
        raise AssertionError("a broken folded file was accepted: %r" % text)
    print("%d broken files, all found" % tried)


# ---- others ---------------------------------------------------------------------------------------------------------


def protoc(directory):
    program = shutil.which("protoc")
    if not program:
        raise Skip("no protoc here (Debian: protobuf-compiler)")
    for name in ("mixed", "empty"):
        plain = gzip.decompress((directory / (name + ".pb.gz")).read_bytes())
        text, errors = run(
            program, "-I", HERE, "--decode=fnprof.test.Profile", HERE / "profile.proto", input=plain
        )
        expect(errors == "", errors)
        expect(not re.search(r"^\s*\d+(:| \{)", text, re.M), "a field that the schema does not know:\n" + text)
        expect(text.count("\nsample {") == (5 if name == "mixed" else 0), text)
        expect('string_table: "/usr/bin/python3.12"' in text, text)
        expect("period: 10101010" in text and "time_nanos: 1700000000123456789" in text, text)


def google_pprof():
    where = cache("go")
    program = where / "bin" / "pprof"
    if program.exists():
        return program
    if not shutil.which("go"):
        raise Skip("no go here to build Google's pprof with (Debian: golang-go)")
    environment = dict(os.environ, GOPATH=str(where), GOFLAGS="-modcacherw")
    environment.pop("GOBIN", None)
    try:
        run("go", "install", "github.com/google/pprof@latest", env=environment, cwd=str(where))
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise Skip("Google's pprof cannot be had: %s" % error) from error
    return program


def pprof(directory):
    program = google_pprof()
    environment = dict(os.environ, PPROF_TMPDIR=str(directory), PPROF_BINARY_PATH=str(directory), HOME=str(directory))

    def ask(name, *options, said=""):
        """What pprof answers; on standard error it may say nothing but the lines `said`."""
        text, errors = run(program, *options, directory / (name + ".pb.gz"), env=environment)
        expect(errors.strip() == said, "pprof %s %s warns: %s" % (options, name, errors))
        return text

    raw = ask("mixed", "-raw")
    expect(raw.count("[FN][FL][LN]") == 9, raw)
    expect("samples/count cpu/nanoseconds[dflt]" in raw and "duration:[25000000 nanoseconds]" in raw, raw)
    expect("File: python3.12" in ask("empty", "-top") and "Total samples = 0" in ask("empty", "-top"), "empty")
    ask("empty", "-raw")
    top = ask("mixed", "-top", "-unit=ns", "-nodefraction=0")
    expect("of %dns total" % CPU_NS in top and re.search(r"30000000ns .* com\.a\.B\.run$", top, re.M), top)
    expect("memcpy_small (inline)" in top, top)
    for option, said, share in (
        ("-tagfocus=request_id=^8476a536-e9f4$", "", CPU_NS),
        ("-tagfocus=request_id=^other$", "TagFocus expression matched no samples", 0),
        ("-tagfocus=thread=worker", "", 25000000),
        ("-tagfocus=duration=10ms:", "tagfocus:Interpreted '10ms:' as range, not regexp", CPU_NS),
        ("-tagfocus=duration=26ms:", "tagfocus:Interpreted '26ms:' as range, not regexp\nTagFocus expression matched no samples", 0),
    ):
        text = ask("mixed", "-top", "-unit=ns", option, said=said)
        shown = re.search(r"Showing nodes accounting for (\d+)(?:ns)?, ", text)
        expect(shown and int(shown.group(1)) == share, "%s: %s" % (option, text))


def speedscope_package():
    """(node, the folder of the published package)"""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node:
        raise Skip("no node here (Debian: nodejs, npm)")
    where = cache("speedscope")
    package = where / "node_modules" / "speedscope"
    if not (package / "package.json").exists():
        if not npm:
            raise Skip("no npm here to fetch speedscope with")
        (where / "package.json").write_text('{"private": true}\n')
        try:
            run(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "speedscope", cwd=str(where))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise Skip("speedscope cannot be had: %s" % error) from error
    return node, package


def speedscope(directory):
    node, package = speedscope_package()
    files = ["mixed.pb.gz", "mixed.folded", "mixed.speedscope.json", "empty.pb.gz", "empty.speedscope.json"]
    text, errors = run(node, HERE / "speedscope_import.js", package, *[directory / f for f in files])
    expect(errors == "", errors)
    lines = text.split("\n")
    want = [
        "mixed.pb.gz pprof %d nanoseconds 5" % CPU_NS,
        "mixed.folded collapsed %d none 4" % CPU_NS,
        "mixed.speedscope.json speedscope %d nanoseconds 5 memcpy_small_[i]" % CPU_NS,
        "empty.pb.gz pprof 0 nanoseconds 0",
        "empty.speedscope.json speedscope 0 nanoseconds 0",
    ]
    expect(lines[: len(want)] == want, text)


def flamegraph_program():
    places = ["/usr/share/perl5/Devel/NYTProf/flamegraph.pl"]
    program = shutil.which("flamegraph.pl") or next((p for p in places if os.path.exists(p)), None)
    if not program or not shutil.which("perl"):
        raise Skip("no flamegraph.pl here (Debian: libdevel-nytprof-perl)")
    return program


def flamegraph(directory):
    program = flamegraph_program()
    svg, errors = run("perl", program, "--countname", "ns", "--minwidth", "0", directory / "mixed.folded")
    expect(errors == "", errors)
    xml.dom.minidom.parseString(svg)
    expect("all ({:,} ns, 100%)".format(CPU_NS) in svg, svg)
    for frame in (
        r"do_syscall_64_\[k\] \(20,000,000 ns, 21.05%\)",
        r"com\.a\.B\.run_\[j\] \(30,000,000 ns, 31.58%\)",
        r"com\.a\.B\.(&lt;|\()init(&gt;|\))_\[0\] \(30,000,000 ns, 31.58%\)",  # old versions write round brackets
    ):
        expect(re.search("<title>" + frame, svg), frame)


DRIVE = """<script>{
const said = [];
const frames = () => [...document.querySelectorAll('[data-frame]')].filter((f) => getComputedStyle(f).display !== 'none');
const named = (name) => frames().find((f) => f.querySelector('text').textContent === name);
const widths = () => [frames().length, Math.round(named('handler').getBoundingClientRect().width * 100 / innerWidth)];
said.push(widths());
named('handler').dispatchEvent(new MouseEvent('click', {bubbles: true}));
said.push(widths());
dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}));
said.push(widths());
const input = document.querySelector('input[type=search]');
input.value = 'MEMCPY';
input.dispatchEvent(new Event('input'));
said.push(document.getElementById('share').textContent, document.querySelectorAll('.hit').length);
named('#p_[j]').focus();
named('#p_[j]').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
said.push(frames().length, document.activeElement.querySelector('text').textContent);
document.body.dataset.said = JSON.stringify(said);
}</script>
"""


def chromium(directory):
    """The flame graph in a browser: zoom by pointer and key, back, search; nothing said on the console."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        raise Skip("no Chromium here (Debian: chromium)")
    page = directory / "driven.html"
    page.write_text((directory / "mixed.html").read_text() + DRIVE)
    command = [program, "--headless", "--disable-gpu", "--enable-logging=stderr", "--window-size=1000,500"]
    command += ["--user-data-dir=%s" % (directory / "user"), "--dump-dom"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    dom, errors = run(*command, "file://%s" % page)
    said = re.search(r'data-said="([^"]*)"', dom)
    expect(said, "the script did not come to its end: %s" % errors)
    expect("CONSOLE" not in errors, errors)
    # Frames shown and the width of `handler` in percent of the window: all; zoomed in; all again.
    want = [[14, 26], [5, 98], [14, 26], "47.37 % matched", 2, 3, "#p_[j]"]
    have = json.loads(html.unescape(said.group(1)))
    expect(have == want, "the page answers %s" % have)


READERS = {"chromium": chromium, "own": own, "protoc": protoc, "pprof": pprof, "speedscope": speedscope, "flamegraph.pl": flamegraph}


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in READERS:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        run(arguments[1], directory)
        try:
            READERS[arguments[0]](pathlib.Path(directory))
        except Skip as why:
            print("SKIPPED: %s" % why)
            return 77
        except AssertionError as error:
            print("FAILED: %s" % error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
