#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A strict checker of our pprof files, with a decoder of its own.

usage: check_pprof.py FILE.pb.gz...

Google's pprof takes in silence what other readers refuse, so the contract is checked here: ids, tables without
anything unused or double, addresses inside their mappings, lines, labels, times. Where FILE.folded lies beside
FILE.pb.gz it is made again from the pprof file, by a second reading of the rules, and compared line by line.
Every finding is one line; exit 1 when there is one.
"""

import collections
import re
import sys
import zlib

VARINT, FIXED64, LEN, FIXED32 = 0, 1, 2, 5

# message: {field: (name, kind, repeated)}; kinds: int, packed (ints), text, or the name of a message.
SCHEMA = {
    "profile": {
        1: ("sample_type", "value_type", True),
        2: ("sample", "sample", True),
        3: ("mapping", "mapping", True),
        4: ("location", "location", True),
        5: ("function", "function", True),
        6: ("string_table", "text", True),
        7: ("drop_frames", "int", False),
        8: ("keep_frames", "int", False),
        9: ("time_nanos", "int", False),
        10: ("duration_nanos", "int", False),
        11: ("period_type", "value_type", False),
        12: ("period", "int", False),
        13: ("comment", "packed", True),
        14: ("default_sample_type", "int", False),
        15: ("doc_url", "int", False),
    },
    "value_type": {1: ("type", "int", False), 2: ("unit", "int", False)},
    "sample": {1: ("location_id", "packed", True), 2: ("value", "packed", True), 3: ("label", "label", True)},
    "label": {
        1: ("key", "int", False),
        2: ("str", "int", False),
        3: ("num", "int", False),
        4: ("num_unit", "int", False),
    },
    "mapping": {
        1: ("id", "int", False),
        2: ("memory_start", "int", False),
        3: ("memory_limit", "int", False),
        4: ("file_offset", "int", False),
        5: ("filename", "int", False),
        6: ("build_id", "int", False),
        7: ("has_functions", "int", False),
        8: ("has_filenames", "int", False),
        9: ("has_line_numbers", "int", False),
        10: ("has_inline_frames", "int", False),
    },
    "location": {
        1: ("id", "int", False),
        2: ("mapping_id", "int", False),
        3: ("address", "int", False),
        4: ("line", "line", True),
        5: ("is_folded", "int", False),
    },
    "line": {1: ("function_id", "int", False), 2: ("line", "int", False), 3: ("column", "int", False)},
    "function": {
        1: ("id", "int", False),
        2: ("name", "int", False),
        3: ("system_name", "int", False),
        4: ("filename", "int", False),
        5: ("start_line", "int", False),
    },
}

# Which fields are numbers of strings, for "nothing unused".
STRING_FIELDS = {
    "value_type": ("type", "unit"),
    "label": ("key", "str", "num_unit"),
    "mapping": ("filename", "build_id"),
    "function": ("name", "system_name", "filename"),
}

LABELS_TEXT = ("function", "request_id", "thread")

SUFFIXES = {
    "[python interpreter]": "_[0]",
    "[python jit]": "_[j]",
    "[python awaiting]": "_[a]",
    "[jvm interpreter]": "_[0]",
    "[jvm c1]": "_[j]",
    "[jvm c2]": "_[j]",
    "[jvm compiled]": "_[j]",
    "[v8 ignition]": "_[0]",
    "[v8 sparkplug]": "_[j]",
    "[v8 maglev]": "_[j]",
    "[v8 turbofan]": "_[j]",
    "[v8 wasm]": "_[j]",
    "[v8 awaiting]": "_[a]",
    "[jit]": "_[j]",
}


class Broken(Exception):
    """The bytes are no message at all."""


def varint(data, pos):
    value = shift = 0
    while True:
        if pos >= len(data) or shift > 63:
            raise Broken("a number does not end")
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            if shift > 7 and byte == 0:
                raise Broken("a number is longer than it must be")
            return value, pos


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def fields(data):
    pos = 0
    while pos < len(data):
        tag, pos = varint(data, pos)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, pos = varint(data, pos)
        elif kind == LEN:
            size, pos = varint(data, pos)
            if size > len(data) - pos:
                raise Broken("field %d is longer than the file" % number)
            value, pos = data[pos : pos + size], pos + size
        else:
            raise Broken("field %d has wire type %d, which pprof does not use" % (number, kind))
        yield number, kind, value


def packed(data):
    values, pos = [], 0
    while pos < len(data):
        value, pos = varint(data, pos)
        values.append(value)
    return values


def message(name, data):
    """A message as a dictionary; what the schema does not know, or what is there twice, is an error."""
    schema = SCHEMA[name]
    result = {field: [] if repeated else 0 for field, _, repeated in schema.values()}
    seen = set()
    for number, wire, value in fields(data):
        if number not in schema:
            raise Broken("%s has a field %d, which pprof does not have" % (name, number))
        field, kind, repeated = schema[number]
        if (wire == LEN) == (kind == "int"):
            raise Broken("%s.%s has the wrong wire type" % (name, field))
        if not repeated and field in seen:
            raise Broken("%s.%s is there twice" % (name, field))
        seen.add(field)
        if kind == "packed":
            result[field] += packed(value)
        elif kind == "text":
            result[field].append(value)
        elif kind == "int":
            result[field] = value
        elif repeated:
            result[field].append(message(kind, value))
        else:
            result[field] = message(kind, value)
    return result


def unpack(data):
    machine = zlib.decompressobj(wbits=31)
    try:
        plain = machine.decompress(data) + machine.flush()
    except zlib.error as error:
        raise Broken("no gzip: %s" % error) from error
    if not machine.eof:
        raise Broken("gzip ends early")
    if machine.unused_data:
        raise Broken("%d bytes after the gzip member" % len(machine.unused_data))
    return plain


class Check:
    def __init__(self, data):
        self.findings = []
        self.profile = message("profile", unpack(data))
        self.strings = []
        for n, raw in enumerate(self.profile["string_table"]):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                self.say("string %d is not UTF-8: %r" % (n, raw))
                text = raw.decode("utf-8", "replace")
            self.strings.append(text)
        self.mappings = {m["id"]: m for m in self.profile["mapping"]}
        self.functions = {f["id"]: f for f in self.profile["function"]}
        self.locations = {l["id"]: l for l in self.profile["location"]}

    def say(self, text):
        self.findings.append(text)

    def text(self, number):
        if number >= len(self.strings):
            self.say("there is no string %d" % number)
            return ""
        return self.strings[number]

    def run(self):
        self.check_strings()
        self.check_head()
        self.check_ids()
        self.check_mappings()
        self.check_functions()
        self.check_locations()
        self.check_samples()
        return self.findings

    def check_strings(self):
        if not self.strings or self.strings[0] != "":
            self.say("string 0 is not empty")
        for text, times in collections.Counter(self.strings).items():
            if times > 1:
                self.say("string %r is there %d times" % (text, times))
        used = {0, self.profile["default_sample_type"], self.profile["drop_frames"], self.profile["keep_frames"]}
        used.add(self.profile["doc_url"])
        used.update(self.profile["comment"])
        self.use_strings("profile", self.profile, used)
        for n, text in enumerate(self.strings):
            if n not in used:
                self.say("string %d is not used: %r" % (n, text))

    def use_strings(self, name, values, used):
        """Collects the numbers of strings in a message and in those below it."""
        todo = [(name, values)]
        while todo:
            name, values = todo.pop()
            used.update(values[field] for field in STRING_FIELDS.get(name, ()))
            for field, kind, repeated in SCHEMA[name].values():
                if kind in SCHEMA:
                    below = values[field] if repeated else [values[field]] if values[field] else []
                    todo += [(kind, one) for one in below]

    def type_name(self, value_type):
        return (self.text(value_type["type"]), self.text(value_type["unit"])) if value_type else None

    def check_head(self):
        types = [self.type_name(t) for t in self.profile["sample_type"]]
        if types[:2] != [("samples", "count"), ("cpu", "nanoseconds")]:
            self.say("value types begin with %r" % types[:2])
        if len({name for name, _ in types}) != len(types):
            self.say("two value types have one name: %r" % types)
        if self.text(self.profile["default_sample_type"]) != "cpu":
            self.say("default_sample_type is %r" % self.text(self.profile["default_sample_type"]))
        if self.type_name(self.profile["period_type"]) != ("cpu", "nanoseconds"):
            self.say("period_type is %r" % (self.type_name(self.profile["period_type"]),))
        for field in ("time_nanos", "duration_nanos", "period"):
            if signed(self.profile[field]) <= 0:
                self.say("%s is %d" % (field, signed(self.profile[field])))
        for field in ("drop_frames", "keep_frames"):
            if self.profile[field]:
                self.say("%s is set, which removes frames with what they called" % field)

    def check_ids(self):
        for table in ("mapping", "location", "function"):
            ids = [one["id"] for one in self.profile[table]]
            if ids != list(range(1, len(ids) + 1)):
                self.say("ids of table %s are not 1..%d in order" % (table, len(ids)))

    def check_double(self, table, key):
        for one, times in collections.Counter(key(x) for x in self.profile[table]).items():
            if times > 1:
                self.say("%s %r is there %d times" % (table, one, times))

    def check_mappings(self):
        if not self.profile["mapping"]:
            self.say("there is no mapping, and so no program")
        used = {l["mapping_id"] for l in self.profile["location"]} | {1}
        for m in self.profile["mapping"]:
            name = "mapping %d (%s)" % (m["id"], self.text(m["filename"]))
            if not self.text(m["filename"]):
                self.say(name + " has no file")
            if m["memory_start"] >= m["memory_limit"]:
                self.say("%s: start %#x, limit %#x" % (name, m["memory_start"], m["memory_limit"]))
            if not re.fullmatch("([0-9a-f]{2})*", self.text(m["build_id"])):
                self.say("%s: build id %r" % (name, self.text(m["build_id"])))
            for flag in ("has_functions", "has_filenames", "has_line_numbers"):
                if m[flag] != 1:
                    self.say("%s: %s is not set" % (name, flag))
            if m["id"] not in used:
                self.say(name + " is not used")
        if self.profile["mapping"] and self.text(self.profile["mapping"][0]["filename"]).startswith("["):
            self.say("mapping 1 is no program: %s" % self.text(self.profile["mapping"][0]["filename"]))
        self.check_double(
            "mapping", lambda m: (self.text(m["filename"]), self.text(m["build_id"]), m["file_offset"])
        )

    def check_functions(self):
        used = {line["function_id"] for l in self.profile["location"] for line in l["line"]}
        for f in self.profile["function"]:
            if not self.text(f["name"]) or not self.text(f["system_name"]):
                self.say("function %d has no name" % f["id"])
            if f["id"] not in used:
                self.say("function %d (%s) is not used" % (f["id"], self.text(f["name"])))
        self.check_double(
            "function", lambda f: tuple(self.text(f[x]) for x in STRING_FIELDS["function"]) + (f["start_line"],)
        )

    def check_locations(self):
        used = {n for s in self.profile["sample"] for n in s["location_id"]}
        for l in self.profile["location"]:
            name = "location %d (%#x)" % (l["id"], l["address"])
            m = self.mappings.get(l["mapping_id"])
            if not m:
                self.say("%s: there is no mapping %d" % (name, l["mapping_id"]))
            elif not m["memory_start"] <= l["address"] < m["memory_limit"]:
                self.say("%s lies outside mapping %d" % (name, m["id"]))
            if not l["line"]:
                self.say(name + " has no line")
            for line in l["line"]:
                if line["function_id"] not in self.functions:
                    self.say("%s: there is no function %d" % (name, line["function_id"]))
            if l["is_folded"]:
                self.say(name + " is marked as folded")
            if l["id"] not in used:
                self.say(name + " is not used")
        self.check_double(
            "location",
            lambda l: (l["mapping_id"], l["address"], tuple((x["function_id"], x["line"]) for x in l["line"])),
        )

    def check_samples(self):
        kinds = {}
        seen = set()
        for n, s in enumerate(self.profile["sample"]):
            name = "sample %d" % (n + 1)
            if not s["location_id"]:
                self.say(name + " has no stack")
            for number in s["location_id"]:
                if number not in self.locations:
                    self.say("%s: there is no location %d" % (name, number))
            if len(s["value"]) != len(self.profile["sample_type"]):
                self.say("%s has %d values" % (name, len(s["value"])))
            if any(signed(v) < 0 for v in s["value"]) or not any(s["value"]):
                self.say("%s has values %r" % (name, [signed(v) for v in s["value"]]))
            key = (tuple(s["location_id"]), tuple(sorted(tuple(l.values()) for l in s["label"])))
            if key in seen:
                self.say("%s: stack and labels stand in an earlier sample, too" % name)
            seen.add(key)
            self.check_labels(name, s, kinds)
            self.check_markers(name, s)

    def check_labels(self, name, sample, kinds):
        labels = {}
        for label in sample["label"]:
            key = self.text(label["key"])
            if key in labels:
                self.say("%s has two labels %r" % (name, key))
            labels[key] = label
            if label["str"] and (label["num"] or label["num_unit"]):
                self.say("%s: label %r is text and number" % (name, key))
            is_text = label["str"] != 0
            if kinds.setdefault(key, is_text) != is_text:
                self.say("%s: label %r is text here and a number elsewhere" % (name, key))
        for key in LABELS_TEXT:
            if key not in labels or not self.text(labels[key]["str"]):
                self.say("%s has no label %r" % (name, key))
        duration = labels.get("duration")
        if not duration or duration["str"] or self.text(duration["num_unit"]) != "nanoseconds":
            self.say("%s has no number `duration` in nanoseconds" % name)
        elif signed(duration["num"]) < 0:
            self.say("%s: duration %d" % (name, signed(duration["num"])))

    def names(self, number):
        """Functions of a location, outermost first, with the name of its mapping's file."""
        l = self.locations.get(number)
        if not l:
            return [], ""
        mapping = self.mappings.get(l["mapping_id"])
        names = [
            self.text(self.functions[x["function_id"]]["name"]) for x in l["line"] if x["function_id"] in self.functions
        ]
        return names[::-1], self.text(mapping["filename"]) if mapping else ""

    def check_markers(self, name, sample):
        for place, number in enumerate(sample["location_id"]):
            frames, file = self.names(number)
            is_marker = bool(frames) and frames[0].startswith("[truncated")
            if is_marker and file != "[marker]":
                self.say("%s: %s lies in %s" % (name, frames[0], file))
            if is_marker and place != len(sample["location_id"]) - 1:
                self.say("%s: %s is not first" % (name, frames[0]))
            if any(not frame for frame in frames):
                self.say("%s: a frame without a name" % name)

    def cpu_sum(self):
        return sum(signed(s["value"][1]) for s in self.profile["sample"] if len(s["value"]) > 1)

    def folded(self):
        lines = collections.Counter()
        for s in self.profile["sample"]:
            stack = []
            for number in reversed(s["location_id"]):
                frames, file = self.names(number)
                own = "_[k]" if re.fullmatch(r"\[kernel\..*\]", file, re.S) else SUFFIXES.get(file, "")
                for depth, frame in enumerate(frames):
                    stack.append(folded_name(frame) + ("_[i]" if depth else own))
            lines[";".join(stack)] += signed(s["value"][1]) if len(s["value"]) > 1 else 0
        return lines


