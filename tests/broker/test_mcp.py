#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""POST /mcp: the same tools, calls and refusals as JSON-RPC, for a client that takes JSON alone."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import DENY, Lab, Sandbox, Tap, eventually  # noqa: E402

CATALOG = """
version: 1
tools:
  sh:
    description: Runs a script of the test's.
    input: {properties: {script: {type: string}}, required: [script]}
    command: {argv: [/bin/bash, -c, "{script}"]}
    limits: {seconds: 2}
  secret:
    description: Not for everybody.
    input: {properties: {}}
    command: {argv: [/bin/true]}
  held:
    description: Asks first.
    input: {properties: {}}
    command: {argv: [/bin/true]}
"""
POLICY = """
version: 1
tools:
  a: {tools: [sh]}
  b: {tools: [held], approval: always}
"""
VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
lab = Lab(CATALOG)
box = Sandbox(lab, "one", POLICY)


def post(message, version="2025-06-18", sandbox=None, **headers):
    return (sandbox or box).request("POST", "/mcp", message, mcp_protocol_version=version,
                                    accept="application/json", **headers)


def rpc(method, params=None, number=1, **more):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params is not None:
        message["params"] = params
    r = post(message, **more)
    assert r.status == 200, r
    assert r.json["id"] == number and r.json["jsonrpc"] == "2.0", r
    return r.json


def call(script, **more):
    return rpc("tools/call", {"name": "sh", "arguments": {"script": script}}, **more)


def initialize():
    for asked in VERSIONS + ["1999-01-01"]:
        r = rpc("initialize", {"protocolVersion": asked, "capabilities": {},
                               "clientInfo": {"name": "t", "version": "1"}}, version=None)
        want = asked if asked in VERSIONS else VERSIONS[0]
        assert r["result"]["protocolVersion"] == want, r
        assert "tools" in r["result"]["capabilities"], r
    assert post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202
    assert rpc("ping")["result"] == {}


def list_is_filtered():
    tools = rpc("tools/list")["result"]["tools"]
    assert [t["name"] for t in tools] == ["held", "sh"], tools
    assert tools[1]["inputSchema"]["required"] == ["script"], tools
    all_of_it = Sandbox(lab, "all")
    names = [t["name"] for t in rpc("tools/list", sandbox=all_of_it)["result"]["tools"]]
    assert names == ["held", "secret", "sh"], names
    all_of_it.end()


def calls():
    r = call("echo hello")
    assert r["result"]["content"] == [{"type": "text", "text": "hello\n"}], r
    assert r["result"]["structuredContent"] == {"output": "hello\n"} and not r["result"].get("isError"), r
    r = call("echo hello", version="2025-03-26")
    assert "structuredContent" not in r["result"], r
    r = call("echo out; echo err >&2; exit 3")
    assert r["result"]["isError"] and "tool_failed" in r["result"]["content"][0]["text"], r
    r = call("sleep 100")
    assert r["result"]["isError"] and "tool_timeout" in r["result"]["content"][0]["text"], r
    assert lab.events()[-1]["api"]["operation"] == "sh"
    for number in ("abc", 0, -5, 1 << 40):
        assert call("true", number=number)["id"] == number


def refusals_are_errors_with_the_usual_data():
    r = rpc("tools/call", {"name": "secret", "arguments": {}})
    assert r["error"]["data"]["error"] == "policy_denied" and r["error"]["code"] == -32003, r
    assert [a["tool"] for a in r["error"]["data"]["allowed"]] == ["held", "sh"], r
    r = rpc("tools/call", {"name": "shh", "arguments": {}})
    assert r["error"]["data"]["error"] == "unknown_tool" and r["error"]["data"]["nearest"] == "sh", r
    r = rpc("tools/call", {"name": "sh", "arguments": {"skript": "x"}})
    assert r["error"]["code"] == -32602 and len(r["error"]["data"]["errors"]) == 2, r
    r = rpc("tools/call", {"name": "sh", "arguments": {"script": "x", "sandbox": "two"}})
    assert r["error"]["data"]["error"] == "sandbox_mismatch", r
    denied = lab.events(action="Denied")
    assert len(denied) >= 4, "each is recorded"


def t16_messages_that_are_none():
    for body, status in [("{", 400), ('{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 400),
                         ("[]", 400), ('"x"', 400), ("[" * 100 + "]" * 100, 400)]:
        r = post(body)
        assert r.status in (status, 200) and "error" in r.json, (body, r)
    for bad in [{"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": None, "method": "ping"},
                {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []},
                {"jsonrpc": "2.0", "id": 1, "method": "ping", "more": 1},
                {"jsonrpc": "2.0", "id": 1, "method": "nothing/there"},
                {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "../sh"}},
                {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "sh", "arguments": {"script": "touch /tmp/x"}}}]:
        r = post(bad)
        assert r.status == 202 or "error" in r.json, (bad, r)
    assert post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, version="1999-01-01").status == 400
    assert box.request("POST", "/mcp", {}, token=False).status == 401
    r = box.request("PUT", "/mcp", {})
    assert r.status == 405 and "POST" in r.headers["allow"], r
    assert post("{}", content_type="text/plain").status == 415


