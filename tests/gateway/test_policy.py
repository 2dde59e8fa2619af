#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a sandbox's policy over gRPC: revisions and their status as the sandbox's own proxy reports it,
merges, what is refused and with which words, settings and their scopes, the global policy, proposals
from an agent and from denied connections, their review, and that all of it survives the gateway.
Method: a real gateway, real sandboxes, grpcio."""
import base64
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402

CURL = "/usr/bin/curl"
G = pb = sb = None
NAME, ID, AGENT = "box", "", None
results = []


def case(function):
    results.append(function)
    return function


def expect(got, wanted, what=""):
    if got != wanted:
        raise AssertionError("%s: %r, not %r" % (what, got, wanted))


def refused(code, words, **request):
    got = gatewaylab.code_of(lambda: G.stub.UpdateConfig(pb.UpdateConfigRequest(**request)))
    expect(got[0], code, got)
    if words not in got[1]:
        raise AssertionError("%r is not in %r" % (words, got[1]))


def update(**request):
    return G.stub.UpdateConfig(pb.UpdateConfigRequest(name=NAME, **request))


def rule(host, port=443, binary=CURL, **more):
    return sb.NetworkPolicyRule(endpoints=[sb.NetworkEndpoint(host=host, port=port, **more)],
                                binaries=[sb.NetworkBinary(path=binary)] if binary else [])


def policy(**rules):
    return sb.SandboxPolicy(version=1, network_policies=rules)


def add(host, name="", **more):
    return pb.PolicyMergeOperation(add_rule=pb.AddNetworkRule(rule_name=name, rule=rule(host, **more)))


def status(version=0):
    return G.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name=NAME, version=version))


def loaded(version, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        r = status(version)
        if r.revision.status != pb.POLICY_STATUS_PENDING:
            return pb.PolicyStatus.Name(r.revision.status)
        time.sleep(0.05)
    return "still PENDING"


def config():
    return G.stub.GetSandboxConfig(sb.GetSandboxConfigRequest(sandbox_id=ID))


def ready(name, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s = G.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox
        if s.status.phase == pb.SANDBOX_PHASE_READY:
            return s
        time.sleep(0.05)
    raise AssertionError("not ready: %s" % s)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sandbox_token(identity):
    """A token as the gateway mints them, made with its key."""
    jwt = os.path.dirname(glob.glob(os.path.join(G.state, "**/signing.pem"), recursive=True)[0])
    with open(os.path.join(jwt, "kid"), encoding="ascii") as f:
        kid = f.read().strip()
    issuer = "openshell-gateway:" + G.logged(" id=").split(" id=")[1].split()[0]
    claims = {"sub": "spiffe://openshell/sandbox/" + identity, "iss": issuer, "aud": issuer,
              "iat": int(time.time()), "exp": 0, "sandbox_id": identity}
    head = {"alg": "EdDSA", "kid": kid, "typ": "JWT"}
    signed = b".".join(b64(json.dumps(v).encode()) for v in (head, claims))
    with tempfile.NamedTemporaryFile() as f:
        f.write(signed)
        f.flush()
        mac = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", os.path.join(jwt, "signing.pem"),
                              "-in", f.name], check=True, capture_output=True).stdout
    return (signed + b"." + b64(mac)).decode()


def curl(*words):
    """The exit status of a curl in the sandbox."""
    for event in G.stub.ExecSandbox(pb.ExecSandboxRequest(
            sandbox_id=ID, command=[CURL, "-sS", "-m", "5", "-o", "/dev/null", *words])):
        if event.WhichOneof("payload") == "exit":
            return event.exit.exit_code
    return None


@case
def the_first_revision_is_the_specs():
    expect(loaded(1), "POLICY_STATUS_LOADED")
    r = status()
    expect((r.revision.version, r.active_version), (1, 1))
    expect(list(r.revision.policy.network_policies), ["start"])
    expect(len(r.revision.policy_hash), 64)
    expect(r.revision.policy.network_policies["start"].endpoints[0].ports[:], [443])


@case
def a_policy_is_set_and_its_proxy_loads_it():
    r = update(policy=policy(a=rule("a.test"), b=rule("b.test")), annotations={"why": "test"})
    expect(r.version, 2)
    expect(dict(r.annotations), {"why": "test"})
    expect(loaded(2), "POLICY_STATUS_LOADED")
    expect(dict(status(2).revision.provenance), {"why": "test"})
    expect(dict(G.stub.GetSandbox(pb.GetSandboxRequest(name=NAME)).sandbox.metadata.annotations), {"why": "test"})
    again = update(policy=policy(a=rule("a.test"), b=rule("b.test")))
    expect((again.version, again.policy_hash), (2, r.policy_hash), "nothing differs")


@case
def annotations_of_a_revision_are_checked_as_a_sandboxs():
    before = (status().revision.version, G.stub.GetSandbox(pb.GetSandboxRequest(name=NAME)).sandbox.metadata)
    some = policy(a=rule("not-yet.test"))
    refused("INVALID_ARGUMENT", "annotations key 'a b' is invalid", name=NAME, policy=some, annotations={"a b": "x"})
    refused("INVALID_ARGUMENT", "annotations exceeds maximum entries (129 > 128)", name=NAME, policy=some,
            annotations={"k%d" % i: "" for i in range(129)})
    refused("INVALID_ARGUMENT", "a setting has none", name=NAME, setting_key="ocsf_json_enabled",
            setting_value=sb.SettingValue(bool_value=True), annotations={"k": "x"})
    refused("INVALID_ARGUMENT", "annotations exceeds maximum total size", name=NAME, policy=some,
            annotations={"k": "x" * 300000})
    refused("INVALID_ARGUMENT", "annotations exceeds maximum entries", name=NAME, policy=some,
            annotations={"k%d" % i: "" for i in range(128)})  # and the one that is there
    expect((status().revision.version, G.stub.GetSandbox(pb.GetSandboxRequest(name=NAME)).sandbox.metadata), before)


@case
def merges_are_one_revision_or_none():
    r = update(merge_operations=[add("api.c-d.test"), pb.PolicyMergeOperation(
        remove_rule=pb.RemoveNetworkRule(rule_name="b"))])
    expect(sorted(status(r.version).revision.policy.network_policies), ["a", "allow_api_c_d_test_443"])
    before = status().revision.version
    refused("INVALID_ARGUMENT", "merge operation 1: there is no rule 'none'", name=NAME, merge_operations=[
        add("e.test"), pb.PolicyMergeOperation(remove_rule=pb.RemoveNetworkRule(rule_name="none"))])
    expect(status().revision.version, before)


@case
def what_is_refused():
    refused("INVALID_ARGUMENT", "exactly one of", name=NAME)
    refused("INVALID_ARGUMENT", "exactly one of", name=NAME, policy=policy(), setting_key="x")
    refused("NOT_FOUND", "sandbox not found", name="nobody", policy=policy())
    refused("INVALID_ARGUMENT", "belong to providers", name=NAME, policy=policy(_provider_x=rule("a.test")))
    refused("INVALID_ARGUMENT", "network_policies.a.endpoints[0].port: 70000", name=NAME,
            policy=policy(a=rule("a.test", port=70000)))
    refused("INVALID_ARGUMENT", "landlock policy cannot be changed on a live sandbox (applied at startup)",
            name=NAME, policy=sb.SandboxPolicy(landlock=sb.LandlockPolicy(compatibility="hard_requirement")))
    refused("INVALID_ARGUMENT", "policy contains unsafe content", name=NAME, policy=policy(a=rule("*")))
    refused("FAILED_PRECONDITION", "network endpoint ambiguity validation failed:\n", name=NAME, policy=policy(
        a=rule("a.test", protocol="rest", access="full", enforcement="enforce"),
        b=rule("a.test", protocol="rest", access="full")))
    refused("FAILED_PRECONDITION", "credentialed endpoint 'a.test:443' in rule 'a' uses L4 passthrough; configure",
            name=NAME, policy=policy(a=rule("a.test", credential_binding=sb.NetworkCredentialBinding(provider="p"))))
    refused("ABORTED", "current resource_version: ", name=NAME, policy=policy(), expected_resource_version=99)
    refused("INVALID_ARGUMENT", "policy exceeds maximum encoded size", name=NAME,
            policy=policy(**{"r%d" % i: rule("h%d.test" % i, binary="/usr/bin/" + "x" * 200) for i in range(1200)}))
    many = pb.UpdateConfigRequest(name=NAME, policy=policy(a=rule("a.test")))
    expect(gatewaylab.code_of(lambda: AGENT.UpdateConfig(many))[0], "PERMISSION_DENIED")


@case
def settings_have_scopes():
    true = sb.SettingValue(bool_value=True)
    refused("INVALID_ARGUMENT", "unknown setting key 'x'. Allowed keys: ", name=NAME, setting_key="x", setting_value=true)
    refused("INVALID_ARGUMENT", "expects a string value", name=NAME, setting_key="proposal_approval_mode",
            setting_value=true)
    update(setting_key="ocsf_json_enabled", setting_value=true)
    before = config()
    v = before.settings["ocsf_json_enabled"]
    expect((v.value.bool_value, v.scope), (True, sb.SETTING_SCOPE_SANDBOX))
    expect(sorted(before.settings), ["agent_policy_proposals_enabled", "ocsf_json_enabled",
                                     "proposal_approval_mode", "providers_v2_enabled"])
    G.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key="ocsf_json_enabled",
                                               setting_value=sb.SettingValue(bool_value=False)))
    v = config().settings["ocsf_json_enabled"]
    expect((v.value.bool_value, v.scope), (False, sb.SETTING_SCOPE_GLOBAL))
    if config().config_revision == before.config_revision:
        raise AssertionError("the fingerprint stayed")
    refused("FAILED_PRECONDITION", "setting 'ocsf_json_enabled' is managed globally", name=NAME,
            setting_key="ocsf_json_enabled", delete_setting=True)
    r = G.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key="ocsf_json_enabled",
                                                   delete_setting=True))
    expect(r.deleted, True)
    expect(update(setting_key="ocsf_json_enabled", delete_setting=True).deleted, True)
    expect(update(setting_key="ocsf_json_enabled", delete_setting=True).deleted, False)


@case
def a_global_policy_replaces_all():
    mine = config()
    r = G.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, policy=policy(g=rule("g.test"))))
    now = config()
    expect((list(now.policy.network_policies), now.policy_source, now.global_policy_version),
           (["g"], sb.POLICY_SOURCE_GLOBAL, r.version))
    refused("FAILED_PRECONDITION", "policy is managed globally; ", name=NAME, policy=policy())
    refused("FAILED_PRECONDITION", "policy is managed globally; ", name=NAME, merge_operations=[add("x.test")])
    refused("INVALID_ARGUMENT", "not supported with global", **{"global": True}, name=NAME, policy=policy())
    expect(len(G.stub.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(**{"global": True})).revisions), 1)
    G.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key="policy", delete_setting=True))
    expect(config().policy_hash, mine.policy_hash)


@case
def the_same_revision_again_is_no_newer_one():
    """Settings and providers push it, too, several times before the proxy has judged it once."""
    r = update(policy=policy(burst=rule("burst.test")))
    for i in range(20):
        update(setting_key="ocsf_json_enabled", setting_value=sb.SettingValue(bool_value=bool(i % 2)))
    expect(loaded(r.version), "POLICY_STATUS_LOADED")
    update(setting_key="ocsf_json_enabled", delete_setting=True)
    revisions = G.stub.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name=NAME, limit=100)).revisions
    expect([(v.version, v.load_error) for v in revisions
            if v.status == pb.POLICY_STATUS_LOADED and v.load_error], [])
    lines = G.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=ID, lines=1000)).logs
    expect([x.message for x in lines if f"revision {r.version} refused" in x.message], [])


@case
def providers_lay_their_rules_over_it():
    before = config().policy_hash
    dm = rpclab.module("datamodel_pb2")
    G.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="gh"), type="github", credentials={"GITHUB_TOKEN": "ghp_" + "x" * 36})))
    G.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(sandbox_name=NAME, provider_name="gh"))
    rules = config().policy.network_policies
    expect("_provider_gh" in rules, True, list(rules))
    expect("_provider_gh" in status().revision.policy.network_policies, False, "derived, not stored")
    refused("FAILED_PRECONDITION", "credentialed endpoint 'api.github.com:443' in rule 'a' uses L4 passthrough",
            name=NAME, policy=policy(a=rule("api.github.com")))
    G.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(sandbox_name=NAME, provider_name="gh"))
    expect(config().policy_hash, before)


def submit(*chunks, mode="agent_authored"):
    return AGENT.SubmitPolicyAnalysis(pb.SubmitPolicyAnalysisRequest(
        name=NAME, analysis_mode=mode, proposed_chunks=list(chunks)))


def chunk(host, **more):
    return pb.PolicyChunk(rule_name=more.pop("name", ""), rationale="needed", proposed_rule=rule(host, **more))


def draft(which="pending"):
    return {c.id: c for c in G.stub.GetDraftPolicy(pb.GetDraftPolicyRequest(
        name=NAME, status_filter=which)).chunks}


def approve(c, token):
    return gatewaylab.code_of(lambda: G.stub.ApproveDraftChunk(pb.ApproveDraftChunkRequest(
        name=NAME, chunk_id=c, review_token=token)))


@case
def proposals_are_reviewed_as_they_were_seen():
    unsure = [pb.PolicyChunk(confidence=x, proposed_rule=rule("r.test")) for x in (-0.1, 1.1, float("nan"), float("inf"))]
    r = submit(*unsure)
    expect((r.accepted_chunks, set(r.rejection_reasons)),
           (0, {f"chunk {i}: confidence must be between 0 and 1" for i in range(4)}), r)
    r = submit(chunk("p.test"), chunk("169.254.169.254"), chunk("localhost"), chunk("q.test", port=6379))
    expect((r.accepted_chunks, r.rejected_chunks), (2, 2), r)
    clean, flagged = list(r.accepted_chunk_ids)
    shown = draft()
    expect(shown[clean].security_notes, "")
    expect(shown[flagged].security_notes, "port 6379 is that of Redis")
    expect("allow_p_test_443" in shown[clean].candidate_effective_policy.network_policies, True)
    expect("allow_p_test_443" in shown[clean].current_effective_policy.network_policies, False)
    expect(approve(clean, "")[0], "FAILED_PRECONDITION")
    expect(approve(clean, "no such token")[1].split(";")[0], "review token does not match the fetched proposal")
    token = shown[clean].review_token
    update(merge_operations=[add("changed.test")])
    expect(approve(clean, token)[1].split(";")[0], "proposal inputs changed")
    got = approve(clean, draft()[clean].review_token)
    expect(got[0], "OK", got)
    expect(loaded(got[1].policy_version), "POLICY_STATUS_LOADED")
    expect(approve(clean, token)[1], "chunk is approved, not pending")
    G.stub.UndoDraftChunk(pb.UndoDraftChunkRequest(name=NAME, chunk_id=clean))
    expect("allow_p_test_443" in config().policy.network_policies, False)
    G.stub.RejectDraftChunk(pb.RejectDraftChunkRequest(name=NAME, chunk_id=clean, reason="not now"))
    expect(draft("rejected")[clean].rejection_reason, "not now")
    newer = submit(chunk("q.test", port=6379)).accepted_chunk_ids[0]
    expect(draft("rejected")[flagged].rejection_reason, "superseded by " + newer)
    G.stub.EditDraftChunk(pb.EditDraftChunkRequest(name=NAME, chunk_id=newer, proposed_rule=rule("q.test")))
    expect((draft()[newer].security_notes, draft()[newer].binary), ("", CURL))
    G.stub.EditDraftChunk(pb.EditDraftChunkRequest(name=NAME, chunk_id=newer, proposed_rule=rule("q.test", binary=None)))
    expect(draft()[newer].binary, "", "the rule is for no program any more")
    G.stub.EditDraftChunk(pb.EditDraftChunkRequest(name=NAME, chunk_id=newer, proposed_rule=rule("q.test")))
    events = [e.event_type for e in G.stub.GetDraftHistory(pb.GetDraftHistoryRequest(name=NAME)).entries]
    expect(events, ["analysis_cycle", "analysis_cycle", "approved", "undone", "rejected", "rejected",
                    "analysis_cycle", "edited", "edited", "edited"])


@case
def all_of_them_at_once():
    submit(chunk("r.test"), chunk("s.test", port=22))
    shown = draft()
    tokens = [pb.DraftChunkApproval(chunk_id=i, review_token=c.review_token) for i, c in shown.items()]
    before = status().revision.version
    r = G.stub.ApproveAllDraftChunks(pb.ApproveAllDraftChunksRequest(name=NAME, approvals=tokens))
    expect((r.chunks_approved, r.chunks_skipped, r.policy_version), (2, 1, before + 1))
    expect(G.stub.ClearDraftChunks(pb.ClearDraftChunksRequest(name=NAME)).chunks_cleared, 1)


@case
def who_watches_hears_of_all_that_becomes_of_proposals():
    box = G.stub.GetSandbox(pb.GetSandboxRequest(name=NAME)).sandbox.metadata.id
    call = G.stub.WatchSandbox(pb.WatchSandboxRequest(id=box, follow_events=True), timeout=60)

    def told(pending, new):
        """An update with these numbers comes; those before it are of the same change."""
        for e in call:
            u = e.draft_policy_update
            if e.WhichOneof("payload") == "draft_policy_update" and u.total_pending == pending:
                expect(u.new_chunks, new)
                expect(u.draft_version, G.stub.GetDraftPolicy(pb.GetDraftPolicyRequest(name=NAME)).draft_version)
                return u
    next(call)
    one, two = submit(chunk("w.test"), chunk("v.test")).accepted_chunk_ids
    first = told(2, 2)
    G.stub.RejectDraftChunk(pb.RejectDraftChunkRequest(name=NAME, chunk_id=one, reason="no"))
    told(1, 0)
    expect(G.stub.ClearDraftChunks(pb.ClearDraftChunksRequest(name=NAME)).chunks_cleared, 1)
    u = told(0, 0)
    expect(u.draft_version > first.draft_version, True, u)
    expect(u.summary, "0 new, 0 pending")
    submit(chunk("u.test"))
    told(1, 1)
    G.stub.ClearDraftChunks(pb.ClearDraftChunksRequest(name=NAME))
    told(0, 0)
    call.cancel()


@case
def a_clean_one_is_approved_by_itself():
    update(setting_key="proposal_approval_mode", setting_value=sb.SettingValue(string_value="auto"))
    r = submit(chunk("auto.test"), chunk("*.many.test"))
    expect(draft("approved")[r.accepted_chunk_ids[0]].status, "approved")
    expect(draft()[r.accepted_chunk_ids[1]].security_notes, "'*.many.test' is many hosts")
    update(setting_key="proposal_approval_mode", delete_setting=True)
    G.stub.ClearDraftChunks(pb.ClearDraftChunksRequest(name=NAME))


@case
def denials_become_proposals():
    for _ in range(3):
        if not curl("https://denied.test/"):
            raise AssertionError("not denied")
    end = time.monotonic() + 20
    while not draft() and time.monotonic() < end:
        time.sleep(0.2)
    c = list(draft().values())[0]
    expect((c.rule_name, c.binary, c.confidence), ("allow_denied_test_443", CURL, 0.0))
    if c.hit_count < 3:
        raise AssertionError("%d hits" % c.hit_count)


@case
def all_of_it_survives():
    def facts():
        return (status().revision.policy_hash, config().policy_hash, sorted(draft("")),
                len(G.stub.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name=NAME)).revisions))
    before = facts()
    G.kill()
    G.start()
    expect(facts(), before)
    ready(NAME)
    r = update(merge_operations=[add("after.test")])
    expect(loaded(r.version), "POLICY_STATUS_LOADED")
    G.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=NAME))


def main():
    global G, pb, sb, ID, AGENT
    print("1..%d" % len(results))
    failed = 0
    with gatewaylab.Gateway() as G:
        pb, sb = G.pb, rpclab.module("sandbox_pb2")
        G.stub.CreateSandbox(pb.CreateSandboxRequest(name=NAME, spec=pb.SandboxSpec(
            command=["sleep", "600"], policy=policy(start=rule("start.test")))))
        ID = ready(NAME).metadata.id
        AGENT = G.connect(token=sandbox_token(ID))
        for i, function in enumerate(results):
            try:
                function()
                print("ok %d - %s" % (i + 1, function.__name__), flush=True)
            except Exception as e:  # what a call ended with counts, too
                failed += 1
                print("not ok %d - %s" % (i + 1, function.__name__))
                print("# " + str(e).replace("\n", "\n# ")[:1500], flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
