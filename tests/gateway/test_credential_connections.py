#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: in a gateway's sandbox a connection to an upstream is used again by requests with the same credential,
and by none once the credential was changed, detached or attached again: not even if the value is the same.
Method: a real TLS server that keeps each connection's requests apart, a provider of a user's profile, curl."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST, ONE, TWO = "api.test", "v4lue-ONE-0123456789abcdef", "v4lue-TWO-0123456789abcdef"
w = world.World([HOST])
origin = credlab.Origin(w.pki)
g = gatewaylab.Gateway(config={"resolve": [f"{HOST}:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca]})
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")


def ask(key="MY_TOKEN", times=1):
    """So many programs' one request each, and at once after each other; all were answered."""
    one = f'/usr/bin/curl -sS --max-time 10 -H "Authorization: Bearer ${key}" https://{HOST}/x'
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=box.metadata.id, command=["/bin/sh", "-c", "; ".join([one] * times)]), timeout=40))
    return (said.code, said.both.decode(errors="replace")) == (0, "ok" * times) or (said.code, said.both)


def values(before):
    """Which value each request of each new connection carried."""
    return [[v for r in c.data.split(b"\r\n\r\n")[:-1] for v in credlab.field(r + b"\r\n\r\n", "authorization")]
            for c in origin.connections[before:]]


def is_shared():
    before = len(origin.connections)
    assert (r := ask(times=3)) is True, r
    credlab.equal(values(before), [["Bearer " + ONE] * 3])


def is_another_after(change, want):
    def check():
        assert (r := ask(times=2)) is True, r
        before = len(origin.connections)
        old = [len(v) for v in values(0)]
        change()
        until(lambda: ask() is True)
        credlab.equal(values(before), [["Bearer " + want]])
        credlab.equal([len(v) for v in values(0)][:before], old, "an old connection was used again")
    return check


def update(value):
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="p"), credentials={"MY_TOKEN": value})))
    time.sleep(0.5)


def reattach():
    g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(sandbox_name="box", provider_name="p"))
    until(lambda: ask() is not True)
    g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(sandbox_name="box", provider_name="p"))


try:
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id="mine", display_name="mine", category=1,
            credentials=[pb.ProviderProfileCredential(name="my_token", env_vars=["MY_TOKEN"])],
            endpoints=[sb.NetworkEndpoint(host=HOST, port=443, protocol="rest", enforcement="enforce", access="full")],
            binaries=[sb.NetworkBinary(path="/usr/bin/curl")]))]))
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="p"), type="mine", credentials={"MY_TOKEN": ONE})))
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name="box", spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], providers=["p"])))
    box = until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name="box")).sandbox).status.phase == 2 and s)
    for title, check in [("t22 programs with the same credential share a connection", is_shared),
                         ("t22 none with another value", is_another_after(lambda: update(TWO), TWO)),
                         ("t22 none after it was detached and attached again", is_another_after(reattach, TWO))]:
        tap.check(title, check)
finally:
    code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="box")))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
