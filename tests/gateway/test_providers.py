#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Providers and their profiles, over gRPC, with a real vault and a real store.

Goal: a value that goes in never comes out again: not in an answer, not in the store, not in the log;
rules, codes and sentences are those of the API.  Method: a gateway and its client; the state
directory is searched for the values.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
from gatewaylab import code_of  # noqa: E402
import rpclab  # noqa: E402

SECRET, OTHER = "ghp_cove0123456789SECRETvalue", "sk-cove-ANOTHER-secret"
g = gatewaylab.Gateway()
pb = g.pb
dm = rpclab.module("datamodel_pb2")
sb = rpclab.module("sandbox_pb2")
stub = g.stub
number = 0


def test(name):
    def run(f):
        global number
        number += 1
        try:
            f()
            print(f"ok {number} - {name}", flush=True)
        except Exception as e:  # noqa: BLE001
            import traceback
            traceback.print_exc()
            print(f"not ok {number} - {name}: {e!r}", flush=True)
    return run


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def provider(name, type="github", credentials=None, **more):
    return dm.Provider(metadata=dm.ObjectMeta(name=name, **more.pop("meta", {})), type=type,
                       credentials=credentials or {}, **more)


def create(*args, workspace="", **kw):
    return stub.CreateProvider(pb.CreateProviderRequest(provider=provider(*args, **kw),
                                                        workspace=workspace)).provider


def get(name):
    return stub.GetProvider(pb.GetProviderRequest(name=name)).provider


def update(name, type="", expires=None, **kw):
    return stub.UpdateProvider(pb.UpdateProviderRequest(
        provider=provider(name, type, **kw), credential_expires_at_ms=expires or {})).provider


def is_anywhere(text):
    """In a file of the state directory, or in the log."""
    r = subprocess.run(["grep", "-rlaF", text, g.state], capture_output=True, text=True, check=False)
    return r.stdout.split() + [x for x in g.lines if text in x]


@test("a provider is made; its value is nowhere")
def _():
    p = create("gh", "github", {"GITHUB_TOKEN": SECRET}, config={"GITHUB_API_URL": "https://x.test"})
    equal((p.metadata.name, p.metadata.workspace, p.type), ("gh", "default", "github"))
    equal(dict(p.credentials), {})
    equal(list(p.credential_handles), ["GITHUB_TOKEN"])
    equal(p.metadata.resource_version, 1)
    assert SECRET not in str(p) and len(p.credential_handles["GITHUB_TOKEN"].handle) < 40
    equal(is_anywhere(SECRET), [])
    equal(get("gh"), p)


@test("an alias is the profile that it means; the key file is ours alone")
def _():
    equal(create("alias", "gh", {"GH_TOKEN": OTHER}).type, "github")
    equal(os.stat(os.path.join(g.state, "key")).st_mode & 0o777, 0o600)
    stub.DeleteProvider(pb.DeleteProviderRequest(name="alias"))


@test("what is refused, and how")
def _():
    big = "x" * 40000
    for call, code, words in [
        (lambda: create("gh", "github", {"A": "b"}), "ALREADY_EXISTS", "provider already exists"),
        (lambda: create("x", "nosuch"), "INVALID_ARGUMENT", "unsupported provider type or profile: nosuch"),
        (lambda: create("x", ""), "INVALID_ARGUMENT", "provider.type is required"),
        (lambda: create("x", "g" * 65), "INVALID_ARGUMENT", "provider.type exceeds maximum length (65 > 64)"),
        (lambda: create("x", "github", {f"K{i}": "v" for i in range(33)}), "INVALID_ARGUMENT",
         "provider.credentials exceeds maximum entries (33 > 32)"),
        (lambda: create("x", "github", config={f"K{i}": "v" for i in range(65)}), "INVALID_ARGUMENT",
         "provider.config exceeds maximum entries (65 > 64)"),
        (lambda: create("x", "github", {"BAD-KEY": "v"}), "INVALID_ARGUMENT", "BAD-KEY"),
        (lambda: create("x", "github", {"K": "line\nbreak"}), "INVALID_ARGUMENT", "line break"),
        (lambda: create("x", "github", {"K": big}), "INVALID_ARGUMENT", "exceeds maximum length (40000"),
        (lambda: create("x", "github", profile_workspace="other"), "INVALID_ARGUMENT", "profile_workspace"),
        (lambda: create("x", "github", {"K": "v"}, credential_expires_at_ms={"L": 1}), "INVALID_ARGUMENT",
         "no credential L"),
        (lambda: create("a/b", "github"), "INVALID_ARGUMENT", "name"),
        (lambda: create("x", workspace="nosuch"), "NOT_FOUND", "workspace not found"),
        (lambda: get("nosuch"), "NOT_FOUND", "provider not found"),
        (lambda: update("nosuch"), "NOT_FOUND", "provider not found"),
        (lambda: stub.CreateProvider(pb.CreateProviderRequest()), "INVALID_ARGUMENT", "provider is required"),
        (lambda: stub.ListProviders(pb.ListProvidersRequest(workspace="default", all_workspaces=True)),
         "INVALID_ARGUMENT", "exclude"),
    ]:
        got, why = code_of(call)
        assert got == code and words in str(why), (got, why, code, words)
    equal(code_of(lambda: get("x"))[0], "NOT_FOUND")


