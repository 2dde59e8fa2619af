#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1 inside tunnels: framing, authority, upgrades, 100-continue, what comes back.

Goal: one message has one meaning.  What could be framed in two ways ends with 400 (or a reset, in
the middle of a body) and the server sees none of it; what passes is framed anew.  Each row is a
client's bytes, a server's answer, what the client gets and what the server saw.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all, read_head, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - {host: api.test, port: 80, protocol: rest, enforcement: enforce, access: full}
      - host: slash.test
        port: 80
        protocol: rest
        enforcement: enforce
        allow_encoded_slash: true
        rules: [{allow: {method: GET, path: "/v1/**"}}]
      - {host: l4.test, port: 80}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["unused.test"])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, POLICY, pins=[(h, 80, P) for h in ("api.test", "slash.test", "l4.test")])
tap = world.Tap()


class Origin(Bytes):
    """Answers the first bytes of each connection with what the test set."""

    def __init__(self):
        self.script = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        super().__init__(P, 80, answer=self.say)

    def say(self, seen):
        return self.script(seen) if callable(self.script) else self.script


origin = Origin()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = b"Host: api.test\r\n"


def talk(data, answer=OK, host="api.test", close=False):
    """Sends data in a new tunnel; returns (socket, what the server had seen before)."""
    origin.script, origin.is_close, origin.seen = answer, close, b""
    s, status, _ = lab.tunnel(host, 80)
    assert status == 200
    s.sendall(data)
    return s


def settled():
    time.sleep(0.1)
    return origin.seen


# ---- requests that have more than one reading: 400, closed, nothing passes ----

def refused(data, status=400):
    s = talk(data)
    answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert settled() == b"", origin.seen


