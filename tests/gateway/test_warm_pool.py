#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with `warm_pool` a sandbox that fits is one that stood before it was asked for, and nothing of it
tells so: its name, variables, command, policy, credentials and files are its own; what does not fit is built
as ever; spares end with their gateway, and those that were claimed do not.
Method: grpcio's stubs against a real cove-gateway, a server behind TLS; who is who by the pid that the driver
writes down."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
w = world.World(["api.test"])
import gatewaylab  # noqa: E402
import look  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, is_standing, until  # noqa: E402

tap = world.Tap()
server = world.Server(world.PUBLIC, 443, w.pki)
CONFIG = {"warm_pool": 2, "resolve": [f"api.test:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca],
          "tools": {"approve_timeout_secs": 77}}
g = gatewaylab.Gateway(tls=False, config=CONFIG)
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
PLACE = os.path.join(g.state, "sandboxes")
READY, ERROR, STOPPED = 2, 3, 7


def full():
    until(lambda: len(g.spares()) == 2 and all(is_standing(p) for p in g.spares()))
    time.sleep(1)  # READY has been read
    return g.spares()


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name, command=("sleep", "100000"), **kw):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(command=list(command), **kw)))
    until(lambda: get(name).status.phase in (READY, ERROR))
    assert get(name).status.phase == READY, get(name)
    return get(name)


def run(sandbox, *command, **kw):
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=command, **kw), timeout=60))
    return said.code, said.both.decode()


def delete(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: code_of(lambda: get(name))[0] == "NOT_FOUND")


def a_sandbox_that_fits_is_a_spare():
    before = full()
    s = ready("first", environment={"COLOUR": "blue"}, command=["sh", "-c", "echo $COLOUR >main; sleep 1000"])
    assert g.supervisor(s.metadata.id) in before
    until(lambda: run(s, "cat", "main") == (0, "blue\n"))  # READY is said when it is about to begin
    code, out = run(s, "sh", "-c", "echo $COLOUR $OPENSHELL_SANDBOX $OPENSHELL_SANDBOX_ID; pwd; echo x >mine; ls")
    assert (code, out) == (0, f"blue first {s.metadata.id}\n/sandbox\nmain\nmine\n"), out
    with open(os.path.join(PLACE, s.metadata.id, "workspace", "main"), encoding="ascii") as f:
        assert f.read() == "blue\n"


def its_host_name_is_its_own():
    assert run(get("first"), "sh", "-c", "hostname; cat /etc/hostname; getent hosts $(hostname)") == (
        0, "sandbox-first\nsandbox-first\n127.0.1.1       sandbox-first\n")


def each_is_claimed_once_and_replaced():
    before = full()
    a, b = ready("second"), ready("third")
    pids = {g.supervisor(a.metadata.id), g.supervisor(b.metadata.id)}
    assert pids == before
    assert not full() & pids
    assert run(a, "ls") == (0, "")  # nothing of the first one's


def where_it_runs_is_not_decided_for_ever():
    """Its supervisor is sent to another processor while it is claimed; it and all below it may use each again."""
    ours = os.sched_getaffinity(g.process.pid)
    for n in ("second", "third"):
        s = get(n)
        assert os.sched_getaffinity(g.supervisor(s.metadata.id)) == ours
        assert run(s, "nproc") == (0, f"{len(ours)}\n")


def its_certificate_authority_is_its_own():
    """Before any command runs, and not that of another."""
    texts = [run(get(n), "cat", "/etc/openshell-tls/openshell-ca.pem")[1] for n in ("first", "second")]
    assert all("BEGIN CERTIFICATE" in t for t in texts) and texts[0] != texts[1]


def its_policy_is_its_own():
    before = full()
    p = type(pb.SandboxSpec().policy)()
    p.version = 1
    rule = p.network_policies["api"]
    rule.name = "api"
    e = rule.endpoints.add()
    e.host, e.port = "api.example.com", 443
    rule.binaries.add().path = "/usr/bin/curl"
    s = ready("ruled", policy=p)
    assert g.supervisor(s.metadata.id) in before
    with open(os.path.join(PLACE, s.metadata.id, "policy.yaml"), encoding="utf-8") as f:
        assert "api.example.com" in f.read()
    code, out = run(s, "curl", "-sS", "--max-time", "10", "https://other.example.com/")
    assert code != 0 and "403" in out, (code, out)
    delete("ruled")


def provider(name, value):
    if name == "one":
        g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[pb.ProviderProfileImportItem(
            source="test", profile=pb.ProviderProfile(
                id="kind", display_name="kind", category=1,
                credentials=[pb.ProviderProfileCredential(name="key", env_vars=["API_KEY"])],
                endpoints=[sb.NetworkEndpoint(host="api.test", port=443, protocol="rest", enforcement="enforce",
                                              access="full")],
                binaries=[sb.NetworkBinary(path="/**")]))]))
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name=name), type="kind", credentials={"API_KEY": value})))


