#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: an agent asks for a rule by http://policy.local, waits for word, and has what was approved when it
hears of it; of what it writes nothing is taken that can't be proposed, and of others' proposals it sees none.
Method: a real gateway, curl in real sandboxes, decisions by gRPC as a person's client makes them."""
import json
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
w = world.World(["api.test"])
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import until  # noqa: E402

tap = world.Tap()
server = world.Server(world.PUBLIC, 443, w.pki)
g = gatewaylab.Gateway(config={"resolve": [f"api.test:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca]})
pb, sb = g.pb, rpclab.module("sandbox_pb2")
URL = "http://policy.local/v1/proposals"
SETTING = "agent_policy_proposals_enabled"


def setting(key, **value):
    g.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key=key,
                                               setting_value=sb.SettingValue(**value)))


def ready(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["sleep", "100000"], policy=sb.SandboxPolicy(version=1))))
    return until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox).status.phase == 2 and s)


def run(s, script, stdin=b""):
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["sh", "-c", script], stdin=stdin), timeout=60))
    return said.both.decode()


def curl(s, path="", body=None, words=""):
    """(status, document)"""
    out = run(s, f"curl -sS -m 40 -w '\\n%{{http_code}}' {words} '{URL}{path}'" + (" -d @-" if body is not None else ""),
              (body if isinstance(body, str) else json.dumps(body)).encode() if body is not None else b"")
    text, _, status = out.rpartition("\n")
    return int(status), json.loads(text) if text else text


def rule(host="api.test", **kw):
    return {"name": "x", "endpoints": [{"host": host, "port": 443, "protocol": "rest", "enforcement": "enforce",
                                        "rules": [{"allow": {"method": "GET", "path": "/free"}}], **kw}],
            "binaries": [{"path": "/usr/bin/curl"}]}


def proposal(*rules, name="mine"):
    return {"intent_summary": "to fetch what is free",
            "operations": [{"addRule": {"ruleName": name, "rule": r}} for r in rules or (rule(),)]}


def submit(s, document):
    status, said = curl(s, body=document)
    assert status == 202 and said["status"] == "submitted", (status, said)
    return said


def chunks(name):
    return list(g.stub.GetDraftPolicy(pb.GetDraftPolicyRequest(name=name)).chunks)


def approve(name, chunk_id):
    token = [c.review_token for c in chunks(name) if c.id == chunk_id][0]
    return g.stub.ApproveDraftChunk(pb.ApproveDraftChunkRequest(name=name, chunk_id=chunk_id, review_token=token))


one, two = ready("one"), ready("two")


def off_unless_it_is_set():
    for path, body in (("", proposal()), ("/x", None), ("/x/wait", None)):
        status, said = curl(one, path, body)
        assert (status, said["error"]) == (404, "feature_disabled"), said
    setting(SETTING, bool_value=True)


def proposed_and_shown():
    said = submit(one, proposal())
    assert (said["accepted_chunks"], said["rejected_chunks"], said["rejection_reasons"]) == (1, 0, []), said
    ident, = said["accepted_chunk_ids"]
    c, = chunks("one")
    assert (c.id, c.status, c.rule_name, c.binary, c.rationale) == (
        ident, "pending", "mine", "/usr/bin/curl", "to fetch what is free"), c
    e = c.proposed_rule.endpoints[0]
    assert (e.host, e.protocol, e.enforcement, e.rules[0].allow.method, e.rules[0].allow.path) == (
        "api.test", "rest", "enforce", "GET", "/free"), e
    status, said = curl(one, "/" + ident)
    assert status == 200 and said["status"] == "pending" and said["chunk_id"] == ident, said
    assert set(said) == {"chunk_id", "status", "rule_name", "binary", "rejection_reason", "validation_result",
                         "application_error", "review_token", "current_effective_policy_hash",
                         "candidate_effective_policy_hash"}, said
    assert curl(two, "/" + ident)[0] == 404, "another's"
    begun = time.monotonic()
    status, said = curl(one, "/" + ident + "/wait?timeout=2")
    assert status == 200 and said["timed_out"] is True and 1.5 < time.monotonic() - begun < 20, said


def what_was_approved_is_there():
    ident = chunks("one")[0].id
    get = "curl -s -m 20 -o /dev/null -w '%{http_code}' https://api.test/free"
    assert run(one, get) != "200"
    got = []
    t = threading.Thread(target=lambda: got.append(
        run(one, f"curl -sS -m 40 {URL}/{ident}/wait?timeout=30; {get}")))
    t.start()
    time.sleep(1.5)
    assert not got
    approve("one", ident)
    t.join(40)
    said = json.loads(got[0][:-3])
    assert said["status"] == "approved" and said["policy_reloaded"] is True and "timed_out" not in said, got
    assert got[0].endswith("200"), got  # the very next request
    assert run(one, get.replace("/free", "/other")) == "403"


