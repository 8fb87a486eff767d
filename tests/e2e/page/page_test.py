#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page as people and scripts meet it: in headless Chromium, made from recordings that recording.py makes.

usage: page_test.py MAKE_PAGE [TEST...]      exits 77 where there is no chromium with its driver
"""
import colorsys
import gzip
import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parents[2] / "profiler/output/page"
sys.path.insert(0, str(HERE))
import browser  # noqa: E402
import recording  # noqa: E402

MAKE_PAGE = None
FOLDER = None
MADE = {}
# What takes seconds to make is begun at once, beside the first tests.
LARGE = {
    "wide": ("--kind", "wide"),
    "many": ("--invocations", "10000", "--samples", "25", "--distinct", "300"),
    "plain": ("--invocations", "5000", "--samples", "25", "--distinct", "1500", "--plain"),
}
BEGUN = {}


def begin(name, args):
    return subprocess.Popen([sys.executable, HERE / "recording.py", FOLDER / name, *args])


def make(name, *args):
    """The URL of a page, and what make_page said of it. Made once."""
    if name not in MADE:
        folder = FOLDER / name
        assert (BEGUN.pop(name, None) or begin(name, LARGE.get(name, args))).wait() == 0, name
        out = subprocess.run([MAKE_PAGE, folder], check=True, capture_output=True, text=True).stdout
        MADE[name] = (folder / "index.html").as_uri(), json.loads(out)
    return MADE[name]


def show(b, url, fragment=""):
    b.open("about:blank")
    b.log("browser"), b.requests()
    b.open(url + fragment)
    assert b.until("document.documentElement.dataset.ready"), b.run("return document.getElementById('trouble').textContent")
    settle(b)


def settle(b):
    """Until what was asked for is drawn: data is unpacked in tasks, drawing follows in frames. Movements are off but in one test."""
    b.wait("""for (let i = 0; i < 3; i++)
        await new Promise((ok) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(ok)), 8));""")


def go(b, fragment):
    """Another view of the page that is open."""
    b.run("location.hash = arguments[0]", fragment)
    settle(b)


def lines(b):
    """The list's rows in view, as dictionaries of their cells' text."""
    return b.run("""return [...document.querySelectorAll('#list-space .line:not([hidden])')]
        .sort((x, y) => x.getAttribute('aria-rowindex') - y.getAttribute('aria-rowindex'))
        .map((line) => Object.fromEntries([...line.children].map((c) => [c.className.split(' ')[0].slice(2), c.textContent])));""")


def set_value(b, id_, value, event="change"):
    b.run("const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event(arguments[2], {bubbles: true}));", id_, value, event)
    settle(b)


def click(b, selector):
    b.run("document.querySelector(arguments[0]).click()", selector)
    settle(b)


def text(b, selector):
    return b.run("return document.querySelector(arguments[0]).textContent", selector)


def fragment(b):
    return dict(urllib.parse.parse_qsl(b.run("return location.hash.slice(1)")))


def frames_under(b, steps=24):
    """Names of the frames under a grid of points of the canvas, from top to bottom: {name: (x, y)}. The pointer's
    events are made in the page, in one go: a message for each point would take seconds."""
    return {name: (x, y) for name, x, y in b.run("""const stage = document.getElementById('stage'), box = stage.getBoundingClientRect(), found = new Map();
        for (let i = 0; i < arguments[0]; i++) {
            for (const part of [0.25, 0.7]) {
                const x = box.left + box.width * part, y = box.top + box.height * (i + 0.5) / arguments[0];
                document.elementFromPoint(x, y)?.dispatchEvent(new PointerEvent('pointermove', {clientX: x, clientY: y, bubbles: true, pointerType: 'mouse'}));
                const hover = document.querySelector('.frame.hover:not([hidden])');
                if (hover && !found.has(hover.dataset.frame))
                    found.set(hover.dataset.frame, [hover.dataset.frame, x, y]);
            }
        }
        return [...found.values()];""", steps)}


def index(name):
    return [json.loads(line) for line in (FOLDER / name / "index.jsonl").read_text().splitlines()]


# ---- tests -----------------------------------------------------------------------------------------------------

def test_it_loads_without_a_word_or_a_request(b):
    url, _ = make("real")
    show(b, url)
    assert b.log("browser") == [], "nothing on the console"
    requests = [u for u in b.requests() if not u.startswith(("chrome:", "data:"))]
    assert requests == [url], requests
    assert text(b, "#title") == "All together"
    assert b.run("return document.querySelectorAll('[data-frame]:not([hidden])').length") >= 1
    assert b.run("return document.querySelectorAll('input[type=search]').length") == 1
    html = pathlib.Path(urllib.parse.urlparse(url).path).read_text()
    assert not re.search(r'(src|href)\s*=\s*"(?!data:)', html), "no reference to anything else"


def test_the_list_is_slowest_first_and_sorts_by_each_column(b):
    url, _ = make("real")
    show(b, url)
    rows = sorted((r for r in index("real") if r["kind"] in ("invocation", "init")), key=lambda r: -r["duration_ns"])
    assert [line["id"] for line in lines(b)[:5]] == [r["id"] for r in rows[:5]]
    for key in ("function", "id", "kind", "start", "duration_ns", "cpu_ns", "samples", "cold", "outcome"):
        for _ in range(2):
            click(b, f"[data-sort={key}]")
            down = b.run("return document.querySelector(`[data-sort=${arguments[0]}]`).parentElement.getAttribute('aria-sort')", key) == "descending"
            known = [r for r in rows if key in r]
            key_of = {"cold": lambda r: r["cold"]}.get(key, lambda r: r[key])
            want = (max if down else min)(key_of(r) for r in known)
            top = lines(b)[0]["id"]
            first = next(r for r in rows if r["id"] == top)
            assert key in first and first[key] == want, (key, down, first.get(key), want)


def test_filters_narrow_the_list(b):
    url, _ = make("real")
    show(b, url)
    rows = [r for r in index("real") if r["kind"] in ("invocation", "init")]
    listed = lambda: int(text(b, "#listed").split()[0].replace(",", ""))
    assert listed() == len(rows)
    set_value(b, "by-function", "checkout")
    assert listed() == sum(r["function"] == "checkout" for r in rows)
    set_value(b, "by-outcome", "error")
    assert listed() == sum(r["function"] == "checkout" and r.get("outcome") == "error" for r in rows)
    set_value(b, "by-outcome", "unknown")
    assert listed() == sum(r["function"] == "checkout" and "outcome" not in r for r in rows)
    set_value(b, "by-outcome", "")
    set_value(b, "by-cold", "cold")
    assert listed() == sum(r["function"] == "checkout" and r.get("cold") is True for r in rows)
    set_value(b, "by-cold", "")
    set_value(b, "by-function", "")
    some = rows[17]
    set_value(b, "filter", some["id"][:13].upper(), "input")
    assert [line["id"] for line in lines(b)] == [some["id"]]
    set_value(b, "filter", "", "input")
    for kind in ("process", "idle", "shared"):
        click(b, f"[data-kind={kind}]")
    assert listed() == len(index("real"))


def test_a_row_shows_its_facts_and_what_is_not_known(b):
    url, _ = make("real")
    row = next(r for r in index("real") if r["kind"] == "invocation" and "trace_id" in r and not r["cold"])
    show(b, url, "#show=row&row=" + row["id"])
    facts = dict(b.run("return [...document.querySelectorAll('#facts dl.facts dt')].map((t) => [t.textContent, t.nextSibling.textContent])"))
    assert facts["id"] == row["id"] and facts["trace id"] == row["trace_id"] and facts["function"] == row["function"]
    assert facts["outcome"] == row["outcome"] and facts["cold"] == "no" and facts["version"] == "17"
    assert facts["samples"] == str(row["samples"]) and facts["lost"] == "none"
    assert facts["attribution"] == (f"exact {row['samples']}" if row["samples"] else "no samples")
    unknown = next(r for r in index("real") if r["kind"] == "invocation" and "trace_id" not in r)
    show(b, url, "#show=row&row=" + unknown["id"])
    facts = dict(b.run("return [...document.querySelectorAll('#facts dl.facts dt')].map((t) => [t.textContent, t.nextSibling.textContent])"))
    assert {facts[k] for k in ("outcome", "cold", "trace id", "deadline", "parent span")} == {"unknown"}
    click(b, "#facts .link")
    assert text(b, "#subtitle") == unknown["init"], "the link leads to the init row"


def test_the_whole_is_the_sum_of_all_rows(b):
    url, _ = make("real")
    show(b, url)
    label = b.run("return document.querySelector('.frame.focus').getAttribute('aria-label')")
    samples = sum(r["samples"] for r in index("real"))
    assert label.endswith(f"{samples:,} samples"), label
    show(b, url, "#show=listed&kinds=invocation&function=checkout")
    samples = sum(r["samples"] for r in index("real") if r["kind"] == "invocation" and r["function"] == "checkout")
    assert b.run("return document.querySelector('.frame.focus').getAttribute('aria-label')").endswith(f"{samples:,} samples")


def test_a_click_zooms_and_escape_resets(b):
    url, _ = make("real")
    show(b, url)
    found = frames_under(b)
    assert "handle_event_request" in found and "everything" in found, list(found)
    b.pointer(found["handle_event_request"], "down", "up")
    settle(b)
    box = b.run("const r = document.querySelector('[data-frame=handle_event_request]').getBoundingClientRect(); return r.width / document.getElementById('stage').clientWidth")
    assert box > 0.98, box
    assert fragment(b)["zoom"]
    b.press("Escape")
    settle(b)
    assert "zoom" not in fragment(b)
    b.run("document.querySelector('.frame.hover').hidden = true")
    b.pointer(found["handle_event_request"])
    b.run("document.querySelector('.frame.hover').click()")  # as a script or a screen reader would
    settle(b)
    assert "zoom" in fragment(b)
    b.run("history.back()")
    settle(b)
    assert "zoom" not in fragment(b)


def test_keys_move_the_focus_between_frames(b):
    url, _ = make("real")
    focused = lambda: b.run("const e = document.activeElement; return [e.dataset.frame, e.getAttribute('aria-label')]")
    for view, deeper, back in (("flame", "Up", "Down"), ("icicle", "Down", "Up")):
        show(b, url, "#view=" + view)
        b.run("document.querySelector('.frame.focus').focus()")
        b.press(deeper)
        first, label = focused()
        assert first == "_start" and "native" in label and "%" in label, label
        b.press("Right")
        assert focused()[1] != label
        b.press("Left", deeper, deeper)
        assert focused()[0] in ("main", "node::Start(int, char**)")
        b.press(back, back, back)
        assert focused()[0] == "everything"
        b.press(deeper, deeper, "Enter")
        settle(b)
        assert "zoom" in fragment(b)
        b.press("/")
        assert b.run("return document.activeElement.id") == "search"


def test_search_says_the_matched_share(b):
    url, _ = make("real")
    row = max((r for r in index("real") if r["kind"] == "invocation"), key=lambda r: r["samples"])
    show(b, url, "#show=row&row=" + row["id"])
    folded = [line.rsplit(" ", 1) for line in (FOLDER / "real" / row["folded"]).read_text().splitlines()]
    total = sum(int(n) for _, n in folded)
    for wanted in ("handler", "do_syscall_64", "main", "no such frame"):
        matched = sum(int(n) for stack, n in folded if any(wanted in name.lower() for name in stack.split(";")))
        b.run("document.getElementById('search').focus()")
        set_value(b, "search", wanted, "input")
        shown = text(b, "#matched")
        if wanted == "handler":
            assert float(shown.split()[0]) >= 100 * matched / total - 0.06, (shown, matched / total)  # also by file
        else:
            assert abs(float(shown.split()[0]) - 100 * matched / total) < 0.06, (wanted, shown, matched / total)
    assert fragment(b)["q"] == "no such frame"


def test_a_search_brings_a_hit_into_view(b):
    """Hits far above what is in view would show as grey frames alone; one that is in view moves nothing."""
    url, _ = make("real")
    row = max((r for r in index("real") if r["kind"] == "invocation"), key=lambda r: r["samples"])
    show(b, url, "#show=row&row=" + row["id"])
    stacks = [line.rsplit(" ", 1)[0].split(";") for line in (FOLDER / "real" / row["folded"]).read_text().splitlines()]
    depths = {}
    for stack in stacks:
        for depth, name in enumerate(stack, 1):  # 0 is everything
            depths.setdefault(re.sub(r"_\[[ikj0a]\]$", "", name).lower(), set()).add(depth)
    alone = {name: found for name, found in depths.items() if sum(name in other for other in depths) == 1}
    place = lambda: b.run("const s = document.getElementById('stage'); return [s.scrollTop, s.clientHeight, document.getElementById('stage-space').offsetHeight]")
    top, height, content = place()
    in_view = lambda depth, top: top <= content - 20 * depth - 10 <= top + height
    near = next(name for name, found in alone.items() if any(in_view(depth, top) for depth in found))
    far = max(alone, key=lambda name: min(alone[name]))
    assert not any(in_view(depth, top) for depth in alone[far]), (far, alone[far], top, height, content)
    set_value(b, "search", near, "input")
    assert place()[0] == top, "a hit was in view"
    set_value(b, "search", far, "input")
    assert any(in_view(depth, place()[0]) for depth in alone[far]), (far, alone[far], place())
    moved = place()[0]
    set_value(b, "search", "no such frame", "input")
    assert place()[0] == moved


def ledger_table(b):
    """The table's lines: {label: [cells]}, with its titles under ""."""
    return {head: cells for head, *cells in b.run("""return [...document.querySelectorAll('#facts .ledger-table tr')]
        .map((line) => [...line.children].map((c) => c.textContent))""")}


