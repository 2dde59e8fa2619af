#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of host tools: what is asked, who asks, and what is answered when it is wrong.

A broker with a small catalog, and sandboxes whose proxies are played here.  Every refusal has one
shape, and one event.
"""
import json
import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from brokerlab import Lab, Sandbox, Tap  # noqa: E402

STREAMS_EACH_MAX = 1536  # BROKER_STREAMS_EACH_MAX
CATALOG = """
version: 1
tools:
  echo:
    description: Says it again.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
  echo.loud:
    description: Says it so that all hear.
    input:
      properties:
        text: {type: string, maxLength: 10}
        times: {type: integer, minimum: 1, maximum: 3}
        mode: {enum: [high, low]}
        any: true
      required: [text]
    command: {argv: [/bin/echo, "{text}", "{?times:{times}}"]}
  status:
    description: Of a thing.
    input: {properties: {id: {type: string}}, required: [id]}
    command: {argv: [/bin/echo, "{id}"]}
    route: GET /things/{id}/status
  give:
    description: Gives its arguments back.
    input: {type: object, additionalProperties: true}
    command: {argv: [/bin/cat], stdin: json}
    result: {stdout: json}
"""

POLICY = """
version: 1
tools:
  few:
    tools: [echo]
    binaries: [{path: /usr/bin/curl}]
    arguments:
      - {path: $.text, glob: "he*"}
    limits: {calls: 3}
  things:
    tools: [status]
