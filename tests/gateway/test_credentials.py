#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a value reaches its upstream from a gateway's sandbox, and only as policy allows; what is
attached, detached or changed while a sandbox runs holds for it at once; and the value is nowhere else.
Method: a real TLS server, a provider of a user's profile, real sandboxes, curl inside; at the end all
that the gateway keeps, and all memory of its processes, is searched for the values."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box as boxlib  # noqa: E402
import gatewaylab  # noqa: E402
import look  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from credlab import memory_has  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST, OTHER = "api.test", "other.test"
ONE, TWO, SECOND = "v4lue-ONE-0123456789abcdef", "v4lue-TWO-0123456789abcdef", "s3cond-VALUE-0123456789"
CURL = ["/usr/bin/curl", "-sS", "--max-time", "10"]

w = world.World([HOST, OTHER])
server = world.Server(world.PUBLIC, 443, w.pki, answer=lambda method, path, body: b"echo:" + (
    dict((k.lower(), v) for k, v in server.seen[-1]["headers"].items()).get("authorization", "none").encode()))
g = gatewaylab.Gateway(config={"resolve": [f"{n}:443:{world.PUBLIC}" for n in (HOST, OTHER)],
                               "upstream_ca": [w.pki.ca]})
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")


def profile(name, key, host=HOST):
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id=name, display_name=name, category=1,
            credentials=[pb.ProviderProfileCredential(name=key.lower(), env_vars=[key])],
            endpoints=[sb.NetworkEndpoint(host=host, port=443, protocol="rest", enforcement="enforce",
                                          access="full")],
            binaries=[sb.NetworkBinary(path="/usr/bin/curl")]))]))


def provider(name, kind, **credentials):
    return g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name=name), type=kind, credentials=credentials))).provider


def update(name, **credentials):
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name=name), credentials=credentials)))


def sandbox(name, providers=(), policy=None):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], providers=providers, policy=policy)))
    return until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox)
                 .status.phase == 2 and s)


def attach(box, name):
    return g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
        sandbox_name=box, provider_name=name)).attached


def detach(box, name):
    return g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(
        sandbox_name=box, provider_name=name)).detached


def run(s, *command):
    """(exit code, output)"""
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=s.metadata.id, command=command), timeout=40))
    return said.code, said.both.decode(errors="replace")


def ask(s, key, host=HOST, path="/"):
    """What curl got, and what the server was shown."""
    before = len(server.seen)
    script = f'{" ".join(CURL)} -H "Authorization: Bearer ${key}" https://{host}{path}'
    code, out = run(s, "/bin/sh", "-c", script)
    shown = [{k.lower(): v for k, v in r["headers"].items()}.get("authorization") for r in server.seen[before:]]
    return code, out, shown


def config(s):
    return g.stub.GetSandboxConfig(sb.GetSandboxConfigRequest(sandbox_id=s.metadata.id))


def logs(s):
    return g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=s.metadata.id, lines=100)).logs


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def is_anywhere(value):
    found = subprocess.run(["grep", "-rlaF", value, g.directory], capture_output=True, text=True,
                           check=False).stdout.split()
    return found + [line for line in g.lines if value in line]


def attached_at_create():
    profile("mine", "MY_TOKEN")
    provider("p", "mine", MY_TOKEN=ONE)
    global s
    s = sandbox("box", ["p"])
    code, out, shown = ask(s, "MY_TOKEN")
    equal((code, shown), (0, ["Bearer " + ONE]))
    assert ONE not in out and "echo:Bearer" in out, out
    _, inside = run(s, "/usr/bin/env")
    assert "MY_TOKEN=" in inside and ONE not in inside, inside


def only_as_policy_allows():
    code, out, shown = ask(s, "MY_TOKEN", host=OTHER)
    assert code != 0 or "policy" in out, (code, out)
    equal(shown, [])
    provider("stays", "mine", UNUSED="unused-value-0123456789")  # not attached: of no use
    equal("UNUSED" in run(s, "/usr/bin/env")[1], False)


