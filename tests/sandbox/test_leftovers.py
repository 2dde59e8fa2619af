#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p16: after any end of a run, and after kill -9 of any of cove's processes at any moment,
nothing is left: no process, mount, control group or file; and a run does not hang.
Method: this process is a subreaper, so every orphan becomes its child; the machine's places for
files, mounts and groups are listed before and after."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

POLICY = """\
version: 1
network_policies:
  api:
    endpoints: [{host: api.example.test, port: 443}]
    binaries: [{path: "/usr/**"}]
"""
BUSY = ["sh", "-c", "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM; sleep 90; sleep 90' &); "
                    "echo ready; sleep 90; sleep 90"]


def clean(tap, b, name, before):
    left = box.survivors()
    tap.ok(not left, f"p16 {name}: no process is left", left)
    new = {t for t in box.traces(b) - before}
    if new:  # other runs on this machine come and go
        time.sleep(1.0)
        new &= box.traces(b)
    tap.ok(not new, f"p16 {name}: no file, mount or group is left", new)


def finish(p, seconds=15):
    try:
        p.communicate(timeout=seconds)
        return p.returncode
    except subprocess.TimeoutExpired:
        p.kill()
        with contextlib.suppress(Exception):
            p.communicate(timeout=2)
        return "hangs"



def kill_each(tap, b, options, label):
    # without a policy nothing may connect: neither proxy nor keeper is started before it is needed
    helpers = ("cove-proxy", "cove-keeper") if "--policy" in options else ()
    for victim in ("cove-supervisor", "cove-init", *helpers):
        before = box.traces(b)
        p = b.start(BUSY, options=options)
        line = p.stdout.readline()
        found = [pid for pid, name in box.descendants().items() if name == victim[:15]]
        if not found:
            tap.ok(False, f"p16 kill -9 {victim} ({label})", f"no such process in this run: {sorted(box.descendants().values())}")
            p.kill()
            finish(p)
            box.survivors()
            continue
        tap.ok(line == "ready\n", f"p16 the command runs before kill -9 {victim} ({label})", line)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        name = f"kill -9 {victim} ({label})"
        if victim in ("cove-supervisor", "cove-init"):
            status = finish(p)
            want = (-9,) if victim == "cove-supervisor" else (125, 137)
            tap.ok(status in want, f"p16 {name}: cove ends with {want[0]}", status)
        else:
            time.sleep(0.5)
            box.until(lambda v=victim, old=found: [
                pid for pid, n in box.descendants().items() if n == v[:15] and pid not in old])
            tap.ok(p.poll() is None, f"p16 {name}: the command goes on", p.poll())
            back = [pid for pid, n in box.descendants().items() if n == victim[:15] and pid not in found]
            tap.ok(len(back) == 1, f"p16 {name}: it is started again", box.descendants())
            p.kill()
            finish(p)
        clean(tap, b, name, before)


def kill_at_moments(tap, b, options, label):
    """Any process of a starting run, at moments spread over its start."""
    before = box.traces(b)
    bad = []
    for i in range(40):
        p = b.start(["sleep", "30"], options=options)
        time.sleep(i * 0.0004)
        running = sorted(box.descendants())
        if running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(running[i % len(running)], signal.SIGKILL)
        try:  # one of the helpers: the run may go on; then it must end on TERM
            p.communicate(timeout=0.2)
        except subprocess.TimeoutExpired:
            p.terminate()
            status = finish(p)
            if status == "hangs":
                bad.append((i, status))
    tap.ok(not bad, f"p16 kill -9 of any process at 40 moments of a start: no hang ({label})", bad)
    clean(tap, b, f"kill -9 at 40 moments ({label})", before)


def group_kill(tap, b):
    """A shell or CI job that ends kills the whole process group at once."""
    before = box.traces(b)
    p = b.start(BUSY, start_new_session=True)
    p.stdout.readline()
    os.killpg(p.pid, signal.SIGKILL)
    finish(p)
    clean(tap, b, "kill -9 of the process group", before)


def stopped(tap, b):
    before = box.traces(b)
    p = b.start(BUSY)
    p.stdout.readline()
    os.kill(p.pid, signal.SIGSTOP)
    os.kill(p.pid, signal.SIGKILL)
    finish(p)
    clean(tap, b, "kill -9 while stopped", before)


def parent_dies(tap, b):
    """The caller dies: its cove may go on (it is the caller's choice), and must then end as usual."""
    before = box.traces(b)
    shell = subprocess.Popen(["/bin/sh", "-c", " ".join(b.argv(["sleep", "1"])) + " & wait"],
                             stdin=subprocess.DEVNULL)
    box.until(lambda: "sleep" in box.descendants().values())
    shell.kill()
    shell.wait()
    time.sleep(1.2)
    clean(tap, b, "the caller is killed", before)


def crowd(tap, b):
    before = box.traces(b)
    done = []

    def one(i):
        r = b.sh(f"echo {i} >f{i} && cat f{i}; exit {i}", timeout=60)
        done.append((r.returncode, r.stdout.strip()) == (i, str(i)) or (i, r.returncode, r.stderr[:200]))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    bad = [d for d in done if d is not True]
    tap.ok(len(done) == 50 and not bad, "50 runs at once: each has its own status and words", bad[:5])
    for i in range(50):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(b.path(f"f{i}"))
    clean(tap, b, "50 runs at once", before)
    runs = [b.start(["sleep", "60"]) for _ in range(50)]
    box.until(lambda: list(box.descendants().values()).count("sleep") == 50, 15)
    for p in runs:
        p.kill()
    for p in runs:
        finish(p)
    clean(tap, b, "kill -9 of 50 at once", before)


def main(tap, b):
    policy = b.write("policy.yaml", POLICY, where=b.outside)
    before = box.traces(b)
    for name, script in (("a normal end", "exit 0"), ("an error", "exit 9"), ("a crash", "kill -SEGV $$"),
                         ("files in /tmp, /run and home", "touch /tmp/x /run/x ~/x /dev/shm/x")):
        b.sh(script)
        clean(tap, b, name, before)
    for name, options in (("a policy that is not there", ["--policy", "/nonexistent"]),
                          ("a mount that is not there", ["--mount", "/nonexistent:/x"])):
        b.run(["true"], options=options)
        clean(tap, b, name, before)
    group_kill(tap, b)
    stopped(tap, b)
    parent_dies(tap, b)
    kill_each(tap, b, [], "no policy")
    kill_at_moments(tap, b, [], "no policy")
    kill_each(tap, b, ["--policy", policy], "policy")
    kill_at_moments(tap, b, ["--policy", policy], "policy")
    crowd(tap, b)


if __name__ == "__main__":
    box.each_user(main)
