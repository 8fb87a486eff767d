# SPDX-License-Identifier: Apache-2.0
"""Small C programs of the tests, compiled once into a scratch folder."""
import atexit
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent / "programs"


@functools.lru_cache(maxsize=None)
def scratch():
    folder = tempfile.mkdtemp(prefix="fnprof-programs-")
    os.chmod(folder, 0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


@functools.lru_cache(maxsize=None)
def program(name, *flags):
    """The compiled programs/NAME.c. Frame pointers, because the tests that use these are not about unwinding."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise unittest.SkipTest("no C compiler here")
    out = scratch() / name
    subprocess.run([compiler, "-O2", "-g", "-fno-omit-frame-pointer", *flags, "-o", out, HERE / f"{name}.c", "-lpthread"],
                   check=True)
    return str(out)