GET, POST = b"GET /x HTTP/1.1\r\n" + HOST, b"POST /x HTTP/1.1\r\n" + HOST
for name, data in [
        ("CL then TE", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("TE then CL", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        ("two equal lengths", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        ("listed lengths", POST + b"Content-Length: 3, 3\r\n\r\nabc"),
        ("signed length", POST + b"Content-Length: +3\r\n\r\nabc"),
        ("negative length", POST + b"Content-Length: -3\r\n\r\nabc"),
        ("huge length", POST + b"Content-Length: 99999999999999999999\r\n\r\n"),
        ("TE: chunked, identity", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("TE: xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("TE twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("TE_underscore", POST + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("space before colon", POST + b"Content-Length : 3\r\n\r\nabc"),
        ("obs-fold", GET + b"A: b\r\n c\r\n\r\n"),
        ("bare LF", b"GET /x HTTP/1.1\n" + HOST + b"\n"),
        ("bare CR in a value", GET + b"A: b\rc\r\n\r\n"),
        ("NUL in a value", GET + b"A: b\0c\r\n\r\n"),
        ("two Hosts", GET + HOST + b"\r\n"),
        ("no Host", b"GET /x HTTP/1.1\r\n\r\n"),
        ("Connection names Host", GET + b"Connection: host\r\n\r\n"),
        ("TE in HTTP/1.0", b"POST /x HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"),
        ("two spaces", b"GET  /x HTTP/1.1\r\n" + HOST + b"\r\n")]:
    tap.check(f"t10 {name}: 400, and the server sees nothing", lambda: refused(data))
tap.check("another version is 505", lambda: refused(b"GET /x HTTP/1.2\r\n" + HOST + b"\r\n", 505))
tap.check("t20 a head of 17 KiB is 431", lambda: refused(GET + b"A: " + b"a" * 17000 + b"\r\n\r\n", 431))
tap.check("an unknown expectation is 417", lambda: refused(POST + b"Expect: 200-maybe\r\n\r\n", 417))


def cut_body(data):
    """A body that goes wrong: 400 and close; what was good may have passed, the rest never does."""
    def check():
        s = talk(data, answer=b"")
        answer = read_all(s)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"EVIL" not in settled(), origin.seen
        assert not origin.seen.endswith(b"0\r\n\r\n"), origin.seen
    return check


CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
for name, rest in [("chunk extension", b"3;a=b\r\nabc\r\n0\r\n\r\nEVIL"), ("bad size", b"zz\r\nEVIL"),
                   ("overflowing size", b"fffffffffffffffff\r\nEVIL"), ("negative size", b"-1\r\nEVIL"),
                   ("size with spaces", b"3 \r\nEVIL"), ("bare LF after the size", b"3\nEVIL"),
                   ("no CRLF after the data", b"3\r\nabcXXEVIL"),
                   ("Host in trailers", b"3\r\nabc\r\n0\r\nHost: EVIL\r\n\r\n"),
                   ("length in trailers", b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\nEVIL")]:
    tap.check(f"t10 {name}: 400 and cut", cut_body(CHUNKED + rest))


# ---- who is meant ----

def authority(data, code="request_authority_mismatch"):
    def check():
        s = talk(data)
        status, _, body = read_response(s)
        body = json.loads(body)
        assert status == 403 and body["error"] == code, (status, body)
        assert settled() == b"", origin.seen
    return check


tap.check("t2 another Host inside", authority(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n"))
tap.check("t2 another port inside", authority(b"GET / HTTP/1.1\r\nHost: api.test:8080\r\n\r\n"))
tap.check("t3 another absolute target inside",
          authority(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"))
tap.check("t3 another scheme inside",
          authority(b"GET https://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n"))
tap.check("CONNECT inside", authority(b"CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\n\r\n",
                                      "unsupported_l7_protocol"))


def l4_has_one_host_too():
    s = talk(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", host="l4.test")
    assert read_response(s)[0] == 403 and settled() == b""


tap.check("t2 another Host on a plain L4 endpoint", l4_has_one_host_too)


def kept_with_another_host():
    s = talk(GET + b"\r\n")
    assert read_response(s)[0] == 200
    origin.seen = b""
    s.sendall(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
    assert read_response(s)[0] == 403 and settled() == b""


tap.check("t11 a kept connection with another Host", kept_with_another_host)

# ---- upgrades ----

WS = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
tap.check("t18 an upgrade where requests are inspected", authority(GET + WS, "unsupported_l7_protocol"))
tap.check("t9 Upgrade: h2c", authority(
    GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    b"\r\n\r\n", "unsupported_l7_protocol"))


def upgrade_on_l4():
    s = talk(b"GET /ws HTTP/1.1\r\nHost: l4.test\r\n" + WS, host="l4.test",
             answer=lambda seen: b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
             b"Upgrade: websocket\r\n\r\n" if seen.endswith(b"\r\n\r\n") else b"frame")
    assert b" 101 " in read_head(s)
    s.sendall(b"\x81\x85hello")
    assert s.recv(10) == b"frame"


def switched_unasked():
    s = talk(GET + b"\r\n", answer=b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
             b"Upgrade: x\r\n\r\n")
    assert read_response(s)[0] == 502


tap.check("t18 an upgrade on a plain L4 endpoint", upgrade_on_l4)
tap.check("t18 101 that nobody asked for is 502", switched_unasked)


# ---- bodies, both ways ----

def chunks_are_framed_anew():
    s = talk(CHUNKED, answer=lambda seen: OK if seen.endswith(b"0\r\nX-T: 1\r\n\r\n") else b"")
    for piece in (b"0003\r\nab", b"c\r\n", b"2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"):
        s.sendall(piece)
        time.sleep(0.03)
    assert read_response(s)[2] == b"ok"
    head, _, body = origin.seen.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head and b"Content-Length" not in head, head
    assert b"0003" not in body and b"".join(
        line for i, line in enumerate(body.split(b"\r\n")) if i % 2)[:5] == b"abcde", body


def pipelined_in_order():
    s = talk(GET + b"\r\n" + GET.replace(b"/x", b"/y") + b"\r\n")
    assert read_response(s)[2] == b"ok" and read_response(s)[2] == b"ok"
    assert origin.seen.index(b"/x") < origin.seen.index(b"/y")


def expect_continue():
    s = talk(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n",
             answer=lambda seen: b"HTTP/1.1 100 Continue\r\n\r\n" if seen.endswith(b"\r\n\r\n") else OK)
    assert b"100 Continue" in read_head(s)
    s.sendall(b"abc")
    assert read_response(s)[2] == b"ok"


def denied_before_continue():
    s = talk(b"POST /v2 HTTP/1.1\r\nHost: slash.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
             host="slash.test")
    assert b" 403 " in read_head(s) and settled() == b""


def early_response_closes():
    s = talk(POST + b"Content-Length: 100000\r\n\r\nabc")
    assert read_response(s)[2] == b"ok"
    assert read_all(s) in (b"", b"<reset>")


for name, check in [("t10 chunks are taken apart and framed anew", chunks_are_framed_anew),
                    ("pipelined requests are answered in order", pipelined_in_order),
                    ("t20 100-continue comes from the origin", expect_continue),
                    ("t20 a denial comes before 100", denied_before_continue),
                    ("a response before the body's end closes", early_response_closes)]:
    tap.check(name, check)


# ---- responses ----

def response(answer, want, method=b"GET", close=False, then=None):
    def check():
        s = talk(method + b" /x HTTP/1.1\r\n" + HOST + b"\r\n", answer=answer, close=close)
        got = read_all(s) if close or want is None else b""
        if want is None:
            assert b" 502 " in got.split(b"\r\n")[0] or got == b"<reset>", got
            return
        while not close and len(got) < len(want):
            piece = s.recv(65536)
            if not piece:
                break
            got += piece
        assert got == want, got
        if then:
            origin.script = OK
            s.sendall(GET + b"\r\n")
            assert read_response(s)[2] == b"ok", "the connection was not kept"
    return check


R = b"HTTP/1.1 200 OK\r\n"
for name, check in [
        ("chunked response, framed anew", response(
            R + b"Transfer-Encoding: chunked\r\n\r\n00003\r\nabc\r\n0\r\n\r\n",
            R + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", then=1)),
        ("t21 Alt-Svc and hop-by-hop fields are stripped", response(
            R + b"Alt-Svc: h3=\":443\"\r\nProxy-Authenticate: x\r\nKeep-Alive: timeout=5\r\nA: b\r\n"
            b"Content-Length: 0\r\n\r\n", R + b"A: b\r\nContent-Length: 0\r\n\r\n", then=1)),
        ("HEAD has a length and no body", response(
            R + b"Content-Length: 50\r\n\r\n", R + b"Content-Length: 50\r\n\r\n", b"HEAD", then=1)),
        ("204 has none", response(b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n",
                                  then=1)),
        ("304 has none", response(b"HTTP/1.1 304 Not Modified\r\n\r\n",
                                  b"HTTP/1.1 304 Not Modified\r\n\r\n", then=1)),
        ("103 passes before the response", response(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, then=1)),
        ("a body until the close", response(
            R + b"\r\nall of it", R + b"Connection: close\r\n\r\nall of it", close=True)),
        ("HTTP/1.0 closes", response(
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            R + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", close=True)),
        ("t10 CL and TE in a response", response(
            R + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None)),
        ("t10 two lengths in a response", response(
            R + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", None)),
        ("t10 length on 204", response(b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", None)),
        ("bare LF in a response", response(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", None)),
        ("no HTTP at all", response(b"SSH-2.0-x\r\n\r\n", None)),
        ("a head of 33 KiB", response(R + b"A: " + b"a" * 34000 + b"\r\n\r\n", None))]:
    tap.check(name, check)


def truncated(answer):
    def check():
        s = talk(GET + b"\r\n", answer=answer, close=True)
        got = read_all(s)
        assert got.endswith(b"<reset>"), got
    return check


tap.check("a body that ends short is not passed off as whole",
          truncated(R + b"Content-Length: 100\r\n\r\nshort"))
tap.check("a chunked one that ends short neither",
          truncated(R + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"))


def http10_client():
    s = talk(b"GET /x HTTP/1.0\r\nHost: api.test\r\n\r\n",
             answer=R + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    got = read_all(s)
    assert got.endswith(b"\r\n\r\nabc") and b"chunked" not in got, got


def slow_reader_is_not_buffered():
    """20 MB to a client that reads late: the proxy holds little of it."""
    big = 20 << 20
    s = talk(GET + b"\r\n", answer=R + b"Content-Length: %d\r\n\r\n" % big + b"z" * big)
    time.sleep(0.5)
    with open(f"/proc/{lab.process.pid}/statm") as f:
        rss = int(f.read().split()[1]) * 4096
    status, _, body = read_response(s)
    assert status == 200 and len(body) == big
    assert rss < 40 << 20, rss


def encoded_slash():
    s = talk(b"GET /v1/a%2fb HTTP/1.1\r\nHost: slash.test\r\n\r\n", host="slash.test")
    assert read_response(s)[0] == 200 and b"GET /v1/a%2Fb " in origin.seen, origin.seen


def encoded_slash_refused():
    s = talk(b"GET /v1/a%2fb HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 403 and settled() == b""


def raw_path_on_l4():
    s = talk(b"GET //a/../%2f?q HTTP/1.1\r\nHost: l4.test\r\n\r\n", host="l4.test")
    assert read_response(s)[0] == 200 and origin.seen.startswith(b"GET //a/../%2f?q HTTP/1.1\r\n")


def event_per_request():
    before = len([e for e in lab.decisions() if e["class_uid"] == 4002])
    s = talk(GET + b"\r\n")
    for i in range(3):
        assert read_response(s)[0] == 200
        if i < 2:
            s.sendall(GET + b"\r\n")
    events = [e for e in lab.decisions() if e["class_uid"] == 4002][before:]
    assert len(events) == 3, events


def many_at_once():
    """300 tunnels, each its own request."""
    origin.script, origin.is_close = OK, False
    socks = []
    for i in range(300):
        s = lab.connect()
        s.sendall(b"CONNECT api.test:80 HTTP/1.1\r\nHost: api.test:80\r\n\r\n")
        socks.append(s)
    for s in socks:
        assert b" 200 " in read_head(s)
        s.sendall(GET + b"\r\n")
    for s in socks:
        assert read_response(s)[2] == b"ok"
        s.close()


for name, check in [("HTTP/1.0 gets no chunks", http10_client),
                    ("a slow reader is not buffered for", slow_reader_is_not_buffered),
                    ("t12 %2F is kept where the endpoint opted in", encoded_slash),
                    ("t12 and refused elsewhere", encoded_slash_refused),
                    ("an undecided path passes as it came", raw_path_on_l4),
                    ("one event per request on a kept connection", event_per_request),
                    ("300 tunnels at once", many_at_once)]:
    tap.check(name, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
