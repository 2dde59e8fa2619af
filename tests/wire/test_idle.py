#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Upstream connections that are kept for the next client.

Goal: as many clients one after the other, one connection at the server; and never one that has a state
of its own, that said something nobody asked for, that is another destination's, or whose address the
name does not have any more.  What is safe to repeat survives a server that closes at the wrong moment;
the rest is told.  Method: origins with real TLS that keep each connection's bytes apart.
"""
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import look  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from credlab import OK, Origin  # noqa: E402
from h2lab import Client  # noqa: E402
from proxylab import Lab, read_all, read_response  # noqa: E402

HOSTS = ["a.in.test", "b.in.test", "two.in.test", "move.in.test", "h1.in.test", "ws.in.example.test"]
POLICY = """
version: 1
network_policies:
  all:
    endpoints:
      - {host: "*.in.test", ports: [80, 443], protocol: rest, enforcement: enforce, rules: [
          {allow: {method: "*", path: "/**"}}]%s}
      - {host: ws.in.example.test, port: 443, protocol: websocket, enforcement: enforce, access: full}
    binaries: [{path: /usr/bin/curl}]
"""
DENY = ", deny_rules: [{method: GET, path: /x}]"
P, P6, Q = world.PUBLIC, world.PUBLIC6, "93.184.216.35"


class NameServer:
    """move.in.test moves when told to."""

    def __init__(self, address):
        self.at = P
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            q, who = self.sock.recvfrom(512)
            qtype, = struct.unpack_from(">H", q, q.index(b"\0", 12) + 1)
            end = q.index(b"\0", 12) + 5
            reply = q[:2] + struct.pack(">HHHHH", 0x8180, 1, qtype == 1, 0, 0) + q[12:end]
            if qtype == 1:
                reply += struct.pack(">HHHIH", 0xc00c, 1, 1, 0, 4) + socket.inet_aton(self.at)
            self.sock.sendto(reply, who)


w = world.World(HOSTS)
proxylab.add_local("10.200.0.0", 24)
proxylab.add_local("10.77.0.53", 32)
world.add_address(Q)
names = NameServer("10.77.0.53")
hosts = "".join(f"{P} {h}\n" for h in HOSTS if h not in ("two.in.test", "move.in.test"))
lab = Lab(w, POLICY % "", hosts=hosts + f"{P6} two.in.test\n{P} two.in.test\n", resolv="nameserver 10.77.0.53\n")
assert lab.policy_result[0] == 0, lab.policy_result
origin = Origin(w.pki, address=P, plain=(80,))
moved = Origin(w.pki, address=Q)
tap = world.Tap()


def ask(host="a.in.test", method="GET", path="/x", body=b"", fields="", to=None, close=True):
    """One request on a connection of its own; (status, body)."""
    s = (to or lab).tls(host, 443)
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}".encode()
              + (b"Content-Length: %d\r\n" % len(body) if body else b"") + b"\r\n" + body)
    status, _, text = (200, {}, read_all(s)) if method == "HEAD" else read_response(s)
    if close:
        s.close()
        settled(to or lab)
    return status, text


def settled(at=None):
    """The proxy has heard of what was closed."""
    time.sleep(0.03)
    (at or lab).settled()


def ask_plain(host="a.in.test"):
    s = lab.connect()
    s.sendall(f"GET http://{host}/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = read_response(s)
    s.close()
    settled()
    return answer[0], answer[2]


def made(at=origin):
    """How many connections since it was last asked."""
    before, at.was = getattr(at, "was", 0), len(at.connections)
    return at.was - before


def fresh(answer=OK):
    """None is kept, and the origin has that answer."""
    lab.policy(POLICY % "")
    origin.answer = answer
    origin.forget()
    made()


def in_turn(*answers):
    """A function for Origin: the answers one after the other, the last for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def clients_share():
    fresh()
    for _ in range(5):
        assert ask() == (200, b"ok")
    assert made() == 1, origin.was
    assert origin.connections[-1].count == 5