@test("labels and annotations are checked, and merged, too")
def _():
    create("noted", "generic", meta={"labels": {"a": "1"}, "annotations": {"b/c": "two words"}})
    m = update("noted", meta={"labels": {"d": "2"}, "annotations": {"e": ""}}).metadata
    equal((dict(m.labels), dict(m.annotations)), ({"a": "1", "d": "2"}, {"b/c": "two words", "e": ""}))
    for meta, words in (({"annotations": {"no key": "x"}}, "provider.metadata.annotations key 'no key' is invalid"),
                        ({"annotations": {f"k{i}": "" for i in range(127)}}, "annotations exceeds maximum entries"),
                        ({"annotations": {"k": "x" * 300000}}, "annotations exceeds maximum total size"),
                        ({"labels": {f"k{i}": "" for i in range(63)}}, "labels exceeds maximum entries")):
        got, why = code_of(lambda: update("noted", meta=meta))  # pylint: disable=cell-var-from-loop
        assert got == "INVALID_ARGUMENT" and words in why, (got, why)
    equal(get("noted").metadata, m)
    stub.DeleteProvider(pb.DeleteProviderRequest(name="noted"))


@test("an update merges")
def _():
    before = get("gh").credential_handles["GITHUB_TOKEN"].handle
    p = update("gh", config={"MORE": "1"})
    equal(dict(p.config), {"GITHUB_API_URL": "https://x.test", "MORE": "1"})
    equal(p.credential_handles["GITHUB_TOKEN"].handle, before)
    p = update("gh", credentials={"GITHUB_TOKEN": OTHER, "GH_TOKEN": SECRET}, expires={"GH_TOKEN": 5000})
    assert p.credential_handles["GITHUB_TOKEN"].handle != before
    equal(dict(p.credential_expires_at_ms), {"GH_TOKEN": 5000})
    p = update("gh", expires={"GH_TOKEN": 0})
    equal(dict(p.credential_expires_at_ms), {})
    p = update("gh", credentials={"GH_TOKEN": ""}, config={"MORE": ""})
    equal((list(p.credential_handles), list(p.config)), (["GITHUB_TOKEN"], ["GITHUB_API_URL"]))
    equal(is_anywhere(OTHER) + is_anywhere(SECRET), [])
    got, why = code_of(lambda: update("gh", "openai"))
    assert got == "INVALID_ARGUMENT" and "type cannot be changed" in why, (got, why)
    equal(update("gh", "gh").type, "github")
    got, why = code_of(lambda: update("gh", meta={"resource_version": 1}))
    assert got == "ABORTED" and "resource_version" in why, (got, why)


@test("a list has pages")
def _():
    for i in range(5):
        create(f"p{i}", "generic", {"K": "v"})
    page = stub.ListProviders(pb.ListProvidersRequest(limit=2, offset=1)).providers
    equal([p.metadata.name for p in page], ["p0", "p1"])
    equal(len(stub.ListProviders(pb.ListProvidersRequest(all_workspaces=True)).providers), 6)
    for i in range(5):
        equal(stub.DeleteProvider(pb.DeleteProviderRequest(name=f"p{i}")).deleted, True)


@test("a vault that dies is started again")
def _():
    out = subprocess.run(["pgrep", "-P", str(g.process.pid), "cove-keeper"], capture_output=True,
                         text=True, check=True).stdout.split()
    equal(len(out), 1)
    os.kill(int(out[0]), 9)
    equal(create("again", "github", {"K": "v"}).metadata.name, "again")
    stub.DeleteProvider(pb.DeleteProviderRequest(name="again"))


@test("profiles: the built-in ones, whole")
def _():
    profiles = stub.ListProviderProfiles(pb.ListProviderProfilesRequest()).profiles
    names = [p.id for p in profiles]
    equal(names, sorted(names))
    assert {"github", "claude-code", "aws-s3"} <= set(names)
    p = stub.GetProviderProfile(pb.GetProviderProfileRequest(id="github")).profile
    equal((p.source, p.scope, p.resource_version), ("builtin", "", 0))
    equal(p.credentials[0].env_vars, ["GITHUB_TOKEN", "GH_TOKEN"])
    equal((p.endpoints[0].host, p.endpoints[0].access), ("api.github.com", "read-only"))
    assert any(r.allow.path == "/**/git-upload-pack" for r in p.endpoints[1].rules)
    equal(code_of(lambda: stub.GetProviderProfile(pb.GetProviderProfileRequest(id="nosuch"))),
          ("NOT_FOUND", "provider profile 'nosuch' not found"))
    again = stub.LintProviderProfiles(pb.LintProviderProfilesRequest(
        profiles=[pb.ProviderProfileImportItem(profile=x, source=x.id) for x in profiles]))
    assert again.valid, again  # what we say of a profile we read again