FIRST = ["sh", "-c", "curl -sS -m 20 -H \"Authorization: Bearer $API_KEY\" https://api.test/ >answer 2>&1; sleep 1000"]


def authorization():
    return {k.lower(): v for k, v in server.seen[-1]["headers"].items()}.get("authorization")


def its_credentials_are_there_before_its_command():
    """The first thing that it does is to use them.  Others' spares never hear of them."""
    for name, value in (("one", "v4lue-of-the-first-0123456789"), ("two", "v4lue-of-the-second-0123456789")):
        provider(name, value)
        before, seen = full(), len(server.seen)
        s = ready("with-" + name, FIRST, providers=[name])
        assert g.supervisor(s.metadata.id) in before
        until(lambda: len(server.seen) > seen, why=lambda s=s: run(s, "cat", "answer"))
        assert authorization() == "Bearer " + value, server.seen[-1]
        assert value not in run(s, "env")[1] and "openshell:resolve:env:" in run(s, "sh", "-c", "echo $API_KEY")[1]
    none = ready("with-none", FIRST)
    until(lambda: "403" in run(none, "cat", "answer")[1], why=lambda: run(none, "cat", "answer"))


def and_stay_with_a_keeper_that_dies_and_change():
    s = get("with-one")
    keeper = [p for p in look.adopted(g.supervisor(s.metadata.id)) if look.stat(p).comm == "cove-keeper"]
    assert len(keeper) == 1
    os.kill(keeper[0], signal.SIGKILL)
    call = "curl -sS -m 20 -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer $API_KEY\" https://api.test/again"
    until(lambda: run(s, "sh", "-c", call) == (0, "200"))
    assert authorization() == "Bearer v4lue-of-the-first-0123456789"
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="one"), credentials={"API_KEY": "an0ther-0123456789abcdef"})))
    until(lambda: run(s, "sh", "-c", call) == (0, "200") and authorization() == "Bearer an0ther-0123456789abcdef")
    g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(sandbox_name="with-one", provider_name="one"))
    until(lambda: "403" in run(s, "sh", "-c", call)[1])  # at CONNECT
    for name in ("with-one", "with-two", "with-none"):
        delete(name)


def what_does_not_fit_is_built():
    before = full()
    p = type(pb.SandboxSpec().policy)()
    p.version = 1
    p.filesystem.read_only.extend(["/usr", "/etc"])
    p.filesystem.read_write.append("/sandbox")
    p.filesystem.read_write.append("/var/tmp")
    s = ready("other", policy=p)
    assert g.supervisor(s.metadata.id) not in before and g.spares() == before
    delete("other")


def stopping_and_starting_keeps_its_files():
    g.stub.StopSandbox(pb.StopSandboxRequest(name="first"))
    until(lambda: get("first").status.phase == STOPPED)
    before = full()
    g.stub.StartSandbox(pb.StartSandboxRequest(name="first"))
    until(lambda: get("first").status.phase == READY)
    assert g.spares() == before  # its directory is there: no spare has it
    assert run(get("first"), "cat", "mine") == (0, "x\n")


def spares_end_with_their_gateway_and_sandboxes_do_not():
    old, claimed = full(), g.supervisor(get("second").metadata.id)
    g.kill()
    until(lambda: not any(map(look.runs, old)))
    assert look.runs(claimed)
    g.start()
    until(lambda: get("second").status.phase == READY)
    assert run(get("second"), "echo", "on") == (0, "on\n")
    assert g.supervisor(get("second").metadata.id) == claimed
    until(lambda: not old & g.spares())
    assert not full() & old


def those_of_another_configuration_end():
    """An authority upstream is in the bundle of each."""
    old = full()
    g.write_config(dict(CONFIG, upstream_ca=[]))
    g.hup()
    until(lambda: not old & g.spares())
    before = full()
    assert g.supervisor(ready("later").metadata.id) in before
    delete("later")


def fewer_are_wanted():
    full()
    g.write_config({"warm_pool": 0})
    g.hup()
    until(lambda: not [n for n in os.listdir(PLACE) if n.startswith("spare-")])


def nothing_is_left():
    for n in ("first", "second", "third"):
        delete(n)
    until(lambda: not [n for n in os.listdir(PLACE) if not n.startswith(".")])


try:
    for f in (a_sandbox_that_fits_is_a_spare, its_host_name_is_its_own, each_is_claimed_once_and_replaced,
              where_it_runs_is_not_decided_for_ever,
              its_certificate_authority_is_its_own, its_policy_is_its_own,
              its_credentials_are_there_before_its_command, and_stay_with_a_keeper_that_dies_and_change,
              what_does_not_fit_is_built,
              stopping_and_starting_keeps_its_files, spares_end_with_their_gateway_and_sandboxes_do_not,
              those_of_another_configuration_end, fewer_are_wanted, nothing_is_left):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
    w.close()
tap.done()