def batches_where_the_version_has_them():
    batch = [{"jsonrpc": "2.0", "id": 1, "method": "ping"},
             {"jsonrpc": "2.0", "method": "notifications/initialized"},
             {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
              "params": {"name": "sh", "arguments": {"script": "sleep 0.2; echo two"}}},
             {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "secret"}},
             {"jsonrpc": "2.0", "id": 4, "method": "tools/call",
              "params": {"name": "sh", "arguments": {"script": "echo four"}}}]
    r = post(batch, version="2025-03-26")
    assert [m["id"] for m in r.json] == [1, 2, 3, 4], r
    assert r.json[1]["result"]["content"][0]["text"] == "two\n" and "error" in r.json[2], r
    assert r.json[3]["result"]["content"][0]["text"] == "four\n", r
    for version in ("2025-06-18", "2024-11-05"):
        r = post(batch, version=version)
        assert r.status == 400 and "error" in r.json, (version, r)
    r = post([batch[1]], version="2025-03-26")
    assert r.status == 202 and not r.body, r
    stream = box.open()
    for _ in range(3):
        r = stream.request("POST", "/mcp", batch, mcp_protocol_version="2025-03-26")
        assert len(r.json) == 4, r


def held_and_lost():
    stream = box.open()
    message = {"jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": {"name": "held", "arguments": {}}}
    stream.send("POST", "/mcp", message)
    lab.answer(lab.ask()["id"], DENY)
    r = stream.receive()
    assert r.json["error"]["data"]["error"] == "approval_denied" and r.json["id"] == "x", r
    stream.send("POST", "/mcp", {**message, "params": {"name": "sh", "arguments": {"script": "sleep 0.5; echo x"}}})
    time.sleep(0.2)
    stream.close()
    assert eventually(lambda: any(j["tool"] == "sh" and j["state"] == "succeeded"
                                  for j in box.request("GET", "/v1/jobs").json["jobs"]))


def discovery_documents():
    text = box.request("GET", "/", token=False)
    assert text.headers["content-type"].startswith("text/plain") and b"sh" in text.body
    assert b"secret" not in text.body
    api = box.request("GET", "/openapi.json", token=False).json
    assert api["openapi"].startswith("3.1") and "secret" not in json.dumps(api)
    listed = {t["name"] for t in box.request("GET", "/tools.json", token=False).json}
    assert listed == {"sh", "held"} == {t["name"] for t in rpc("tools/list")["result"]["tools"]}


def b12_anothers_session_and_events():
    """A session and its events are of the sandbox that they were made in; who has seen their ids has nothing."""
    other = Sandbox(lab, "other", POLICY)
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
             "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                        "clientInfo": {"name": "t", "version": "1"}}}
    r = post(hello, version=None)
    session = r.headers["mcp-session-id"]
    ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
           "params": {"name": "sh", "arguments": {"script": "sleep 0.8; echo mine"}}}
    stream = box.open()
    stream.send("POST", "/mcp", ask, mcp_protocol_version="2025-11-25", mcp_session_id=session,
                accept="application/json, text/event-stream")
    assert stream.head()[0] == 200
    event = next(line[3:].strip() for line in stream.chunk().decode().splitlines() if line.startswith("id:"))
    stream.close()
    for headers in ({"mcp_session_id": session}, {"mcp_session_id": session, "last_event_id": event},
                    {"last_event_id": event}):
        r = other.request("GET", "/mcp", accept="text/event-stream", mcp_protocol_version="2025-11-25", **headers)
        assert (r.status, r.json["error"]) in ((404, "unknown_session"), (400, "unknown_event")), (headers, r)
    r = other.request("POST", "/mcp", {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}, mcp_session_id=session,
                      mcp_protocol_version="2025-11-25", accept="application/json")
    assert r.status == 404, r
    other.request("POST", "/mcp", {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}},
                  mcp_protocol_version="2025-11-25", accept="application/json")
    assert other.request("DELETE", "/mcp", mcp_session_id=session).status == 404
    time.sleep(1)
    r = box.open()
    r.send("GET", "/mcp", accept="text/event-stream", mcp_session_id=session, last_event_id=event,
           mcp_protocol_version="2025-11-25")
    assert r.head()[0] == 200
    text = ""
    while "mine" not in text:
        text += r.chunk().decode()
    r.close()
    other.end()


TESTS = [initialize, list_is_filtered, calls, refusals_are_errors_with_the_usual_data,
         t16_messages_that_are_none, batches_where_the_version_has_them, held_and_lost,
         discovery_documents, b12_anothers_session_and_events]
sys.exit(Tap().run(TESTS))
