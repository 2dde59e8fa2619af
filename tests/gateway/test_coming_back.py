#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: who comes just after a gateway that was killed need not know of it: commands wait for the supervisor that is
about to dial, and what runs can be stopped.  A shell on a terminal, which minds no SIGTERM, is stopped at once.
Method: a real gateway; a supervisor that is held by SIGSTOP, so that the moment lasts."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway()
pb = g.pb
client = clientlab.Client(g)
READY, STOPPED, STARTING = 2, 7, 8


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name, *command):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=command)))
    until(lambda: get(name).status.phase == READY)
    return get(name)


class Back:
    """The gateway was killed and is back; the sandbox's supervisor dials when it may."""

    def __init__(self, name):
        self.pid = g.supervisor(get(name).metadata.id)
        os.kill(self.pid, signal.SIGSTOP)
        g.kill()
        g.start()
        assert get(name).status.phase == STARTING, get(name).status

    def go_on(self, after=0):
        time.sleep(after)
        os.kill(self.pid, signal.SIGCONT)


def a_command_waits():
    s = ready("one", "sleep", "100000")
    back = Back("one")
    threading.Thread(target=back.go_on, args=(1.5,)).start()
    r = client("sandbox", "exec", "-n", "one", "--", "echo", "on")
    assert r.stdout == "on\n", r
    back = Back("one")
    threading.Thread(target=back.go_on, args=(1.5,)).start()
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["echo", "on"]), timeout=30))
    assert said.out == b"on\n", said


def what_runs_is_stopped():
    back = Back("one")
    assert code_of(lambda: g.stub.StopSandbox(pb.StopSandboxRequest(name="one")))[0] == "OK"
    back.go_on()
    until(lambda: get("one").status.phase == STOPPED)


def a_shell_is_stopped_at_once():
    client("sandbox", "create", "--name", "shell", "--detach")
    until(lambda: get("shell").status.phase == READY)
    time.sleep(1)  # it has read its files, and ignores SIGTERM by now
    begun = time.monotonic()
    client("sandbox", "stop", "shell")
    until(lambda: get("shell").status.phase == STOPPED)
    assert time.monotonic() - begun < 4.8, time.monotonic() - begun


try:
    for f in (a_command_waits, what_runs_is_stopped, a_shell_is_stopped_at_once):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-30:]))
    g.close()
tap.done()
