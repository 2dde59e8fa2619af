#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the supervisor that waits for the next sandbox becomes that sandbox's, and is then as one that was
started for it: its descriptors, its log, its name, its session; another takes its place. One that dies, or
whose gateway does, is missed by nobody, and what needs a supervisor meanwhile starts one.
Method: grpcio's stubs against a real cove-gateway; a sandbox's supervisor is the pid in its `run`."""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that processes can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
PLACE = os.path.join(g.state, "sandboxes")
READY, ERROR = 2, 3


def blanks():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()
            for s in [look.stat(p)] if s and s.parent == g.process.pid and s.comm == "cove-blank" and s.state != "Z"]


def blank():
    return until(blanks)[0]


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def supervisor(name):
    with open(os.path.join(PLACE, get(name).metadata.id, "run"), encoding="ascii") as f:
        return int(f.read().split("\n")[1].split()[0])


def begin(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=["sleep", "100000"])))


def create(name):
    begin(name)
    until(lambda: get(name).status.phase in (READY, ERROR))
    assert get(name).status.phase == READY, get(name)
    return supervisor(name)


def delete(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: code_of(lambda: get(name))[0] == "NOT_FOUND")


def at_once(names):
    threads = [threading.Thread(target=begin, args=(n,)) for n in names]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n in names:
        until(lambda n=n: get(n).status.phase == READY)


def works(name):
    out = b""
    for e in g.stub.ExecSandbox(pb.ExecSandboxRequest(
            sandbox_id=get(name).metadata.id, command=["echo", "works"]), timeout=30):
        out += e.stdout.data if e.WhichOneof("payload") == "stdout" else b""
    return out == b"works\n"


def it_becomes_the_next_sandboxs():
    pid = blank()
    assert create("one") == pid
    assert look.stat(pid).comm == "cove-supervisor" and look.stat(pid).session == pid and works("one")
    assert blank() != pid and len(blanks()) == 1


def it_has_what_one_that_is_started_has():
    """Of three at once at least one is started, for the next blank comes when they are: all have the same open."""
    pid = blank()
    at_once(["a", "b", "c"])
    started = [n for n in "abc" if supervisor(n) != pid]
    assert len(started) == 2
    started = started[0]
    for n in (0, 1, 2):
        a, b = look.paths(supervisor("one"))[n], look.paths(supervisor(started))[n]
        assert a.replace(get("one").metadata.id, "ID") == b.replace(get(started).metadata.id, "ID"), (a, b)

    def kinds(name):
        return sorted(p.partition("[")[0].partition(" ")[0].replace(get(name).metadata.id, "ID")
                      for p in look.paths(supervisor(name)).values())
    until(lambda: kinds("one") == kinds(started), why="%s %s" % (kinds("one"), kinds(started)))

    def facts(name):
        with open(f"/proc/{supervisor(name)}/status", encoding="ascii") as f:
            return {k: v for k, _, v in (line.partition(":") for line in f)
                    if k in ("Umask", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp", "CapEff", "Groups")}
    assert facts("one") == facts(started), (facts("one"), facts(started))


def one_that_died_is_replaced():
    pid = blank()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not look.runs(pid))  # in the very moment it would be a supervisor that was killed
    assert create("after") != pid and works("after")
    assert until(lambda: [p for p in blanks() if p != pid])


def many_at_once():
    names = [f"many{i}" for i in range(8)]
    at_once(names)
    assert len({supervisor(n) for n in names}) == len(names) and all(map(works, names))
    until(lambda: len(blanks()) == 1)


def it_ends_with_its_gateway_and_a_sandbox_does_not():
    before, pid = supervisor("one"), blank()
    g.kill()
    until(lambda: not look.runs(pid))
    g.start()
    until(lambda: get("one").status.phase == READY)
    assert supervisor("one") == before and look.runs(before) and works("one")
    pid = blank()
    assert create("anew") == pid


def a_gateway_that_stops_leaves_none():
    for s in g.stub.ListSandboxes(pb.ListSandboxesRequest(limit=100)).sandboxes:
        delete(s.metadata.name)
    pid = blank()
    assert g.stop() == 0 and not look.runs(pid)


try:
    for check in (it_becomes_the_next_sandboxs, it_has_what_one_that_is_started_has, one_that_died_is_replaced,
                  many_at_once, it_ends_with_its_gateway_and_a_sandbox_does_not, a_gateway_that_stops_leaves_none):
        tap.check(check.__name__.replace("_", " "), check)
finally:
    g.close()
tap.done()