def updated_live():
    before = config(s)
    placeholder = run(s, "/bin/sh", "-c", "echo $MY_TOKEN")[1]
    update("p", MY_TOKEN=TWO)
    after = config(s)
    assert after.provider_env_revision != before.provider_env_revision, after.provider_env_revision
    assert after.config_revision != before.config_revision, after
    code, out, shown = ask(s, "MY_TOKEN")
    equal((code, shown), (0, ["Bearer " + TWO]))
    assert TWO not in out, out
    equal(run(s, "/bin/sh", "-c", "echo $MY_TOKEN")[1], placeholder)


def attached_live():
    profile("more", "MORE_TOKEN", host=OTHER)
    provider("q", "more", MORE_TOKEN=SECOND)
    before = config(s)
    equal(ask(s, "MORE_TOKEN", host=OTHER)[2], [])
    assert attach("box", "q")
    after = config(s)
    assert "_provider_q" in after.policy.network_policies, list(after.policy.network_policies)
    assert after.config_revision != before.config_revision, after
    code, out, shown = ask(s, "MORE_TOKEN", host=OTHER)
    equal((code, shown), (0, ["Bearer " + SECOND]))
    assert SECOND not in out, out
    equal(ask(s, "MY_TOKEN")[2], ["Bearer " + TWO])
    equal(ask(s, "MORE_TOKEN")[2], [])  # bound to its own host


def detached_live():
    old = run(s, "/bin/sh", "-c", "echo $MORE_TOKEN")[1].strip()
    assert detach("box", "q")
    equal("_provider_q" in config(s).policy.network_policies, False)
    before = len(server.seen)
    code, out = run(s, *CURL, "-H", "Authorization: Bearer " + old, f"https://{OTHER}/")
    assert code or "polic" in out, (code, out)
    equal(len(server.seen), before)
    equal(ask(s, "MY_TOKEN")[2], ["Bearer " + TWO])
    assert detach("box", "p")
    equal(config(s).provider_env_revision, 0)
    last = ask(s, "MY_TOKEN")
    equal(last[2], [])


def to_one_that_had_none():
    global bare
    bare = sandbox("bare")
    equal(config(bare).provider_env_revision, 0)
    assert attach("bare", "p")
    code, out, shown = ask(bare, "MY_TOKEN")
    equal((code, shown), (0, ["Bearer " + TWO]))
    assert TWO not in out, out


def not_in_its_memory():
    """Of the gateway that they came through."""
    at = memory_has(g.process.pid, [v.encode() for v in (ONE, TWO, SECOND)])
    assert not at, at


def gateway_comes_back():
    update("p", MY_TOKEN=ONE)
    g.kill()
    g.start()
    until(lambda: code_of(lambda: run(bare, "/bin/true"))[0] == "OK")
    equal(ask(bare, "MY_TOKEN")[2], ["Bearer " + ONE])


def refused_before_it_holds():
    policy = sb.SandboxPolicy(version=1, network_policies={"own": sb.NetworkPolicyRule(
        endpoints=[sb.NetworkEndpoint(host=HOST, port=443, tls="skip")], binaries=[sb.NetworkBinary(path="/usr/bin/curl")])})
    sandbox("other", policy=policy)
    code, r = code_of(lambda: attach("other", "p"))
    assert code == "FAILED_PRECONDITION" and "overlaps" in r, (code, r)
    equal(list(g.stub.GetSandbox(pb.GetSandboxRequest(name="other")).sandbox.spec.providers), [])


