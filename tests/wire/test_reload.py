#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What changes while the proxy runs: policy, the audit log, the keeper, links of executables.

Goal: a policy is exchanged whole or not at all, the next request obeys it, raw tunnels that it
would not allow are closed; nothing leaves while the audit log can't be written; without a keeper
TLS is refused with a reason and the rest goes on.
"""
import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, pack_str, read_all, read_response  # noqa: E402

RULES = """
version: 1
network_policies:
  api:
    endpoints:
      - {{host: api.test, port: 80, protocol: rest, enforcement: enforce, {access}}}
{more}
    binaries: [{{path: {binary}}}]
"""


def policy(access="access: full", more="      - {host: raw.test, port: 9000}", binary="/usr/bin/curl"):
    return RULES.format(access=access, more=more, binary=binary)


P = world.PUBLIC
PINS = [("api.test", 80, P), ("raw.test", 9000, P), ("api.test", 9100, P), ("tls.test", 443, P)]
w = world.World(["tls.test"])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, policy(), pins=PINS)
tap = world.Tap()
web = world.Server(P, 80)
raw = Bytes(P, 9000, answer=b"pong")

GET = b"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\n\r\n"


def next_request_obeys():
    s, _, _ = lab.tunnel("api.test", 80)
    s.sendall(POST)
    assert read_response(s)[0] == 200
    assert lab.policy(policy("access: read-only"))[0] == 0
    s.sendall(GET)
    assert read_response(s)[0] == 200
    s.sendall(POST)
    assert read_response(s)[0] == 403
    assert lab.policy(policy())[0] == 0


def bad_policy_stays_out():
    for bad, words in [("version: 1\nnetwork_policies: [", ""), ("version: 1\nwhat: 3\n", "policy.yaml:2:"),
                       (policy("access: none-of-these"), "policy.yaml:"), ("a\0b", ""), ("x" * (9 << 20), "")]:
        code, text = lab.policy(bad)
        assert code != 0 and words in text and text, (code, text)
    s, _, _ = lab.tunnel("api.test", 80)
    s.sendall(POST)
    assert read_response(s)[0] == 200
    assert any("Policy not loaded" in json.dumps(e) for e in lab.events())


def fast_reload():
    took = []
    while not took or min(took) >= 0.05:  # on a busy machine one may be late
        assert len(took) < 20, took
        start = time.monotonic()
        assert lab.policy(policy())[0] == 0
        took.append(time.monotonic() - start)


def tunnels_are_closed():
    s, _, _ = lab.tunnel("raw.test", 9000)
    s.sendall(b"ping")
    assert s.recv(10) == b"pong"
    assert lab.policy(policy())[0] == 0
    s.sendall(b"ping")
    assert s.recv(10) == b"pong", "a policy that allows it closed it"
    assert lab.policy(policy(more=""))[0] == 0
    assert read_all(s) in (b"", b"<reset>")
    assert lab.tunnel("raw.test", 9000)[1] == 403
    assert lab.policy(policy())[0] == 0


def streams_are_closed():
    """A response that takes hours ends when its request would not be allowed any more."""
    stream = Bytes(P, 9100, answer=b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
    rule = "      - {{host: api.test, port: 9100, protocol: rest, enforcement: enforce, {}}}"
    with_get = policy(more=rule.format("access: read-only"))
    assert lab.policy(with_get)[0] == 0
    s, _, _ = lab.tunnel("api.test", 9100)
    s.sendall(GET.replace(b"api.test", b"api.test:9100"))
    s.settimeout(20)
    got = b""
    while b"data: 1" not in got:
        got += s.recv(4096)
    assert lab.policy(with_get)[0] == 0
    s.settimeout(0.3)
    try:
        assert s.recv(100) != b"", "a policy that allows it closed it"
    except TimeoutError:
        pass
    only_post = "rules: [{allow: {method: POST, path: /**}}]"
    assert lab.policy(policy(more=rule.format(only_post)))[0] == 0
    s.settimeout(20)
    assert read_all(s) in (b"", b"<reset>")
    assert any(e.get("status_code") == "request_not_permitted" and "under way" in e.get("status_detail", "")
               for e in lab.events())
    assert lab.policy(policy())[0] == 0
    stream.close()


def empty_policy_denies():
    assert lab.policy("version: 1\n")[0] == 0
    assert lab.tunnel("api.test", 80)[1] == 403
    assert lab.policy(policy())[0] == 0


def links_are_asked_for():
    assert lab.policy(policy(binary="/usr/bin/link"))[0] == 0
    while (body := lab.wait("RESOLVE")) != struct.pack("<I", 1) + pack_str("/usr/bin/link"):
        pass  # those of the policies before
    assert lab.tunnel("api.test", 80)[1] == 403
    lab.send("RESOLVED", struct.pack("<I", 1) + pack_str("/usr/bin/link") + pack_str("/usr/bin/curl"))
    lab.settled()
    assert lab.tunnel("api.test", 80)[1] == 200
    assert lab.policy(policy(binary="/usr/bin/link") + "# changed\n")[0] == 0
    assert lab.tunnel("api.test", 80)[1] == 200, "what was known before the reload still is"
    lab.send("RESOLVED", struct.pack("<I", 0))
    lab.settled()
    assert lab.tunnel("api.test", 80)[1] == 403, "the link leads nowhere any more"
    assert lab.policy(policy())[0] == 0


for name, check in [("t11 the next request on a kept connection obeys the new policy", next_request_obeys),
                    ("b7 a bad policy is refused with its place, and the old one stays", bad_policy_stays_out),
                    ("a reload takes less than 50 ms", fast_reload),
                    ("raw tunnels that the new policy refuses are closed", tunnels_are_closed),
                    ("a stream whose request the new policy refuses is closed", streams_are_closed),
                    ("n10 an empty policy denies everything", empty_policy_denies),
                    ("links of executables are asked for and honoured", links_are_asked_for)]:
    tap.check(name, check)


def under_load():
    """Requests never fail while policies come and go."""
    s, _, _ = lab.tunnel("api.test", 80)
    for i in range(60):
        fd = proxylab.memfd("policy", policy())
        lab.send("POLICY", pack_str("policy.yaml"), [fd])
        os.close(fd)
        s.sendall(GET)
        assert read_response(s)[0] == 200, i


tap.check("b7 reloads under load", under_load)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)

# ---- an audit log that can't be written ----

FULL = "/dev/full"
TLS = "      - {host: tls.test, port: 443}"
lab = Lab(w, policy(more=TLS), pins=PINS, audit_path=FULL)


def audit_fails_closed():
    seen, connections = len(web.seen), web.connections
    s = lab.connect()
    s.sendall(b"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert b"200 OK" not in read_all(s)  # the first one finds out
    time.sleep(0.1)
    s, status, _ = lab.tunnel("api.test", 80)
    body = json.loads(read_all(s))
    assert status == 503 and body["error"] == "audit_unavailable", (status, body)
    assert (len(web.seen), web.connections) == (seen, connections), "something left"


tap.check("nothing leaves while the required audit log can't be written", audit_fails_closed)
lab.close()

lab = Lab(w, policy(more=TLS), pins=PINS, audit_path=FULL, is_audit_required=False)


def not_required():
    s, _, _ = lab.tunnel("api.test", 80)
    s.sendall(GET)
    assert read_response(s)[0] == 200


tap.check("one that is not required stops nothing", not_required)
lab.close()

# ---- without a keeper ----

lab = Lab(w, policy(more=TLS), pins=PINS, has_keeper=False)


def no_keeper():
    s, status, _ = lab.tunnel("tls.test", 443)
    assert status == 503 and json.loads(read_all(s))["error"] == "tls_termination_unavailable"
    s = lab.connect()
    s.sendall(b"GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 200


tap.check("without a keeper TLS is 503 with a reason, the rest goes on", no_keeper)
lab.close()

w.close()
tap.done()
