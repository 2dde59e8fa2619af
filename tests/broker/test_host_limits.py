#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Limits of a tool that hold for the calls of several sandboxes, each of which has a broker of its own.

Goal: at no moment do more calls run than the limit says, whoever asks and however a broker ends; who
waits gets his turn; what can't be counted is not run.
Method: real brokers that know nothing of each other but the file that they were named.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap, eventually, marked  # noqa: E402

CATALOG = """
version: 1
tools:
  deploy:
    description: One at a time.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {seconds: 60, concurrency: 100, host_concurrency: 1, host_group: production}
  rollback:
    description: Not while one deploys.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {host_concurrency: 1, host_group: production}
  pair:
    description: Two at a time.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {host_concurrency: 2}
  free:
    description: As many as ask.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {concurrency: 100}
"""

first = Lab(CATALOG, slots="/nonexistent/x", is_ready=False)
SLOTS = os.path.join(first.dir, "slots")


class Run:
    """A sandbox with a broker of its own."""

    def __init__(self, slots=SLOTS, catalog=CATALOG, name="box"):
        self.lab = Lab(catalog, slots=slots)
        self.box = Sandbox(self.lab, name)

    def close(self):
        self.lab.close()


one, two = Run(), Run()


class Hold:
    """A call of one's tool that runs until it is let go."""

    def __init__(self, run, tool="deploy"):
        self.run, self.path = run, os.path.join(run.lab.dir, "go-%d" % time.monotonic_ns())
        self.job = run.box.job(tool, {"script": f"until [ -e {self.path} ]; do sleep 0.02; done"})

    def state(self):
        return self.run.box.request("GET", f"/v1/jobs/{self.job}").json["state"]

    def end(self):
        with open(self.path, "w", encoding="utf-8"):
            pass
        assert self.run.box.wait(self.job)["state"] == "succeeded"


def script(text):
    return {"script": text}


def one_at_a_time_of_two_sandboxes():
    held = Hold(one)
    assert held.state() == "running"
    r = two.box.call("deploy", script("echo mine"))
    assert r.status == 429 and r.json["error"] == "too_many_at_once" and r.json["limit"] == 1, r
    assert r.headers["retry-after"] == "1", r
    waits = two.box.job("deploy", script("echo mine"))
    assert two.box.request("GET", f"/v1/jobs/{waits}").json["state"] == "queued"
    time.sleep(0.5)
    assert two.box.request("GET", f"/v1/jobs/{waits}").json["state"] == "queued"
    start = time.monotonic()
    held.end()
    assert two.box.wait(waits)["state"] == "succeeded"
    assert time.monotonic() - start < 15
    r = two.box.call("deploy", script("echo mine"))
    assert (r.status, r.json) == (200, {"output": "mine\n"}), r


def a_group_counts_together():
    held = Hold(one)
    assert two.box.call("rollback", script("true")).status == 429
    assert one.box.call("rollback", script("true")).status == 429, "in the same sandbox too"
    for tool in ("free", "pair"):
        assert two.box.call(tool, script("true")).status == 200, tool
    held.end()
    assert two.box.call("rollback", script("true")).status == 200


def two_at_a_time():
    a, b = Hold(one, "pair"), Hold(two, "pair")
    assert (a.state(), b.state()) == ("running", "running")
    for run in (one, two):
        assert run.box.call("pair", script("true")).status == 429
    a.end()
    assert one.box.call("pair", script("true")).status == 200
    b.end()


def a_slot_is_the_calls_alone():
    """What was started while it ran, and goes on, holds nothing of it."""
    held = Hold(one)
    other = Hold(one, "free")
    held.end()
    assert two.box.call("deploy", script("true")).status == 200
    other.end()


def b5_cancelled_timed_out_failed():
    for end in ("cancel", "time", "failure"):
        if end == "cancel":
            held = Hold(one)
            one.box.request("DELETE", f"/v1/jobs/{held.job}")
        elif end == "time":
            one.box.policy("version: 1\ntools:\n  all: {tools: ['*'], limits: {seconds: 1}}\n")
            assert one.box.call("deploy", script("sleep 20")).status == 504
            one.box.policy("version: 1\ntools:\n  all: {tools: ['*']}\n")
        else:
            assert one.box.call("deploy", script("exit 3")).status != 200
        assert eventually(lambda: two.box.call("deploy", script("true")).status == 200, 8), end