def one_that_expires_takes_no_other_along():
    global s
    profile("short", "SHORT_TOKEN")
    provider("short", "short", SHORT_TOKEN=ONE)
    provider("long", "more", MORE_TOKEN=TWO)
    s = sandbox("expiring", ["short", "long"])
    equal(ask(s, "SHORT_TOKEN")[2], ["Bearer " + ONE])
    g.stub.UpdateProvider(pb.UpdateProviderRequest(
        provider=dm.Provider(metadata=dm.ObjectMeta(name="short")),
        credential_expires_at_ms={"SHORT_TOKEN": int(time.time() * 1000) + 1500}))
    until(lambda: ask(s, "SHORT_TOKEN")[2] == [])
    update("long", MORE_TOKEN=SECOND, SECOND_TOKEN=TWO)
    equal(ask(s, "MORE_TOKEN", host=OTHER)[2], ["Bearer " + SECOND])
    assert "SECOND_TOKEN=" in run(s, "/usr/bin/env")[1]
    g.stub.StopSandbox(pb.StopSandboxRequest(name="expiring"))
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="expiring")).sandbox.status.phase
          == pb.SANDBOX_PHASE_STOPPED)
    g.stub.StartSandbox(pb.StartSandboxRequest(name="expiring"))
    s = until(lambda: (x := g.stub.GetSandbox(pb.GetSandboxRequest(name="expiring")).sandbox).status.phase == 2 and x)
    equal((ask(s, "SHORT_TOKEN")[2], ask(s, "MORE_TOKEN", host=OTHER)[2]), ([], ["Bearer " + SECOND]))
    assert any("SHORT_TOKEN of provider short has expired" in line.message for line in logs(s)), logs(s)
    g.stub.UpdateProvider(pb.UpdateProviderRequest(
        provider=dm.Provider(metadata=dm.ObjectMeta(name="short"), credentials={"SHORT_TOKEN": TWO}),
        credential_expires_at_ms={"SHORT_TOKEN": 0}))
    until(lambda: ask(s, "SHORT_TOKEN")[2] == ["Bearer " + TWO])
    for ms, has in ((1, []), (0, ["Bearer " + TWO])):  # 1970; no end
        g.stub.UpdateProvider(pb.UpdateProviderRequest(
            provider=dm.Provider(metadata=dm.ObjectMeta(name="short")), credential_expires_at_ms={"SHORT_TOKEN": ms}))
        until(lambda: ask(s, "SHORT_TOKEN")[2] == has)  # noqa: B023


def an_update_that_would_collide_is_none():
    sandbox("expiring-2", ["long", "short"])
    before = config(s).provider_env_revision
    equal(code_of(lambda: update("long", SHORT_TOKEN=ONE)), (
        "FAILED_PRECONDITION", "SHORT_TOKEN is set by provider 'short', which is attached beside 'long' to "
        "sandbox(es): expiring, expiring-2; detach one of them first"))
    equal((config(s).provider_env_revision, ask(s, "SHORT_TOKEN")[2]), (before, ["Bearer " + TWO]))
    update("short", THIRD_TOKEN=ONE)
    assert "THIRD_TOKEN=" in run(s, "/usr/bin/env")[1]


def nowhere_else():
    for value in (ONE, TWO, SECOND):
        equal(is_anywhere(value), [])
    names = {}
    for pid in everything():
        name = boxlib.comm(pid)
        if name in ("cove-gateway", "cove-nursery", "cove-blank", "cove-supervisor", "cove-init", "sleep"):
            names[name] = names.get(name, 0) + 1
            for value in (ONE, TWO, SECOND):
                assert not (at := memory_has(pid, [value.encode()])), f"{name} {pid}: {at}"
    assert names.get("cove-gateway") == names.get("cove-nursery") == 1 and names.get("cove-supervisor", 0) >= 2, names
    print("# searched:", names)


def everything():
    """Processes of this network or of the gateway's sandboxes: all whose root or cgroup we may see."""
    mine = {g.process.pid}
    for name in os.listdir("/proc"):
        if name.isdigit() and g.state in _environment(name):
            mine.add(int(name))
    for pid in list(mine):
        mine |= set(boxlib.descendants(pid))
    return mine


def _environment(pid):
    try:
        return " ".join([os.readlink(f"/proc/{pid}/cwd"), *look.paths(int(pid)).values()])
    except (OSError, look.Unavailable):  # gone, or none of ours
        return ""


try:
    for check in (attached_at_create, only_as_policy_allows, updated_live, attached_live, detached_live,
                  to_one_that_had_none, not_in_its_memory, gateway_comes_back, refused_before_it_holds,
                  one_that_expires_takes_no_other_along, an_update_that_would_collide_is_none, nowhere_else):
        tap.check(check.__name__.replace("_", " "), check)
        if tap.failed and os.environ.get("CV_TEST_LOG"):
            print("\n".join("# " + x for x in g.lines[-20:]))
finally:
    for name in ("box", "bare", "other", "expiring", "expiring-2"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