def steps(s):
    """What a refused request and a refused connection say of proposals."""
    of_connection = json.loads(run(s, "curl -s -m 20 http://nowhere.test/"))
    of_request = json.loads(run(s, "curl -s -m 20 https://api.test/other"))
    assert of_request["layer"] == "l7" and of_connection["error"] == "policy_denied", (of_request, of_connection)
    assert of_request["next_steps"] == of_connection.get("next_steps", []), (of_request, of_connection)
    assert ("agent_guidance" in of_request) == ("agent_guidance" in of_connection) == bool(of_request["next_steps"])
    return of_request["next_steps"]


def refusals_say_how_to_ask():
    want = [("read_skill", None, None), ("inspect_policy", "GET", "/v1/policy/current"),
            ("inspect_recent_denials", "GET", "/v1/denials?last=5"), ("submit_proposal", "POST", "/v1/proposals")]
    got = steps(one)
    assert [(x["action"], x.get("method"), x.get("url", "").removeprefix("http://policy.local") or None)
            for x in got] == want, got
    assert got[3]["body_type"] == "PolicyMergeOperation", got
    for x in got[1:3]:
        assert run(one, f"curl -s -o /dev/null -w '%{{http_code}}' '{x['url']}'") == "200", x
    assert "policy-advisor" in run(one, f"cat {got[0]['path']}"), got


def as_long_as_that_is_on():
    g.stub.UpdateConfig(pb.UpdateConfigRequest(**{"global": True}, setting_key=SETTING, delete_setting=True))
    until(lambda: steps(one) == [])
    setting(SETTING, bool_value=True)
    until(lambda: len(steps(one)) == 4)
    g.kill()
    g.start()
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox.status.phase == 2)
    assert len(steps(one)) == 4
    of_its_start = ready("later")
    approve("later", submit(of_its_start, proposal())["accepted_chunk_ids"][0])
    assert len(until(lambda: steps(of_its_start))) == 4


def what_agents_read_works_as_written():
    s = ready("reader")
    text = run(s, "cat /AGENTS.md")
    assert text == run(s, "cat /etc/openshell/skills/policy_advisor.md") == run(
        s, "cat /etc/openshell/skills/policy-advisor/SKILL.md"), text
    assert text.startswith("---\nname: policy-advisor\ndescription: "), text
    look, post, wait = re.findall(r"(?:^    .*\n)+", text, re.M)
    out = run(s, look)
    assert '"policy_yaml"' in out and '"denials"' in out, out
    said = json.loads(run(s, post))
    assert said["accepted_chunks"] == 1, said
    ident, = said["accepted_chunk_ids"]
    got = []
    t = threading.Thread(target=lambda: got.append(json.loads(run(s, wait.replace("ID", ident)))))
    t.start()
    approve("reader", ident)
    t.join(40)
    assert (got[0]["status"], got[0]["policy_reloaded"]) == ("approved", True), got
    run(s, "echo x >>/AGENTS.md; rm -f /AGENTS.md /etc/openshell/skills/*")
    assert run(s, "cat /AGENTS.md") == text


def rejected_with_a_reason():
    ident, = submit(one, proposal(rule("other.test"), name="second"))["accepted_chunk_ids"]
    g.stub.RejectDraftChunk(pb.RejectDraftChunkRequest(name="one", chunk_id=ident, reason="not \"that\"\n"))
    status, said = curl(one, "/" + ident + "/wait")
    assert (status, said["status"], said["rejection_reason"]) == (200, "rejected", "not \"that\"\n"), said


def some_are_refused_and_some_not():
    said = submit(one, proposal(rule("a.test"), rule("169.254.169.254"), name="several"))
    assert (said["accepted_chunks"], said["rejected_chunks"]) == (1, 1) and len(said["rejection_reasons"]) == 1, said
    assert said["rejection_reasons"][0].startswith("operation 1: "), said
    said = submit(one, proposal(name="_provider_x"))
    assert said["accepted_chunks"] == 0 and "reserved" in said["rejection_reasons"][0], said