def mine(id="mine", **kw):
    return pb.ProviderProfile(
        id=id, display_name="Mine", category=2,
        credentials=[pb.ProviderProfileCredential(name="token", env_vars=["MINE_TOKEN"])],
        endpoints=[sb.NetworkEndpoint(host="api.mine.test", port=443, protocol="rest",
                                      enforcement="enforce", access="read-only")],
        binaries=[sb.NetworkBinary(path="/usr/bin/curl")], **kw)


def item(p, source="mine.yaml"):
    return pb.ProviderProfileImportItem(profile=p, source=source)


@test("profiles: import, update, delete")
def _():
    r = stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(
        profiles=[item(mine(source="builtin", resource_version=77))]))
    assert r.imported, r
    equal((r.profiles[0].source, r.profiles[0].scope, r.profiles[0].resource_version),
          ("user", "platform", 1))
    r = stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[item(mine())]))
    equal((r.imported, r.diagnostics[0].message, r.diagnostics[0].severity, r.diagnostics[0].source),
          (False, "custom provider profile 'mine' already exists", "error", "mine.yaml"))
    equal(create("m", "mine", {"MINE_TOKEN": SECRET}).type, "mine")
    for q, code in [
        (pb.UpdateProviderProfilesRequest(profile=item(mine()), id="mine"), "INVALID_ARGUMENT"),
        (pb.UpdateProviderProfilesRequest(profile=item(mine("other")), id="mine",
                                          expected_resource_version=1), "INVALID_ARGUMENT"),
        (pb.UpdateProviderProfilesRequest(profile=item(mine()), id="mine",
                                          expected_resource_version=9), "ABORTED"),
        (pb.UpdateProviderProfilesRequest(profile=item(mine("none")), id="none",
                                          expected_resource_version=9), "NOT_FOUND"),
    ]:
        equal(code_of(lambda: stub.UpdateProviderProfiles(q))[0], code)
    changed = mine(resource_version=1)
    changed.description = "changed"
    r = stub.UpdateProviderProfiles(pb.UpdateProviderProfilesRequest(profile=item(changed), id="mine"))
    equal((r.updated, r.profile.resource_version, r.profile.description), (True, 2, "changed"))
    got, why = code_of(lambda: stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(id="mine")))
    assert got == "FAILED_PRECONDITION" and "provider 'm'" in why, (got, why)
    stub.DeleteProvider(pb.DeleteProviderRequest(name="m"))
    equal(stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(id="mine")).deleted, True)
    equal(stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(id="mine")).deleted, False)
    got, why = code_of(lambda: stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(id="github")))
    assert got == "FAILED_PRECONDITION" and "built-in" in why, (got, why)


@test("profiles: a workspace's own comes first; one error, and nothing is imported")
def _():
    bad = mine("bad")
    bad.endpoints[0].access = "all-of-it"
    r = stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(
        profiles=[item(mine("good")), item(bad, "bad.yaml")]))
    equal(r.imported, False)
    assert any(d.severity == "error" and d.source == "bad.yaml" and d.profile_id == "bad"
               for d in r.diagnostics), r
    equal(code_of(lambda: stub.GetProviderProfile(pb.GetProviderProfileRequest(id="good")))[0], "NOT_FOUND")
    for twice in ([mine("good"), mine("good")], [mine("Not Kebab")]):
        assert not stub.LintProviderProfiles(pb.LintProviderProfilesRequest(
            profiles=[item(p) for p in twice])).valid
    bad = mine("bad")
    bad.credentials[0].header_name = "X-Key: a\r\nHost"
    d = stub.LintProviderProfiles(pb.LintProviderProfilesRequest(profiles=[item(bad)])).diagnostics[0]
    assert d.field == "credentials[0]" and d.message.startswith("header_name 'X-Key: a"), d
    stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(
        profiles=[item(mine("github"))], workspace="default"))
    p = stub.GetProviderProfile(pb.GetProviderProfileRequest(id="github", workspace="default")).profile
    equal((p.scope, p.display_name), ("workspace", "Mine"))
    p = stub.GetProviderProfile(pb.GetProviderProfileRequest(id="github")).profile
    equal(p.source, "builtin")


@test("everything is there after kill -9, and the vault opens what it sealed before")
def _():
    before = get("gh")
    g.kill()
    g.start()
    global stub
    stub = g.stub
    equal(get("gh"), before)
    p = update("gh", credentials={"GH_TOKEN": "new"})
    equal(sorted(p.credential_handles), ["GH_TOKEN", "GITHUB_TOKEN"])


g.close()
print(f"1..{number}")