def plain_ones_share():
    fresh()
    for _ in range(5):
        assert ask_plain() == (200, b"ok")
    assert made() == 1
    assert ask()[0] == 200 and made() == 1, "TLS went by a connection in clear"


def as_many_as_at_once():
    fresh([1, OK])  # as long as all need to be there
    for _ in range(2):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        settled()
    assert made() == 4


def next_on_the_same_client():
    fresh()
    assert ask() == (200, b"ok")
    s = lab.tls("a.in.test", 443)
    for _ in range(3):
        s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
        assert read_response(s)[2] == b"ok"
    assert made() == 1
    s.close()


def streams_share():
    fresh()
    for _ in range(3):
        c = Client(lab.tls("h1.in.test", 443, alpn=("h2",)), "h1.in.test")
        for _ in range(3):
            assert c.status(path="/x") == 200
        c.sock.close()
        settled()
    assert made() == 1, "a connection for each client, or stream"
    assert ask("h1.in.test") == (200, b"ok") and made() == 0


def streams_ask_for_themselves():
    """What a client of HTTP/1.1 left says nothing about HTTP/2."""
    fresh()
    assert ask("h1.in.test") == (200, b"ok") and made() == 1
    c = Client(lab.tls("h1.in.test", 443, alpn=("h2",)), "h1.in.test")
    assert c.status(path="/x") == 200 and made() == 1
    c.sock.close()
    settled()


def idle_closed():
    fresh([OK, 0.1, None])
    assert ask() == (200, b"ok")
    time.sleep(0.25)
    assert ask() == (200, b"ok") and made() == 2


def junk_is_not_an_answer():
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    fresh(in_turn([OK, 0.3, evil], OK))
    assert ask() == (200, b"ok")
    before = sockets()
    box.until(lambda: sockets() < before, 1)
    assert ask() == (200, b"ok") and made() == 2
    fresh(in_turn(OK + evil, OK))
    assert ask() == (200, b"ok") and ask() == (200, b"ok") and made() == 2


def dies_at_the_request():
    for method in ("GET", "OPTIONS"):
        fresh(in_turn(OK, [None], OK))
        assert ask() == (200, b"ok")
        assert ask(method=method) == (200, b"ok"), method
        assert made() == 2 and origin.seen().count(method.encode() + b" /x") == (3 if method == "GET" else 2)


def dies_twice():
    fresh(in_turn(OK, [None], [None], OK))
    assert ask() == (200, b"ok")
    assert ask()[0] == 502 and made() == 2
    assert ask() == (200, b"ok")


def not_sent_twice():
    for method, body in (("POST", b"x"), ("DELETE", b""), ("GET", b"body"), ("PUT", b"x")):
        fresh(in_turn(OK, [None], OK))
        assert ask(path="/first") == (200, b"ok")
        status, text = ask(method=method, body=body)
        assert status == 502, (method, status, text)
        assert origin.seen().count(b" /x HTTP") == 1 and made() == 1, method


def cut_answer_is_not_repeated():
    fresh(in_turn(OK, [OK[:20], None], OK))
    assert ask() == (200, b"ok")
    assert ask()[0] == 502 and made() == 1
    assert origin.seen().count(b"GET /x") == 2


def repeated_on_a_kept_client():
    """The second request of a client whose first went by the same upstream: told as ever."""
    fresh(in_turn(OK, OK, [None], OK))
    assert ask() == (200, b"ok")
    s = lab.tls("a.in.test", 443)
    s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
    assert read_response(s)[0] == 200
    s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
    assert read_all(s) == b"" and made() == 1


def what_changes_things_wants_a_new_one():
    fresh()
    assert ask() == (200, b"ok")
    assert ask(method="POST", body=b"x") == (200, b"ok") and made() == 1
    time.sleep(1.2)
    assert ask(method="POST", body=b"x") == (200, b"ok") and made() == 1, "went by an old one"
    assert ask() == (200, b"ok") and made() == 0


def never_kept(answer, method="GET", fields="", host="a.in.test"):
    def check():
        fresh(in_turn(answer, OK))
        ask(host, method=method, fields=fields)
        assert ask(host) == (200, b"ok") and made() == 2, origin.seen()
    return check


