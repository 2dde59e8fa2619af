#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a sandbox that a restored store does not know goes on, and is its gateway's again when the right store is
back; one that was deleted, or whose gateway's directory is gone, ends.
Method: a real gateway, backups of before and after, and the time in which nobody's sandboxes end."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
NOBODYS_S = 30


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "100000"])))
    until(lambda: get(name).status.phase == 2)
    return get(name).metadata.id


def control(*words):
    r = g.run(*words, "--state-dir", g.state)
    assert r.returncode == 0, r


def restore(path):
    """The gateway starts again with it."""
    since = len(g.lines)
    control("restore", path)
    assert g.logged("ready", since), g.lines[since:]
    g.reconnect()


before, after = (os.path.join(g.directory, n) for n in ("before.db", "after.db"))
known = ready("known")
control("backup", before)
newer = ready("newer")
control("backup", after)
pids = {"known": g.supervisor(known), "newer": g.supervisor(newer)}


def goes_on():
    restore(before)
    until(lambda: code_of(lambda: get("newer"))[0] == "NOT_FOUND")
    until(lambda: get("known").status.phase == 2)
    time.sleep(NOBODYS_S + 10)
    assert all(look.runs(p) for p in pids.values()), pids


def and_is_found_again():
    restore(after)
    until(lambda: get("newer").status.phase == 2)
    assert g.supervisor(newer) == pids["newer"]
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=newer, command=["echo", "on"]), timeout=30))
    assert said.out == b"on\n", said


def what_was_deleted_ends():
    """A store that does not know it, and a directory that is no more its own."""
    restore(before)
    until(lambda: code_of(lambda: get("newer"))[0] == "NOT_FOUND")
    shutil.rmtree(os.path.join(g.state, "sandboxes", newer))
    until(lambda: not look.runs(pids["newer"]), NOBODYS_S + 25)
    assert look.runs(pids["known"])


try:
    for f in (goes_on, and_is_found_again, what_was_deleted_ends):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
tap.done()
