#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What our programs cost the kernel's verifier: it is most of the time that a recording takes to begin. One line that
makes it follow two ways more in a loop can cost half a second, and nothing else shows it."""
import ctypes
import os
import struct
import sys
import time

import fnprof_e2e
from fnprof_e2e import Recording

# union bpf_attr and struct bpf_prog_info of include/uapi/linux/bpf.h
SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine)
PROG_GET_NEXT_ID, PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD = 11, 13, 15
ATTR_BYTES, INFO_BYTES, AT_NAME, AT_VERIFIED = 120, 232, 64, 216
INSTRUCTIONS_MAX = 130_000  # of one program; the walk's has 129,500


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr, ATTR_BYTES)
    result = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, command, buffer, ATTR_BYTES)
    return result, buffer.raw


def programs():
    """{id: (name, instructions that the verifier went through)} of all that are loaded here."""
    found, number = {}, 0
    while True:
        result, attr = bpf(PROG_GET_NEXT_ID, struct.pack("II", number, 0))
        if result < 0:
            return found
        (number,) = struct.unpack_from("I", attr, 4)
        fd, _ = bpf(PROG_GET_FD_BY_ID, struct.pack("I", number))
        if fd < 0:
            continue
        info = ctypes.create_string_buffer(INFO_BYTES)
        result, _ = bpf(OBJ_GET_INFO_BY_FD, struct.pack("IIQ", fd, INFO_BYTES, ctypes.addressof(info)))
        os.close(fd)
        if result == 0:
            name = info.raw[AT_NAME:AT_NAME + 16].split(b"\0")[0].decode()
            found[number] = name, struct.unpack_from("I", info.raw, AT_VERIFIED)[0]


class Verifier(fnprof_e2e.TestCase):
    def test_no_program_takes_it_long(self):
        before = programs().keys()
        with Recording() as recording:
            ours, limit = {}, time.monotonic() + 20
            # The last ones are loaded while it runs.
            while "fnp_off_cpu" not in ours and time.monotonic() < limit:
                time.sleep(0.1)
                ours = {name: insns for number, (name, insns) in programs().items()
                        if number not in before and name.startswith("fnp_")}
            recording.stop()
        print(", ".join(f"{name} {insns}" for name, insns in sorted(ours.items())), file=sys.stderr)
        self.assertIn("fnp_tick_contin", ours)
        if max(ours.values()) == 0:
            self.skipTest("this kernel does not tell (5.16 does)")
        self.assertLess(max(ours.values()), INSTRUCTIONS_MAX, ours)


if __name__ == "__main__":
    fnprof_e2e.main()