def ns_text(ns):
    for unit, size, top in (("\u00b5s", 1e3, 999.5e3), ("ms", 1e6, 999.5e6), ("s", 1e9, 600e9)):
        if ns < top:
            n = ns / size
            return f"{n:.{0 if n >= 99.95 else 1 if n >= 9.995 else 2}f} {unit}"
    raise ValueError(ns)


LABELS = {"on_cpu": "on CPU", "run_queue": "run queue", "network": "network", "disk": "disk", "gc": "GC", "page_fault": "page fault", "lock": "lock"}


def test_a_row_shows_where_its_time_went(b):
    url, _ = make("real")
    rows = [r for r in index("real") if r["kind"] == "invocation"]
    row = max((r for r in rows if "ledger" in r and r["function"] == "thumbnails" and not r.get("cold")), key=lambda r: r["duration_ns"])
    show(b, url, "#show=row&row=" + row["id"])
    table = ledger_table(b)
    for name, label in LABELS.items():
        ns, share = row["ledger"][name], 100 * row["ledger"][name] / row["duration_ns"]
        assert table[label][0] == ns_text(ns), (label, table[label], ns)
        assert abs(float(table[label][1].split()[0]) - share) < 0.06, (label, table[label], share)
    assert table["in all"][0] == ns_text(row["duration_ns"])
    assert not set(table) & {"frozen", "child", "waiting (async)"}, "lines that are 0 are left out"
    bars = b.run("return [...document.querySelectorAll('#ledger .ledger-bar i')].map((i) => [i.dataset.line, i.getBoundingClientRect().width])")
    whole = b.run("return document.querySelector('#ledger .ledger-bar').getBoundingClientRect().width")
    assert [name for name, _ in bars] == [name for name, ns in row["ledger"].items() if ns > 0]
    assert all(abs(width / whole - row["ledger"][name] / row["duration_ns"]) < 0.003 for name, width in bars), bars
    assert f"on CPU {100 * row['ledger']['on_cpu'] / row['duration_ns']:.1f} %" in b.run("return document.querySelector('#ledger .ledger-bar').getAttribute('aria-label')")
    go(b, "#show=row&row=" + next(r["id"] for r in rows if "ledger" not in r))
    assert "not known" in text(b, "#facts .ledger-table") and b.run("return document.getElementById('ledger').hidden")


