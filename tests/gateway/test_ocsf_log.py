#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with the setting `ocsf_json_enabled` a sandbox has its events as JSON, whole, beside the lines; without it, it
has not; nothing in the sandbox can change them.
Method: a real gateway, with a pool of sandboxes that stand, and a denied request in real ones."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import is_standing, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False, config={"warm_pool": 1})
pb, sb = g.pb, rpclab.module("sandbox_pb2")


def ready(name):
    until(lambda: g.spares() and all(is_standing(p) for p in g.spares()))
    time.sleep(1)  # READY has been read
    spares = g.spares()
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "100000"])))
    s = until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox).status.phase == 2 and s)
    assert g.supervisor(s.metadata.id) in spares, "it was built"
    return s


def run(s, script):
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["sh", "-c", script]), timeout=60))
    return said.both.decode()


def logs(s):
    run(s, "curl -s -m 10 http://denied.test/secret?q=v")
    until(lambda: "denied.test" in run(s, "cat /var/log/openshell.*.log"))
    return run(s, "ls /var/log").split()


def off():
    names = logs(ready("one"))
    assert len(names) == 1 and names[0].startswith("openshell.20"), names


def on():
    g.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key="ocsf_json_enabled",
                                               setting_value=sb.SettingValue(bool_value=True)))
    s = ready("two")
    names = logs(s)
    assert len(names) == 2 and names[0].startswith("openshell-ocsf.20"), names
    events = [json.loads(line) for line in run(s, "cat /var/log/openshell-ocsf.*.log").splitlines()]
    denied = [e for e in events if "denied.test" in json.dumps(e)]
    assert denied and all(e["class_uid"] for e in events) and "q=v" not in json.dumps(events), events
    out = run(s, "exec 2>&1; echo x >> /var/log/openshell-ocsf.*.log; rm -f /var/log/openshell-ocsf.*; stat -c %a /var/log/openshell-ocsf.*")
    assert out.endswith("644\n") and ("denied" in out or "Read-only" in out), out


try:
    tap.check("without the setting there are lines alone", off)
    tap.check("with it there are events, too, in a sandbox from the pool", on)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
tap.done()
