#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest client of the Runtime API that takes anything: it goes on after answers that no real client would
survive, because what fnprof makes of them is what a test is about.

It reads until a head is complete or nothing comes for a moment, answers with the request id as raw bytes, and opens
a new connection after every error. `Stop: 1` in a head ends it. Modes (argv[1]):
  plain     posts the body back
  stream    answers in chunks, with an error trailer when the body says "fail"
  initerror posts /init/error and exits with 1
  unread    answers through a pipe and splice(): bytes that no buffer of the process shows
  fork      forks for each invocation; the child answers, on a connection of its own
  overlap   argv[2] threads, each with a connection of its own, that burn CPU for as long as the body says (ms)
"""
import ctypes
import os
import re
import socket
import sys
import threading
import time

HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = b"/2018-06-01/runtime"
ID = re.compile(rb"\r\nlambda-runtime-aws-request-id: *([^\r\n]*)", re.I)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


def connect():
    return socket.create_connection((HOST, int(PORT)))


def read_answer(sock):
    """(head, body) of what came; whatever it is, at most 1 MiB of it."""
    sock.settimeout(2)
    data = b""
    try:
        while b"\r\n\r\n" not in data and len(data) < 1 << 20:
            more = sock.recv(65536) if data else wait_for_first(sock)
            if not more:
                break
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        while length and len(body) < min(int(length.group(1)), 1 << 20):
            more = sock.recv(65536)
            if not more:
                break
            body += more
    except socket.timeout:
        head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def wait_for_first(sock):
    sock.settimeout(None)
    data = sock.recv(65536)
    sock.settimeout(2)
    return data


def burn(ms):
    end = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end:
        sum(range(500))


def post(sock, path, body, mode):
    if mode == "stream":
        trailer = b"Lambda-Runtime-Function-Error-Type: Fail\r\n" if b"fail" in body else b""
        sock.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
                     b"Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n")
        for _ in range(5):
            time.sleep(0.004)
            sock.sendall(b"%x\r\n%s\r\n" % (len(body), body))
        sock.sendall(b"0\r\n" + trailer + b"\r\n")
    else:
        send = splice_all if mode == "unread" else socket.socket.sendall
        send(sock, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return read_answer(sock)


def splice_all(sock, data):
    """At most what a pipe holds."""
    out, into = os.pipe()
    os.write(into, data)
    libc = ctypes.CDLL(None, use_errno=True)
    while data:
        moved = libc.splice(out, None, sock.fileno(), None, ctypes.c_size_t(len(data)), 0)
        if moved <= 0:
            raise OSError(ctypes.get_errno(), "splice")
        data = data[moved:]
    os.close(out)
    os.close(into)


def serve(mode):
    sock = None
    while True:
        try:
            sock = sock or connect()
            sock.sendall(b"GET " + BASE + b"/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
            head, body = read_answer(sock)
            if b"Stop: 1" in head:
                return
            found = ID.search(head)
            if not found:
                raise ValueError("no id")
            if b"connection: close" in head.lower():
                sock.close()
                sock = connect()
            if mode == "overlap":
                burn(float(body or b"20"))
            path = BASE + b"/invocation/" + found.group(1) + b"/response"
            if mode == "fork":
                pid = os.fork()
                if pid == 0:
                    burn(5)
                    post(connect(), path, body, mode)
                    os._exit(0)
                os.waitpid(pid, 0)
            else:
                post(sock, path, body, mode)
        except (OSError, ValueError):
            if sock:
                sock.close()
            sock = None
            time.sleep(0.01)
            try:
                connect().close()
            except OSError:
                return


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "plain"
    if mode == "initerror":
        post(connect(), BASE + b"/init/error", b'{"errorType":"Runtime.ImportModuleError"}', "plain")
        sys.exit(1)
    threads = [threading.Thread(target=serve, args=(mode,)) for _ in range(int(sys.argv[2]) if mode == "overlap" else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