def upgrade_goes_alone():
    fresh(in_turn(OK, UPGRADE))
    assert ask("ws.in.example.test") == (200, b"ok")
    assert ask("ws.in.example.test", fields=ASK_UPGRADE)[0] == 101 and made() == 2


def cut_body_is_never_kept():
    fresh(in_turn(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", OK))
    s = lab.tls("a.in.test", 443)
    s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
    assert s.recv(4096).endswith(b"four")
    s.close()
    settled()
    assert ask() == (200, b"ok") and made() == 2


def cut_request_is_never_kept():
    fresh()
    s = lab.tls("a.in.test", 443)
    s.sendall(b"POST /x HTTP/1.1\r\nHost: a.in.test\r\nContent-Length: 9\r\n\r\nfour")
    time.sleep(0.1)
    s.close()
    settled()
    assert ask() == (200, b"ok") and made() == 2


def hosts_are_apart():
    fresh()
    for _ in range(2):
        for host in ("a.in.test", "b.in.test"):
            assert ask(host) == (200, b"ok")
    assert made() == 2
    for c in origin.connections[-2:]:
        assert (b"Host: a.in.test" in c.data) != (b"Host: b.in.test" in c.data), c.data


def policy_is_asked_again():
    fresh()
    assert ask() == (200, b"ok")
    assert lab.policy(POLICY % DENY)[0] == 0
    origin.forget()
    assert ask()[0] == 403 and origin.seen(0.05) == b""
    made()
    assert ask(path="/y") == (200, b"ok") and made() == 1, "it outlived its policy"
    assert ask()[0] == 403 and b"/x" not in origin.seen(0.05)
    assert ask(path="/y") == (200, b"ok") and made() == 0


def rebinding():
    fresh()
    assert ask("move.in.test") == (200, b"ok") and ask("move.in.test") == (200, b"ok") and made() == 1
    made(moved)
    names.at = Q
    time.sleep(1.2)
    assert ask("move.in.test") == (200, b"ok") and (made(), made(moved)) == (0, 1)
    names.at = "127.0.0.1"
    time.sleep(1.2)
    s, status, _ = lab.tunnel("move.in.test", 443)
    assert status == 403 and (made(), made(moved)) == (0, 0), status


def moves_before_its_request():
    """The tunnel was opened while the name was well; its request comes when it is not."""
    names.at = P
    time.sleep(1.2)
    fresh()
    assert ask("move.in.test") == (200, b"ok") and made() == 1
    s = lab.tls("move.in.test", 443)
    names.at = "10.77.0.1"
    time.sleep(1.2)
    origin.forget()
    s.sendall(b"GET /x HTTP/1.1\r\nHost: move.in.test\r\n\r\n")
    status, _, body = read_response(s)
    assert status == 403 and b"ssrf" in body and origin.seen() == b"", (status, body)


def nobody_there_at_its_request():
    """... and leads to where nobody listens: told in HTTP, as if the tunnel had been dialled then."""
    names.at = P
    time.sleep(1.2)
    fresh()

    def get(s):
        s.sendall(b"GET /x HTTP/1.1\r\nHost: move.in.test\r\n\r\n")
        return read_response(s)

    s = lab.tunnel("move.in.test", 80)[0]
    assert get(s)[2] == b"ok"
    s.close()
    settled()
    s = lab.tunnel("move.in.test", 80)[0]
    names.at = Q
    time.sleep(1.2)
    status, _, body = get(s)
    assert status == 502 and b"upstream_unreachable" in body and made() == 1, (status, body)
    ends = [e for e in lab.events() if e.get("activity_name") == "Close"]
    assert ends[-1]["dst_endpoint"]["domain"] == "move.in.test", ends[-1]


def audit_says_the_address():
    fresh()
    for _ in range(2):
        assert ask("two.in.test") == (200, b"ok")
    events = [e for e in lab.events() if e.get("http_request", {}).get("url", {}).get("hostname") == "two.in.test"]
    assert made() == 1 and len(events) == 2, events
    assert events[-1]["dst_endpoint"]["ip"] == P, events[-1]


def gone_before_its_request():
    """The tunnel counted on a kept one, which was closed before the request came: a new one."""
    fresh([OK, 2, None])
    assert ask() == (200, b"ok")
    s = lab.tls("a.in.test", 443)
    before = sockets()
    assert box.until(lambda: sockets() < before)
    assert made() == 1
    s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
    assert read_response(s)[2] == b"ok" and made() == 1
    s.close()


def closed_when_old():
    fresh()
    assert ask() == (200, b"ok")
    before = sockets()
    time.sleep(13)
    assert sockets() == before
    assert box.until(lambda: sockets() == before - 1, 10) and ask() == (200, b"ok") and made() == 2


def sockets():
    return look.descriptor_count(lab.process.pid)


def limited_in_number():
    """80 at once, at most 64 of which are kept."""
    fresh([0.3, OK])
    before = sockets()
    clients = [lab.tls("a.in.test", 443) for _ in range(80)]
    for s in clients:
        s.sendall(b"GET /x HTTP/1.1\r\nHost: a.in.test\r\n\r\n")
    for s in clients:
        assert read_response(s)[2] == b"ok"
        s.close()
    assert box.until(lambda: before + 40 < sockets() <= before + 64, 10), (before, sockets())
    assert lab.policy(POLICY % "")[0] == 0
    assert box.until(lambda: sockets() <= before), (before, sockets())


TEN = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x88\x02\x03\xe8")
ASK_UPGRADE = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
NTLM = b"HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM TlRM\r\nContent-Length: 0\r\n\r\n"
for title, check in [
        ("clients one after the other share a connection", clients_share),
        ("so do plain requests", plain_ones_share),
        ("as many connections as clients at once", as_many_as_at_once),
        ("a client keeps what it took", next_on_the_same_client),
        ("streams of HTTP/2 share those of an HTTP/1.1 server", streams_share),
        ("... where ALPN, not another client, has decided for HTTP/1.1", streams_ask_for_themselves),
        ("one that the server closes is not used", idle_closed),
        ("t22 bytes that nobody asked for are nobody's answer", junk_is_not_an_answer),
        ("a server that closes at the request: once more", dies_at_the_request),
        ("... and not again", dies_twice),
        ("what changes things is never sent twice", not_sent_twice),
        ("nor what was answered in part", cut_answer_is_not_repeated),
        ("nor on a client's own kept connection", repeated_on_a_kept_client),
        ("what can't be sent twice takes no old connection", what_changes_things_wants_a_new_one),
        ("not kept: Connection: close",
         never_kept(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")),
        ("not kept: HTTP/1.0", never_kept(TEN)),
        ("not kept: a body until the end", never_kept([b"HTTP/1.1 200 OK\r\n\r\nok", None])),
        ("not kept: an answer to HEAD", never_kept(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD",
                                                  "Connection: close\r\n")),
        ("t22 not kept: NTLM asked for", never_kept(NTLM)),
        ("t22 not kept: Negotiate sent", never_kept(OK, fields="Authorization: negotiate YII\r\n")),
        ("not kept: a switch of protocols", never_kept(UPGRADE, fields=ASK_UPGRADE, host="ws.in.example.test")),
        ("what asks for another protocol gets a new connection", upgrade_goes_alone),
        ("not kept: a body that was cut", cut_body_is_never_kept),
        ("not kept: a request that was cut", cut_request_is_never_kept),
        ("t22 two names on one address share nothing", hosts_are_apart),
        ("t11 each request is judged, and a new policy closes all", policy_is_asked_again),
        ("a6 a name that moved takes no connection to where it was", rebinding),
        ("a6 ... nor when it moves under an open tunnel", moves_before_its_request),
        ("a tunnel that finds nobody at its request", nobody_there_at_its_request),
        ("the audit has the address that was used", audit_says_the_address),
        ("a kept one that is gone when the request comes", gone_before_its_request),
        ("no more than 64 are kept", limited_in_number),
        ("none is kept for longer than 15 s", closed_when_old)]:
    tap.check(title, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
