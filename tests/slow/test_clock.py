#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a wall clock that is set, by a day and either way, ends nothing that has no date of its own, holds
nothing up, and ends what has a date when the date is there.
Method: the gateway's CLOCK_REALTIME is moved under it (tests/lib/disturb.py) while streams, commands
with a time limit and sandboxes with tokens are there; and it is killed and started in the past."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import disturb  # noqa: E402
import world  # noqa: E402
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

DAY_MS = 24 * 3600 * 1000
READY, ERROR, STOPPED = 2, 3, 7
tap = world.Tap()


def phase(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase


def make(name, **spec):
    spec.setdefault("command", ["sleep", "100000"])
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=spec)).sandbox
    until(lambda: phase(name) == READY, why=name)
    return box


def remove(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: code_of(lambda: phase(name))[0] == "NOT_FOUND", why=name + " goes")


def run(*command, **kw):
    got = list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=command, **kw), timeout=30))
    return b"".join(e.stdout.data for e in got), got[-1].exit.exit_code


def at(ms):
    """That long after the time that it is."""
    d.set(wall_ms=ms)
    time.sleep(0.7)  # more than a sweep


def streams_go_on():
    exec_ = g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=[
        "sh", "-c", "while :; do echo tick; sleep 0.1; done"]))
    watch = g.stub.WatchSandbox(pb.WatchSandboxRequest(id=box.metadata.id, follow_status=True, follow_logs=True))
    next(watch)
    for ms in (DAY_MS, -DAY_MS, 0):
        at(ms)
        for _ in range(20):
            assert next(exec_).stdout.data
        assert watch.is_active() and phase("one") == READY
        assert run("echo", "x") == (b"x\n", 0)
    exec_.cancel()
    watch.cancel()


def time_limits_are_the_same():
    """Of a command, and of a call: whichever way the clock jumps meanwhile."""
    is_over = threading.Event()

    def jump():
        n = 0
        while not is_over.wait(0.05):
            n += 1
            d.set(wall_ms=(DAY_MS, -DAY_MS, 0)[n % 3])
    t = threading.Thread(target=jump)
    t.start()
    try:
        begun = time.monotonic()
        code = run("sleep", "20", timeout_seconds=1)[1]
        took = time.monotonic() - begun
        assert code != 0 and 0.9 < took < 15, (code, took)
        begun = time.monotonic()
        code, _ = code_of(lambda: list(g.stub.WatchSandbox(pb.WatchSandboxRequest(
            id=box.metadata.id, follow_status=True), timeout=1)))
        took = time.monotonic() - begun
        assert code == "DEADLINE_EXCEEDED" and 0.9 < took < 15, (code, took)
    finally:
        is_over.set()
        t.join()
        at(0)


def a_life_in_each_time():
    """Create, command, policy, stop, start, delete; dates say what the clock says, and the lists are whole."""
    for name, ms in (("tomorrow", DAY_MS), ("yesterday", -DAY_MS)):
        at(ms)
        made = make(name)
        off = made.metadata.created_at_ms - (time.time() * 1000 + ms)
        assert abs(off) < 20000, off
        g.stub.StopSandbox(pb.StopSandboxRequest(name=name))
        until(lambda n=name: phase(n) == STOPPED, why="stopped")
        at(-ms)
        g.stub.StartSandbox(pb.StartSandboxRequest(name=name))
        until(lambda n=name: phase(n) == READY, why="started")
        logs = g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=made.metadata.id, lines=100)).logs
        assert logs, "no lines"
        assert {"one", name} <= {s.metadata.name for s in g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes}
        remove(name)
    at(0)


def tokens_without_an_end_last():
    """One that is of the future, after the clock was put back, too."""
    caller = g.connect(token=g.sandbox_token(box.metadata.id))
    for ms in (0, DAY_MS, -DAY_MS, 0):
        at(ms)
        code, said = code_of(lambda: caller.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()))
        assert code == "OK", (ms, code, said)


def tokens_with_an_end_end():
    since = len(g.lines)
    g.write_config({"tokens": {"ttl_secs": 3600}})
    assert g.hup(), g.lines[since:]
    caller = g.connect(token=g.sandbox_token(box.metadata.id))
    token = caller.RefreshSandboxToken(pb.RefreshSandboxTokenRequest())
    assert 3500 < token.expires_at_ms / 1000 - time.time() < 3700, token.expires_at_ms
    caller = g.connect(token=token.token)
    for ms, wanted in ((0, "OK"), (DAY_MS, "UNAUTHENTICATED"), (-DAY_MS, "OK"), (3500 * 1000, "OK"),
                       (3700 * 1000, "UNAUTHENTICATED"), (0, "OK")):
        at(ms)
        code, said = code_of(lambda: caller.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()))
        assert code == wanted, (ms, code, said)
    g.write_config({})
    g.hup()


def a_gateway_that_starts_in_another_time():
    for ms in (-DAY_MS, DAY_MS):
        d.set(wall_ms=ms)
        instance = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox.status.main_process_instance_id
        g.kill()
        g.start()
        until(lambda: phase("one") == READY, why="it is found again")
        now = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox.status.main_process_instance_id
        assert now == instance, "it was started anew"
        assert run("echo", "x") == (b"x\n", 0)
    at(0)


with disturb.Disturbed() as d, gatewaylab.Gateway(tls=False, env=d.env) as g:
    pb = g.pb
    box = make("one")
    for check in (streams_go_on, time_limits_are_the_same, a_life_in_each_time, tokens_without_an_end_last,
                  tokens_with_an_end_end, a_gateway_that_starts_in_another_time):
        if len(sys.argv) < 2 or any(w in check.__name__ for w in sys.argv[1:]):
            tap.check(check.__name__.replace("_", " "), check)
    remove("one")
tap.done()
