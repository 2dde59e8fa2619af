#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stub resolver, against name servers that err, lie and stay silent.

Goal: every address of an answer is checked and a checked one is dialled, whatever the next answer
would be; a name that policy does not allow is never asked for; no server can hang or fool us.
"""
import json
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all  # noqa: E402

POLICY = """
version: 1
network_policies:
  all:
    endpoints:
      - {host: "*.wild.test", port: 9000}
      - {host: exact.test, port: 9000}
      - {host: listed.test, port: 9000, allowed_ips: [10.77.0.1, "fd00:77::1"]}
    binaries: [{path: /usr/bin/curl}]
"""
P, PRIVATE, P6 = world.PUBLIC, world.PRIVATE, world.PUBLIC6
A, CNAME, AAAA = 1, 5, 28


def name_bytes(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


class NameServer:
    """Answers by a table: name -> function(type, count of questions for it) -> list of records, a
    number (rcode), None (silence) or bytes (sent as they are, the id put in front)."""

    def __init__(self, address, table):
        self.table, self.asked, self.tcp_asked = table, [], []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = proxylab.listener(address, 53)
        threading.Thread(target=self._udp, daemon=True).start()
        threading.Thread(target=self._tcp, daemon=True).start()

    def _answer(self, q, is_tcp):
        labels, at = [], 12
        while q[at]:
            labels.append(q[at + 1:at + 1 + q[at]].decode())
            at += 1 + q[at]
        qtype, = struct.unpack_from(">H", q, at + 1)
        question, name = q[12:at + 5], ".".join(labels)
        (self.tcp_asked if is_tcp else self.asked).append((name, qtype))
        what = self.table.get(name, lambda *_: 3)(qtype, len(self.asked), is_tcp)
        if what is None:
            return None
        if isinstance(what, bytes):
            return q[:2] + what
        if isinstance(what, int):
            flags, records = 0x8180 | what & 15 | (what & 0x200), []
        else:
            flags, records = 0x8180, what
        body = b""
        for owner, rtype, data, ttl in records:
            rdata = name_bytes(data) if rtype == CNAME else socket.inet_pton(
                socket.AF_INET if rtype == A else socket.AF_INET6, data)
            body += name_bytes(owner or name) + struct.pack(">HHIH", rtype, 1, ttl, len(rdata)) + rdata
        return q[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question + body

    def _udp(self):
        while True:
            q, peer = self.udp.recvfrom(4096)
            if answer := self._answer(q, False):
                self.udp.sendto(answer, peer)

    def _tcp(self):
        while True:
            s, _ = self.tcp.accept()
            f = s.makefile("rb")
            while head := f.read(2):
                answer = self._answer(f.read(struct.unpack(">H", head)[0]), True)
                if answer:
                    s.sendall(struct.pack(">H", len(answer)) + answer)
            s.close()


def fixed(*addresses, ttl=60):
    def records(qtype, *_):
        return [(None, AAAA if ":" in a else A, a, ttl) for a in addresses
                if (":" in a) == (qtype == AAAA)]
    return records


rebinding = iter([P, P] + ["127.0.0.1"] * 100)
TABLE = {
    "ok.wild.test": fixed(P),
    "six.wild.test": fixed(P6),
    "both.wild.test": fixed(P6, P),
    "dark.wild.test": fixed("2606:2800:220:1::dead", P),
    "mixed.wild.test": fixed(P, PRIVATE),
    "mixed6.wild.test": fixed(P, "fd00:77::1"),
    "loop.wild.test": fixed("127.0.0.1"),
    "exact.test": fixed(PRIVATE),
    "listed.test": fixed(PRIVATE, "fd00:77::1"),
    "mapped.wild.test": fixed("64:ff9b::7f00:1"),
    "nodata.wild.test": lambda *_: [],
    "nxdomain.wild.test": lambda *_: 3,
    "fails.wild.test": lambda *_: 2,
    "silent.wild.test": lambda *_: None,
    "cut.wild.test": lambda t, n, tcp: fixed(P)(t) if tcp else 0x200,
    "garbage.wild.test": lambda *_: b"\x81\x80\0\1\0\1\0\0\0\0garbage",
    "alias.wild.test": lambda t, *_: [(None, CNAME, "real.test", 60)] + (
        [("real.test", A, P, 60)] if t == A else []),
    "inside.wild.test": lambda t, *_: [(None, CNAME, "host.internal", 60)] + (
        [("host.internal", A, PRIVATE, 60)] if t == A else []),
    "stranger.wild.test": lambda t, *_: [("else.test", A, P, 60)] if t == A else [],
    "rebind.wild.test": lambda t, *_: [(None, A, next(rebinding), 0)] if t == A else [],
    "second.wild.test": lambda *_: None,
}

w = world.World(["unused.test"])
proxylab.add_local("10.200.0.0", 24)
proxylab.add_local("10.77.0.0", 24)
proxylab.add_local("2606:2800:220:1::dead", 128)
first = NameServer("10.77.0.53", TABLE)
second = NameServer("10.77.0.54", {"second.wild.test": fixed(P)})
lab = Lab(w, POLICY, resolv="search x\nnameserver 10.77.0.53\nnameserver 10.77.0.54\n",
          hosts=f"127.0.0.1 localhost\n{P} fromhosts.wild.test\n",
          pins=[(f"pin{n}.wild.test", 9000, P) for n in range(256)])  # as many as cove run takes
raw, raw6, private = (Bytes(a, 9000, answer=b"pong") for a in (P, P6, PRIVATE))
tap = world.Tap()


def passes(name, server=raw, to=None):
    def check():
        seen = server.connections
        s, status, _ = lab.tunnel(name, 9000)
        assert status == 200, read_all(s)
        s.sendall(b"ping")
        assert s.recv(10) == b"pong"
        assert server.connections == seen + 1
    return check


def refused(name, status=403, error="ssrf_denied"):
    def check():
        seen = (raw.connections, raw6.connections, private.connections)
        s, got, _ = lab.tunnel(name, 9000)
        body = json.loads(read_all(s))
        assert (got, body["error"]) == (status, error), (got, body)
        assert (raw.connections, raw6.connections, private.connections) == seen
    return check


for name, check in [
        ("an address", passes("ok.wild.test")), ("an IPv6 address", passes("six.wild.test", raw6)),
        ("IPv6 before IPv4", passes("both.wild.test", raw6)),
        ("an address that refuses gives way to the next", passes("dark.wild.test")),
        ("the first pinned name", passes("pin0.wild.test")),
        ("the last of 256 pinned names", passes("pin255.wild.test")),
        ("an alias", passes("alias.wild.test")), ("the hosts file", passes("fromhosts.wild.test")),
        ("an answer that was cut is asked for over TCP", passes("cut.wild.test")),
        ("a declared name may be private", passes("exact.test", private)),
        ("addresses in allowed_ips", passes("listed.test", private)),
        ("a6 one private address refuses the set", refused("mixed.wild.test")),
        ("a6 across families too", refused("mixed6.wild.test")),
        ("a6 a name that leads to loopback", refused("loop.wild.test")),
        ("a5 NAT64 of loopback", refused("mapped.wild.test")),
        ("a6 an alias of an internal name", refused("inside.wild.test")),
        ("no data", refused("nodata.wild.test", 502, "upstream_unreachable")),
        ("no such name", refused("nxdomain.wild.test", 502, "upstream_unreachable")),
        ("a record of another name is none", refused("stranger.wild.test", 502, "upstream_unreachable"))]:
    tap.check(name, check)


def rebinding_is_checked_again():
    """TTL 0: the first answer is dialled, a later one is checked on its own."""
    passes("rebind.wild.test")()
    time.sleep(1.2)
    passes("rebind.wild.test")()
    time.sleep(1.2)
    refused("rebind.wild.test")()


def never_asked():
    s, status, _ = lab.tunnel("secret.evil.test", 9000)
    assert status == 403
    names = {n for n, _ in first.asked + second.asked}
    assert "secret.evil.test" not in names and "fromhosts.wild.test" not in names, names


def asked_once():
    passes("ok.wild.test")()
    assert len([n for n, t in first.asked if n == "ok.wild.test" and t == A]) == 1, first.asked


def second_server():
    seen = time.monotonic()
    passes("second.wild.test")()
    assert time.monotonic() - seen < 4.5  # before the first is asked for the second time and given up


for name, check in [("a6 rebinding: each connection's addresses are checked", rebinding_is_checked_again),
                    ("n4 a name that is not allowed is never asked for", never_asked),
                    ("answers are kept", asked_once), ("the second server is asked", second_server),
                    ("servers that fail", refused("fails.wild.test", 502, "upstream_unreachable")),
                    ("an answer that is none", refused("garbage.wild.test", 502, "upstream_unreachable")),
                    ("silence ends", refused("silent.wild.test", 502, "upstream_unreachable"))]:
    tap.check(name, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
