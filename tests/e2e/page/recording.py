#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a recording out of nothing, for tests of the page: index.jsonl, summary.json, profiles/.

usage: recording.py DIR [--invocations N] [--functions N] [--samples N] [--distinct N] [--plain] [--waits] [--kind real|wide|empty|hostile] [--seed N]

real     a web shop's functions in Python, Node.js and Java over native and kernel code; a few slow ones that wait
         for a retry, errors, cold starts, rows of every kind, rows without samples
wide     one invocation whose graph has 100,000 frames
empty    no row
hostile  names that would be HTML, script, line breaks or endless, and an index that lies
The same seed gives the same recording.
"""
import argparse
import datetime
import functools
import gzip
import json
import pathlib
import random
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import told  # noqa: E402

NATIVE, KERNEL, PYTHON, JVM, V8, MARKER = range(6)
START_UTC = 1795601730.0  # 2026-11-25
START_NS = 5_000_000_000


@functools.lru_cache(maxsize=1 << 16)  # a recording has the same numbers and texts again and again
def varint(n):
    out = bytearray()
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


@functools.lru_cache(maxsize=1 << 16)
def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def packed(number, values):
    return field(number, b"".join(varint(v) for v in values)) if values else b""


class Profile:
    """One pprof file. A frame is (name, file, line, mapping) with an optional tuple of frames inlined in it."""

    def __init__(self):
        self.strings, self.mappings, self.functions, self.locations = {"": 0}, {}, {}, {}
        self.samples, self.times, self.waits, self.encoded = {}, {}, False, None  # bytes, once it is written: a copy has the first one's labels
        self.mapping("/usr/bin/python3.12")

    def number(self, table, key):
        return table.setdefault(key, len(table) + 1)

    def string(self, text):
        return self.strings.setdefault(text, len(self.strings))

    def mapping(self, name):
        self.string(name)
        return self.number(self.mappings, name)

    def function(self, name, file):
        self.string(name), self.string(file)
        return self.number(self.functions, (name, file))

    def location(self, frame, inlined=()):
        self.mapping(frame[3])
        for name, file, *_ in (frame, *inlined):
            self.function(name, file)
        return self.number(self.locations, (frame, tuple(inlined)))

    def ids(self, stack):
        """Of a stack root first, each entry a frame or (frame, inlined...)."""
        return tuple(self.location(f[0], f[1:]) if isinstance(f[0], tuple) else self.location(f) for f in reversed(stack))

    def count(self, ids, ns, n=1):
        count, weight = self.samples.get(ids, (0, 0))
        self.samples[ids] = (count + n, weight + ns)

    def add(self, stack, ns, n=1):
        self.count(self.ids(stack), ns, n)

    def set_times(self, rng, tid, duration_ns):
        self.times = {ids: told.times(rng, count, tid + (i % 5 == 4), duration_ns) for i, (ids, (count, _)) in enumerate(self.samples.items())}

    def encode(self, duration_ns, labels):
        more = ("off_cpu", "run_queue") if self.waits else ()
        comment = "#fnprof.times " + "".join(f"{i} {' '.join(map(str, self.times[ids]))}|" for i, ids in enumerate(self.samples, 1) if self.times.get(ids))
        for text in (*([comment] if self.times else ()), "samples", "count", "cpu", "nanoseconds", *more, *labels, *labels.values()):
            self.string(text)
        s = self.strings
        out = [field(1, field(1, s["samples"]) + field(2, s["count"])), field(1, field(1, s["cpu"]) + field(2, s["nanoseconds"]))]
        out += [field(1, field(1, s[name]) + field(2, s["nanoseconds"])) for name in more]
        label = b"".join(field(3, field(1, s[k]) + field(2, s[v])) for k, v in labels.items())
        for ids, (count, weight) in self.samples.items():
            out.append(field(2, packed(1, ids) + packed(2, (count, weight, *((weight * 3, weight // 5) if more else ()))) + label))
        for i, name in enumerate(self.mappings):
            out.append(field(3, field(1, i + 1) + field(2, (i + 1) << 32) + field(3, (i + 2) << 32) + field(5, s[name]) + field(7, 1)))
        for (frame, inlined), i in self.locations.items():
            mapping = self.mappings[frame[3]]
            lines = b"".join(field(4, field(1, self.functions[f[0], f[1]]) + field(2, f[2])) for f in (*reversed(inlined), frame))
            out.append(field(4, field(1, i) + field(2, mapping) + field(3, (mapping << 32) + i * 16) + lines))
        for (name, file), i in self.functions.items():
            out.append(field(5, field(1, i) + field(2, s[name]) + field(3, s[name]) + field(4, s[file])))
        out += [field(6, t) for t in self.strings]
        out[len(out) - len(self.strings)] = varint(6 << 3 | 2) + b"\0"
        out += [field(13, s[comment])] if self.times else []
        out += [field(9, int(START_UTC * 1e9)), field(10, duration_ns),
                field(11, field(1, s["cpu"]) + field(2, s["nanoseconds"])), field(12, 10101010), field(14, s["cpu"])]
        return gzip.compress(b"".join(out), 1, mtime=0)

    def folded(self):
        lines = []
        by_id = {i: key for key, i in self.locations.items()}
        for ids, (_, weight) in self.samples.items():
            names = [f[0] for i in reversed(ids) for f in (by_id[i][0], *by_id[i][1])]
            lines.append(";".join(names).replace("\n", "?") + f" {weight}\n")
        return "".join(lines).encode("utf-8", "replace")


def hash_of(text):
    return sum((i + 1) * b for i, b in enumerate(text.encode("utf-8", "replace")))


def rfc3339(ns):
    whole = datetime.datetime.fromtimestamp(int(START_UTC) + ns // 10**9, datetime.timezone.utc)
    return whole.strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"


class Recording:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "profiles").mkdir(parents=True, exist_ok=True)
        self.lines, self.samples, self.end = [], 0, 0

    def add(self, profile, row, raw=None, events=()):
        """`row` without what follows from the profile."""
        n = len(self.lines)
        base = f"profiles/f{hash_of(row['function']) % 1000}/{n}"
        path = self.folder / (base + ".pb.gz")
        path.parent.mkdir(exist_ok=True)
        if raw is None and not profile.encoded:
            profile.encoded = profile.encode(row["duration_ns"], {"function": row["function"][:200], "request_id": row["id"][:200], "thread": "main"})
            (self.folder / (base + ".folded")).write_bytes(profile.folded())
        path.write_bytes(raw if raw is not None else profile.encoded)
        samples = sum(c for c, _ in profile.samples.values())
        sampled = sum(w for _, w in profile.samples.values())
        kind = "exact" if row["kind"] == "invocation" else "none"
        row = {"kind": row["kind"], **row, "start": rfc3339(row["start_ns"] - START_NS), "samples": samples, "sampled_ns": sampled,
               "attribution": {"exact": 0, "inferred": 0, "shared": 0, "none": 0, kind: samples}, "losses": {},
               "pprof": base + ".pb.gz", "folded": base + ".folded"}
        if events:
            row["events"] = base + ".events.jsonl"
            (self.folder / row["events"]).write_text(events if isinstance(events, str) else told.lines(events))
        row.setdefault("cpu_ns", sampled + 1_234_567)
        self.lines.append(json.dumps(row))
        self.samples += samples
        self.end = max(self.end, row["start_ns"] + row["duration_ns"] - START_NS)

    def close(self, tail=""):
        (self.folder / "index.jsonl").write_text("".join(line + "\n" for line in self.lines) + tail)
        (self.folder / "summary.json").write_text(json.dumps({
            "format": 1, "start": rfc3339(0), "duration_ns": self.end, "kernel": "6.18.0", "rate_hz": 99,
            "ticks": self.samples + 3, "samples": self.samples, "losses": {"ring_full": 3}, "ticks_missed": 12, "events_lost": 0,
            "truncated": {"depth": 2}, "cost": {"agent_cpu_ns": 41_000_000, "bpf_ns": 17_000_000, "rss_max_bytes": 19_000_000,
                                               "bpf_map_bytes": 9_000_000}, "processes": []}))


# ---- real ----------------------------------------------------------------------------------------------------

SYSCALL = [("entry_SYSCALL_64_after_hwframe", "", 0, "[kernel.kallsyms]"), ("do_syscall_64", "", 0, "[kernel.kallsyms]")]


def kernel(*names):
    return SYSCALL + [(n, "", 0, "[kernel.kallsyms]") for n in names]


def native(name, file="", line=0, mapping="/usr/lib/x86_64-linux-gnu/libc.so.6"):
    return (name, file, line, mapping)


READ = kernel("__x64_sys_read", "ksys_read", "vfs_read", "sock_read_iter", "sock_recvmsg", "tcp_recvmsg", "tcp_recvmsg_locked",
              "skb_copy_datagram_iter", "copyout")
SEND = kernel("__x64_sys_sendto", "__sys_sendto", "sock_sendmsg", "tcp_sendmsg", "tcp_sendmsg_locked", "tcp_push",
              "__tcp_push_pending_frames", "tcp_write_xmit", "__ip_queue_xmit", "ip_output", "dev_hard_start_xmit")
FAULT = [("asm_exc_page_fault", "", 0, "[kernel.kallsyms]"), ("exc_page_fault", "", 0, "[kernel.kallsyms]"),
         ("handle_mm_fault", "", 0, "[kernel.kallsyms]"), ("do_anonymous_page", "", 0, "[kernel.kallsyms]"), ("clear_page_erms", "", 0, "[kernel.kallsyms]")]


def python(name, file, line):
    return (name, file, line, "[python]")


def py_root(rng):
    exe = "/usr/bin/python3.12"
    boot = "/var/lang/lib/python3.12/site-packages/awslambdaric/"
    return [native("_start", mapping=exe), native("__libc_start_main_impl", "csu/libc-start.c", 360), native("main", mapping=exe),
            native("Py_RunMain", "Modules/main.c", 704, exe), native("_PyEval_EvalFrameDefault", "Python/generated_cases.c.h", 813, exe),
            python("<module>", boot + "__main__.py", 25), python("main", boot + "__main__.py", 21), python("run", boot + "bootstrap.py", 480),
            python("handle_event_request", boot + "bootstrap.py", 177)]


def thumbnails(rng):
    app = "/var/task/thumbnails.py"
    pil = "/var/task/PIL/Image.py"
    jpeg, imaging = "/var/task/pillow.libs/libjpeg-a2b.so.62", "/var/task/PIL/_imaging.cpython-312-x86_64-linux-gnu.so"
    head = py_root(rng) + [python("handler", app, 31 + rng.randrange(9))]
    decode = head + [python("load_image", app, 18), python("Image.load", "/var/task/PIL/ImageFile.py", 300), native("_decode", "src/decode.c", 120, imaging),
                     native("ImagingJpegDecode", "src/libImaging/JpegDecode.c", 269, imaging), native("jpeg_read_scanlines", "jdapistd.c", 287, jpeg)]
    resize = head + [python("Image.resize", pil, 2340), native("_resize", "src/_imaging.c", 1890, imaging), native("ImagingResample", "src/libImaging/Resample.c", 655, imaging)]
    return [
        (30, decode + [native("decompress_onepass", "jdcoefct.c", 203, jpeg), native("jsimd_idct_islow_avx2", mapping=jpeg)]),
        (16, decode + [native("decompress_onepass", "jdcoefct.c", 190, jpeg), (native("decode_mcu", "jdhuff.c", 726, jpeg), native("decode_mcu_fast", "jdhuff.c", 655, jpeg))]),
        (9, decode + [native("ycc_rgb_convert", "jdcolext.c", 60, jpeg), native("jsimd_ycc_extrgb_convert_avx2", mapping=jpeg)]),
        (26, resize + [(native("ImagingResampleHorizontal_8bpc", "src/libImaging/Resample.c", 470, imaging), native("clip8", "src/libImaging/Resample.c", 88, imaging))]),
        (17, resize + [native("ImagingResampleVertical_8bpc", "src/libImaging/Resample.c", 539, imaging)]),
        (7, resize + [native("ImagingNewDirty", "src/libImaging/Storage.c", 462, imaging), native("malloc", "malloc/malloc.c", 3301)] + FAULT),
        (8, head + [python("upload", app, 52), python("BaseClient._make_api_call", "/var/lang/lib/python3.12/site-packages/botocore/client.py", 560),
                    python("SSLSocket.send", "/var/lang/lib/python3.12/ssl.py", 1180), native("SSL_write", "ssl/ssl_lib.c", 2343, "/usr/lib/x86_64-linux-gnu/libssl.so.3"),
                    native("aesni_gcm_encrypt", mapping="/usr/lib/x86_64-linux-gnu/libcrypto.so.3")]),
        (5, head + [python("upload", app, 52), python("BaseClient._make_api_call", "/var/lang/lib/python3.12/site-packages/botocore/client.py", 560),
                    python("SSLSocket.send", "/var/lang/lib/python3.12/ssl.py", 1180), native("__send", "sysdeps/unix/sysv/linux/send.c", 28)] + SEND),
        (4, head + [python("JSONEncoder.iterencode", "/var/lang/lib/python3.12/json/encoder.py", 258), native("encoder_listencode_dict", "Modules/_json.c", 1551, "/usr/bin/python3.12")]),
        (2, [("[truncated: no unwind row]", "", 0, "[marker]")] + resize[-2:]),
        (2, head + [("[gc]", "", 0, "[marker]"), native("gc_collect_main", "Python/gc.c", 1200, "/usr/bin/python3.12")]),
    ], [
        (60, head + [python("retry_with_backoff", app, 71), python("fetch_original", app, 63), python("HTTPResponse.read", "/var/lang/lib/python3.12/http/client.py", 472),
                     python("SocketIO.readinto", "/var/lang/lib/python3.12/socket.py", 720), native("__libc_recv", "sysdeps/unix/sysv/linux/recv.c", 28)] + READ),
        (25, head + [python("retry_with_backoff", app, 74), python("checksum", app, 80), native("sha256_block_data_order_avx2", mapping="/usr/lib/x86_64-linux-gnu/libcrypto.so.3")]),
    ]


def v8(name, file, line, tier="[v8 turbofan]"):
    return (name, file, line, tier)


def checkout(rng):
    exe, ric, app = "/var/lang/bin/node", "/var/runtime/index.mjs", "/var/task/checkout.mjs"
    head = [native("_start", mapping=exe), native("__libc_start_main_impl", "csu/libc-start.c", 360), native("node::Start(int, char**)", "src/node.cc", 1440, exe),
            native("uv_run", "deps/uv/src/unix/core.c", 448, exe), native("uv__stream_io", "deps/uv/src/unix/stream.c", 1208, exe),
            native("node::StreamResource::EmitRead(long, uv_buf_t const&)", "src/stream_base-inl.h", 118, exe),
            v8("onStreamRead", "node:internal/stream_base_commons", 190), v8("handleOnce", ric, 1125, "[v8 ignition]"),
            v8("handler", app, 14 + rng.randrange(4), "[v8 ignition]")]
    price = head + [v8("priceCart", app, 40), v8("#applyDiscounts", app, 66)]
    return [
        (34, price + [v8("evaluateRule", "/var/task/node_modules/rules/engine.js", 210)]),
        (14, price + [v8("get total", app, 88), v8("reduce", "", 0, "[v8]")]),
        (12, head + [v8("parse", "", 0, "[v8]"), native("v8::internal::JsonParser<unsigned char>::ParseJsonValue()", "deps/v8/src/json/json-parser.cc", 900, exe)]),
        (9, head + [v8("verifyToken", "/var/task/node_modules/jose/index.js", 33, "[v8 maglev]"), native("EVP_DigestVerify", "crypto/evp/m_sigver.c", 240, exe)]),
        (9, head + [v8("save", app, 120, "[v8 sparkplug]"), v8("writeGeneric", "node:internal/stream_base_commons", 150),
                    native("uv__write", "deps/uv/src/unix/stream.c", 800, exe), native("__libc_write", "sysdeps/unix/sysv/linux/write.c", 26)] + SEND),
        (8, head + [native("v8::internal::Heap::Scavenge()", "deps/v8/src/heap/heap.cc", 2690, exe), ("[gc]", "", 0, "[marker]"), native("v8::internal::Scavenger::Process(v8::JobDelegate*)", "deps/v8/src/heap/scavenger.cc", 730, exe)]),
        (5, head + [v8("fraudScore", app, 140, "[v8 awaiting]"), v8("(anonymous)", "/var/task/node_modules/undici/index.js", 510)]),
    ], [
        (70, price + [v8("evaluateRule", "/var/task/node_modules/rules/engine.js", 210), v8("exec", "", 0, "[v8]"),
                      native("v8::internal::RegExpImpl::IrregexpExec", "deps/v8/src/regexp/regexp.cc", 700, exe), native("Builtins_RegExpInterpreterTrampoline", mapping=exe)]),
    ]


def jvm(name, file, line, tier="[jvm c2]"):
    return (name, file, line, tier)


def report(rng):
    so = "/var/lang/lib/server/libjvm.so"
    head = [native("__clone3", "sysdeps/unix/sysv/linux/x86_64/clone3.S", 81), native("start_thread", "nptl/pthread_create.c", 442), native("thread_native_entry", "os_linux.cpp", 790, so),
            native("JavaThread::run()", "javaThread.cpp", 720, so), native("JavaCalls::call_helper", "javaCalls.cpp", 415, so),
            jvm("com.amazonaws.services.lambda.runtime.api.client.AWSLambda.startRuntime", "AWSLambda.java", 290, "[jvm interpreter]"),
            jvm("shop.Report.handleRequest", "Report.java", 41 + rng.randrange(3), "[jvm interpreter]")]
    rows = head + [jvm("java.util.stream.ReferencePipeline.forEach", "ReferencePipeline.java", 596, "[jvm c1]")]
    return [
        (30, rows + [(jvm("shop.Report.lambda$0", "Report.java", 60), jvm("shop.Row.parse", "Row.java", 22), jvm("java.lang.String.charAt", "String.java", 1555))]),
        (18, rows + [jvm("shop.Report.lambda$0", "Report.java", 61), jvm("java.util.HashMap.putVal", "HashMap.java", 650)]),
        (16, head + [jvm("shop.Report.render", "Report.java", 92), jvm("java.util.Formatter.format", "Formatter.java", 2770, "[jvm c1]"), jvm("java.util.regex.Pattern$Start.match", "Pattern.java", 3690)]),
        (12, head + [jvm("shop.Report.render", "Report.java", 95), jvm("java.util.zip.Deflater.deflateBytesBytes", "Deflater.java", 0, "[jvm]"), native("deflate_slow", "deflate.c", 1900, "/var/lang/lib/libzip.so")]),
        (9, head + [native("SharedRuntime::resolve_helper", "sharedRuntime.cpp", 1310, so), native("LinkResolver::resolve_invoke", "linkResolver.cpp", 1650, so)]),
        (6, [head[0], head[1], head[2], native("WorkerThread::run()", "workerThread.cpp", 69, so), ("[gc]", "", 0, "[marker]"), native("G1ParScanThreadState::trim_queue", "g1ParScanThreadState.cpp", 230, so)]),
    ], [
        (50, [head[0], head[1], head[2], native("CompileBroker::compiler_thread_loop()", "compileBroker.cpp", 1970, so), native("Compile::Compile", "compile.cpp", 830, so), native("PhaseIdealLoop::build_and_optimize", "loopnode.cpp", 4200, so)]),
    ]


def initialise(rng):
    head = py_root(rng)[:6]
    boot = "<frozen importlib._bootstrap>"
    load = head + [python("_find_and_load", boot, 1360), python("_load_unlocked", boot, 935)]
    return [(30, load + [python("SourceLoader.get_code", "<frozen importlib._bootstrap_external>", 1090), native("r_object", "Python/marshal.c", 1004, "/usr/bin/python3.12")]),
            (20, load + [native("_dl_open", "elf/dl-open.c", 905, "/lib64/ld-linux-x86-64.so.2"), native("_dl_relocate_object", "elf/dl-reloc.c", 150, "/lib64/ld-linux-x86-64.so.2")] + FAULT),
            (12, kernel("__x64_sys_execve", "bprm_execve", "load_elf_binary", "elf_load"))]


def draw(rng, profile, paths, n):
    weights = [w for w, _ in paths]
    known = {}
    for path in rng.choices(range(len(paths)), weights, k=n):
        stack = paths[path][1]
        # Not every sample reaches the leaf.
        depth = max(9, len(stack) - rng.randrange(1, 4)) if rng.random() < 0.22 else len(stack)
        if (path, depth) not in known:
            known[path, depth] = profile.ids(stack[:depth])
        profile.count(known[path, depth], 10_101_010 + rng.randrange(-900_000, 900_000))


def draw_invocation(rng, shape, samples):
    usual, slow = shape(rng)
    is_slow = rng.random() < 0.05
    n = max(0, int(rng.lognormvariate(0, 0.7) * samples))
    profile = Profile()
    draw(rng, profile, usual, n)
    if is_slow:
        draw(rng, profile, slow, n * 2 + 12)
    profile.ns = sum(w for _, w in profile.samples.values())
    return profile, is_slow


def real(recording, args, rng):
    shapes = [("thumbnails", thumbnails, "python3.12"), ("checkout", checkout, "node24"), ("monthly-report", report, "jvm21")]
    many = args.functions > 3
    now, pids, pool = 0, {}, {}
    for i in range(args.invocations):
        name, shape, runtime = shapes[rng.choices((0, 1, 2), (6, 8, 2))[0]] if not many else (f"function-{i % args.functions:06d}", *shapes[i % 3][1:])
        pid = 4100 + hash_of(name) % 50 + rng.randrange(2) * 100
        base = {"version": "17", "source": "lambda", "runtime": runtime, "pid": pid}
        if pid not in pids:
            pids[pid] = f"init-{pid}-1"
            profile = Profile()
            draw(rng, profile, initialise(rng), 22 if args.samples else 0)
            init = {"kind": "init", "id": pids[pid], "function": name, "start_ns": START_NS + now, "duration_ns": 260_000_000, "outcome": "ok", **base}
            init["ledger"] = told.ledger(rng, init, 190_000_000, False)
            profile.set_times(rng, pid, init["duration_ns"])
            recording.add(profile, init, events=told.init_events(rng, init))
            now += 262_000_000
            base["cold"] = True
        else:
            base["cold"] = False
        if len(pool.setdefault(name, [])) < args.distinct:
            pool[name].append(draw_invocation(rng, shape, args.samples))
            profile, is_slow = pool[name][-1]
        else:
            profile, is_slow = rng.choice(pool[name])
        total = profile.ns
        profile.waits = args.waits
        duration = int(total * rng.uniform(1.02, 1.3) + rng.uniform(0.6, 9) * 1e6)
        outcome = "timeout" if is_slow and rng.random() < 0.1 else rng.choices(("ok", "error"), (97, 3))[0]
        row = {"kind": "invocation", "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "function": name, "start_ns": START_NS + now,
               "duration_ns": duration, "outcome": outcome, "init": pids[pid], "trace_id": f"{rng.getrandbits(128):032x}",
               "parent_span_id": f"{rng.getrandbits(64):016x}", "deadline": rfc3339(now + 3 * 10**9), "post_cpu_ns": rng.randrange(2_000_000), **base}
        if i % 7 == 3:
            for key in ("cold", "trace_id", "parent_span_id", "deadline", "outcome"):
                row.pop(key)
        events = []
        if i % 7 == 3:
            row.pop("runtime")
        elif not args.plain:
            row["ledger"] = told.ledger(rng, row, total, is_slow)
            events = told.row_events(rng, row, i % 5 == 0)
            if not profile.times:
                profile.set_times(rng, pid, duration)
        recording.add(profile, row, events=events)
        now += max(1_000_000, duration // 2)
    for pid, init in pids.items():
        profile = Profile()
        draw(rng, profile, initialise(rng), 4 if args.samples else 0)
        recording.add(profile, {"kind": "idle", "id": f"idle-{pid}-1", "function": "thumbnails" if not many else "function-000000", "pid": pid, "start_ns": START_NS, "duration_ns": now})
    recording.add(Profile(), {"kind": "process", "id": "process-4001-1", "function": "supervisord", "pid": 4001, "start_ns": START_NS, "duration_ns": now})
    recording.add(Profile(), {"kind": "shared", "id": "shared-4101-1", "function": "checkout", "pid": 4101, "start_ns": START_NS, "duration_ns": now})


# ---- others --------------------------------------------------------------------------------------------------

def wide(recording, args, rng):
    """A root, then ten levels of 10,000 frames each."""
    profile = Profile()
    for i in range(10_000):
        stack = [native("main", "main.c", 1)]
        for depth in range(10):
            stack.append(native(f"step_{depth}_{i}", f"step{depth}.c", i) if depth < 7 else python(f"Step.run_{depth}_{i}", "step.py", i))
        profile.add(stack, rng.randrange(1_000_000, 30_000_000))
    recording.add(profile, {"kind": "invocation", "id": "wide-1", "function": "wide", "pid": 77, "start_ns": START_NS, "duration_ns": 10**10, "outcome": "ok"})


HOSTILE = ["</script><script>document.title='owned'</script>", "<img src=x onerror=document.title='owned'>", "\"'`;&<>&amp;&lt;", "a\u2028b\u2029c",
           "x" * 4096, "y" * 6000, "\u202egnp.exe", "new\nline\ttab\0nul", "<!--", "]]>", "{{7*7}}", "${7*7}", "__proto__", "constructor", "\U0001f525" * 40]


def hostile(recording, args, rng):
    for i, name in enumerate(HOSTILE):
        profile = Profile()
        plain = name.replace("\0", "?")
        profile.add([native("main"), native(plain, plain, 3, "/lib/" + plain), python(plain, plain, 4)], 10_000_000 + i)
        recording.add(profile, {"kind": "invocation", "id": name + "#id", "function": name, "version": name, "trace_id": name, "outcome": name if i % 2 else "ok", "pid": i,
                                "runtime": name, "start_ns": START_NS + i * 10**8, "duration_ns": 10**7 * (i + 1),
                                "ledger": {plain: 10**6, "on_cpu": -5, "lock": "many", "__proto__": 7} if i % 3 else [name]},
                      events=told.lines(told.event(START_NS + i * 10**8 + j * 10**6, 10**6 * j, j % 3, what, plain, plain, plain)
                                        for j, what in enumerate(("mark", "gc", "off_cpu", plain, "__proto__"))) + "{\n[]\nnull\n" + "z" * 20_000 + "\n")
    profile = Profile()
    profile.add([native("inside")], 10_000_000)
    recording.add(profile, {"kind": "invocation", "id": "../../etc/passwd", "function": "../..", "pid": 1, "start_ns": START_NS, "duration_ns": 5})
    recording.add(profile, {"kind": "invocation", "id": "broken", "function": "broken", "pid": 1, "start_ns": START_NS, "duration_ns": 6}, raw=b"\x1f\x8b\x08garbage")
    for path in ("../../../../etc/passwd", "/etc/passwd", "javascript:document.title='owned'", "profiles/../../x.pb.gz"):
        recording.lines.append(json.dumps({"kind": "invocation", "id": path, "function": "paths", "duration_ns": 7, "start": "<b>", "samples": "many",
                                           "cpu_ns": {"a": 1}, "cold": "yes", "losses": 5, "attribution": [1], "pprof": path, "folded": path}))
    recording.lines += ["", "{", "[]", "null", '{"kind":1,"id":2,"function":3}', "z" * 300_000]
    return '{"kind":"invocation","id":"cut","function":"no newline"}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--invocations", type=int, default=300)
    parser.add_argument("--functions", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12, help="of a usual invocation")
    parser.add_argument("--plain", action="store_true", help="no ledgers, events and times of samples")
    parser.add_argument("--waits", action="store_true", help="with values off_cpu (three times cpu) and run_queue (a fifth)")
    parser.add_argument("--distinct", type=int, default=1 << 30, help="profiles of a function; more invocations have copies")
    parser.add_argument("--kind", default="real", choices=("real", "wide", "empty", "hostile"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    recording = Recording(args.folder)
    make = {"real": real, "wide": wide, "hostile": hostile, "empty": lambda *_: None}[args.kind]
    recording.close(make(recording, args, random.Random(args.seed)) or "")


if __name__ == "__main__":
    main()
