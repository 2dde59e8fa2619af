#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: sandboxes of a gateway run where the kernel has no tproxy, by the next best way and without a word
of configuration; `interception` takes one and no other; a policy that needs what the sandbox can't see is
refused, be it the first or a later one.
Method: gateways that are told each; one on a host whose kernel has no nf_tables, by a seccomp filter that
answers so."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import lesserkernel  # noqa: E402
import world  # noqa: E402
from gatewaylab import until  # noqa: E402

tap = world.Tap()
READY, ERROR = 2, 3


def policy_into(p, ports):
    p.version = 1
    rule = p.network_policies["api"]
    rule.name = "api"
    for port in ports:
        rule.endpoints.add(host="api.example.com", port=port)
    rule.binaries.add(path="/usr/bin/curl")


def create(g, name, ports=(443,)):
    pb = g.pb
    spec = pb.SandboxSpec(command=["sleep", "1000"])
    policy_into(spec.policy, ports)
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=spec))
    until(lambda: get(g, name).status.phase in (READY, ERROR))
    return get(g, name)


def get(g, name):
    return g.stub.GetSandbox(g.pb.GetSandboxRequest(name=name)).sandbox


def run(g, sandbox, *command):
    return gatewaylab.said(g.stub.ExecSandbox(
        g.pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=command), timeout=60)).both.decode()


def curl(g, sandbox, url):
    return run(g, sandbox, "curl", "-sS", "-m", "10", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url)


def logs(g, sandbox):
    return str(g.stub.GetSandboxLogs(g.pb.GetSandboxLogsRequest(sandbox_id=sandbox.metadata.id)))


def update(g, name, ports):
    request = g.pb.UpdateConfigRequest(name=name)
    policy_into(request.policy, ports)
    version = g.stub.UpdateConfig(request).version
    status = []

    def settled():
        r = g.stub.GetSandboxPolicyStatus(g.pb.GetSandboxPolicyStatusRequest(name=name, version=version))
        status[:] = [r]
        return r.active_version == version or r.revision.load_error
    until(settled)
    return status[0].active_version == version, status[0].revision.load_error


def works(g, how):
    box = create(g, "box", (443, 8443))
    assert box.status.phase == READY, box
    for port in (80, 443):
        assert curl(g, box, f"http://1.2.3.4:{port}/") == "403"
    assert curl(g, box, "http://[2001:db8::1]:80/") == "403"
    said = logs(g, box)
    assert (f"interception:{how}" in said) == (how != "tproxy"), said
    unseen = curl(g, box, "http://1.2.3.4:9999/")
    assert ("403" in unseen) == (how != "anyip"), unseen


def later_policies(g, how):
    is_loaded, why = update(g, "box", (443, 8443, 80))
    assert is_loaded, why
    is_loaded, why = update(g, "box", (443, 9090))
    assert is_loaded == (how != "anyip") and (is_loaded or "port 9090" in why), why


def is_refused(g, ports, words):
    box = create(g, "refused", ports)
    assert box.status.phase == ERROR and words in str(box.status), box


for HOW in ("redirect", "anyip"):
    with gatewaylab.Gateway(tls=False, config={"interception": HOW}) as lab:
        tap.check(f"interception: {HOW}: a sandbox works, and its log says so", lambda: works(lab, HOW))
        tap.check(f"interception: {HOW}: policies that come later", lambda: later_policies(lab, HOW))
        if HOW == "anyip":
            tap.check("p13 more ports than can be listened on: the sandbox is refused, by the port",
                      lambda: is_refused(lab, range(2000, 2040), "names port 2032"))

with gatewaylab.Gateway(tls=False, config={"interception": "anyip", "warm_pool": 1}) as lab:
    def spare_is_claimed():
        until(lambda: len(lab.spares()) == 1)
        time.sleep(2)
        before = lab.spares()
        assert lab.supervisor(create(lab, "fits").metadata.id) in before
        until(lambda: len(lab.spares()) == 1 and lab.spares() != before)
        time.sleep(2)
        assert lab.supervisor(create(lab, "differs", (8443,)).metadata.id) not in lab.spares() | before
        assert curl(lab, get(lab, "fits"), "http://1.2.3.4:443/") == "403"
    tap.check("a spare listens on what every sandbox does, and becomes no other", spare_is_claimed)


def another_word():
    try:
        gatewaylab.Gateway(tls=False, config={"interception": "iptables"}).close()
    except RuntimeError as e:
        assert "expected auto, tproxy, redirect or anyip" in str(e), e
        return
    raise AssertionError("it starts")


tap.check("another word is refused", another_word)

lesserkernel.without_nftables()  # and from here on
with gatewaylab.Gateway(tls=False, config={"warm_pool": 1}) as lab:
    tap.check("without nf_tables a sandbox works, by anyip", lambda: works(lab, "anyip"))
    tap.check("... policies that come later", lambda: later_policies(lab, "anyip"))
    tap.check("... p13 more ports than can be listened on",
              lambda: is_refused(lab, range(2000, 2040), "names port 2032"))
with gatewaylab.Gateway(tls=False, config={"interception": "tproxy"}) as lab:
    tap.check("... p13 where tproxy was asked for, it is refused, with the command",
              lambda: is_refused(lab, (443,), "modprobe -a nf_tables nft_tproxy"))

lesserkernel.without_tcp_diag()
with gatewaylab.Gateway(tls=False) as lab:
    tap.check("p4 p13 where nobody can tell whose a request is, it is refused, with the command",
              lambda: is_refused(lab, (443,), "modprobe -a inet_diag tcp_diag"))
tap.done()
