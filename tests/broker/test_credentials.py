#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Credentials of tools: the keeper's, for one call, and nowhere in what comes back.

A real keeper beside a real broker.  Tools print what they were given in every encoding that is
taken out again; a keeper that knows of no grant, dies, or is not there gives typed failures.
"""
import base64
import os
import re
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
from brokerlab import Keeper, Lab, Sandbox, Tap, memory  # noqa: E402

SECRET = "s3cr3t/VALUE+of-a-tool=0123456789"
OTHER = "another-secret-that-nobody-may-have"
CATALOG = """
version: 1
credentials:
  TOKEN: {env: TOKEN}
  OTHER: {env: OTHER}
tools:
  sh:
    description: Runs a script of the test's, with a token.
    input: {properties: {script: {type: string}}, required: [script]}
    command:
      argv: [/bin/bash, -c, "{script}"]
      env: {TOKEN: "{credential:TOKEN}"}
    limits: {bytes: 20000}
  small:
    description: The same, with room for little.
    input: {properties: {script: {type: string}}, required: [script]}
    command:
      argv: [/bin/bash, -c, "{script}"]
      env: {TOKEN: "{credential:TOKEN}"}
    limits: {bytes: 20}
  greedy:
    description: Names a credential that it was not given.
    command:
      argv: [/usr/bin/env]
      env: {OTHER: "{credential:OTHER}"}
  brief:
    description: Has little time.
    input: {properties: {script: {type: string}}, required: [script]}
    command:
      argv: [/bin/bash, -c, "{script}"]
      env: {TOKEN: "{credential:TOKEN}"}
    limits: {seconds: 1}
"""
ENCODE = r"""python3 -c '
import os, base64, urllib.parse, sys
t = os.environ["TOKEN"]; b = t.encode()
out = [t, urllib.parse.quote(t, safe=""), b.hex(), b.hex().upper(), base64.b64encode(b).decode(),
       base64.b64encode(b"x" + b + b"y").decode(), base64.urlsafe_b64encode(b).decode(),
       "".join("\\u%04x" % ord(c) for c in t)]
print("\n".join(out)); print("\n".join(out), file=sys.stderr)
sys.exit(CODE)'
"""

world.enter_user_namespace()  # so that the broker can be looked into
keeper = Keeper({"TOKEN": SECRET, "OTHER": OTHER},
                [("tool:sh", "TOKEN"), ("tool:small", "TOKEN"), ("tool:brief", "TOKEN")])
lab = Lab(CATALOG, keeper=keeper)
box = Sandbox(lab, "one")


def forms(value):
    b = value.encode()
    return [value, urllib.parse.quote(value, safe=""), b.hex(), b.hex().upper(),
            base64.b64encode(b).decode().rstrip("=")[:-1],
            base64.b64encode(b"x" + b).decode()[4:-4],
            base64.urlsafe_b64encode(b).decode().rstrip("=")[:-1],
            "".join(f"\\u{ord(c):04x}" for c in value)]


def none_in(text):
    if isinstance(text, str):
        text = text.encode()
    return [f for f in forms(SECRET) + forms(OTHER) if f.encode() in text]


def sh(script, tool="sh", **headers):
    return box.call(tool, {"script": script}, **headers)


def c10_the_tool_has_it_and_nobody_else():
    r = sh("echo -n $TOKEN | wc -c")
    assert r.status == 200 and r.json["output"].split()[0] == str(len(SECRET)), r
    r = sh("echo out $TOKEN; echo err $TOKEN >&2")
    assert r.status == 200 and not none_in(r.body), r
    assert "*" * 8 in r.json["output"] and "*" * 8 in r.json["stderr"], r


def c2_every_encoding_in_results_logs_and_errors():
    for code in (0, 7):
        r = sh(ENCODE.replace("CODE", str(code)))
        assert r.status == (502 if code else 200) and len(r.json["output"]) > 300, r
        assert not none_in(r.body), none_in(r.body)
    job = box.job("sh", {"script": ENCODE.replace("CODE", "0")})
    box.wait(job)
    for path in ("log", "result", "events"):
        r = box.request("GET", f"/v1/jobs/{job}/{path}")
        assert r.status == 200 and len(r.body) > 200 and not none_in(r.body), (path, r)


def c2_cut_where_the_secret_is():
    for n in range(0, 24, 3):
        r = sh(f"printf '%*s' {n} ''; echo $TOKEN", tool="small")
        assert r.json["truncated"] and len(r.json["output"]) == 20, r
        assert not re.search(r"s3cr", r.json["output"]), r
    r = sh("printf %s ${TOKEN:0:4}; sleep 0.3; printf %s ${TOKEN:4}; echo ' end'")  # two pieces
    assert not none_in(r.body) and "end" in r.json["output"] and "s3cr" not in r.json["output"], r


def c10_nothing_is_kept():
    for _ in range(3):
        sh("true")
    with open(f"/proc/{lab.process.pid}/cmdline", "rb") as f:
        assert not none_in(f.read())
    assert not none_in(memory(lab.process.pid)), "in the broker's memory"
    for root, _, files in os.walk(lab.state):
        for name in files:
            with open(os.path.join(root, name), "rb") as f:
                assert not none_in(f.read()), name
    with open(lab.audit_path, "rb") as f:
        assert not none_in(f.read())


def a_credential_that_was_not_granted():
    r = box.call("greedy")
    assert (r.status, r.json["error"]) == (502, "backend_failed"), r
    assert "OTHER" in r.json["detail"] and "credential_endpoint_mismatch" in r.json["detail"], r
    assert not none_in(r.body)


def a_keeper_that_dies():
    keeper.kill()
    job = box.job("sh", {"script": "echo here $TOKEN"})
    r = sh("echo 1", tool="brief")
    assert (r.status, r.json["error"]) == (504, "tool_timeout"), r  # it waits, as long as it may
    waiting = box.job("sh", {"script": "true"})
    r = box.request("POST", f"/v1/jobs/{waiting}/cancel", {})
    assert r.status in (200, 202) and box.wait(waiting)["state"] == "cancelled", r
    keeper.start()
    lab.join()
    assert box.wait(job)["state"] == "succeeded"
    r = box.request("GET", f"/v1/jobs/{job}/result")
    assert r.json["output"].startswith("here *"), r
    assert sh("true").status == 200


def without_a_keeper():
    alone = Lab(CATALOG)
    try:
        start = time.monotonic()
        r = Sandbox(alone, "two").open(timeout=30).request("POST", "/v1/tools/sh", {"script": "true"})
        assert (r.status, r.json["error"]) == (502, "backend_failed"), r
        assert "keeper" in r.json["detail"] and 10 < time.monotonic() - start < 28, r
    finally:
        alone.close()


if __name__ == "__main__":
    code = Tap().run([c10_the_tool_has_it_and_nobody_else,
                      c2_every_encoding_in_results_logs_and_errors, c2_cut_where_the_secret_is,
                      c10_nothing_is_kept, a_credential_that_was_not_granted, a_keeper_that_dies,
                      without_a_keeper])
    lab.close()
    keeper.close()
    sys.exit(code)