def test_of_a_function_the_median_and_the_99th_percentile(b):
    url, _ = make("real")
    show(b, url, "#show=listed&function=thumbnails&kinds=invocation")
    mine = [r for r in index("real") if r["kind"] == "invocation" and r["function"] == "thumbnails"]
    known = sorted((r for r in mine if "ledger" in r), key=lambda r: r["duration_ns"])
    n = len(known)
    assert 80 <= n < len(mine)
    around = lambda percent, side: known[max(0, -(-n * percent // 100) - 1 - n * side // 100):-(-n * percent // 100) + n * side // 100]
    table = ledger_table(b)
    assert table[""] == ["median", "p99", "mean"]
    for name, label in LABELS.items():
        for cell, rows in zip(table[label], (around(50, 5), around(99, 1), known)):
            assert cell == ns_text(sum(r["ledger"][name] for r in rows) / len(rows)), (label, cell)
    assert f"{len(mine) - n} rows without a ledger" in text(b, "#facts .ledger-table")
    assert b.run("return document.querySelectorAll('#ledger .ledger-bar').length") == 2
    go(b, "#")
    labels = b.run("return [...document.querySelectorAll('#ledger > span')].map((e) => e.textContent)")
    assert labels[:2] == ["checkout median", "checkout p99"] and len(labels) == 6, labels


def test_a_cold_invocation_shows_what_its_user_waited_for(b):
    url, _ = make("real")
    rows = index("real")
    row = next(r for r in rows if r.get("cold") and r["function"] == "thumbnails" and "ledger" in r)
    init = next(r for r in rows if r["id"] == row["init"])
    show(b, url, "#show=row&row=" + row["id"])
    table = ledger_table(b)
    assert table[""] == ["its init", "this invocation"]
    assert table["network"] == [ns_text(init["ledger"]["network"]), ns_text(row["ledger"]["network"])]
    events = [json.loads(line) for line in (FOLDER / "real" / init["events"]).read_text().splitlines()]
    shown = b.run("""return [...document.querySelectorAll('#facts .events')].map((e) => [e.querySelector('h3').textContent,
        [...e.querySelectorAll('tbody tr')].map((line) => [...line.children].map((c) => c.textContent))])""")
    tables = dict(shown)
    assert tables["Phases of the start"] == [[e["name"], ns_text(e["duration_ns"])] for e in events if e["what"] == "phase"]
    dearest = sorted((e for e in events if e["what"] == "import"), key=lambda e: -e["duration_ns"])[:10]
    assert [line[1] for line in tables["Dearest to load"]] == [ns_text(e["duration_ns"]) for e in dearest]
    own = [json.loads(line) for line in (FOLDER / "real" / row["events"]).read_text().splitlines()]
    assert {line[0]: int(line[1]) for line in tables["Events"]} == {w.replace("_", " "): sum(e["what"] == w for e in own) for w in {e["what"] for e in own}}


def pairs(path):
    """(thread, time) of each sample that has them, out of a pprof file's comment."""
    comment = re.search(rb"#fnprof[.]times ([-0-9 |]*)", gzip.decompress(path.read_bytes()))[1].decode()
    found = []
    for sample in filter(None, comment.split("|")):
        numbers = [int(n) for n in sample.split()[1:]]
        found += zip(numbers[::2], numbers[1::2])
    return sorted(found, key=lambda pair: pair[1])


def test_the_timeline_has_lanes_that_keys_walk(b):
    url, _ = make("real")
    row = next(r for r in index("real") if r["function"] == "monthly-report" and "events" in r and '"off_cpu"' in (FOLDER / "real" / r["events"]).read_text() and r["samples"] > 8)
    ticks, events = pairs(FOLDER / "real" / row["pprof"]), [json.loads(line) for line in (FOLDER / "real" / row["events"]).read_text().splitlines()]
    assert len(ticks) == row["samples"]
    show(b, url, "#show=row&row=" + row["id"])
    click(b, "[data-value=timeline]")
    assert fragment(b)["view"] == "timeline" and b.run("return document.getElementById('stage').hidden")
    now = lambda: b.run("const e = document.activeElement; return [e.dataset.item, e.getAttribute('aria-label')]")
    b.run("document.querySelector('.item.now').focus()")
    assert now()[1].startswith("mark, query, ") and now()[1].endswith(", marks"), now()
    b.press("Down")  # to the thread that has most samples: its states, then its samples
    tid = max({t for t, _ in ticks}, key=lambda t: sum(x == t for x, _ in ticks))
    assert now()[1].startswith(("on CPU, ", "off CPU: ")) and now()[1].endswith(f", thread main {tid}"), now()
    b.press("Down", *["Left"] * 30)
    walked = [now()]
    for _ in range(sum(t == tid for t, _ in ticks) + 3):
        b.press("Right")
        walked += [now()] if now()[0] != walked[-1][0] else []
    labels = [label for _, label in walked]
    times = [ns_text(t) for x, t in ticks if x == tid]
    assert [label.split(", ")[0] for label in labels] == ["sample at " + t for t in times], (labels, times)
    # What is chosen opens its stack, and a link to it does the same.
    b.press("Enter")
    settle(b)
    stack = b.run("return [...document.querySelectorAll('#moment li')].map((e) => e.dataset.name)")
    assert len(stack) > 3 and stack[0] == labels[-1].split(", ")[1] and text(b, "#moment h3") == "Stack at " + times[-1]
    folded = (FOLDER / "real" / row["folded"]).read_text() if (FOLDER / "real" / row["folded"]).exists() else ";".join(reversed(stack))
    assert ";".join(reversed(stack)) in folded
    kept = fragment(b)
    show(b, url, "#" + urllib.parse.urlencode(kept))
    assert b.run("return [...document.querySelectorAll('#moment li')].map((e) => e.dataset.name)") == stack and fragment(b) == kept
    click(b, "#moment button")
    assert fragment(b)["zoom"] and "view" not in fragment(b) and not b.run("return document.getElementById('stage').hidden")
    # Every event has its place: all of them are reached.
    go(b, "#view=timeline&show=row&row=" + row["id"])
    assert text(b, "#timeline-note") == ""
    seen = set()
    for key in (f"e{i}" for i in range(len(events))):
        go(b, f"#view=timeline&show=row&row={row['id']}&at={key}")
        seen.add(b.run("return [...document.querySelectorAll('#moment dd')].map((e) => e.textContent).join('|')"))
    assert len(seen) == len({json.dumps(e) for e in events}), (len(seen), len(events))
    assert b.log("browser") == []


def test_the_timeline_zooms_and_says_what_is_not_known(b):
    url, _ = make("real")
    rows = [r for r in index("real") if r["kind"] == "invocation" and "events" in r]
    row = next(r for r in rows if '"off_cpu"' not in (FOLDER / "real" / r["events"]).read_text())
    show(b, url, "#view=timeline&show=row&row=" + row["id"])
    assert "off CPU is not in this recording" in text(b, "#timeline-note")
    b.run("document.querySelector('.item.now').focus()")
    b.press("+", "+")
    settle(b)
    begin, end = map(int, fragment(b)["time"].split("_"))
    assert 0.2 * row["duration_ns"] < end - begin < 0.36 * row["duration_ns"], (begin, end)
    show(b, url, "#" + urllib.parse.urlencode(fragment(b)))
    assert fragment(b)["time"] == f"{begin}_{end}"
    click(b, "#time-all")
    assert "time" not in fragment(b)
    unknown = next(r for r in index("real") if r["kind"] == "invocation" and "events" not in r and r["samples"])
    go(b, "#view=timeline&show=row&row=" + unknown["id"])
    assert "times of its samples are not in this recording" in text(b, "#timeline-note") and "No events were told" in text(b, "#timeline-note")
    go(b, "#view=timeline&show=row&row=" + row["id"] + "&at=s999999&time=9_1&mark=constructor")
    assert b.log("browser") == []


def test_a_mark_filters_what_is_shown(b):
    url, _ = make("real")
    row = max((r for r in index("real") if r["function"] == "thumbnails" and "events" in r and r["kind"] == "invocation"), key=lambda r: r["samples"])
    events = [json.loads(line) for line in (FOLDER / "real" / row["events"]).read_text().splitlines()]
    show(b, url, "#view=timeline&show=row&row=" + row["id"])
    set_value(b, "mark", "resize")
    span = next(e for e in events if e["what"] == "mark" and e["name"] == "resize")
    begin = span["t_ns"] - row["start_ns"]
    inside = sum(begin <= t < begin + span["duration_ns"] for _, t in pairs(FOLDER / "real" / row["pprof"]))
    assert 0 < inside < row["samples"]
    assert fragment(b)["mark"] == "resize" and text(b, "#subtitle").endswith(" in resize")
    click(b, "[data-value=flame]")
    assert b.run("return document.querySelector('.frame.focus').getAttribute('aria-label')").endswith(f", {inside} sample{'s' if inside > 1 else ''}")
    show(b, url, "#" + urllib.parse.urlencode(fragment(b)))
    assert text(b, "#subtitle").endswith(" in resize")


def test_values_are_switched(b):
    url, _ = make("waits", "--invocations", "40", "--waits")
    show(b, url, "#show=listed&kinds=invocation")
    whole = sum(r["sampled_ns"] for r in index("waits") if r["kind"] == "invocation")
    options = b.run("return [...document.getElementById('value').options].map((o) => o.textContent)")
    assert options == ["samples", "CPU time", "off CPU", "run queue"], options
    label = lambda: b.run("return document.querySelector('.frame.focus').getAttribute('aria-label')")
    assert f", {ns_text(whole)}, " in label()
    set_value(b, "value", "2")
    assert f", {ns_text(whole * 3)}, " in label() and fragment(b)["value"] == "off_cpu/nanoseconds"
    show(b, url, "#" + urllib.parse.urlencode(fragment(b)))
    assert f", {ns_text(whole * 3)}, " in label()


def test_sets_are_compared(b):
    url, _ = make("real")
    show(b, url)
    set_value(b, "by-function", "thumbnails")
    set_value(b, "compare", "slow5")
    rows = sorted((r for r in index("real") if r["kind"] == "invocation" and r["function"] == "thumbnails"), key=lambda r: -r["duration_ns"])
    n = max(1, round(len(rows) * 0.05))
    assert text(b, "#title") == "slowest 5 % compared with the rest"
    assert text(b, "#subtitle") == f"{n} rows, {len(rows) - n} rows"
    a, rest = sum(r["sampled_ns"] for r in rows[:n]), sum(r["sampled_ns"] for r in rows[n:])
    found = frames_under(b)
    assert "retry_with_backoff" in found, list(found)
    b.pointer(found["everything"])
    tip = b.run("return [...document.querySelectorAll('#tip dd')].map((e) => e.textContent)")
    assert f"{sum(r['samples'] for r in rows[:n]):,} samples" in tip[0] and f"{sum(r['samples'] for r in rows[n:]):,} samples" in tip[1], tip
    growth = (a / n) / (rest / (len(rows) - n)) - 1
    assert f"{100 * growth:,.1f} %"[:3] in tip[2] or f"{100 * growth:,.0f} %"[:3] in tip[2], (tip[2], growth)
    # Any two sets, by their boxes.
    click(b, "#clear-sets")
    click(b, "#list-space .line:nth-child(1) .in-a")
    assert text(b, "#title") == "A"
    click(b, "#list-space .line:nth-child(2) .in-b")
    assert text(b, "#title") == "A compared with B"
    kept = fragment(b)
    show(b, url, "#" + urllib.parse.urlencode(kept))
    assert text(b, "#title") == "A compared with B" and fragment(b) == kept


def test_the_fragment_brings_everything_back(b):
    url, _ = make("real")
    show(b, url)
    set_value(b, "by-function", "checkout")
    set_value(b, "search", "syscall", "input")
    click(b, "[data-value=icicle]")
    click(b, "[data-sort=samples]")
    found = [line["id"] for line in lines(b)]
    click(b, "#list-space .line:nth-child(3)")
    b.run("document.querySelector('.frame.focus').focus()")
    b.press("Down", "Down", "Down", "Enter")
    settle(b)
    look = "return [location.hash, document.getElementById('title').textContent, document.getElementById('subtitle').textContent," \
           "document.getElementById('matched').textContent, document.querySelector('.frame.focus').getAttribute('aria-label')," \
           "document.querySelector('[data-value=icicle]').getAttribute('aria-checked')]"
    before = b.run(look)
    assert before[5] == "true" and "zoom=" in before[0] and "q=syscall" in before[0]
    show(b, url, before[0])
    assert b.run(look) == before
    assert [line["id"] for line in lines(b)] == found
    show(b, url, "#view=nothing&show=row&row=~99999999&zoom=1e99&a=zzzzzz-zzzzzzz.-&sort=__proto__&kinds=&compare=constructor&value=x&q=%00")
    assert b.log("browser") == [] and text(b, "#title") == "All together"


def test_rows_without_samples_and_empty_recordings_say_so(b):
    url, _ = make("empty", "--kind", "empty")
    show(b, url)
    assert "Nothing was recorded" in text(b, "#empty") and b.log("browser") == []
    assert b.run("return document.getElementById('stage').hidden")
    url, _ = make("real")
    show(b, url, "#show=row&row=process-4001-1")
    assert "No samples" in text(b, "#empty") and text(b, "#subtitle") == "process-4001-1"
    url, _ = make("silent", "--invocations", "5", "--samples", "0")
    show(b, url)
    assert b.log("browser") == []


def test_names_stay_text(b):
    url, counts = make("hostile", "--kind", "hostile")
    show(b, url)
    assert counts["unreadable"] == 11 and counts["rows"] == 27, counts
    assert b.log("browser") == [] and [u for u in b.requests() if not u.startswith(("chrome:", "data:"))] == [url]
    assert b.run("return document.title").endswith("fnprof")
    set_value(b, "filter", "</script>", "input")
    assert [line["function"] for line in lines(b)] == ["</script><script>document.title='owned'</script>"]
    click(b, "#list-space .line")
    assert text(b, "#title") == "</script><script>document.title='owned'</script>"
    for i in range(22):
        if i % 3 == 0:
            go(b, f"#view=timeline&show=row&row=~{i}&at=e3&mark=" + urllib.parse.quote(recording.HOSTILE[i % len(recording.HOSTILE)]))
        go(b, f"#show=row&row=~{i}")
        assert text(b, "#subtitle") != "", i
        found = frames_under(b, 4) if i % 2 == 0 else []
        assert b.log("browser") == [], (i, found)
        assert b.run("return document.title").endswith("fnprof")
        assert b.run("return document.querySelectorAll('img, iframe, object, embed, link:not([rel=icon])').length") == 0
        links = b.run("return [...document.querySelectorAll('a')].map((a) => a.href)")
        folder = url.rsplit("/", 1)[0] + "/"
        assert all(link.startswith(folder) for link in links), links
    show(b, url)
    found = " ".join(frames_under(b, 40))
    assert "\u2028" not in found and "\u202e" not in found and "\n" not in found


def test_damage_is_said(b):
    url, _ = make("real")
    path = FOLDER / "damaged.html"
    html = pathlib.Path(urllib.parse.urlparse(url).path).read_text()
    path.write_text(re.sub(r'(data-block="nodes">.{20})....', r"\1AAAA", html))
    b.open(path.as_uri())
    assert "damaged" in b.until("!document.getElementById('trouble').hidden && document.getElementById('trouble').textContent")
    assert b.log("browser") == []


def test_light_and_dark(b):
    url, _ = make("real")
    for scheme in ("dark", "light"):
        b.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        show(b, url)
        b.run("localStorage.clear()")
        show(b, url)
        assert b.run("return document.documentElement.dataset.theme") == scheme
        click(b, "#theme")
        other = "light" if scheme == "dark" else "dark"
        assert b.run("return document.documentElement.dataset.theme") == other
        show(b, url)
        assert b.run("return document.documentElement.dataset.theme") == other, "the switch is kept"
        b.run("localStorage.clear()")


def test_a_hundred_thousand_frames_redraw_in_time(b):
    url, _ = make("wide")
    show(b, url)
    times = {}
    for name, step in (("whole", ""), ("zoomed", "document.querySelector('.frame.focus').click();")):
        times[name] = b.wait("""const canvas = document.getElementById('canvas'), times = [];
            const frame = () => new Promise((ok) => requestAnimationFrame(() => setTimeout(ok)));
            """ + step + """
            for (let i = 0; i < 41; i++) {
                document.getElementById('theme').click();
                await frame();
                times.push(Number(canvas.dataset.drawMs));
            }
            return times;""")
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"    redraw of 100,001 frames: median {medians['whole']:.1f} ms")
    assert medians["whole"] < 50, medians
    b.run("document.querySelector('.frame.focus').focus()")
    b.press("Up", "Up")
    assert b.run("return document.activeElement.dataset.frame").startswith("step_0_")


def test_ten_thousand_invocations(b):
    url, counts = make("many")
    rows = len(index("many"))
    print(f"    {rows:,} rows, {sum(r['samples'] for r in index('many')):,} samples: page {counts['bytes'] / 1e6:.1f} MB, "
          f"{counts['cpu_ms'] / 1e3:.1f} s CPU, {counts['rss_kb'] / 1024:.0f} MB RSS, {counts['singles']:,} single graphs")
    assert counts["rows"] == counts["listed"] == rows and counts["unreadable"] == 0
    assert counts["bytes"] <= 32 << 20
    sanitized = b"__asan_init" in pathlib.Path(MAKE_PAGE).read_bytes()
    assert sanitized or counts["rss_kb"] <= 64 << 10
    show(b, url)
    elements = lambda: b.run("return document.querySelectorAll('#list-space .line').length")
    assert elements() < 80, "only rows in view are elements"
    worst = b.wait("""const body = document.getElementById('list-body'), times = [];
        for (let i = 0; i < 60; i++) {
            const begin = performance.now();
            body.scrollTop = body.scrollHeight * ((i * 37) % 60) / 60;
            await new Promise((ok) => requestAnimationFrame(() => setTimeout(ok)));
            times.push(performance.now() - begin);
        }
        return times.sort((x, y) => x - y)[30];""")
    print(f"    a jump in the list: median {worst:.0f} ms a frame")
    assert worst < 50 and elements() < 80
    set_value(b, "compare", "slow5")
    assert b.until("document.getElementById('title').textContent.startsWith('slowest')")
    assert text(b, "#note") == "" or b.run("return document.getElementById('note').hidden")


def test_what_does_not_fit_is_said_and_the_whole_stays_whole(b):
    make("plain")
    whole = MADE["plain"][1]["bytes"]
    path = FOLDER / "small.html"
    counts = json.loads(subprocess.run([MAKE_PAGE, FOLDER / "plain", path, str(whole + (1 << 20) - 160_000)], check=True, capture_output=True, text=True).stdout)
    assert counts["bytes"] <= whole - 60_000 and counts["listed"] == counts["rows"], counts
    assert 1000 < counts["singles"] < counts["rows"], counts
    rows = index("plain")
    samples = sum(r["samples"] for r in rows)
    show(b, path.as_uri())
    focus = "return document.querySelector('.frame.focus').getAttribute('aria-label')"
    assert b.run(focus).endswith(f"{samples:,} samples")
    assert f"{counts['singles']:,} rows with a graph of their own" in text(b, "#recording")
    # The slowest are in; a quick one that is out has its facts.
    slow = max((r for r in rows if r["kind"] == "invocation"), key=lambda r: r["duration_ns"])
    show(b, path.as_uri(), "#show=row&row=" + slow["id"])
    assert b.run(focus).endswith(f"{slow['samples']} samples") and b.run("return document.getElementById('note').hidden")
    out = next(r for r in rows[::-37] if r["samples"] and r["kind"] == "invocation" and
               not b.run("location.hash = '#show=row&row=' + arguments[0]", r["id"]) and not settle(b) and "not on this page" in text(b, "#note"))
    assert out["id"] in text(b, "#facts")
    # A comparison with the rest is whole: the rest is the function's sum without the slowest.
    show(b, path.as_uri(), "#function=checkout&compare=slow5&show=sets&kinds=invocation")
    assert b.run("return document.getElementById('note').hidden"), text(b, "#note")
    mine = sorted((r for r in rows if r["kind"] == "invocation" and r["function"] == "checkout"), key=lambda r: -r["duration_ns"])
    box = b.run("const r = document.querySelector('.frame.focus').getBoundingClientRect(); return [r.left + 9, r.top + 9]")
    b.pointer(box)
    tip = b.run("return [...document.querySelectorAll('#tip dd')].map((e) => e.textContent)")
    n = round(len(mine) * 0.05)
    assert f" {sum(r['samples'] for r in mine[:n]):,} samples" in tip[0] and f" {sum(r['samples'] for r in mine[n:]):,} samples" in tip[1], tip


def test_timelines_that_do_not_fit_are_said(b):
    make("many")
    path = FOLDER / "short.html"
    counts = json.loads(subprocess.run([MAKE_PAGE, FOLDER / "many", path, str(MADE["many"][1]["bytes"])], check=True, capture_output=True, text=True).stdout)
    assert counts["listed"] == counts["singles"] == counts["rows"], counts
    rows = [r for r in index("many") if r["kind"] == "invocation" and "events" in r]
    show(b, path.as_uri(), "#view=timeline&show=row&row=" + max(rows, key=lambda r: r["duration_ns"])["id"])
    assert "no room" not in text(b, "#timeline-note") and not b.run("return document.getElementById('lanes').hidden")
    left = 0
    for row in rows[::-1][:400:40]:
        go(b, "#view=timeline&show=row&row=" + row["id"])
        missing, hidden = "no room" in text(b, "#timeline-note"), b.run("return document.getElementById('lanes').hidden")
        assert missing == hidden, (row["id"], text(b, "#timeline-note"), hidden)
        left += missing
    assert left > 0


# Colour blindness after Machado, Oliveira and Fernandes (2009), severity 1.
BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(rgb):
    x, y, z = (sum(m * c for m, c in zip(row, rgb)) for row in
               ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)))
    f = lambda t: t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
    fx, fy, fz = f(x / 0.95047), f(y), f(z / 1.08883)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def linear_of(rgb):
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]