def folded_name(name):
    """One `?` for each byte of a control character: C1 ones have two."""
    name = re.sub("[\x80-\x9f]", "??", name)
    return re.sub("[\x00-\x1f\x7f]", "?", name).replace(";", ":") or "[unknown]"


def read_folded(data):
    """Lines of a folded file as {stack: value}; raises Broken when one is no `root;...;leaf N`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken("not UTF-8: %s" % error) from error
    if text and not text.endswith("\n"):
        raise Broken("the last line does not end")
    lines = {}
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"([^;\x00-\x1f\x7f-\x9f]+(?:;[^;\x00-\x1f\x7f-\x9f]+)*) (0|[1-9][0-9]*)", line)
        if not match:
            raise Broken("no folded line: %r" % line)
        if re.search(r"(_\[[ijk0a]\]){2}(;|$)", match.group(1)):
            raise Broken("two suffixes: %r" % line)
        if match.group(1) in lines:
            raise Broken("a stack is there twice: %r" % line)
        lines[match.group(1)] = int(match.group(2))
    return lines


def check_folded(check, data):
    try:
        have = read_folded(data)
    except Broken as error:
        return ["folded: %s" % error]
    findings = []
    if sum(have.values()) != check.cpu_sum():
        findings.append("folded sums to %d, cpu to %d" % (sum(have.values()), check.cpu_sum()))
    want = check.folded()
    for stack in sorted(set(have) | set(want)):
        # Stacks of time off a CPU have no CPU time, and no line.
        if have.get(stack, 0) != want.get(stack, 0):
            findings.append("folded has %s, pprof %s: %s" % (have.get(stack), want.get(stack), stack))
    return findings


def check_file(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        check = Check(data)
        findings = check.run()
    except Broken as error:
        return [str(error)]
    if not path.endswith(".pb.gz"):
        return findings
    try:
        with open(path[: -len(".pb.gz")] + ".folded", "rb") as file:
            findings += check_folded(check, file.read())
    except FileNotFoundError:
        pass
    return findings


def main(paths):
    if not paths or paths[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    status = 0
    for path in paths:
        for finding in check_file(path):
            print("%s: %s" % (path, finding))
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
