# SPDX-License-Identifier: Apache-2.0
"""A box to attack from inside: a working directory, probes compiled into it, `cove run`, and the
questions "what is left behind?" and "what did each attempt say?".

each_user(main) runs a test file's main() as the caller and, when that is root, once more as an
ordinary user with a directory of its own, and where that matters as one with control groups; each pass prints its own plan, and tests/run.py adds
them.  A probe is a program in tests/sandbox/probes/ that prints a line for each attempt: the
attempt's name and the errno's name, or OK.

Every pass makes itself a subreaper, so whatever outlives its cove becomes a child of the test and
can be found, however many other runs there are on the machine.
"""
import contextlib
import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import world

COVE = world.COVE
PROBES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sandbox", "probes")

USER = 61234  # no account, owns nothing, in no group
_PASS = "CV_BOX_PASS"
_PR_SET_CHILD_SUBREAPER = 36


def each_user(main, delegated=False):
    """delegated: a third pass, as the user in control groups that are the user's own."""
    who = os.environ.get(_PASS)
    if who is None and os.geteuid() == 0:
        print("# pass 1 of 2: root", flush=True)
        failed = subprocess.run([sys.executable, *sys.argv], env=os.environ | {_PASS: "root"},
                                check=False).returncode
        print(f"# pass 2 of 2: uid {USER}", flush=True)
        failed |= subprocess.run(
            ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
             sys.executable, *sys.argv], env=os.environ | {_PASS: "user", "HOME": "/nonexistent"},
            check=False).returncode
        sys.exit(1 if failed | (delegated and _delegated_pass()) else 0)
    if who is None:
        print("# one pass, as an ordinary user; as root: not run, for the caller is not", flush=True)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    tap = Tap("root" if os.geteuid() == 0 else "user" if who in (None, "user") else who)
    box = Box()
    try:
        main(tap, box)
    finally:
        box.close()
    tap.done()


def _delegated_pass():
    print(f"# pass 3: uid {USER}, in control groups of its own", flush=True)
    with delegation() as leaves:
        if not leaves:
            print("1..1\nok 1 - delegated # SKIP unavailable: no control group can be made here")
            return 0

        def enter():
            for leaf in leaves:
                with open(os.path.join(leaf, "cgroup.procs"), "w", encoding="ascii") as f:
                    f.write("0")
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)

        return subprocess.run([sys.executable, *sys.argv], preexec_fn=enter, check=False,
                              env=os.environ | {_PASS: "delegated", "HOME": "/nonexistent"}).returncode


