# SPDX-License-Identifier: Apache-2.0
"""A server of AWS Lambda's Runtime API for tests, which also keeps the truth that recordings are compared with.

One RuntimeApi is one instance of a function: it listens on a port of its own, hands out the invocations of its
queue to whoever asks for /invocation/next, and takes the answers. It serves plain sockets, because tests decide
how the bytes are cut (see `Shape`).

The truth of an invocation, in CLOCK_MONOTONIC nanoseconds:
  sent_ns      just before its head was handed to the kernel: it cannot have begun earlier
  answered_ns  when the kernel took the last byte of the answer (SO_TIMESTAMPNS, so that this server's own turn on
               the processor does not count)
  read_ns      when this server had read it
  followed_ns  when the kernel took the client's next call of `next`: whatever the client does to answer had ended
"""
import collections
import itertools
import json
import socket
import struct
import threading
import time
import uuid

SO_TIMESTAMPNS = 35
PREFIX = "/2018-06-01/runtime"

# The answer of one invocation is either posted to /response or to /error; a stream may end in an error trailer.
OK, ERROR = "ok", "error"


class Shape:
    """How a server words and cuts its answers to `next`. The default is what the real service does."""

    def __init__(self, lower=False, sort=False, context_bytes=0, piece=0, pause=0.0, chunked=False,
                 close_after=0, delay=0.0, trace=True, deadline=True, extra=()):
        self.lower, self.sort, self.context_bytes = lower, sort, context_bytes
        self.piece, self.pause = piece, pause      # bytes a send, seconds between two
        self.chunked, self.close_after = chunked, close_after  # requests a connection, 0: no end
        self.delay = delay                         # seconds between the arrival of `next` and the answer
        self.trace, self.deadline, self.extra = trace, deadline, list(extra)


class Invocation:
    def __init__(self, payload, request_id=None, function="orders", version="7", timeout_ms=60000, raw=None):
        self.payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.kind = payload.get("kind") if isinstance(payload, dict) else None
        self.id = request_id or str(uuid.uuid4())
        root, parent = f"{int(time.time()):08x}-{uuid.uuid4().hex[:24]}", uuid.uuid4().hex[:16]
        self.trace_id, self.parent_span_id = root.replace("-", ""), parent
        self.trace_header = f"Root=1-{root};Parent={parent};Sampled=1"
        self.arn = f"arn:aws:lambda:eu-central-1:123456789012:function:{function}:{version}"
        self.timeout_ms = timeout_ms
        self.raw = raw  # bytes, or an iterator of bytes, to send in place of a well-formed answer
        self.deadline_ms = None
        self.sent_ns = self.answered_ns = self.read_ns = self.followed_ns = None
        self.outcome = self.body = self.streamed = None
        self.done = threading.Event()

    def answer(self):
        """The function's own words about this call, {} when it has none."""
        try:
            return json.loads(self.body)
        except (TypeError, ValueError):
            return {}

    def wait(self, seconds=60):
        if not self.done.wait(seconds):
            raise TimeoutError(f"invocation {self.id} ({self.kind}) was not answered within {seconds} s")
        return self


