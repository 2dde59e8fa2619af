#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a request that leaves out what it is about, or filters by a word that means nothing, is told
the field; and a sandbox may be named by its name or its id wherever one is named.
Method: the rpcs against a real gateway without a sandbox's start."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
sb = gatewaylab.rpclab.module("sandbox_pb2")


def code_of(method, **kw):
    request = getattr(pb, method + "Request")(**kw)
    call = getattr(g.stub, method)
    return gatewaylab.code_of(lambda: list(call(request)) if method == "WatchSandbox" else call(request))


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def what_is_left_out_is_named():
    for method, field, kw in (
            ("GetSandbox", "name", {}), ("DeleteSandbox", "name", {}), ("StopSandbox", "name", {}),
            ("StartSandbox", "name", {}), ("WatchSandbox", "id", {}), ("GetSandboxLogs", "sandbox_id", {}),
            ("ExposeService", "sandbox", {"target_port": 80}), ("GetService", "sandbox", {}),
            ("GetProvider", "name", {}), ("DeleteProvider", "name", {}), ("GetProviderProfile", "id", {}),
            ("DeleteProviderProfile", "id", {}), ("ListSandboxProviders", "sandbox_name", {}),
            ("AttachSandboxProvider", "sandbox_name", {"provider_name": "p"}),
            ("AttachSandboxProvider", "provider_name", {"sandbox_name": "one"}),
            ("DetachSandboxProvider", "provider_name", {"sandbox_name": "one"}),
            ("GetDraftPolicy", "name", {}), ("ListSandboxPolicies", "name", {}),
            ("ApproveDraftChunk", "chunk_id", {"name": "one"}),
            ("RejectDraftChunk", "chunk_id", {"name": "one"}), ("DeleteWorkspace", "name", {}),
            ("GetWorkspace", "name", {})):
        said = code_of(method, **kw)
        assert said == ("INVALID_ARGUMENT", field + " is required"), (method, said)


def a_sandbox_has_a_name_and_an_id():
    for who in ("one", box):
        for method, kw in (
                ("GetSandbox", {"name": who}), ("GetSandboxPolicyStatus", {"name": who}),
                ("ListSandboxPolicies", {"name": who}), ("GetDraftPolicy", {"name": who}),
                ("GetDraftHistory", {"name": who}), ("ListSandboxProviders", {"sandbox_name": who}),
                ("AttachSandboxProvider", {"sandbox_name": who, "provider_name": "prov"}),
                ("DetachSandboxProvider", {"sandbox_name": who, "provider_name": "prov"}),
                ("UpdateConfig", {"name": who, "setting_key": "ocsf_json_enabled",
                                  "setting_value": sb.SettingValue(bool_value=True)})):
            said = code_of(method, **kw)
            assert said[0] == "OK", (method, kw, said)


def an_id_is_of_its_workspace():
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="w2"))
    for method, kw in (("GetSandbox", {"name": box}), ("StopSandbox", {"name": box}), ("DeleteSandbox", {"name": box}),
                       ("ListSandboxProviders", {"sandbox_name": box}), ("GetSandboxPolicyStatus", {"name": box})):
        assert code_of(method, workspace="w2", **kw)[0] == "NOT_FOUND", method
    assert code_of("GetSandbox", workspace="default", name=box)[0] == "OK"


def a_name_is_no_id():
    for name in (box, "00000000-0000-0000-0000-000000000000"):
        assert code_of("CreateSandbox", name=name, spec={}) == (
            "INVALID_ARGUMENT", f"name '{name}' has the form of an id"), name
    assert code_of("GetSandbox", name=box)[1].sandbox.metadata.name == "one"


def its_configuration_by_either():
    for who in ("one", box):
        said = gatewaylab.code_of(lambda: g.stub.GetSandboxConfig(sb.GetSandboxConfigRequest(sandbox_id=who)))  # noqa: B023
        assert said[0] == "OK", (who, said)
    assert gatewaylab.code_of(lambda: g.stub.GetSandboxConfig(sb.GetSandboxConfigRequest())) == (
        "INVALID_ARGUMENT", "sandbox_id is required")
    assert g.get("/v1/sandboxes/one/config")[0] == 200


def a_version_that_is_not_it():
    for method in ("AttachSandboxProvider", "DetachSandboxProvider"):
        said = code_of(method, sandbox_name="one", provider_name="prov", expected_resource_version=99)
        assert said[0] == "ABORTED" and "concurrent modification" in said[1], said
        assert code_of(method, sandbox_name="one", provider_name="prov")[0] == "OK"
        said = code_of(method, sandbox_name="one", provider_name="prov", expected_resource_version=99)
        assert said[0] == "ABORTED", (method, "and nothing to do", said)


def filters_of_lines_are_words():
    levels = "is not one of TRACE, DEBUG, INFO, WARN, ERROR"
    assert code_of("GetSandboxLogs", sandbox_id=box, min_level="BOGUS") == (
        "INVALID_ARGUMENT", "min_level: 'BOGUS' " + levels)
    assert code_of("GetSandboxLogs", sandbox_id=box, sources=["gateway", "bogus"]) == (
        "INVALID_ARGUMENT", "sources: 'bogus' is not one of gateway, sandbox")
    assert code_of("WatchSandbox", id=box, log_min_level="x") == (
        "INVALID_ARGUMENT", "log_min_level: 'x' " + levels)
    for word in ("warn", "ERROR", "Trace", ""):
        assert code_of("GetSandboxLogs", sandbox_id=box, min_level=word)[0] == "OK"


def a_provider_is_attached_once():
    code, said = code_of("CreateSandbox", name="two", spec={"providers": ["prov", "prov"]})
    assert (code, said) == ("INVALID_ARGUMENT", "spec.providers names 'prov' twice"), (code, said)


try:
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name="one", spec={})).sandbox.metadata.id
    g.stub.CreateProvider(pb.CreateProviderRequest(
        provider={"metadata": {"name": "prov"}, "type": "generic", "credentials": {"KEY": "v"}}))
    for f in (what_is_left_out_is_named, a_sandbox_has_a_name_and_an_id, an_id_is_of_its_workspace,
              a_name_is_no_id, its_configuration_by_either, a_version_that_is_not_it, filters_of_lines_are_words,
              a_provider_is_attached_once):
        check(f)
finally:
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="one"))
    g.close()
tap.done()
