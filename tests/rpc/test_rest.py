#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The calls as REST: every route reaches its handler with the right request, and curl would be content.

Goal: path, query and body make one message; streams are server-sent events; who may not call is
refused before the body is looked at; pages of other sites can do nothing; the description says what
is there.
"""
import http.client
import json
import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import rpclab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
lab = subprocess.Popen([os.path.join(rpclab.BUILD, "tests/rpc/rest_lab")], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, text=True)
port = int(lab.stdout.readline().split()[1])
lines, came = [], threading.Condition()


def listen():
    for line in lab.stdout:
        with came:
            lines.append(line.rstrip("\n"))
            came.notify_all()


threading.Thread(target=listen, daemon=True).start()


def waits(what, seconds=20):
    with came:
        if not came.wait_for(lambda: any(what in line for line in lines), seconds):
            raise AssertionError(f"no {what!r} in {lines}")


def ask(method, path, body=None, bearer="admin", headers=(), raw=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    h = {"authorization": "Bearer " + bearer} if bearer else {}
    if body is not None:
        h["content-type"] = "application/json"
        raw = json.dumps(body)
    h.update(headers)
    with came:
        lines.clear()
    c.request(method, path, raw, h)
    r = c.getresponse()
    text = r.read().decode()
    c.close()
    return r.status, r.headers, text


def calls(method, path, rpc, request, body=None, **more):
    def check():
        status, headers, text = ask(method, path, body, **more)
        assert status == 200 and headers["content-type"] == "application/json", (status, text)
        waits(rpc + " ")
        got = next(line for line in lines if line.startswith(rpc + " "))
        assert json.loads(got.split(" ", 1)[1]) == request, got
        waits("closed " + rpc)
        json.loads(text)
    tap.check(f"{method} {path} is {rpc}", check)


def refused(name, status, words, *args, **more):
    def check():
        got, headers, text = ask(*args, **more)
        error = json.loads(text)["error"]
        assert got == status and words in error["message"], (got, text)
        assert error["code"] == status and error["status"].isupper(), text
        assert not [line for line in lines if not line.startswith("closed")] or status == 404, lines
    tap.check(name, check)


calls("GET", "/v1/health", "Health", {}, bearer=None)
calls("POST", "/v1/sandboxes", "CreateSandbox",
      {"name": "a", "spec": {"environment": {"A": "1"}}, "workspace": "w"},
      {"name": "a", "spec": {"environment": {"A": "1"}}, "workspace": "w"})
calls("GET", "/v1/sandboxes?limit=5&all_workspaces=true&labelSelector=a%3Db", "ListSandboxes",
      {"limit": 5, "allWorkspaces": True, "labelSelector": "a=b"})
calls("GET", "/v1/sandboxes/x%2Fy%3Az?workspace=w", "GetSandbox", {"name": "x/y:z", "workspace": "w"})
calls("POST", "/v1/sandboxes/box:stop", "StopSandbox", {"name": "box"})
calls("POST", "/v1/sandboxes/box:start", "StartSandbox", {"name": "box", "workspace": "w"}, {"workspace": "w"})
calls("DELETE", "/v1/sandboxes/box", "DeleteSandbox", {"name": "box"})
calls("PUT", "/v1/sandboxes/box/providers/gh", "AttachSandboxProvider",
      {"sandboxName": "box", "providerName": "gh", "expectedResourceVersion": "7"},
      {"expected_resource_version": 7})
calls("PUT", "/v1/providers/gh", "UpdateProvider",
      {"provider": {"metadata": {"name": "gh"}, "type": "github"}}, {"provider": {"type": "github"}})
calls("PUT", "/v1/providers/gh", "UpdateProvider", {"provider": {"metadata": {"name": "gh"}}})
calls("PATCH", "/v1/sandboxes/box/config", "UpdateConfig", {"name": "box", "settingKey": "k"},
      {"settingKey": "k"})
calls("POST", "/v1/sandboxes/box/draft/c1:reject", "RejectDraftChunk",
      {"name": "box", "chunkId": "c1", "reason": "no"}, {"reason": "no"})
calls("GET", "/v1/inference/fast", "GetInferenceRoute", {"routeName": "fast"})
calls("GET", "/v1/sandboxes/id/logs?sources=a&sources=b&lines=3", "GetSandboxLogs",
      {"sandboxId": "id", "sources": ["a", "b"], "lines": 3})


def answer():
    status, headers, text = ask("GET", "/v1/sandboxes/box")
    assert json.loads(text) == {"sandbox": {"metadata": {"name": "box", "createdAtMs": "1700000000123"}}}, text
    assert headers["cache-control"] == "no-store"


tap.check("an answer is the message", answer)
refused("a handler's refusal", 404, 'no "missing"', "GET", "/v1/sandboxes/missing")
refused("no such path", 404, "no such path", "GET", "/v1/nothing")
refused("no such path below one", 404, "no such path", "GET", "/v1/sandboxes/a/b/c")
refused("no such method", 405, "no such method", "PUT", "/v1/sandboxes")
refused("nobody", 401, "", "GET", "/v1/sandboxes", bearer=None)
refused("a user where an administrator is wanted", 403, "", "POST", "/v1/workspaces", {"name": "w"}, bearer="user")
refused("an unknown field", 400, "/nmae: CreateSandboxRequest has no such field", "POST", "/v1/sandboxes", {"nmae": "x"})
refused("an unknown parameter", 400, 'no parameter "limt"', "GET", "/v1/sandboxes?limt=3")
refused("a parameter that is no number", 400, "/limit: is no integer", "GET", "/v1/sandboxes?limit=x")
refused("no JSON", 400, "the JSON", "POST", "/v1/sandboxes", headers={"content-type": "application/json"}, raw="{")
refused("a body of another type", 400, "content-type must be application/json", "POST", "/v1/sandboxes",
        headers={"content-type": "text/plain"}, raw="{}")
refused("a bad escape in the path", 400, "the path is malformed", "GET", "/v1/sandboxes/%zz")
refused("a NUL in the path", 400, "NUL", "GET", "/v1/sandboxes/a%00b")
for header in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
    refused(f"t_csrf: another site's page, {header}", 403, "another site", "POST", "/v1/sandboxes/a:stop",
            headers=header)
calls("POST", "/v1/sandboxes/box:stop", "StopSandbox", {"name": "box"},
      headers={"origin": f"http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"})


def events(text):
    return [(m[1], json.loads(m[2])) for m in re.finditer(r"event: (.*)\ndata: (.*)\n\n", text)]


def stream():
    status, headers, text = ask("POST", "/v1/sandboxes/id:exec", {"command": ["a", "b"]})
    assert status == 200 and headers["content-type"] == "text/event-stream", (status, headers)
    got = events(text)
    assert got == [("message", {"stdout": {"data": "YQ=="}}), ("message", {"stdout": {"data": "Yg=="}}),
                   ("message", {"exit": {}}), ("end", {"code": 200, "status": "OK"})], text


def stream_fails():
    status, _, text = ask("POST", "/v1/sandboxes/id:exec", {"command": ["a", "fail"]})
    assert events(text)[1:] == [("error", {"code": 400, "status": "FAILED_PRECONDITION",
                                           "message": "it failed"})], text


tap.check("a stream is server-sent events", stream)
tap.check("a stream that fails behind its first event", stream_fails)


def leaves(word):
    def check():
        with came:
            lines.clear()
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        c.request("POST", "/v1/sandboxes/id:exec", json.dumps({"command": [word]}),
                  {"content-type": "application/json", "authorization": "Bearer user"})
        r = c.getresponse()  # the head is there though nothing was said
        assert r.status == 200
        if word == "flood":
            assert len(r.read(1 << 20)) == 1 << 20
        r.close()
        c.close()
        waits("closed ExecSandbox")
    return check



def allowed(method, path, wanted, bearer="admin"):
    def check():
        status, headers, text = ask(method, path, bearer=bearer)
        assert status == 405 and headers["allow"] == wanted, (status, headers["allow"])
        assert json.loads(text)["error"]["code"] == 405, text
    tap.check(f"{method} {path}: 405, and what is allowed", check)


allowed("PUT", "/v1/sandboxes", "POST, GET, HEAD")
allowed("POST", "/v1/sandboxes/a", "GET, HEAD, DELETE")
allowed("GET", "/v1/sandboxes/a:stop", "POST")
allowed("POST", "/openapi.json", "GET, HEAD", None)


def head():
    for path in ("/v1/sandboxes/box", "/v1/health", "/openapi.json"):
        got, with_body = ask("HEAD", path), ask("GET", path)
        assert got[0] == 200 and got[2] == "", (path, got)
        assert got[1]["content-length"] == str(len(with_body[2].encode())), path
        assert got[1]["content-type"] == with_body[1]["content-type"], path
    assert ask("HEAD", "/v1/sandboxes/missing")[::2] == (404, "")
    status, headers, _ = ask("HEAD", "/v1/approvals:watch")
    assert status == 200 and headers["content-type"] == "text/event-stream", (status, headers)
    with came:
        assert "WatchApprovals" not in str(lines), "a stream was begun that nobody reads"


def deadlines():
    for given in ({"request-timeout": "1"}, {"grpc-timeout": "200m"}, {"grpc-timeout": "1S"}):
        status, _, text = ask("GET", "/v1/sandboxes/slow", headers=given)
        assert (status, json.loads(text)["error"]["status"]) == (504, "DEADLINE_EXCEEDED"), text
        waits("closed GetSandbox")
    _, _, text = ask("POST", "/v1/sandboxes/id:exec", {"command": ["wait"]}, headers={"request-timeout": "1"})
    assert events(text) == [("error", {"code": 504, "status": "DEADLINE_EXCEEDED",
                                       "message": "deadline exceeded"})], text
    waits("closed ExecSandbox")
    for given in ({"request-timeout": "x"}, {"request-timeout": "-1"}, {"request-timeout": "86401"},
                  {"grpc-timeout": "1"}):
        status, _, text = ask("GET", "/v1/sandboxes/box", headers=given)
        assert status == 400 and "imeout" in json.loads(text)["error"]["message"], text
    assert ask("GET", "/v1/sandboxes/box", headers={"request-timeout": "5"})[0] == 200


def one_shape():
    """Whatever is wrong, the body says it in the same way."""
    for status, args, more in (
            (404, ("GET", "/nowhere"), {}), (405, ("PUT", "/openapi.json"), {}),
            (415, ("POST", "/v1/sandboxes"), {"raw": "x", "headers": {"content-encoding": "gzip"}}),
            (413, ("POST", "/v1/sandboxes"), {"raw": "x" * ((1 << 20) + 1)}),
            (431, ("GET", "/v1/sandboxes"), {"headers": {"x": "y" * 17000}}),
            (401, ("GET", "/v1/sandboxes"), {"bearer": None}),
            (415, ("POST", "/openshell.v1.OpenShell/Health"), {}), (405, ("GET", "/openshell.v1.OpenShell/Health"), {})):
        try:
            got, headers, text = ask(*args, **more)
        except (BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
            continue
        error = json.loads(text)["error"]
        assert got == status == error["code"] and headers["content-type"] == "application/json", (args, text)
        assert sorted(error) == ["code", "message", "status"] and error["status"].isupper(), (args, text)


tap.check("HEAD is GET without its body, and begins no stream", head)
tap.check("Request-Timeout and grpc-timeout end a call", deadlines)
tap.check("failures have one shape", one_shape)
tap.check("a client that leaves a silent stream", leaves("wait"))
tap.check("a client that leaves a flood", leaves("flood"))


def described():
    status, _, text = ask("GET", "/openapi.json", bearer=None)
    doc = json.loads(text)
    assert status == 200 and doc["openapi"] == "3.1.0"
    ids = [op["operationId"] for path in doc["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids)) and len(ids) > 55, ids
    for ref in set(re.findall(r'"\$ref":"(#[^"]*)"', text)):
        at = doc
        for part in ref[2:].split("/"):
            at = at[part]
    for path, operations in doc["paths"].items():
        for op in operations.values():
            assert {"$ref": "#/components/parameters/RequestTimeout"} in op["parameters"], path
            named = {p["name"] for p in op["parameters"] if p.get("in") == "path"}
            assert named == set(re.findall(r"{([^}]*)}", path)), path
    box = doc["components"]["schemas"]["openshell.v1.SandboxSpec"]["properties"]
    assert box["environment"] == {"type": "object", "additionalProperties": {"type": "string"}}, box
    assert any(p["name"] == "allWorkspaces" for p in doc["paths"]["/v1/sandboxes"]["get"]["parameters"])


tap.check("the description is whole", described)


def every_route():
    """Each path of the description, with a word for each part, reaches the rpc that it names."""
    doc = json.loads(ask("GET", "/openapi.json", bearer=None)[2])
    for path, operations in doc["paths"].items():
        for method, op in operations.items():
            rpc = op["operationId"].rstrip("2")
            if rpc in ("ExecSandbox", "WatchSandbox"):
                continue
            status, _, text = ask(method.upper(), re.sub(r"{[^}]*}", "word", path))
            assert status == 200, (method, path, text)
            waits(rpc + " ")


tap.check("every route reaches its handler", every_route)
lab.stdin.close()
tap.ok(lab.wait(20) == 0, "every call was closed")
tap.done()