def p16_a_broker_that_is_killed():
    run = Run()
    mark = "mark-%d" % time.monotonic_ns()
    run.box.job("deploy", script(f"exec -a {mark} sleep 1000"))
    assert eventually(lambda: marked(mark))
    waits = two.box.job("deploy", script("true"))
    assert two.box.request("GET", f"/v1/jobs/{waits}").json["state"] == "queued"
    run.lab.kill()
    assert two.box.wait(waits)["state"] == "succeeded"
    assert eventually(lambda: not marked(mark))


def one_sandbox_that_ends():
    run = Run()
    Hold(run)
    waits = two.box.job("deploy", script("true"))
    run.box.end()
    assert two.box.wait(waits)["state"] == "succeeded"
    run.close()


def a_queue_in_the_order_of_its_jobs():
    held, log = Hold(two), os.path.join(one.lab.dir, "order")
    jobs = [one.box.job("deploy", script(f"echo {i} >> {log}")) for i in range(8)]
    other = one.box.job("pair", script("true"))
    assert one.box.wait(other)["state"] == "succeeded", "who waits keeps nobody else"
    held.end()
    for job in jobs:
        assert one.box.wait(job)["state"] == "succeeded"
    with open(log, encoding="utf-8") as f:
        assert f.read().split() == [str(i) for i in range(8)]


def never_more_than_the_limit():
    """Five brokers, each with calls that wait and calls that try again; one is killed on the way."""
    runs, log = [Run() for _ in range(5)], os.path.join(first.dir, "log")
    line = (f"echo + $$ >> {log}; sleep 0.0$((RANDOM % 4)); echo - $$ >> {log}")
    jobs, done = [(r, r.box.job("pair", script(line))) for r in runs[:4] for _ in range(12)], []

    def plain(run):
        while len([d for d in done if d is run]) < 4:
            if run.box.call("pair", script(line)).status == 200:
                done.append(run)
            time.sleep(0.01)

    threads = [threading.Thread(target=plain, args=(r,), daemon=True) for r in runs[:4]]
    for t in threads:
        t.start()
    runs[4].box.job("pair", script("sleep 1000"))
    time.sleep(0.2)
    runs[4].lab.kill()
    for run, job in jobs:
        assert run.box.wait(job, 40)["state"] == "succeeded"
    for t in threads:
        t.join(20)
        assert not t.is_alive()
    running = most = 0
    with open(log, encoding="utf-8") as f:
        for word in f:
            running += 1 if word[0] == "+" else -1
            most = max(most, running)
    assert (running, most) == (0, 2), (running, most)
    for run in runs[:4]:
        run.close()


def what_can_not_be_counted_is_not_run():
    run = Run()
    os.chmod(SLOTS, 0o644)
    try:
        assert run.box.call("deploy", script("true")).status == 429
        waits = run.box.job("deploy", script("true"))
        assert run.box.call("free", script("true")).status == 200
        with open(run.lab.line_path, encoding="utf-8") as f:
            text = f.read()
        assert text.count("can't be counted") == 1 and SLOTS in text, text
    finally:
        os.chmod(SLOTS, 0o600)
    assert run.box.wait(waits)["state"] == "succeeded", "and when it can be it is"
    run.close()


def bad_files_are_refused_at_the_start():
    assert b"/nonexistent/x" in first.wait("FATAL")
    for name, make in {"link": lambda p: os.symlink(SLOTS, p), "directory": os.mkdir,
                       "pipe": os.mkfifo, "open": lambda p: os.close(os.open(p, os.O_CREAT, 0o644))}.items():
        path = os.path.join(first.dir, name)
        make(path)
        said = Lab(CATALOG, slots=path, is_ready=False).wait("FATAL")
        assert b"limits.host_concurrency: " in said and path.encode() in said, said
    assert b"where to count" in Lab(CATALOG, is_ready=False).wait("FATAL")
    own = Lab(CATALOG.replace("host_concurrency: 1, host_group: production", "seconds: 9")
              .replace("concurrency: 100, seconds: 9", "concurrency: 100")
              .replace("host_concurrency: 2", "concurrency: 2"))
    own.close()


TESTS = [one_at_a_time_of_two_sandboxes, a_group_counts_together, two_at_a_time, a_slot_is_the_calls_alone,
         b5_cancelled_timed_out_failed, p16_a_broker_that_is_killed, one_sandbox_that_ends,
         a_queue_in_the_order_of_its_jobs, never_more_than_the_limit,
         what_can_not_be_counted_is_not_run, bad_files_are_refused_at_the_start]
sys.exit(Tap().run(TESTS))
