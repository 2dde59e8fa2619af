#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Budgets: requests and bytes of a run and of a host, and what an agent is told past them.

Goal: what is used up refuses the next request with 429 and a body that says what, how much and of
how much; nothing of a refused request reaches the server; bytes end what passes them.  Method: a
proxy for each set of budgets, servers that count.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, read_all, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: plain.test, port: 80}
      - {host: raw.test, port: 9000, protocol: tcp}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["api.test"])
proxylab.add_local("10.200.0.1", 32)
PINS = [("api.test", 443, P), ("plain.test", 80, P), ("raw.test", 9000, P)]
BIG = b"x" * 200000
tls = world.Server(P, 443, pki=w.pki, answer=lambda m, path, b: BIG if path == "/big" else b"ok")
plain = world.Server(P, 80)
raw = proxylab.Bytes(P, 9000, answer=b"y" * 70000)
tap = world.Tap()
GET = b"GET /a HTTP/1.1\r\nHost: api.test\r\n\r\n"


def with_budgets(name, *budgets):
    """Decorates a check that is given a proxy with these budgets."""
    def register(check):
        def run():
            lab = Lab(w, POLICY, pins=PINS, budgets=budgets)
            try:
                check(lab)
            finally:
                assert lab.close() == 0
        tap.check(name, run)
    return register


def over(s, **want):
    status, headers, body = read_response(s)
    body = json.loads(body)
    assert status == 429 and body["error"] == "budget_exceeded", (status, body)
    assert headers["content-type"] == "application/json", headers
    for key, value in want.items():
        assert body[key] == value, (key, body)
    return body


def ask(s, data=GET, status=200):
    s.sendall(data)
    got = read_response(s)
    assert got[0] == status, got


@with_budgets("requests of the run, over connections and inside one", "requests=3")
def _(lab):
    seen = len(tls.seen)
    s = lab.tls("api.test", 443)
    ask(s)
    ask(s)
    other = lab.connect()
    ask(other, b"GET http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    s.sendall(GET)
    over(s, what="requests", limit=3, used=3, scope="run")
    other = lab.connect()
    other.sendall(b"GET http://plain.test/b HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    over(other, what="requests")
    assert len(tls.seen) == seen + 2 and plain.seen[-1]["path"] == "/a", plain.seen
    denied = lab.decisions("Denied")
    assert len(denied) == 2 and "budget_exceeded" in json.dumps(denied[0]), denied


@with_budgets("requests of one host leave the others alone", "host=api.test:requests=1")
def _(lab):
    s = lab.tls("api.test", 443)
    ask(s)
    s.sendall(GET)
    over(s, scope="host:api.test")
    for _ in range(3):
        ask(lab.connect(), b"GET http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\n\r\n")


@with_budgets("a refused request is not counted, and zero refuses all", "requests=0")
def _(lab):
    s = lab.connect()
    s.sendall(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert read_response(s)[0] == 403
    s = lab.connect()
    s.sendall(b"HEAD http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 429") and answer.endswith(b"\r\n\r\n"), answer


@with_budgets("bytes end what passes them, and refuse what follows", "bytes=100k")
def _(lab):
    s = lab.tls("api.test", 443)
    ask(s)
    s.sendall(b"GET /big HTTP/1.1\r\nHost: api.test\r\n\r\n")
    got = read_all(s)
    assert len(got) < 180000, len(got)
    s = lab.tls("api.test", 443)
    s.sendall(GET)
    body = over(s, what="bytes", limit=100000)
    assert body["used"] >= 100000, body


@with_budgets("bytes of a tunnel that nobody looks into count too", "host=raw.test:bytes=100k")
def _(lab):
    s, status, _ = lab.tunnel("raw.test", 9000)
    assert status == 200
    total = 0
    try:
        for _ in range(10):
            s.sendall(b"more")
            want = total + 70000
            while total < want:
                piece = s.recv(65536)
                if not piece:
                    raise ConnectionResetError
                total += len(piece)
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert total < 300000, total
    assert any("budget_exceeded" in json.dumps(e) for e in lab.events()), lab.events()


def words(*options):
    return w.cove(["true"], options=[x for o in options for x in ("--budget", o)], quiet=False)


def cli():
    for text in ("tokens", "tokens=", "tokens=1.5", "usd=1k", "requests=-1", "euros=5", "host=:bytes=1",
                 "bytes=18446744073709551616", "route=none:tokens=5"):
        done = words(text)
        assert done.returncode == 2, (text, done)
        first = done.stderr.splitlines()[0]
        assert first.startswith("cove run: ") and "budget" in first, done.stderr
    done = words("tokens=500k", "host=api.test:usd=0.5", "bytes=2GiB")
    assert done.returncode == 0 and done.stderr.count("add --inference") == 2, done


tap.check("bad words are told in one line, and nothing starts", cli)
w.close()
tap.done()
