#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a broker that a call starts, and that can't start again and again (its disk is full, say), costs its
sandbox nothing but answers; no call starts another before a minute is over, and then one does.
Method: a real gateway; a file of its own that is no database, and then is gone."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False, start=False)
pb, sb = g.pb, rpclab.module("sandbox_pb2")
catalog = os.path.join(g.directory, "tools.yaml")
with open(catalog, "w", encoding="ascii") as f:
    f.write("version: 1\ntools:\n  say: {description: Says a word., command: {argv: [/bin/echo, word]}}\n")
g.write_config({"tools": {"catalogs": [catalog]}})
g.start()
g.stub.CreateSandbox(pb.CreateSandboxRequest(name="one", spec=pb.SandboxSpec(
    command=["sleep", "100000"], policy=sb.SandboxPolicy(version=1, tools='{"all": {"tools": ["*"]}}'))))


def get():
    return g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox


until(lambda: get().status.phase == 2)
BOX = os.path.join(g.state, "sandboxes", get().metadata.id)
DB = os.path.join(BOX, "tools", "broker.db")
CALL = ("curl -sS -m 20 -w '\\n%{http_code}' -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" -H 'Content-Type: "
        "application/json' -d '{}' http://tools.local/v1/tools/say")


def call():
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=get().metadata.id, command=["sh", "-c", CALL]), timeout=60))
    body, _, status = said.out.decode().rpartition("\n")
    return int(status), json.loads(body)


def log():
    with open(os.path.join(BOX, "log"), encoding="utf-8", errors="replace") as f:
        return f.read()


def proxies():
    supervisor = g.supervisor(get().metadata.id)
    return [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
            if (s := look.stat(int(p))) and s.parent == supervisor and s.comm == "cove-proxy"]


def it_dies_again_and_again():
    os.makedirs(os.path.dirname(DB), 0o700, exist_ok=True)
    with open(DB, "w", encoding="ascii") as f:
        f.write("no database " * 1000)
    until(lambda: call()[1]["error"] == "broker_unavailable" and "before a minute is over" in log())
    assert get().status.phase == 2


def no_call_starts_another():
    os.unlink(DB)
    assert call() == call() and call()[0] == 503
    os.kill(proxies()[0], signal.SIGKILL)  # nor does another proxy's
    until(lambda: call()[0] == 503 and proxies())
    assert not os.path.exists(DB)


def then_one_does():
    begun = time.monotonic()
    until(lambda: call() == (200, {"output": "word\n"}) or time.sleep(1), 75)
    assert time.monotonic() - begun > 20, "not before"
    assert get().status.phase == 2


try:
    for f in (it_dies_again_and_again, no_call_starts_another, then_one_does):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in (log().splitlines() + g.lines)[-40:]))
    g.close()
tap.done()
