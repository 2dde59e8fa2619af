#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: keepers that are forked from a gateway's nursery are as separate as those that are started: each
has a key, a session and descriptors of its own, and ends with its sandbox and with nothing else; a nursery
that dies takes nobody along and is replaced; a keeper that dies is started by its supervisor.
Method: grpcio's stubs against a real cove-gateway; a supervisor's keeper is the one it holds a pidfd of."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that processes can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
READY, ERROR = 2, 3


def children(pid, comm):
    return [int(p) for p in os.listdir("/proc") if p.isdigit()
            for s in [look.stat(p)] if s and s.parent == pid and s.comm == comm and s.state != "Z"]


def nursery():
    found = children(g.process.pid, "cove-nursery")
    return found[0] if found else 0


def keeper(box):
    """Forked, or started after one that died."""
    pid = g.supervisor(box.metadata.id)
    found = [p for p in look.adopted(pid) if (look.stat(p) or [""])[0] == "cove-keeper"] + children(pid, "cove-keeper")
    return found[0] if found else 0


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def create(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "100000"])))
    until(lambda: get(name).status.phase in (READY, ERROR))
    assert get(name).status.phase == READY, get(name)
    until(lambda: keeper(get(name)))
    return get(name)


def delete(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: code_of(lambda: get(name))[0] == "NOT_FOUND")


def authorities(box):
    out = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=box.metadata.id, command=["cat", "/etc/openshell-tls/openshell-ca.pem"]), timeout=30)).out
    end = b"-----END CERTIFICATE-----\n"
    return [part.strip() + b"\n" + end for part in out.split(end)[:-1]]


def said(pem, *words):
    return subprocess.run(["openssl", "x509", "-noout", *words], input=pem, check=True, capture_output=True).stdout


def keepers_are_the_nurserys_and_have_nothing_in_common():
    until(nursery)
    boxes = [create(f"n{i}") for i in range(6)]
    pids = [keeper(b) for b in boxes]
    assert len(set(pids)) == len(boxes), pids
    assert {look.stat(p).parent for p in pids} == {nursery()}, "forked"
    assert all(look.stat(p).session == p for p in pids), "a session of its own each"
    pems = [authorities(b)[0] for b in boxes]
    for word in ("-pubkey", "-serial"):
        assert len({said(p, word) for p in pems}) == len(boxes), word
    # Links and nothing else; no two have the same socket.
    sockets = [[v for v in look.paths(p).values() if v.startswith("socket:")] for p in pids]
    flat = sum(sockets, [])
    assert all(sockets) and len(flat) == len(set(flat)), sockets
    log = look.paths(pids[0])[2]
    assert log.endswith(f"sandboxes/{boxes[0].metadata.id}/log"), log


def ignored(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(f.read().partition("SigIgn:")[2].split()[0], 16)


def a_keeper_is_confined_as_one_that_is_started():
    # What was ignored where this test was started stays so.
    given = 1 << signal.SIGPIPE - 1 | ignored("self")
    for line in open(f"/proc/{keeper(get('n0'))}/status", encoding="ascii"):
        name, _, value = line.partition(":")
        if name in ("Seccomp", "NoNewPrivs"):
            assert value.strip() == {"Seccomp": "2", "NoNewPrivs": "1"}[name], line
        if name in ("SigBlk", "SigIgn"):
            assert int(value, 16) & ~given == 0, line


def it_ends_with_its_sandbox_alone():
    pids = {n: keeper(get(n)) for n in ("n0", "n1", "n2")}
    delete("n0")
    until(lambda: not look.runs(pids["n0"]))
    pid = g.supervisor(get("n1").metadata.id)
    assert pid, "no supervisor"
    os.kill(pid, signal.SIGKILL)
    until(lambda: not look.runs(pids["n1"]))
    assert look.runs(pids["n2"]) and keeper(get("n2")) == pids["n2"]


def one_that_dies_is_started_by_its_supervisor():
    box, before = get("n2"), keeper(get("n2"))
    os.kill(before, signal.SIGKILL)
    until(lambda: keeper(box) not in (0, before))
    assert look.stat(keeper(box)).parent == g.supervisor(box.metadata.id)
    until(lambda: len(authorities(box)) == 2)


def a_nursery_that_dies_takes_nobody_along():
    before, pid = keeper(get("n3")), nursery()
    assert pid
    os.kill(pid, signal.SIGKILL)
    create("after")
    until(lambda: nursery() not in (0, pid))
    assert keeper(get("n3")) == before and look.runs(before)
    assert look.stat(keeper(create("later"))).parent == nursery()


def a_nursery_that_hangs_stops_nobody():
    pid = nursery()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        g.stub.CreateSandbox(pb.CreateSandboxRequest(name="hung", spec=pb.SandboxSpec(command=["sleep", "100000"])))
        assert get("n3").status.phase == READY
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: get("hung").status.phase == READY)


def keepers_outlive_a_gateway_and_nurseries_do_not():
    before, pid = keeper(get("n3")), nursery()
    assert pid
    g.kill()
    until(lambda: not look.runs(pid))
    g.start()
    until(lambda: get("n3").status.phase == READY)
    assert keeper(get("n3")) == before and look.runs(before)
    assert look.stat(keeper(create("anew"))).parent == nursery()


for check in (keepers_are_the_nurserys_and_have_nothing_in_common, a_keeper_is_confined_as_one_that_is_started,
              it_ends_with_its_sandbox_alone, one_that_dies_is_started_by_its_supervisor,
              a_nursery_that_dies_takes_nobody_along, a_nursery_that_hangs_stops_nobody,
              keepers_outlive_a_gateway_and_nurseries_do_not):
    tap.check(check.__name__.replace("_", " "), check)
for s in g.stub.ListSandboxes(pb.ListSandboxesRequest(limit=100)).sandboxes:
    delete(s.metadata.name)
g.close()
tap.done()