"""

lab = Lab(CATALOG)
box = Sandbox(lab, "one")
few = Sandbox(lab, "few", POLICY)


def health_and_discovery_need_no_token():
    s = box.open()
    r = s.request("GET", "/healthz", token=False)
    assert (r.status, r.json) == (200, {"status": "ok"}), r
    r = s.request("HEAD", "/healthz", token=False)
    assert r.status == 200 and not r.body
    r = s.request("GET", "/tools.json", token=False)
    assert [t["name"] for t in r.json] == ["echo", "echo.loud", "give", "status"], r
    assert all({"name", "description", "endpoint", "method", "input_schema"} <= set(t) for t in r.json)
    r = s.request("POST", "/healthz", {}, token=False)
    assert r.status == 405 and r.headers["allow"] == "GET, HEAD", r


def discovery_is_filtered_by_policy_and_binary():
    r = few.request("GET", "/tools.json")
    assert [t["name"] for t in r.json] == ["echo", "status"], r
    r = few.request("GET", "/tools.json", who={"exe": "/usr/bin/wget"})
    assert [t["name"] for t in r.json] == ["status"], r
    r = few.request("GET", "/tools.json", who={"unknown": "gone"})
    assert "echo" not in [t["name"] for t in r.json], r
    none = Sandbox(lab, "none", "version: 1\n")
    assert none.request("GET", "/tools.json").json == []
    none.end()


def a_call():
    r = box.call("echo", {"text": "hello"})
    assert (r.status, r.json) == (200, {"output": "hello\n"}), r
    assert r.headers["content-type"] == "application/json"
    assert "cove-job" not in r.headers, "nobody asked for a job"
    event = lab.events()[-1]
    assert event["api"]["operation"] == "echo" and event["action"] == "Allowed"
    assert event["api"]["response"]["code"] == 200 and event["exit_code"] == 0
    assert len(event["api"]["request"]["uid"]) == 64 and event["device"]["hostname"] == "one"
    assert event["actor"]["process"]["file"]["path"] == "/usr/bin/curl"
    assert event["traffic"] == {"bytes_out": 16, "bytes_in": 6}
    assert "hello" not in json.dumps(event), "arguments are never recorded"


def b1_token_missing_or_wrong():
    before = len(lab.events(status="Failure"))
    for token, code in [(False, "token_missing"), ("x", "token_invalid"), (" ", "token_invalid"),
                        (box.token[:-1], "token_invalid"), (few.token, "token_invalid")]:
        r = box.call("echo", {"text": "x"}, token=token)
        assert (r.status, r.json["error"]) == (401, code), (token, r)
        assert r.headers["www-authenticate"] == "Bearer"
    r = box.request("POST", "/v1/tools/echo", {"text": "x"}, token=False,
                    authorization="Basic " + box.token)
    assert r.status == 401
    r = box.request("POST", f"/v1/tools/echo?access_token={box.token}", {"text": "x"}, token=False)
    assert r.status == 401, "not in the URL"
    assert len(lab.events(status="Failure")) == before + 7, "one event each"
    assert box.call("echo", {"text": "x"}, token=False,
                    authorization="bearer " + box.token).status == 200
    for path in ("/v1/jobs", "/v1/jobs/" + "0" * 32, "/v1/tools/nothing", "/nothing"):
        assert box.request("GET", path, token=False).status == 401, path


def b1_guessing_is_limited():
    guessed = Sandbox(lab, "guessed")
    codes = [guessed.call("echo", {"text": "x"}, token=f"guess {i}").status for i in range(40)]
    assert codes[:20] == [401] * 20 and codes[20:] == [429] * 20, codes
    assert guessed.call("echo", {"text": "x"}).status == 429, "the right one must wait too"
    assert box.call("echo", {"text": "x"}).status == 200, "others need not"
    guessed.end()


def b1_token_dies_with_the_run():
    gone = Sandbox(lab, "gone")
    s = gone.open()
    assert s.request("POST", "/v1/tools/echo", {"text": "x"}).status == 200
    gone.end()
    lab.wait_ended("gone")
    try:
        assert s.request("POST", "/v1/tools/echo", {"text": "x"}).status == 401
    except (EOFError, OSError):
        pass  # its streams have ended with it
    assert box.call("echo", {"text": "x"}, token=gone.token).status == 401


def b2_another_pages_origin_or_host():
    for origin in ("http://evil.test", "null", "https://tools.local", "http://tools.local.evil.test"):
        assert box.call("echo", {"text": "x"}, origin=origin).status == 403, origin
    assert box.call("echo", {"text": "x"}, origin="http://tools.local").status == 200
    assert box.call("echo", {"text": "x"}, host="evil.test").status == 403
    assert box.call("echo", {"text": "x"}, host="host.cove.internal").status == 200


def sandbox_is_compared_never_believed():
    for name, status in [("one", 200), ("two", 403), ("", 403), (7, 403), (None, 403)]:
        r = box.call("echo", {"text": "x", "sandbox": name})
        assert r.status == status, (name, r)
    assert box.call("echo", {"text": "x", "sandbox": "two"}).json["error"] == "sandbox_mismatch"
    r = box.call("give", {"a": 1, "sandbox": "one"})
    assert r.json["output"] == {"a": 1}, "the tool has no such argument"


def everything_wrong_at_once():
    r = box.call("echo.loud", {"txt": "x", "times": 9, "mode": "mid", "any": 1})
    assert r.status == 400 and r.json["error"] == "invalid_arguments", r
    errors = {e["pointer"]: e for e in r.json["errors"]}
    assert {"/times", "/mode", "/txt"} <= set(errors), r
    assert errors["/txt"]["nearest"] == "text", r
    assert len(r.json["errors"]) == 4, "and text is missing"
    for body in ("[]", '"x"', "7", "null"):
        r = box.request("POST", "/v1/tools/echo", body)
        assert (r.status, r.json["error"]) == (400, "invalid_arguments"), r


def t15_json_that_means_two_things():
    for body, code in [('{"text":"a","text":"b"}', "duplicate_key"),
                       ('{"text":"a","\\u0074ext":"b"}', "duplicate_key"),
                       ('{"text":"a"} x', "invalid_json"), ('{"text":', "invalid_json"),
                       ("{'text':1}", "invalid_json"), ('{"text":"\xff"}'.encode("latin-1"), "invalid_json"),
                       ("\ufeff{}", "invalid_json"), ('{"a":NaN}', "invalid_json")]:
        r = box.request("POST", "/v1/tools/echo", body)
        assert (r.status, r.json["error"]) == (400, code), (body, r)
        assert isinstance(r.json["at"], int), r


def depth_64():
    def nested(n):
        return '{"a":' * n + "1" + "}" * n
    assert box.request("POST", "/v1/tools/give", nested(64)).status == 200
    for n in (65, 100, 127, 129, 5000):
        r = box.request("POST", "/v1/tools/give", nested(n))
        assert (r.status, r.json["error"], r.json["limit"]) == (400, "too_deep", 64), (n, r)


def body_1_mib():
    def body(n):
        return '{"a":"' + "x" * (n - 8) + '"}'
    r = box.request("POST", "/v1/tools/give", body(1 << 20))
    assert r.status == 200 and len(r.json["output"]["a"]) == (1 << 20) - 8, r
    r = box.request("POST", "/v1/tools/give", body((1 << 20) + 1))
    assert (r.status, r.json["error"], r.json["limit"]) == (413, "body_too_large", 1 << 20), r
    s = box.open()
    head = (f"POST /v1/tools/give HTTP/1.1\r\nHost: tools.local\r\nAuthorization: Bearer {box.token}"
            "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    s.sock.sendall(head.encode())
    try:
        for _ in range(40):
            s.sock.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    except OSError:
        pass
    assert s.receive().status == 413


def chunks_and_pipelines():
    s = box.open()
    head = (f"POST /v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\nAuthorization: Bearer {box.token}"
            "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    one = head + '4\r\n{"te\r\n8\r\nxt":"a"}\r\n0\r\n\r\n'
    for byte in one.encode():
        s.sock.sendall(bytes([byte]))
    assert s.receive().json == {"output": "a\n"}
    s.sock.sendall(one.encode() * 5)
    for _ in range(5):
        assert s.receive().json == {"output": "a\n"}
    assert s.request("GET", "/healthz").status == 200


def many_values_are_bounded():
    body = '{"a":[' + "0," * 400000 + "0]}"
    r = box.request("POST", "/v1/tools/give", body)
    assert r.status in (200, 400, 413), r
    assert box.call("echo", {"text": "x"}).status == 200


def heads_that_are_refused():
    for head, status in [("GET /healthz HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\nHost: tools.local\n\n", 400),
                         ("GARBAGE\r\n\r\n", 400), ("GET /%2e%2e/x HTTP/1.1\r\nHost: tools.local\r\n\r\n", 400),
                         ("GET / HTTP/1.1\r\nHost: tools.local\r\nX: " + "y" * 20000 + "\r\n\r\n", 431)]:
        s = box.open()
        s.sock.sendall(head.encode())
        assert s.receive().status == status, head[:50]
    s = box.open()
    s.sock.sendall((f"GET /v1/jobs HTTP/1.1\r\nHost: tools.local\r\nAuthorization: Bearer {box.token}\r\n"
                    "Authorization: Bearer x\r\n\r\n").encode())
    assert s.receive().status == 400, "two tokens are none"


def media_types():
    for kind, status in [("application/json", 200), ("application/json; charset=utf-8", 200),
                         ("text/plain", 415), ("application/x-www-form-urlencoded", 200),
                         ("multipart/form-data", 415),
                         ("application/jsonx", 415)]:
        assert box.call("echo", {"text": "x"}, content_type=kind).status == status, kind
    assert box.call("echo", {"text": "x"}, content_encoding="gzip").status == 415


def unknown_tools_and_paths():
    r = box.call("ecko", {})
    assert (r.status, r.json["error"], r.json["nearest"]) == (404, "unknown_tool", "echo"), r
    assert r.json["known"] == ["echo", "echo.loud", "give", "status"], r
    assert lab.events()[-1]["api"]["operation"] == "ecko"
    r = few.call("ecko", {})
    assert r.json["known"] == ["echo", "status"], "only what it may call"
    r = few.call("echo.lout", {})
    assert "nearest" not in r.json, "nor is it led there"
    r = box.request("GET", "/build")
    assert (r.status, r.json["error"]) == (404, "unknown_path"), r
    r = box.request("GET", "/v1/tools/echo")
    assert r.status == 405 and "POST" in r.headers["allow"], r


def a_tools_own_route():
    r = box.request("GET", "/things/a-7/status")
    assert (r.status, r.json["output"]) == (200, "a-7\n"), r
    r = box.request("DELETE", "/things/a-7/status")
    assert r.status == 405 and "GET" in r.headers["allow"], r
    r = box.request("GET", "/things/a%2d7/status")
    assert r.json["output"] == "a-7\n", r


def no_value_becomes_an_option():
    r = box.call("echo", {"text": "-e x"})
    assert (r.status, r.json["error"]) == (400, "invalid_arguments"), r
    assert r.json["errors"][0]["pointer"] == "/text", r
    r = box.call("echo", {"text": "a\0b"})
    assert r.status == 400, r
    r = box.call("echo", {"text": "$(id); `id` | id > /tmp/x && *"})
    assert r.json["output"] == "$(id); `id` | id > /tmp/x && *\n", "no shell"


def policy_denies_and_says_what_is_allowed():
    r = few.call("echo", {"text": "zebra"})
    assert (r.status, r.json["error"]) == (403, "policy_denied"), r
    allowed = {a["tool"]: a["conditions"] for a in r.json["allowed"]}
    assert set(allowed) == {"echo", "status"} and "he*" in allowed["echo"][0], r
    assert "zebra" not in r.body.decode(), r
    event = lab.events()[-1]
    assert event["action"] == "Denied" and event["api"]["response"]["code"] == 403
    assert few.call("give", {}).status == 403
    assert few.request("POST", "/v1/tools/echo", {"text": "hello"}, who={"exe": "/usr/bin/wget"}).status == 403
    assert few.request("POST", "/v1/tools/echo", {"text": "hello"}, who={"unknown": "x"}).status == 403
    assert few.call("echo", {"nothing": 1}).status == 403, "policy before schema"


def calls_are_counted():
    assert [few.call("echo", {"text": "hello"}).status for _ in range(4)] == [200, 200, 200, 429]
    r = few.call("echo", {"text": "hello"})
    assert (r.json["error"], r.json["limit"]) == ("too_many_calls", 3), r
    few.policy(POLICY)
    assert few.call("echo", {"text": "hello"}).status == 429, "a new snapshot is no new run"


def policy_may_change():
    changing = Sandbox(lab, "changing", POLICY)
    assert changing.call("give", {}).status == 403
    changing.policy("version: 1\ntools: {a: {tools: [give]}}\n")
    assert changing.call("give", {}).status == 200
    changing.policy("version: 1\ntools: {a: {tools: [}}\n")
    assert changing.call("give", {}).status == 200, "a bad one changes nothing"
    changing.policy("version: 1\n")
    assert changing.call("give", {}).status == 403
    changing.end()


def p3_names_of_binaries_are_resolved_in_the_sandbox():
    root = os.path.join(lab.dir, "root")
    os.makedirs(root + "/usr/bin")
    open(root + "/usr/bin/python3.11", "w").close()
    os.symlink("python3.11", root + "/usr/bin/python3")
    linked = Sandbox(lab, "linked", "version: 1\ntools: {a: {tools: [give], binaries: "
                     "[{path: /usr/bin/python3}]}}\n", root="/proc/self/root" + root)
    # Beneath a directory that is no root the kernel names the whole path.
    r = linked.request("POST", "/v1/tools/give", {}, who={"exe": root + "/usr/bin/python3.11"})
    assert r.status == 200, r
    r = linked.request("POST", "/v1/tools/give", {}, who={"exe": "/usr/bin/python3.12"})
    assert r.status == 403, r
    linked.end()


def streams_are_bounded():
    crowd = Sandbox(lab, "crowd")
    most = STREAMS_EACH_MAX
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    streams = [crowd.open(timeout=20) for _ in range(most + 32)]
    time.sleep(0.5)
    refused = 0
    for s in streams[most - 8:]:
        try:
            s.request("GET", "/healthz")
        except (EOFError, OSError):
            refused += 1
    assert refused == 32, refused
    assert box.call("echo", {"text": "x"}).status == 200, "another sandbox gets in"
    crowd.end()
    lab.wait_ended("crowd")


def a_proxy_that_breaks_its_link():
    broken = Sandbox(lab, "broken")
    s = broken.open()
    broken.link.send(b"garbage")
    assert s.request("GET", "/healthz").status == 200, "its streams go on"
    broken.relink()
    assert broken.call("echo", {"text": "x"}).status == 200
    assert box.call("echo", {"text": "x"}).status == 200
    broken.end()
    lab.wait_ended("broken")


def audit_that_fails_stops_calls():
    full = Lab(CATALOG, audit_path="/dev/full")
    one = Sandbox(full, "one")
    assert one.call("echo", {"text": "x"}).status == 200, "this one shows it"
    r = one.call("echo", {"text": "x"})
    assert (r.status, r.json["error"]) == (503, "broker_unavailable"), r
    full.close()


def refused_catalogs():
    for text, word in [("version: 1\ntools: {a: {command: {argv: [/bin/true]}, what: 1}}\n", "tools.yaml:2:"),
                       ("version: 1\ntools: {a: {description: x, command: {argv: [/bin/true], user: "
                        "no-such-user}}}\n", "user")]:
        bad = Lab(text, is_ready=False)
        try:
            bad.wait("READY")
            raise SystemExit("a bad catalog was taken")
        except AssertionError as error:
            assert word in str(error), error
        assert bad.process.wait(20) != 0


def a_state_directory_that_others_read():
    state = os.path.join(lab.dir, "open")
    os.mkdir(state, 0o755)
    bad = Lab(CATALOG, state=state, is_ready=False)
    try:
        bad.wait("READY")
        raise SystemExit("it was taken")
    except AssertionError as error:
        assert "0700" in str(error), error


def it_ends_with_its_control_link():
    own = Lab(CATALOG)
    one = Sandbox(own, "one")
    assert one.call("echo", {"text": "x"}).status == 200
    assert own.close() == 0


TESTS = [health_and_discovery_need_no_token, discovery_is_filtered_by_policy_and_binary, a_call,
         b1_token_missing_or_wrong, b1_guessing_is_limited, b1_token_dies_with_the_run,
         b2_another_pages_origin_or_host, sandbox_is_compared_never_believed, everything_wrong_at_once,
         t15_json_that_means_two_things, depth_64, body_1_mib, chunks_and_pipelines,
         many_values_are_bounded, heads_that_are_refused, media_types, unknown_tools_and_paths,
         a_tools_own_route, no_value_becomes_an_option, policy_denies_and_says_what_is_allowed,
         calls_are_counted, policy_may_change, p3_names_of_binaries_are_resolved_in_the_sandbox,
         streams_are_bounded, a_proxy_that_breaks_its_link, audit_that_fails_stops_calls,
         refused_catalogs, a_state_directory_that_others_read, it_ends_with_its_control_link]
sys.exit(Tap().run(TESTS))
