#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An upstream proxy: which connections go by it, what it is told, what its refusals become.

Goal: tunnels go by the proxy with the address that was checked; what the policy or the address check
refuses never reaches it; nothing of its answers, and nothing of our credentials for it, reaches the
sandbox or a log.  Method: a small proxy of the test that keeps the heads it was sent and answers as
it is told, servers behind it, TLS to the end.
"""
import base64
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import h2lab  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all, read_head, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  all:
    endpoints:
      - {host: "*.wild.test", ports: [80, 443, 9000]}
      - {host: api.test, port: 443, protocol: rest, enforcement: enforce,
         rules: [{allow: {method: GET, path: /ok}}]}
      - {host: raw.test, port: 443, tls: skip}
      - {host: inside.test, port: 9000}
    binaries: [{path: /usr/bin/curl}]
"""
PUBLIC, PRIVATE, PUBLIC6 = world.PUBLIC, world.PRIVATE, world.PUBLIC6
SECRET = "agent:hunter2 with blanks"
AT = ("10.77.0.9", 3128)
PINS = [(h, p, PUBLIC) for h in ("a.wild.test", "api.test", "raw.test", "direct.wild.test")
        for p in (80, 443, 9000)]
PINS += [("bad.wild.test", 9000, PRIVATE), ("inside.test", 9000, PRIVATE)]


