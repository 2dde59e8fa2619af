#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a run starts, ends and is interrupted as a person and a script expect, and leaves nothing
behind, whichever of our processes is killed (n9, p16).
Method: real runs, as root and as an ordinary user; afterwards processes are looked for by a word
that only this run's command line holds."""
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from world import COVE, Tap  # noqa: E402

tap = Tap()
USER = 61234  # an id that owns nothing here
WAIT_S = 20   # for anything that takes milliseconds on an idle machine
here = tempfile.mkdtemp(prefix="cove-life-")
os.chmod(here, 0o755)


def command(as_user, *argv):
    drop = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    return (drop if as_user else []) + [COVE, "run", *argv]


def run(who, *argv, **kw):
    return subprocess.run(command(who["drop"], *argv), capture_output=True, text=True,
                          cwd=who["dir"], timeout=60, check=False, **kw)


def start(who, *argv, **kw):
    return subprocess.Popen(command(who["drop"], *argv), cwd=who["dir"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)


def status(name, r, want, text=""):
    tap.ok(r.returncode == want and text in r.stdout + r.stderr, name,
           f"status {r.returncode}, want {want} and {text!r}\n{r.stdout}{r.stderr}")


def processes(word):
    """Live processes whose command line holds word; a zombie has none."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if word.encode() in f.read() and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return ""


def until(fact):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if fact():
            return True
        time.sleep(0.01)
    return False


def statuses(who):
    n = who["name"]
    status(f"{n}: true is 0", run(who, "--", "true"), 0)
    status(f"{n}: the command's own status", run(who, "--", "sh", "-c", "exit 7"), 7)
    status(f"{n}: 128 and the signal", run(who, "--", "sh", "-c", "kill -TERM $$"), 143)
    status(f"{n}: 127 for what is not there", run(who, "--", "no-such"), 127, "command not found")
    status(f"{n}: 126 for what is not executable", run(who, "--", "/etc/passwd"), 126)
    status(f"{n}: 126 for a directory", run(who, "--", "/usr"), 126)
    status(f"{n}: 125 for a directory that is not there",
           run(who, "--workdir", "/no/such", "--", "true"), 125, "/no/such")
    status(f"{n}: / is no working directory",
           run(who, "--workdir", "/", "--", "true"), 2, "working directory")
    status(f"{n}: a script without #! is the shell's", run(who, "--", "./plain"), 5)
    status(f"{n}: 60,000 arguments' bytes arrive",
           run(who, "--", "sh", "-c", "echo ${#1}", "x", "y" * 100000), 0, "100000")


def times(who):
    n = who["name"]
    began = time.monotonic()
    status(f"{n}: 124 after --timeout", run(who, "--timeout", "300ms", "--", "sleep", "60"), 124)
    tap.ok(time.monotonic() - began < 20, f"{n}: and it was the limit that ended it")
    status(f"{n}: a command that ends in time keeps its status",
           run(who, "--timeout", "60s", "--", "sh", "-c", "exit 3"), 3)


def signals(who):
    n = who["name"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2):
        script = f"trap 'echo got; exit 9' {number.value}; echo up; while :; do sleep 0.02; done"
        p = start(who, "--", "sh", "-c", script)
        p.stdout.readline()
        p.send_signal(number)
        out = p.communicate(timeout=WAIT_S)[0]
        tap.ok(p.returncode == 9 and "got" in out, f"{n}: {number.name} reaches the command",
               f"{p.returncode} {out}")


def stdio(who):
    n = who["name"]
    r = run(who, "--", "sh", "-c", "cat; echo err >&2", input="through\n")
    tap.ok(r.stdout == "through\n" and "err" in r.stderr, f"{n}: stdin, stdout and stderr", str(r))
    extra = os.open("/etc/hostname", os.O_RDONLY)
    r = run(who, "--", "sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done",
            pass_fds=(extra,))
    os.close(extra)
    # the shell's own descriptor of the directory, if any, is 3 or 10
    tap.ok(str(extra) not in r.stdout.split() or extra == 3 or extra == 10,
           f"{n}: n9: a descriptor of the caller does not arrive", r.stdout)
    r = run(who, "--", "sh", "-c", "ls -l /proc/self/fd/ | grep -c -- '->'")
    tap.ok(r.stdout.strip() == "4", f"{n}: n9: 0, 1, 2 and the directory that ls reads", r.stdout)
    r = run(who, "--", "sh", "-c", "ulimit -c; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status")
    tap.ok(all(w in r.stdout for w in ("0\n", "CapBnd:\t0000000000000000",
                                       "CapEff:\t0000000000000000", "NoNewPrivs:\t1",
                                       "Seccomp:\t2")), f"{n}: no core, no capability", r.stdout)


def orphans(who):
    n, word = who["name"], f"3{os.getpid()}1"
    r = run(who, "--", "sh", "-c", f"(setsid sleep {word} &) ; exit 4")
    status(f"{n}: an orphan does not keep the run", r, 4)
    tap.ok(not processes(word), f"{n}: and does not outlive it")
    r = run(who, "--", "sh", "-c", "for i in 1 2 3; do (sleep 0 & ) ; done; sleep 0.3; "
            "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
    tap.ok(r.stdout.strip() == "0", f"{n}: orphans are reaped", r.stdout + r.stderr)


def killed(who):
    n = who["name"]
    for victim, word in (("cove-supervisor", f"4{os.getpid()}1"), ("cove-init", f"4{os.getpid()}2")):
        p = start(who, "-q", "--", "sleep", word)
        tap.ok(until(lambda: len(processes(f"sleep\0{word}")) > 1 or
                     any(comm(x) == "sleep" for x in processes(word))), f"{n}: {victim} runs")
        pid = p.pid if victim == "cove-supervisor" else \
            next(c for c in children(p.pid) if comm(c) == "cove-init")
        os.kill(pid, signal.SIGKILL)
        p.communicate(timeout=WAIT_S)
        tap.ok(until(lambda: not processes(word)), f"{n}: p16: kill -9 of {victim} ends it all",
               str(processes(word)))
        if victim == "cove-init":
            tap.ok(p.returncode == 125, f"{n}: and the run says 125", str(p.returncode))


def both_killed(who):
    """A group whose supervisor and janitor are gone is swept up by the janitor of a later run."""
    p = start(who, "-q", "--memory", "64m", "--", "sleep", "30")
    find = ["find", "/sys/fs/cgroup", "-name", f"cove-{p.pid}-*"]
    until(lambda: subprocess.run(find, capture_output=True, check=False).stdout)
    groups = subprocess.run(find, capture_output=True, check=False, text=True).stdout.split()
    janitors = [x for x in children(p.pid) if comm(x) == "cove-janitor"]
    for victim in [*janitors, p.pid]:
        os.kill(victim, signal.SIGKILL)
    p.communicate(timeout=WAIT_S)
    old = time.time() - 120
    left = [g for g in groups if os.path.exists(g)]
    for g in left:
        os.utime(g, (old, old))
    run(who, "-q", "--memory", "64m", "--", "true")
    tap.ok(janitors and groups and left and not [g for g in left if os.path.exists(g)],
           "p16: a group that nobody removed is swept up by a later run", f"{janitors} {left}")


def limits():
    """Only where a cgroup is ours to make."""
    who = ROOT
    word = f"5{os.getpid()}1"
    r = run(who, "--memory", "64m", "--", "true")
    if r.returncode or "cgroup" not in r.stderr:
        tap.skip("p16: the janitor removes a cgroup", "no cgroup here")
        return
    p = start(who, "-q", "--memory", "64m", "--pids", "30", "--", "sleep", word)
    until(lambda: any(comm(x) == "sleep" for x in processes(word)))
    os.kill(p.pid, signal.SIGKILL)
    p.communicate(timeout=WAIT_S)
    find = ["find", "/sys/fs/cgroup", "-name", f"cove-{p.pid}-*"]
    tap.ok(until(lambda: not subprocess.run(find, capture_output=True, check=False).stdout),
           "p16: the janitor removes a cgroup")
    both_killed(who)
    r = run(who, "-q", "--memory", "64m", "--", "python3", "-c", "b'x' * 300000000")
    tap.ok(r.returncode == 137, "p10: memory above the limit is killed", str(r.returncode))
    r = run(who, "-q", "--pids", "12", "--", "sh", "-c",
            "for i in $(seq 40); do sleep 1 & done; wait")
    tap.ok("fork" in r.stderr, "p10: a fork above the limit fails", r.stderr)


def terminal(who):
    n = who["name"]
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(who["dir"])
        argv = command(who["drop"], "--", "sh", "-c",
                       "tty; stty size; read x; echo got-$x; trap 'echo int' INT; echo armed; "
                       "sleep 60; stty size; exit 6")
        os.execvp(argv[0], argv)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    seen = ""

    def wait(text):
        nonlocal seen
        end = time.monotonic() + WAIT_S
        while text not in seen and time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    data = os.read(fd, 4096).decode(errors="replace")
                except OSError:
                    break
                seen += data
        return text in seen

    before = termios.tcgetattr(fd)
    tap.ok(wait("/dev/pts/0"), f"{n}: a terminal of the sandbox's own", seen)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    os.write(fd, b"word\r")
    tap.ok(wait("got-word"), f"{n}: what is typed arrives", seen)
    wait("armed")
    time.sleep(0.1)
    os.write(fd, b"\x03")
    tap.ok(wait("int"), f"{n}: p9: Ctrl-C is the inner terminal's business", seen)
    tap.ok(wait("40 120"), f"{n}: the size follows", seen)
    _, st = os.waitpid(pid, 0)
    tap.ok(os.waitstatus_to_exitcode(st) == 6, f"{n}: the status survives a terminal", str(st))
    after = termios.tcgetattr(fd)
    tap.ok(before[:4] == after[:4] or before[3] & termios.ECHO == after[3] & termios.ECHO,
           f"{n}: the user's terminal is as it was")
    os.close(fd)


def person(name, drop, uid):
    place = os.path.join(here, name)
    os.mkdir(place)
    with open(os.path.join(place, "plain"), "w", encoding="ascii") as f:
        f.write("exit 5\n")
    os.chmod(f.name, 0o755)
    for path in (place, f.name):
        os.chown(path, uid, uid)
    return {"name": name, "drop": drop, "dir": place}


people = []
if os.getuid() == 0:
    ROOT = person("root", False, 0)
    people = [ROOT, person("user", True, USER)]
else:
    people = [person("user", False, os.getuid())]
for someone in people:
    for part in (statuses, times, signals, stdio, orphans, killed, terminal):
        part(someone)
if os.getuid() == 0:
    limits()
shutil.rmtree(here)
tap.done()
