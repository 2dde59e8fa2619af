#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Providers of sandboxes: attached, detached, and there when a sandbox is started.

Goal: the agent sees a placeholder and never the value; what can't stand together is refused before a
start fails for it.  Method: a gateway with real sandboxes.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402
import rpclab  # noqa: E402

SECRET = "ghp_cove0123456789SECRETvalue"
g = gatewaylab.Gateway()
pb, stub, dm = g.pb, g.stub, rpclab.module("datamodel_pb2")
number = 0


def equal(name, got, want):
    global number
    number += 1
    print(f"{'ok' if got == want else 'not ok'} {number} - {name}", flush=True)
    if got != want:
        print(f"# got {got!r}, want {want!r}")


def attach(provider, **kw):
    return code_of(lambda: stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
        sandbox_name="box", provider_name=provider, **kw)))


def detach(provider):
    return stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(
        sandbox_name="box", provider_name=provider)).detached


def sandbox(name, providers=()):
    stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "100"], providers=providers)))


try:
    for name, key in (("a", "GITHUB_TOKEN"), ("b", "GITHUB_TOKEN"), ("c", "OTHER")):
        stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
            metadata=dm.ObjectMeta(name=name), type="github", credentials={key: SECRET})))
    sandbox("box")
    code, r = attach("a")
    equal("attached", (code, r.attached, list(r.sandbox.spec.providers)), ("OK", True, ["a"]))
    equal("twice", attach("a")[1].attached, False)
    equal("two that set one variable", attach("b"), (
        "FAILED_PRECONDITION", "providers 'a' and 'b' both set GITHUB_TOKEN; attach one of them"))
    equal("and the same at the creation", code_of(lambda: sandbox("both", ["c", "a", "b"])), (
        "FAILED_PRECONDITION", "providers 'a' and 'b' both set GITHUB_TOKEN; attach one of them"))
    equal("one that is not there, at the creation", code_of(lambda: sandbox("none", ["a", "nosuch"])), (
        "FAILED_PRECONDITION", "provider 'nosuch' not found"))
    sb = rpclab.module("sandbox_pb2")
    rule = sb.NetworkPolicyRule(endpoints=[{"host": "api.github.com", "port": 443, "tls": "skip"}],
                                binaries=[{"path": "/usr/bin/curl"}])
    code, why = code_of(lambda: stub.CreateSandbox(pb.CreateSandboxRequest(name="none", spec=pb.SandboxSpec(
        providers=["a"], policy=sb.SandboxPolicy(version=1, network_policies={"x": rule})))))
    equal("a policy that its provider's does not go with", (code, "ambiguity" in why), ("FAILED_PRECONDITION", True))
    equal("and none of them is there", [x.metadata.name for x in stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes],
          ["box"])
    equal("none of that name", attach("nosuch"), ("FAILED_PRECONDITION", "provider 'nosuch' not found"))
    equal("another version", attach("c", expected_resource_version=99)[0], "ABORTED")
    equal("the list", [p.metadata.name for p in stub.ListSandboxProviders(
        pb.ListSandboxProvidersRequest(sandbox_name="box")).providers], ["a"])
    code, why = code_of(lambda: stub.DeleteProvider(pb.DeleteProviderRequest(name="a")))
    equal("one that is attached stays", (code, "sandbox(es): box" in why), ("FAILED_PRECONDITION", True))
    equal("detached once", (detach("a"), detach("a")), (True, False))
    sandbox("two", ["a"])
    box = until(lambda: (s := stub.GetSandbox(pb.GetSandboxRequest(name="two")).sandbox).status.phase in (2, 3) and s)
    out = "".join(str(e) for e in stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=box.metadata.id, command=["/usr/bin/env"]), timeout=20))
    equal("a variable, and not its value", ("GITHUB_TOKEN=" in out, SECRET in out), (True, False))
finally:
    for name in ("box", "two"):
        code_of(lambda: stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(0.5)
    g.close()
print(f"1..{number}")