@contextlib.contextmanager
def delegation():
    """Control groups that belong to USER, in each hierarchy that limits something, as a service
    manager delegates them: the directories that a process has to be put into.  With v2 that is one
    below the group, which may have controllers only while no process is in it itself."""
    made, leaves = [], []

    def own(path):
        os.mkdir(path)
        made.append(path)
        for name in ("", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(os.path.join(path, name), USER, USER)
        return path

    try:
        for kind, mount, group, controllers in hierarchies():
            name = f"delegated-test-{os.getpid()}"
            with contextlib.suppress(OSError):
                if kind == "v1":
                    leaves.append(own(os.path.join(mount + group, name)))
                    continue
                for word in controllers:
                    with open(f"{mount}/cgroup.subtree_control", "w", encoding="ascii") as f:
                        f.write(f"+{word}")
                leaves.append(own(os.path.join(own(os.path.join(mount, name)), "leaf")))
        yield leaves
    finally:
        for path in reversed(made):
            until(lambda path=path: not _rmdir_fails(path), 3)


def _rmdir_fails(path):
    try:
        os.rmdir(path)
    except OSError as error:
        return error.errno != errno.ENOENT
    return False


def hierarchies():
    """(v1 or v2, mount point, own group, controllers that limit something) of each that has some."""
    wanted, own, found = {"memory", "cpu", "pids", "freezer"}, {}, []
    with open("/proc/self/cgroup", encoding="utf-8") as f:
        for line in f:
            _, names, group = line.rstrip("\n").split(":", 2)
            own[frozenset(names.split(",")) & wanted if names else "v2"] = group
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            words, _, rest = line.rstrip("\n").partition(" - ")
            kind, _, options = rest.split(" ", 2)
            mount = words.split(" ")[4]
            names = frozenset(options.split(",")) & wanted
            if kind == "cgroup" and names and names in own and os.path.isdir(mount + own[names]):
                found.append(("v1", mount, own[names], names))
            elif kind == "cgroup2":
                with open(f"{mount}/cgroup.controllers", encoding="ascii") as controllers:
                    if names := frozenset(controllers.read().split()) & wanted:
                        found.append(("v2", mount, own["v2"], names))
    return found


class Tap(world.Tap):
    """Names say who ran it."""

    def __init__(self, who):
        super().__init__()
        self.who = who

    def ok(self, is_ok, name, detail=""):
        super().ok(is_ok, f"{self.who}: {name}", detail)

    def skip(self, name, reason):
        super().skip(f"{self.who}: {name}", reason)

    def result(self, is_ok, name, r):
        """ok() with what a CompletedProcess had to say."""
        self.ok(is_ok, name, f"status {r.returncode}\nstdout {str(r.stdout)[:600]!r}\n"
                             f"stderr {str(r.stderr)[:600]!r}")

    def attempts(self, output, expected, detail=""):
        """output: a probe's lines; expected: {attempt: one errno or OK, or a tuple of them}."""
        said = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
        for name, want in expected.items():
            want = (want,) if isinstance(want, str) else want
            got = said.get(name, "(said nothing)")
            self.ok(got.split(" ")[0] in want, f"{name}: {' or '.join(want)}", f"was {got} {detail}")
        for name in said.keys() - expected.keys():
            self.ok(False, f"{name}: in no table", said[name])


class Box:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cove-test-")
        os.chmod(self.dir, 0o755)
        self.work = os.path.join(self.dir, "work")
        os.mkdir(self.work)
        self.outside = os.path.join(self.dir, "outside")  # nothing in here may be seen or change
        os.mkdir(self.outside)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *words):
        return os.path.join(self.work, *words)

    def write(self, name, text, mode=0o644, where=None):
        path = os.path.join(where or self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def probe(self, name, *flags):
        """Compiles or copies a probe into the working directory; its path."""
        source = os.path.join(PROBES, name)
        target = self.path(name.removesuffix(".c"))
        if name.endswith(".c"):
            subprocess.run(["cc", "-O1", "-w", "-pthread", "-o", target, source, *flags], check=True)
        else:
            shutil.copy(source, target)
            os.chmod(target, 0o755)
        return target

    def argv(self, argv, options=(), workdir=None):
        return [COVE, "run", "-q", "--no-tty", "--workdir", workdir or self.work, *options, "--",
                *argv]

    def run(self, argv, options=(), workdir=None, timeout=30, text=True, **kw):
        kw.setdefault("stdin", None if "input" in kw else subprocess.DEVNULL)
        if kw["stdin"] is None:
            del kw["stdin"]
        return subprocess.run(self.argv(argv, options, workdir), capture_output=True, text=text,
                              timeout=timeout, check=False, **kw)

    def sh(self, script, **kw):
        return self.run(["/bin/sh", "-c", script], **kw)

    def start(self, argv, options=(), **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.argv(argv, options), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **kw)


def descendants(root=None):
    """{pid: command name} of everything below this process, zombies left out (and reaped)."""
    with contextlib.suppress(ChildProcessError):
        for pid in _children(os.getpid()):
            if _state(pid) == "Z" and pid not in _popened():
                os.waitpid(pid, os.WNOHANG)
    found, todo = {}, [root or os.getpid()]
    while todo:
        for pid in _children(todo.pop()):
            todo.append(pid)
            if _state(pid) not in ("Z", "X", None):
                found[pid] = comm(pid)
    return found


def _popened():
    return {p.pid for p in getattr(subprocess, "_active", [])}


def _stat(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()
    return None


def _state(pid):
    stat = _stat(pid)
    return stat[0] if stat else None


def _children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += [int(word) for word in f.read().split()]
    return found


def comm(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    return "?"


def until(condition, seconds=20.0):
    """Waits for a condition; its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def survivors(seconds=10.0):
    """What still lives below this process after a moment; killed, so that one test does not fail
    the next."""
    until(lambda: not descendants(), seconds)
    left = descendants()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def traces(box):
    """What a run could leave on the host besides processes."""
    found = set()
    for top in ("/tmp", "/run", "/var/tmp", "/dev/shm", box.dir, box.work, os.getcwd()):
        with contextlib.suppress(OSError):
            for name in os.listdir(top):
                with contextlib.suppress(OSError):
                    is_ours = os.lstat(os.path.join(top, name)).st_uid == os.geteuid()
                    is_named = "cove" in name or top.startswith(box.dir)
                    if is_ours and is_named and not name.startswith("cove-test-"):
                        found.add(os.path.join(top, name))
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        found |= {"mount " + line.split()[4] for line in f if "cove" in line.split()[4]}
    for top, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            if "cove" in name:
                found.add(os.path.join(top, name))
    return found