def test_lines_of_the_ledger_stay_apart_for_the_color_blind(_):
    source = (SOURCES / "ledger.js").read_text()
    lines = {name: (linear_of([int(color[i:i + 2], 16) / 255 for i in (0, 2, 4)]), linear_of([int(ink[i:i + 2], 16) / 255 for i in (0, 2, 4)]))
             for name, color, ink in re.findall(r'(\w+): \["[^"]+", "#(\w{6})", "#(\w{6})"\]', source)}
    assert len(lines) == 15, list(lines)
    for kind, matrix in {"": ((1, 0, 0), (0, 1, 0), (0, 0, 1)), **BLIND}.items():
        seen = {name: lab([min(1, max(0, sum(m * c for m, c in zip(row, color)))) for row in matrix]) for name, (color, _) in lines.items()}
        pairs = sorted((sum((p - q) ** 2 for p, q in zip(seen[a], seen[other])) ** 0.5, a, other)
                       for i, a in enumerate(seen) for other in list(seen)[:i])
        assert pairs[0][0] > 12, (kind, pairs[:5])
    for name, (color, ink) in lines.items():
        light, dark = sorted((0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (color, ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, "its label cannot be read")


def test_kinds_stay_apart_for_the_color_blind(_):
    source = (SOURCES / "colors.js").read_text()
    for theme in ("light", "dark"):
        palette = json.loads(re.search(rf"{theme}: (\[\[.*\]\])", source)[1])
        linear = [linear_of(colorsys.hls_to_rgb(h / 360, l / 100, s / 100)) for h, s, l in palette]
        for name, matrix in {"": ((1, 0, 0), (0, 1, 0), (0, 0, 1)), **BLIND}.items():
            seen = [lab([min(1, max(0, sum(m * c for m, c in zip(row, rgb)))) for row in matrix]) for rgb in linear]
            for i, a in enumerate(seen):
                for j, other in enumerate(seen[:i]):
                    distance = sum((p - q) ** 2 for p, q in zip(a, other)) ** 0.5
                    # 5, the marker, has stripes, too.
                    assert distance > (8 if i == 5 else 12), (theme, name, i, j, round(distance, 1))


def main():
    global MAKE_PAGE, FOLDER
    if not browser.find():
        print("skipped: no chromium with chromedriver here (Debian: chromium, chromium-driver)")
        return 77
    MAKE_PAGE, wanted = sys.argv[1], sys.argv[2:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and (not wanted or any(w in n for w in wanted))]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="fnprof-page-") as folder, browser.Browser() as b:
        FOLDER = pathlib.Path(folder)
        if not wanted:
            BEGUN.update((name, begin(name, args)) for name, args in LARGE.items())
        for name, test in tests:
            began = time.monotonic()
            b.cdp("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
            b.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}, {"name": "prefers-reduced-motion", "value": "reduce"}])
            try:
                test(b)
            except Exception as error:  # one failed test does not hide the others
                failed += 1
                print(f"    FAILED: {name}: {type(error).__name__}: {error}" + (f" (line {error.__traceback__.tb_next.tb_lineno})" if error.__traceback__.tb_next else ""))
            print(f"{time.monotonic() - began:5.1f} s  {name[5:].replace('_', ' ')}", flush=True)
    print(f"{len(tests) - failed} of {len(tests)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