def t_what_can_not_be_proposed():
    def bad(document, want):
        status, said = curl(two, body=document)
        assert (status, said["error"]) == (400, "invalid_proposal") and want in said["detail"], (document, said)

    bad("{", "no JSON, at byte 1")
    bad("[]", "expected an object, found array")
    bad({"operations": []}, "operations: expected one operation")
    bad({"operations": [{"removeRule": {}}]}, "operations[0].removeRule: can't be proposed")
    bad({"intent_summary": 1, "operations": []}, "intent_summary: expected a string, found number")
    for key in ("graphql_persisted_queries", "credential_signing", "mcp", "path", "host_aliases"):
        bad(proposal(rule(**{key: "x"})), f"operations[0].addRule.rule.endpoints[0].{key}: can't be proposed")
    bad(proposal(rule(port=70000)), "endpoints[0].port: expected a number")
    bad(proposal(rule(rules=[{"allow": {"method": "GET", "path": "/a?b=c"}}])),
        "endpoints[0].rules[0].allow.path: a path without its query")
    bad(proposal(rule(rules=[{"allow": {"method": "GET", "query": {"a": "b"}}}])), "allow.query: can't be proposed")
    bad(proposal({"endpoints": [], "binaries": []}), "without an endpoint")
    bad(proposal(*[rule()] * 17), "expected one operation to 16")
    bad(proposal(rule(allowed_ips=["1.1.1.1"] * 65)), "expected a list of at most 64")
    bad(proposal(rule("x" * 3000)), "longer than 2048")
    bad(json.dumps(proposal()) + " " * 65536, "longer than 65536")
    bad(json.dumps(proposal())[:-1] + ',"operations":[]}', "no JSON")
    assert chunks("two") == []


def t_requests_that_make_no_sense():
    for path in ("/..", "/%2e%2e", "/UPPER", "/" + "a" * 65, "/a/b", "/a/wait/wait"):
        assert curl(one, path, words="--path-as-is")[0] == 404, path
    for timeout in ("0", "301", "x", "-1", ""):
        assert curl(one, f"/abc/wait?timeout={timeout}")[0] == 400, timeout
    assert curl(one, "/00000000-0000-0000-0000-000000000000/wait?timeout=300")[0] == 404, "at once"
    assert curl(one, "", "{}", "-X PUT")[0] == 404
    out = run(one, f"(printf 'POST {URL} HTTP/1.1\\r\\nHost: policy.local\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
                   "zz\\r\\n'; sleep 1) | nc -w 5 10.200.0.1 3128 || true")
    assert "202" not in out


def t_cut_short():
    """A body that does not come is given up, and who hangs up while he waits leaves nothing."""
    begun = time.monotonic()
    run(one, f"timeout 30 curl -s -H 'Content-Length: 100' --data-binary '{{' {URL}")
    assert 5 < time.monotonic() - begun < 29
    ident, = submit(one, proposal(rule("c.test"), name="cut"))["accepted_chunk_ids"]
    run(one, f"for i in $(seq 20); do timeout 1 curl -s '{URL}/{ident}/wait?timeout=300' & done; wait")
    assert curl(one, "/" + ident)[0] == 200


def approved_by_itself_where_that_is_set():
    setting("proposal_approval_mode", string_value="auto")
    ident, = submit(two, proposal())["accepted_chunk_ids"]
    status, said = curl(two, "/" + ident + "/wait?timeout=30")
    assert (said["status"], said["policy_reloaded"]) == ("approved", True), said
    ident, = submit(two, proposal(rule("*.test"), name="wide"))["accepted_chunk_ids"]  # a note is raised
    assert curl(two, "/" + ident)[1]["status"] == "pending"


def t_flooding_is_limited():
    three = ready("three")
    out = run(three, f"for i in $(seq 40); do curl -s -o /dev/null -w '%{{http_code}} ' -d '{{}}' {URL}; done").split()
    assert out.count("429") == 10 and out.count("400") == 30, out


def without_a_gateway():
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name="away", spec=pb.SandboxSpec(
        policy=sb.SandboxPolicy(version=1), command=["sh", "-c", (
            "until [ -e go ]; do sleep 0.1; done; sleep 1; "
            f"curl -s -m 20 -w '%{{http_code}}' -d '{json.dumps(proposal())}' {URL} >said; sleep 1000")])))
    s = until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name="away")).sandbox).status.phase == 2 and s)
    run(s, "touch go")
    g.kill()
    said = os.path.join(g.state, "sandboxes", s.metadata.id, "workspace/said")
    until(lambda: os.path.exists(said) and os.path.getsize(said))
    g.start()
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="away")).sandbox.status.phase == 2)
    out = run(s, "cat said")
    assert out.endswith("503") and "gateway_unavailable" in out and "away" in out, out


try:
    for f in (off_unless_it_is_set, proposed_and_shown, what_was_approved_is_there, refusals_say_how_to_ask,
              as_long_as_that_is_on, what_agents_read_works_as_written, rejected_with_a_reason,
              some_are_refused_and_some_not, t_what_can_not_be_proposed, t_requests_that_make_no_sense, t_cut_short,
              approved_by_itself_where_that_is_set, t_flooding_is_limited, without_a_gateway):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
    w.close()
tap.done()
