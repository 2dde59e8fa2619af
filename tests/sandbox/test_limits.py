#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p10, p13: what --memory, --pids and --cpu promise is kept, or the run is refused with 125;
a command that eats everything eats its own.
Method: hogs inside; the supervisor's answer and this machine's health from outside.  As root, as a
user, and as a user in a control group of its own, v1 or v2: what this machine has."""
import os
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

HOG = r"""
import sys
blocks = []
try:
    for i in range(%d):
        blocks.append(bytearray(b"x" * (1 << 20)))
except MemoryError:
    print("refused at", len(blocks)); sys.exit(9)
print("got all", len(blocks))
"""
FORKS = r"""
import os, sys, time
n = 0
try:
    for i in range(%d):
        if os.fork() == 0:
            time.sleep(3); os._exit(0)
        n += 1
except OSError as e:
    print("refused at", n, e.errno); sys.exit(9)
print("got all", n)
"""
THREADS = r"""
import threading
n, done = 0, threading.Event()
try:
    for i in range(100):
        threading.Thread(target=done.wait).start(); n += 1
except RuntimeError:
    print("refused at", n)
done.set()
"""
# Of what passes while it spins, not of what the interpreter took to start.
SPIN = r"""
import time
wall, cpu = time.monotonic(), time.process_time()
while time.monotonic() - wall < 1.5:
    pass
print((time.process_time() - cpu) / (time.monotonic() - wall))
"""


def limit(tap, b, option, value, argv, is_kept, name):
    """Kept, or refused with 125 and a line that names it."""
    r = b.run(argv, options=[option, value], timeout=40)
    if r.returncode == 125 and r.stdout == "":
        tap.ok(option.strip("-") in r.stderr and r.stderr.count("\n") <= 1,
               f"p13 {option} {value} cannot be enforced here: refused, in words", r.stderr)
        tap.skip(f"p10 {name}", f"unavailable: {r.stderr.strip()[:100]}")
        return False
    tap.result(is_kept(r), f"p10 {name}", r)
    return True


def whole_sandbox(tap, b):
    limit(tap, b, "--memory", "64m",
          ["sh", "-c", "for i in 1 2 3 4; do (head -c 40000000 /dev/zero >/tmp/f$i) ; done; "
                       "wc -c /tmp/f? | tail -n1"],
          lambda r: "160000000" not in r.stdout, "files in /tmp count as memory")
    limit(tap, b, "--memory", "64m",
          ["sh", "-c", f"for i in 1 2 3 4; do python3 -c '{HOG % 40}' & done; wait; echo done"],
          lambda r: r.stdout.count("got all") < 4 or r.returncode == 137,
          "the limit is the sandbox's, not each process's")


def main(tap, b):
    limit(tap, b, "--memory", "64m", ["python3", "-c", HOG % 400],
          lambda r: r.returncode in (9, 137) and "got all" not in r.stdout, "a memory hog is stopped at 64m")
    limit(tap, b, "--memory", "256m", ["python3", "-c", HOG % 50],
          lambda r: r.returncode == 0 and "got all" in r.stdout, "50 MB fit into 256m")
    said = subprocess.run([box.COVE, "run", "--no-tty", "--workdir", b.work, "--memory", "64m",
                           "--pids", "20", "--", "true"], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, check=False).stderr
    tap.ok("memory limited by" in said and "pids limited by" in said, "p13 the run says how it limits",
           said)
    if tap.who == "delegated":
        tap.ok(said.count("limited by cgroup") == 2, "p13 a delegated group is used", said)
    if "RLIMIT_AS" in said:
        for name in ("files in /tmp count as memory", "the limit is the sandbox's, not each process's"):
            tap.skip(f"p10 {name}", "unavailable: no delegated control group; RLIMIT_AS bounds each "
                                    "process, and the run says so")
    else:
        whole_sandbox(tap, b)
    limit(tap, b, "--pids", "20", ["python3", "-c", FORKS % 60],
          lambda r: r.returncode == 9 and "refused at" in r.stdout and
          int(r.stdout.split()[2]) <= 20, "the 21st process is refused")
    limit(tap, b, "--pids", "64", ["sh", "-c", "f() { f | f & }; f; sleep 1; echo alive"],
          lambda r: r.returncode in (0, 1, 2, 143, 137), "a fork bomb is contained")
    tap.ok(not (left := box.survivors(5)), "p10 and is gone at the end", left)
    limit(tap, b, "--pids", "64", ["python3", "-c", THREADS],
          lambda r: "refused at" in r.stdout, "threads count")
    limit(tap, b, "--cpu", "0.3", ["python3", "-c", SPIN],
          lambda r: r.returncode == 0 and float(r.stdout) < 0.6, "--cpu 0.3 is a third of the time")

    # ten at once with the same limit: each its own group, none left behind
    before = box.traces(b)
    runs = [b.start(["sleep", "0.5"], options=["--pids", "30"]) for _ in range(10)]
    statuses = [(p.communicate(timeout=20), p.returncode)[1] for p in runs]
    tap.ok(set(statuses) in ({0}, {125}), "ten with limits at once", statuses)
    p = b.start(["sleep", "60"], options=["--pids", "30"])
    box.until(lambda: "sleep" in box.descendants().values())
    p.kill()
    p.communicate(timeout=10)
    box.survivors()
    box.until(lambda: not box.traces(b) - before, 10)
    tap.ok(not (new := box.traces(b) - before), "p16 no control group is left after kill -9", new)

    for option, value in (("--memory", "0"), ("--memory", "-1"), ("--memory", "12q"), ("--memory", ""),
                          ("--memory", "99999999999999999999"), ("--pids", "0"), ("--pids", "1"), ("--pids", "x"),
                          ("--pids", "-5"), ("--cpu", "0"), ("--cpu", "nan"), ("--cpu", "-1"),
                          ("--cpu", "1e999"), ("--timeout", "0"), ("--timeout", "5x"),
                          ("--timeout", "-1s"), ("--timeout", "")):
        r = b.run(["echo", "started"], options=[f"{option}={value}"])
        tap.result(r.returncode == 2 and "started" not in r.stdout and option.strip("-") in r.stderr,
                   f"{option}={value!r} is refused", r)

    # without any limit: the hog's file system is bounded, and this machine lives
    r = b.sh("df -k /tmp | tail -n1 | awk '{print $2}'; df -i /tmp | tail -n1 | awk '{print $2}'")
    size, inodes = (r.stdout.split() + ["0", "0"])[:2]
    tap.ok(0 < int(size) < 1 << 40 and 0 < int(inodes) <= 1 << 22, "p10 /tmp is bounded in bytes and files",
           r.stdout)
    r = b.sh("i=0; while [ $i -lt 3000 ]; do :>/tmp/f$i; i=$((i+1)); done; ls /tmp | wc -l", timeout=30)
    tap.ok(int(r.stdout.strip() or 0) >= 3000, "some thousand files are fine", r.stdout)
    start = time.monotonic()
    r = b.sh("head -c 400000000 /dev/zero", text=False, timeout=40)
    tap.ok(len(r.stdout) == 400000000, "p10 400 MB of output arrive", len(r.stdout))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    tap.ok(time.monotonic() - start < 30, "and fast enough", (time.monotonic() - start, peak))
    r = b.sh("ulimit -l; ulimit -n")
    tap.ok(r.returncode == 0 and int(r.stdout.split()[1]) >= 1024, "descriptors are enough for work", r.stdout)


if __name__ == "__main__":
    box.each_user(main, delegated=True)