class _Connection:
    """A buffered reader of one socket that knows when the kernel took the last bytes it returned."""

    def __init__(self, sock):
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.buffer = b""
        self.taken_ns = None

    def fill(self):
        data, ancillary, _, _ = self.sock.recvmsg(1 << 18, 256)
        now = time.monotonic_ns()
        self.taken_ns = now
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(value) >= 16:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                behind = time.clock_gettime_ns(time.CLOCK_REALTIME) - (seconds * 10**9 + nanoseconds)
                self.taken_ns = time.monotonic_ns() - max(0, behind)
        if not data:
            raise ConnectionError
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def exactly(self, size):
        while len(self.buffer) < size:
            self.fill()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def request(self):
        """(method, path, headers, body, trailers); header names in lower case."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = dict(_split_header(line) for line in lines[1:])
        trailers = {}
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = bytearray()
            while size := int(self.until(b"\r\n").split(b";")[0], 16):
                body += self.exactly(size)
                self.exactly(2)
            while line := self.until(b"\r\n"):
                name, value = _split_header(line.decode("latin-1"))
                trailers[name] = value
        else:
            body = self.exactly(int(headers.get("content-length", 0)))
        return method, path, headers, bytes(body), trailers


def _split_header(line):
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


class RuntimeApi:
    def __init__(self, shape=None):
        self.shape = shape or Shape()
        self.invocations = []       # all that were handed out, in that order: the truth
        self.init_errors = []
        self.restores = 0
        self.waiting = 0            # calls of `next` that are waiting for work now
        self._queue = collections.deque()
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._sockets, self._threads = set(), []
        self._closing = False
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._spawn(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _spawn(self, function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self):
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._listener.close()
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    # ---- what tests do ----

    def submit(self, payload, **how):
        invocation = Invocation(payload, **how)
        with self._changed:
            self._queue.append(invocation)
            self._changed.notify()
        return invocation

    def invoke(self, payload, seconds=60, **how):
        return self.submit(payload, **how).wait(seconds)

    def wait_for_next(self, seconds=60, at_least=1):
        """Waits until the client asks for work: its init is over."""
        end = time.monotonic() + seconds
        with self._changed:
            while self.waiting < at_least:
                if not self._changed.wait(max(0, end - time.monotonic())) and time.monotonic() > end:
                    raise TimeoutError(f"no client asked {self.address} for work within {seconds} s")

    def next_ids(self):
        return [invocation.id for invocation in self.invocations]

    # ---- serving ----

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.add(sock)
            self._spawn(self._serve, sock)

    def _serve(self, sock):
        connection = _Connection(sock)
        try:
            for number in itertools.count(1):
                last = self.shape.close_after and number >= self.shape.close_after
                self._answer(connection, bool(last))
                if last:
                    return
        except (ConnectionError, OSError, ValueError):
            pass
        finally:
            self._sockets.discard(sock)
            sock.close()

    def _answer(self, connection, last):
        method, path, headers, body, trailers = connection.request()
        taken, read = connection.taken_ns, time.monotonic_ns()
        if not path.startswith(PREFIX):
            return self._send(connection, b"404 Not Found", b"{}", last)
        words = path[len(PREFIX):].strip("/").split("/")
        if method == "GET" and words in (["invocation", "next"], ["restore", "next"]):
            if words[0] == "restore":
                self.restores += 1
                return self._send(connection, b"200 OK", b"", last)
            for invocation in reversed(self.invocations):
                if invocation.done.is_set() and invocation.followed_ns is None:
                    invocation.followed_ns = taken
                break
            return self._hand_out(connection, last)
        if method == "POST" and words[:2] == ["init", "error"]:
            self.init_errors.append((headers, body))
            return self._send(connection, b"202 Accepted", b'{"status":"OK"}', last)
        if method == "POST" and len(words) == 3 and words[2] in ("response", "error"):
            self._take(words[1], words[2], (headers, body, trailers), (taken, read))
            return self._send(connection, b"202 Accepted", b'{"status":"OK"}', last)
        return self._send(connection, b"404 Not Found", b"{}", last)

    def _take(self, request_id, what, message, times):
        headers, body, trailers = message
        for invocation in reversed(self.invocations):
            if invocation.id == request_id and not invocation.done.is_set():
                invocation.streamed = headers.get("lambda-runtime-function-response-mode") == "streaming"
                failed = what == "error" or "lambda-runtime-function-error-type" in trailers
                invocation.outcome = ERROR if failed else OK
                invocation.body = body
                invocation.answered_ns, invocation.read_ns = times
                invocation.done.set()
                return

    def _send(self, connection, status, body, last, headers=()):
        lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        if last:
            lines.append(b"Connection: close")
        connection.sock.sendall(b"\r\n".join(lines + list(headers)) + b"\r\n\r\n" + body)

    def _hand_out(self, connection, last):
        with self._changed:
            self.waiting += 1
            self._changed.notify_all()
            while not self._queue and not self._closing:
                self._changed.wait()
            self.waiting -= 1
            if self._closing:
                raise ConnectionError
            invocation = self._queue.popleft()
            self.invocations.append(invocation)
        if self.shape.delay:
            time.sleep(self.shape.delay)
        invocation.deadline_ms = int(time.time() * 1000) + invocation.timeout_ms
        if invocation.raw is not None:
            return self._send_raw(connection, invocation)
        message = self._next_message(invocation, last)
        invocation.sent_ns = time.monotonic_ns()
        self._send_cut(connection.sock, message)

    def _send_raw(self, connection, invocation):
        invocation.sent_ns = time.monotonic_ns()
        parts = [invocation.raw] if isinstance(invocation.raw, bytes) else invocation.raw
        try:
            for part in parts:
                connection.sock.sendall(part)
        finally:
            invocation.done.set()
        raise ConnectionError

    def _send_cut(self, sock, message):
        piece = self.shape.piece or len(message)
        for at in range(0, len(message), piece):
            sock.sendall(message[at:at + piece])
            if self.shape.pause:
                time.sleep(self.shape.pause)

    def _next_message(self, invocation, last):
        shape = self.shape
        headers = [("Content-Type", "application/json"), ("Date", "Sun, 22 Nov 2026 10:15:30 GMT")]
        headers.append(("Lambda-Runtime-Aws-Request-Id", invocation.id))
        headers.append(("Lambda-Runtime-Invoked-Function-Arn", invocation.arn))
        if shape.trace:
            headers.append(("Lambda-Runtime-Trace-Id", invocation.trace_header))
        if shape.deadline:
            headers.append(("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)))
        if shape.context_bytes:
            context = json.dumps({"custom": {"note": "c" * shape.context_bytes}})
            headers.append(("Lambda-Runtime-Client-Context", context))
        headers += shape.extra
        if last:
            headers.append(("Connection", "close"))
        body = invocation.payload
        if shape.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
            half = len(body) // 2
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
            body += b"0\r\n\r\n"
        else:
            headers.append(("Content-Length", str(len(body))))
        if shape.sort:
            headers.sort(key=lambda header: header[0].lower())
        if shape.lower:
            headers = [(name.lower(), value) for name, value in headers]
        head = "HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        return head.encode("utf-8", "surrogateescape") + body


def lambda_environment(api, function="orders", version="7", handler="handler.handler"):
    """What the platform puts into a function's environment."""
    return {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/" + function,
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/22/[7]abc",
        "AWS_REGION": "eu-central-1",
        "_HANDLER": handler,
    }
