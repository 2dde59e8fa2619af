#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: calls to one route of inference.local share a connection, as long as nothing stands against it: not with
another route's, nor the agent's own, not with another value of the credential, not after 401 or 407, nor what
was cut, was not read to its end or waited too long.  A kept connection that ended is no failure of its route:
what may have been looked at is sent to nobody else, everything else goes by a new one.
Method: a real run with routes and a credential that is renewed; an origin with real TLS that keeps each
connection's requests apart."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, request  # noqa: E402

REUSE_S = 1  # CV_PROXY_IDLE_REUSE_MS
KEY_B, KEY_A = "v4lue-of-b-55110", "v4lue-of-a-55110"
PROFILE = """\
id: models
credentials:
  - {name: a, env_vars: [KEY_A], required: true}
  - {name: b, env_vars: [KEY_B], required: true}
endpoints:
  - {host: a.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: b.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
ROUTES = """\
version: 1
routes:
  - {name: a, type: openai, base_url: "https://a.test/v1", model: ma, credential: models/KEY_A, order: 1}
  - {name: b, type: openai, base_url: "https://b.test/v1", model: mb, credential: models/KEY_B, order: 2}
"""
BIND = """\
endpoints: [{host: c.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
binaries: [{path: "/**"}]
"""
COMMAND = ('echo x >>@DIR@/asked; printf "{\\"token\\": \\"told-value-%03d\\", \\"expires_in\\": 10}" '
           '$(wc -l <@DIR@/asked)')
C_ROUTES = """\
version: 1
routes: [{name: c, type: openai, base_url: "https://c.test/v1", model: mc, credential: renewed/TOLD}]
"""
POLICY = "version: 1\nnetwork_policies: {}\n"
NAMES = ["a.test", "b.test", "c.test"]
tap = world.Tap()


def lab_make(routes, profiles, instances):
    def prepare(w):
        with open(os.path.join(w.dir, "routes.yaml"), "w", encoding="utf-8") as f:
            f.write(routes)
        options.extend(["--inference", os.path.join(w.dir, "routes.yaml")])
    options = []
    return credlab.Lab(profiles, POLICY, env={"KEY_A": KEY_A, "KEY_B": KEY_B}, instances=instances, names=NAMES,
                       options=options, prepare=prepare)


lab = lab_make(ROUTES, {"profile.yaml": PROFILE}, ["profile.yaml"])


def reply(body=b'{"id":"c"}', status=b"200 OK", more=b""):
    return (b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            % (status, more, len(body), body))


OK = reply()
STREAM = [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
          b"f\r\ndata: {\"a\":1}\n\n\r\n", 0.1, b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"]


def begin(body='{"model":"x","messages":[]}', path="/v1/chat/completions", method="POST", **more):
    fields = ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return lab.start_talk("inference.local", request(method, "inference.local", path, fields) + body.encode(),
                          method=method, **more)


def call(*args, **more):
    return credlab.Reply(lab.wait(begin(*args, **more)))


def fresh(answer=OK):
    """Nothing is kept; how many connections the origin has had."""
    lab.policy_load()
    lab.origin.answer = answer
    lab.origin.forget()
    return len(lab.origin.connections)


def went(before):
    """Hosts of the requests on each new connection."""
    return [re.findall(rb"Host: (\w)", c.data) for c in lab.origin.connections[before:] if c.data]


def in_turn(*answers):
    left = list(answers)
    return lambda _: left.pop(0) if left else OK


def shared():
    for _ in range(10):
        before, began = fresh(), time.monotonic()
        equal([call().status for _ in range(3)], [200] * 3)
        if time.monotonic() - began < REUSE_S:
            break
    equal(went(before), [[b"a"] * 3])
    equal(lab.origin.seen().count(f"Bearer {KEY_A}".encode()), 3)


def shared_by_streams():
    for _ in range(10):
        before, began = fresh(STREAM), time.monotonic()
        replies = [call('{"stream":true,"messages":[]}') for _ in range(2)]
        if time.monotonic() - began < REUSE_S:
            break
    for r in replies:
        assert b"[DONE]" in r.body, r
    equal(went(before), [[b"a"] * 2])


def routes_are_apart():
    no = reply(b"x" * (1 << 20), b"429 No")
    before = fresh(lambda text: no if b"a.test" in text else OK)
    equal([call().status for _ in range(2)], [200] * 2)
    both = went(before)
    equal([c for c in both if len(set(c)) > 1], [], str(both))
    equal([c for c in both if c[0] == b"a"], [[b"a"], [b"a"]], "one whose answer was not read to its end")


def not_the_agents_own():
    """The agent may ask a.test itself, and with the same credential."""
    own = request("GET", "a.test", "/x", [f"Authorization: Bearer {lab.inside['KEY_A']}"])
    before = fresh()
    for how in (call, lambda: credlab.Reply(lab.wait(lab.start_talk("a.test", own))), call):
        equal(how().status, 200)
    equal([len(set(re.findall(rb"(GET|POST) ", c.data))) for c in lab.origin.connections[before:] if c.data],
          [1] * len(went(before)))
    assert len(went(before)) >= 2, went(before)


def not_after(answer, status, calls=2):
    def check():
        before = fresh(in_turn(answer))
        got = call()
        equal(got.status, status, repr(got))
        equal(call().status, 200)
        equal(went(before)[-1], [b"a"])
        assert len([c for c in went(before) if b"a" in c]) == calls, went(before)
    return check


def not_what_the_agent_left():
    half = [STREAM[0], STREAM[1], 1.5, STREAM[3]]
    before = fresh(in_turn(half))
    lab.wait(begin('{"stream":true}', timeout=0.5))
    equal(call().status, 200)
    equal(went(before), [[b"a"], [b"a"]])


def closed_while_idle():
    """Before anything is sent: nobody notices."""
    before = fresh(in_turn([OK, None]))
    equal(call().status, 200)
    time.sleep(REUSE_S / 2)  # its end is here
    equal(call().status, 200)
    equal(went(before), [[b"a"], [b"a"]])


def waited_too_long():
    before = fresh()
    equal(call().status, 200)
    time.sleep(REUSE_S + 0.2)
    equal(call().status, 200)
    equal(went(before), [[b"a"], [b"a"]])


def closed_at_the_call():
    """The server has the whole call and says nothing: it is not asked again, and nor is anybody else."""
    for _ in range(10):
        before, began = fresh(in_turn(OK, [None])), time.monotonic()
        equal(call().status, 200)
        got = call()
        if time.monotonic() - began < REUSE_S:
            break
    equal((got.status, json.loads(got.body)), (502, {"error": "inference service error"}))
    equal(went(before), [[b"a", b"a"]], "sent to somebody else")
    equal(call().status, 200, "the route was given up for it")
    equal(went(before), [[b"a", b"a"], [b"a"]])


def a_new_one_that_breaks_is_a_failure():
    before = fresh(lambda text: [None] if b"a.test" in text else OK)
    equal(call().status, 200)
    equal(went(before), [[b"a"], [b"b"]])


def closed_at_what_may_be_repeated():
    before = fresh(in_turn(OK, [None]))
    for _ in range(2):
        equal(call("", "/v1/models", "GET").status, 200)
    equal(went(before), [[b"a", b"a"], [b"a"]])


def another_policy():
    before = fresh()
    equal(call().status, 200)
    lab.policy_load()
    equal(call().status, 200)
    equal(went(before), [[b"a"], [b"a"]])


for title, check in [
        ("calls to one route share a connection", shared),
        ("streams, too", shared_by_streams),
        ("t22 routes have their own; what was not read to its end is not used", routes_are_apart),
        ("t22 nor is it the agent's own", not_the_agents_own),
        ("not after 401", not_after(reply(status=b"401 No"), 401)),
        ("not after 407", not_after(reply(status=b"407 No"), 407)),
        ("not after Connection: close", not_after(reply(more=b"Connection: close\r\n"), 200)),
        ("not after an answer that ends with its connection",
         not_after([b"HTTP/1.1 200 OK\r\n\r\n{}", None], 200)),
        ("not after an answer that was cut",
         not_after([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", None], 200)),
        ("not with a byte behind the answer", not_after(OK + b"HTTP/1.1 200 OK\r\n", 200)),
        ("not while an answer was still coming", not_what_the_agent_left),
        ("closed while it waited: a new one", closed_while_idle),
        ("a call takes none that waited too long", waited_too_long),
        ("closed with a call on it: sent to nobody else, and no failure of the route", closed_at_the_call),
        ("a new one that is closed so is a failure, as ever", a_new_one_that_breaks_is_a_failure),
        ("closed with what may be repeated on it: repeated", closed_at_what_may_be_repeated),
        ("t22 another policy: a new one", another_policy)]:
    tap.check(title, check)
lab.close()
lab.remove()

lab = lab_make(C_ROUTES, credlab.renewed(COMMAND, BIND), ["i-renewed.yaml"])


def renewed():
    """Each connection has one value; after a renewal the former's is not used."""
    lab.origin.answer = OK
    end = time.monotonic() + 25
    values = lambda: [set(re.findall(rb"told-value-\d+", c.data)) for c in lab.origin.connections if c.data]  # noqa: E731
    while time.monotonic() < end and len(set().union(*values())) < 3:
        equal(call().status, 200)
    assert len(set().union(*values())) >= 3, values()
    equal([v for v in values() if len(v) > 1], [])
    counts = [c.data.count(b"POST ") for c in lab.origin.connections]
    assert max(counts) > 2, counts


tap.check("t22 another value of the credential: a new one", renewed)
lab.close()
lab.remove()
tap.done()