class Proxy:
    """answer: None connects to what was asked for; bytes are sent instead, then the end."""

    def __init__(self, address, port):
        self.heads, self.answer, self.map, self.glue = [], None, {}, b""
        self.sock = proxylab.listener(address, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            s, _ = self.sock.accept()
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _pump(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _serve(self, s):
        head = read_head(s)
        self.heads.append(head.decode())
        if self.answer is not None:
            s.sendall(self.answer)
            s.close()
            return
        if not head:
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        up = socket.create_connection((self.map.get(host, host.strip("[]")), int(port)))
        s.sendall(b"HTTP/1.1 200 Fine\r\nX-Inner-Name: squid.corp\r\n\r\n" + self.glue)
        threading.Thread(target=self._pump, args=(up, s), daemon=True).start()
        self._pump(s, up)


w = world.World(["a.wild.test", "api.test", "raw.test"])
proxylab.add_local("10.200.0.0", 24)
world.add_address(AT[0])
upstream = Proxy(*AT)
web = world.Server(PUBLIC, 443, pki=w.pki)
plain = world.Server(PUBLIC, 80)
raw, private = Bytes(PUBLIC, 9000, answer=b"pong"), Bytes(PRIVATE, 9000, answer=b"pong")
tap = world.Tap()
URL = "http://%s:%d" % AT
lab = Lab(w, POLICY, pins=PINS, forward=(URL, "direct.wild.test, 10.77.0.0/16", 0, SECRET))


def goes_by_it():
    s = lab.tls("a.wild.test", 443)
    s.sendall(b"GET /x HTTP/1.1\r\nHost: a.wild.test\r\n\r\n")
    assert read_response(s)[2] == b"GET /x\n"
    lines = upstream.heads[-1].split("\r\n")
    coded = base64.b64encode(SECRET.encode()).decode()
    assert lines == [f"CONNECT {PUBLIC}:443 HTTP/1.1", f"Host: {PUBLIC}:443",
                     f"Proxy-Authorization: Basic {coded}", "", ""], lines
    assert "Proxy-Authorization" not in web.seen[-1]["headers"]


def requests_are_judged():
    s = lab.tls("api.test", 443)
    s.sendall(b"GET /no HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 403
    s = lab.tls("api.test", 443)
    s.sendall(b"GET /ok HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 200


def kept_ones_are_shared():
    before, asked = web.connections, len(upstream.heads)
    for _ in range(3):
        s = lab.tls("api.test", 443)
        s.sendall(b"GET /ok HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert read_response(s)[0] == 200
        s.close()
        time.sleep(0.05)
    assert web.connections - before <= 1 and len(upstream.heads) - asked <= 1, upstream.heads[asked:]


def streams_go_by_it():
    """Each to this upstream of HTTP/1.1 has a connection of its own, or the one that the other has left."""
    seen = len(upstream.heads)
    s, status, head = lab.tunnel("a.wild.test", 443)
    assert status == 200, head
    c = h2lab.Client(lab.wrap(s, "a.wild.test", alpn=("h2",)), authority="a.wild.test")
    first, second = (c.send(c.head(path=path)) for path in ("/1", "/2"))
    assert c.finish(first)["body"] == b"GET /1\n" and c.finish(second)["body"] == b"GET /2\n"
    assert seen < len(upstream.heads) <= seen + 2, upstream.heads[seen:]


def bytes_behind_the_head_are_the_servers():
    upstream.glue = b"220 hello\r\n"
    s, status, _ = lab.tunnel("a.wild.test", 9000)
    upstream.glue = b""
    assert status == 200 and s.recv(100) == b"220 hello\r\n"
    s.sendall(b"ping")
    assert s.recv(10) == b"pong"


def past_it(host, port, server):
    def check():
        seen, heads = server.connections, len(upstream.heads)
        s, status, _ = lab.tunnel(host, port)
        assert status == 200, read_all(s)
        s.sendall(b"ping")
        assert s.recv(10) == b"pong"
        assert server.connections == seen + 1 and len(upstream.heads) == heads
    return check


def plain_requests_go_past_it():
    heads = len(upstream.heads)
    s = lab.connect()
    s.sendall(b"GET http://a.wild.test/p HTTP/1.1\r\nHost: a.wild.test\r\n\r\n")
    assert read_response(s)[2] == b"GET /p\n"
    assert len(upstream.heads) == heads


def never_hears(host, port, error):
    def check():
        heads = len(upstream.heads)
        s, status, _ = lab.tunnel(host, port)
        assert status == 403 and json.loads(read_all(s))["error"] == error
        assert len(upstream.heads) == heads
    return check


def refusal(answer, why):
    def check():
        upstream.answer = answer
        s, status, _ = lab.tunnel("a.wild.test", 443)
        upstream.answer = None
        body = read_all(s)
        told = json.loads(body)
        assert status == 502 and told["error"] == "upstream_proxy_failed", (status, told)
        assert why in told["detail"] and b"squid" not in body, told
        event = lab.events()[-1]
        assert "upstream proxy" in json.dumps(event) and "squid" not in json.dumps(event), event
    return check


def secret_is_nowhere():
    coded = base64.b64encode(SECRET.encode()).decode()
    lab.events()
    for path in (lab.audit_path, lab.line_path, os.path.join(lab.dir, "cove-proxy.stderr")):
        text = open(path).read()
        assert "hunter2" not in text and coded not in text, path
    assert "hunter2" not in lab.report()


def secret_is_the_keepers():
    """Not in the proxy's memory, where what it is not must be found."""
    coded = base64.b64encode(SECRET.encode())
    needles = [SECRET.encode(), b"hunter2", coded, coded[:24]]
    found = credlab.memory_has(lab.process.pid, needles + [b"direct.wild.test"])
    assert {n for n, *_ in found} == {b"direct.wild.test"}, found


def keeper_is_gone():
    """Nothing is said to the upstream proxy without what it has to be shown."""
    other = Lab(w, POLICY, pins=PINS, forward=(URL, "", 0, SECRET))
    assert other.tunnel("a.wild.test", 9000)[1] == 200
    seen = len(upstream.heads)
    other.keeper.kill()
    other.keeper.wait()
    s, status, _ = other.tunnel("raw.test", 443)
    body = read_all(s)
    assert status == 502 and b"can't be had now" in body, (status, body)
    assert not any(upstream.heads[seen:]), upstream.heads[seen:]
    assert other.close() == 0


def by_name():
    other = Lab(w, POLICY, pins=PINS, forward=(URL, "", 1, ""))
    upstream.map = {"a.wild.test": PUBLIC}
    s, status, _ = other.tunnel("a.wild.test", 9000)
    assert status == 200, read_all(s)
    s.sendall(b"ping")
    assert s.recv(10) == b"pong"
    assert upstream.heads[-1] == "CONNECT a.wild.test:9000 HTTP/1.1\r\nHost: a.wild.test:9000\r\n\r\n"
    assert other.close() == 0


def unreachable(url, why):
    def check():
        seen = raw.connections
        other = Lab(w, POLICY, pins=PINS, forward=(url, "", 0, ""))
        s, status, _ = other.tunnel("a.wild.test", 9000)
        body = read_all(s)
        assert status == 502 and why in json.loads(body)["detail"], (status, body)
        assert raw.connections == seen, "it went past the proxy"
        assert other.close() == 0
    return check


SQUID = b"\r\nServer: squid\r\nContent-Length: 5\r\n\r\nsquid"
for title, check in [
        ("a tunnel goes by it, with the checked address and our credentials", goes_by_it),
        ("requests inside are judged as ever", requests_are_judged),
        ("clients one after the other are one tunnel of its", kept_ones_are_shared),
        ("streams of HTTP/2 go by it", streams_go_by_it),
        ("bytes behind its answer's head are the server's", bytes_behind_the_head_are_the_servers),
        ("a listed name goes past it", past_it("direct.wild.test", 9000, raw)),
        ("a name in a listed network goes past it", past_it("inside.test", 9000, private)),
        ("plain requests go past it", plain_requests_go_past_it),
        ("n10 what policy refuses, it never hears of", never_hears("evil.test", 443, "policy_denied")),
        ("a6 nor of an address that is refused", never_hears("bad.wild.test", 9000, "ssrf_denied")),
        ("407", refusal(b"HTTP/1.1 407 No" + SQUID, "does not take our credentials (407)")),
        ("403", refusal(b"HTTP/1.1 403 No" + SQUID, "it answered 403")),
        ("502", refusal(b"HTTP/1.0 502 No" + SQUID, "it answered 502")),
        ("101", refusal(b"HTTP/1.1 101 squid\r\nUpgrade: squid\r\nConnection: upgrade\r\n\r\n", "101")),
        ("an end without an answer", refusal(b"", "closed without an answer")),
        ("an answer that is cut", refusal(b"HTTP/1.1 200 OK\r\nA: squ", "closed without an answer")),
        ("an answer that is not HTTP", refusal(b"squid squid\r\n\r\n", "not HTTP")),
        ("t20 a head of 9 KiB", refusal(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 9000 + b"\r\n\r\n", "too long")),
        ("our credentials for it are in no log", secret_is_nowhere),
        ("nor in the proxy's memory", secret_is_the_keepers),
        ("the proxy ends well", lambda: lab.close() == 0 or 1 / 0),
        ("a keeper that is gone", keeper_is_gone),
        ("by name", by_name),
        ("a proxy that is not there", unreachable("http://10.77.0.9:9", "can't be connected to")),
        ("a proxy whose name is not there", unreachable("http://no.corp:3128", "can't be resolved"))]:
    tap.check(title, check)
w.close()
tap.done()
