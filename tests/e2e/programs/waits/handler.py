# SPDX-License-Identifier: Apache-2.0
"""A function that waits for one thing at a time, and says for how long by its own clocks."""
import mmap
import os
import random
import select
import socket
import subprocess
import threading
import time

FOLDER = os.environ.get("WAITS_FOLDER", "/var/tmp")
MEGABYTE = 1 << 20


def later(seconds, action):
    threading.Timer(seconds, action).start()


def cpu(event):
    end = time.thread_time_ns() + int(event["ms"] * 1e6)
    while time.thread_time_ns() < end:
        pass


def sleep(event):
    time.sleep(event["ms"] / 1000)


def sleep_in_poll(event):
    """What programs do that know no better: a poll of nothing."""
    select.select([], [], [], event["ms"] / 1000)


def lock(event):
    held = threading.Lock()
    held.acquire()
    later(event["ms"] / 1000, held.release)
    held.acquire()


def pipe(event):
    reader, writer = os.pipe()
    later(event["ms"] / 1000, lambda: os.write(writer, b"x"))
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)


def network(event):
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    other, _ = server.accept()
    later(event["ms"] / 1000, lambda: other.sendall(b"x"))
    client.recv(1)
    peer = "%s:%d" % client.getpeername()
    for one in (server, client, other):
        one.close()
    return peer


def poll(event):
    one, other = socket.socketpair()
    later(event["ms"] / 1000, lambda: other.sendall(b"x"))
    select.select([one], [], [])
    one.close()
    other.close()


def child(event):
    subprocess.run(["/bin/sleep", str(event["ms"] / 1000)], check=True)


def disk(event):
    """Every write waits until it is on the disk."""
    path = os.path.join(FOLDER, f"fnprof-waits-{os.getpid()}")
    end = time.monotonic() + event["ms"] / 1000
    with open(path, "wb", buffering=0) as file:
        os.unlink(path)
        while time.monotonic() < end:
            file.write(b"x" * 65536)
            os.fsync(file.fileno())


COLD = None  # a mapped file whose pages are not in memory
COLD_BYTES = 32 * MEGABYTE


def make_cold(event):
    global COLD
    path = os.path.join(FOLDER, f"fnprof-waits-{os.getpid()}")
    with open(path, "w+b") as file:
        os.unlink(path)
        for _ in range(COLD_BYTES // MEGABYTE):
            file.write(b"x" * MEGABYTE)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        COLD = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        COLD.madvise(mmap.MADV_RANDOM)


def page_fault(event):
    pages = list(range(0, COLD_BYTES, 4096))
    random.Random(1).shuffle(pages)
    end = time.monotonic() + event["ms"] / 1000
    for page in pages:
        COLD[page]
        if time.monotonic() > end:
            break


class Wait:
    """Wall and CPU time of the calling thread between two moments."""

    def __init__(self):
        self.begin = time.monotonic_ns(), time.thread_time_ns()

    def stop(self):
        self.wall_ns, self.cpu_ns = time.monotonic_ns() - self.begin[0], time.thread_time_ns() - self.begin[1]


KINDS = {kind.__name__: kind for kind in
         (cpu, sleep, sleep_in_poll, lock, pipe, network, poll, child, disk, make_cold, page_fault)}


def handler(event, context):
    waited = Wait()
    told = KINDS[event["kind"]](event)
    waited.stop()
    return {"request_id": context.aws_request_id, "wall_ns": waited.wall_ns, "cpu_ns": waited.cpu_ns, "told": told}
